//! The flows from Verilog to a packed bitstream, on boards that have the link and the memory but no accelerator.

use bitstreams::{Board, board::Flow, flow};
use std::path::Path;

fn build(name: &str) -> (tempfile::TempDir, flow::Built) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/boards").join(name);
    let board = Board::find(dir.to_str().expect("a path")).expect("a board");
    let cache = tempfile::tempdir().expect("a directory");
    let mut steps = vec![];
    let built = flow::build(cache.path(), &board, &board.config, 1, |s| steps.push(s.to_owned()));
    let built = built.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(steps.len(), 3, "{steps:?}");
    // A second time it is there.
    let again =
        flow::build(cache.path(), &board, &board.config, 1, |s| panic!("{s}")).expect("from the cache");
    assert_eq!(again.dir, built.dir);
    (cache, built)
}

fn check(name: &str, flow: Flow, preamble: &[u8]) -> flow::Row {
    let (_cache, built) = build(name);
    let path = built.bitstream.expect("a bitstream");
    assert!(path.ends_with(flow::bitstream_name(flow)));
    let bytes = std::fs::read(path).expect("a bitstream");
    assert!(bytes.len() > 20_000, "{} bytes", bytes.len());
    assert!(bytes.windows(preamble.len()).take(2000).any(|w| w == preamble), "no preamble");
    let row = built.row;
    assert!(row.luts > 200 && row.luts < row.luts_of, "{row:?}");
    assert!(row.ffs > 100 && row.fmax_mhz >= row.clock_mhz, "{row:?}");
    let critical = built.critical.expect("a longest path");
    assert!((1000.0 / critical.ns / row.fmax_mhz - 1.0).abs() < 0.05, "{critical:?} {row:?}");
    row
}

#[test]
fn ecp5() {
    let row = check("link-ecp5", Flow::Ecp5, &[0xff, 0xff, 0xbd, 0xb3]);
    assert_eq!(row.block_rams, 32, "64 KiB are 32 block RAMs of 2 KiB");
}

#[test]
fn ice40() {
    check("link-ice40", Flow::Ice40, &[0x7e, 0xaa, 0x99, 0x7e]);
}

#[test]
fn boards_are_complete() {
    for name in Board::names() {
        let board = Board::find(name).expect("a board");
        let sources = board.sources(&board.config).expect("its sources");
        for (file, text) in sources {
            assert!(
                !text.contains('@') || text.contains("@("),
                "{name}: {file} has a place that nothing was put in"
            );
        }
    }
    let text = Board::find("toaster").expect_err("no board").to_string();
    assert!(text.contains("ulx3s-85f"), "{text}");
    let ulx3s = Board::find("ulx3s-85f").expect("a board");
    assert!(ulx3s.clocked(100.0).is_ok());
    let text = ulx3s.clocked(999.0).expect_err("too fast").to_string();
    assert!(text.contains("999"), "{text}");
}
