//! Latencies of every shape of array.

use spec::{Config, ConfigSpec, Size, timing};

#[test]
fn a_flush_outlasts_every_pipeline() {
    let mut shapes = 0;
    for rows in 1..=16 {
        for cols in (4..=64).step_by(4) {
            for lanes in (0..7).map(|n| 1 << n) {
                let (wbuf, pbuf) = (Some(Size(1 << 16)), Some(Size(1 << 13)));
                let named = ConfigSpec { wbuf, pbuf, ..ConfigSpec::named("tiny").unwrap() };
                let spec = ConfigSpec { rows: Some(rows), cols: Some(cols), lanes: Some(lanes), ..named };
                let Ok(config) = Config::new("shape", spec) else { continue };
                shapes += 1;
                // From the last operand to the last output, and a few registers at either end.
                for depth in [false, true] {
                    let longest =
                        timing::issue_to_drain(&config, depth) + timing::drain_to_write(&config) + 8;
                    assert!(longest < timing::FLUSH, "{longest} cycles, {rows} x {cols}, {lanes} lanes");
                    // The feeder counts them in four bits.
                    let tiles = longest / timing::tile_gap(&config, depth) + 1;
                    assert!(tiles < 16, "{tiles} tiles not yet drained, {rows} x {cols}, {lanes} lanes");
                }
            }
        }
    }
    assert_eq!(shapes, 16 * (16 * 3 + 8 + 4));
}
