//! The estimate against what Yosys counted, and against its page.

use area::Model;
use spec::{Config, ConfigSpec, Size};
use std::path::Path;

const BEGIN: &str = "<!-- koch area --fit -->\n";
const END: &str = "<!-- end of koch area --fit -->\n";

fn model() -> Model {
    Model::new().expect("a model")
}

/// Structure gives Yosys's numbers to the last one; fits stay within what docs/area.md promises, also for a point that
/// they do not know.
#[test]
fn estimates_are_as_good_as_promised() {
    let model = model();
    for resource in model.resources() {
        let errors = resource.errors;
        let (mean, worst, left_out) = match resource.name {
            "luts" => (0.012, 0.05, 0.025),
            "ffs" => (0.004, 0.012, 0.01),
            "logic_transistors" => (0.003, 0.012, 0.006),
            "transistors" => (0.001, 0.003, 0.002),
            _ => (0.0, 0.0, 0.0),
        };
        let name = resource.name;
        assert!(errors.mean <= mean && errors.worst <= worst, "{name}: {errors:?}");
        assert!(errors.left_out_mean <= left_out, "{name}: {errors:?}");
    }
}

/// Every corner of the legal configs costs something. More of anything costs no less in the number that configs are
/// compared by; in LUTs it may, when a buffer moves to block RAM.
#[test]
fn more_costs_more() {
    let model = model();
    let corner = |bits: u32, operand_bits: u32, by_channel: bool, post: bool| {
        let pick = |i: u32, least: u32, most: u32| Some(if bits >> i & 1 == 0 { least } else { most });
        let size = |i, least, most| pick(i, least, most).map(|kib| Size(u64::from(kib) << 10));
        let spec = ConfigSpec {
            rows: pick(0, 1, 16),
            cols: pick(1, 4, 64),
            lanes: pick(2, 1, 4),
            operand_bits: Some(operand_bits),
            ibuf: size(3, 1, 1024),
            wbuf: size(4, 4, 1024),
            obuf: size(3, 1, 1024),
            rbuf: size(3, 1, 1024),
            pbuf: size(5, 1, 64),
            bus_bits: pick(6, 32, 512),
            burst_beats: pick(7, 8, 64),
            outstanding: pick(8, 1, 16),
            by_channel: Some(by_channel),
            post: Some(post),
        };
        Config::new("corner", spec).expect("a legal config")
    };
    for (operand_bits, by_channel, post) in [
        (8, true, true),
        (8, true, false),
        (8, false, true),
        (8, false, false),
        (16, true, false),
        (16, false, false),
    ] {
        for bits in 0..1 << 9 {
            let less = model.estimate(&corner(bits, operand_bits, by_channel, post));
            assert!(less.luts > 5_000 && less.ffs > 2_000 && less.transistors > 300_000, "{less:?}");
            for i in 0..9 {
                let more = model.estimate(&corner(bits | 1 << i, operand_bits, by_channel, post));
                assert!(less.transistors <= more.transistors, "field {i} of {bits:#b}: {less:?} {more:?}");
            }
        }
    }
}

#[test]
fn the_page_shows_the_fit() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/area.md");
    let page = std::fs::read_to_string(&path).expect("docs/area.md");
    let (before, rest) = page.split_once(BEGIN).expect("the first marker");
    let (_, after) = rest.split_once(END).expect("the second marker");
    let fresh = format!("{before}{BEGIN}{}{END}{after}", model().page());
    if std::env::var_os("KOCH_BLESS").is_some() {
        std::fs::write(&path, fresh).expect("the page");
    } else {
        assert!(page == fresh, "docs/area.md is out of date: run `make bless` and look at the difference");
    }
}
