//! Yosys maps the multipliers to DSP blocks and the buffers to block RAM of an ECP5.

use hdl::koch::design;
use hdl::tools::ecp5;
use spec::Config;

#[test]
fn multipliers_and_buffers_of_tiny() {
    let config = Config::named("tiny").expect("a named config");
    let found = ecp5(&design(&config), "koch").unwrap_or_else(|said| panic!("{said}"));
    let count = |cell: &str| found.cells.get(cell).copied().unwrap_or(0);
    // One in each processing element, four in each requantisation lane, five in each post lane.
    let multipliers = u64::from(config.rows * config.cols + 9 * config.lanes);
    assert_eq!(count("MULT18X18D"), multipliers, "{:?}", found.cells);
    // The other buffers of this config have at most 64 words a bank: too few for a block.
    for (buffer, least) in [("u_buffer0.", 2), ("u_wbuf.", config.cols as usize)] {
        let blocks = found.block_rams.iter().filter(|name| name.contains(buffer)).count();
        assert!(blocks >= least, "{buffer}: {blocks} blocks of {:?}", found.block_rams);
    }
    assert_eq!(count("DP16KD"), found.block_rams.len() as u64);
}
