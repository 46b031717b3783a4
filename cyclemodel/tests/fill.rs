//! How full buffers are, against what layers need.

use cyclemodel::{Level, Part, fills, trace};
use spec::layer::Layer;
use spec::{Config, ConfigSpec, MemorySpec};

fn levels(layer: &str, config: &str) -> (Config, Layer, Vec<Level>, u64) {
    let config =
        Config::new(config, ConfigSpec::named(config).expect("a named config")).expect("a legal config");
    let layer: Layer = layer.parse().expect("a layer");
    let plan = compiler::plan(&layer, &config).expect("a plan");
    let program = compiler::assemble(&plan, None).expect("a program");
    let (run, spans) = trace(&config, &program, &MemorySpec::default()).expect("a run");
    let levels = fills(&config, &program, &spans);
    (config, layer, levels, run.counters.cycles)
}

fn peak(levels: &[Level], part: Part) -> f64 {
    levels.iter().filter(|l| l.part == part).map(|l| l.amount).fold(0.0, f64::max)
}

/// Nothing is more than full, levels of a part follow each other, and the array's are all products.
#[test]
fn levels_are_within_the_machine() {
    for config in ["tiny", "default", "snowflake"] {
        for layer in [
            "fc in=256 out=40 relu",
            "conv cin=3 h=23 w=23 cout=12 k=7 stride=2 pad=3",
            "conv cin=24 h=13 w=13 cout=20 k=3 pad=1",
            "conv cin=192 h=13 w=13 cout=192 k=3 pad=1",
            "conv cin=24 h=12 w=12 cout=24 k=3 pad=1 groups=24",
            "conv cin=70 h=6 w=6 cout=50 k=3 pad=2 dil=2",
        ] {
            let (config, shape, levels, cycles) = levels(layer, config);
            let what = format!("{layer} on {}", config.name);
            for part in Part::ALL {
                let of: Vec<&Level> = levels.iter().filter(|l| l.part == part).collect();
                let capacity = part.capacity(&config) as f64;
                for level in &of {
                    assert!(level.start < level.end && level.end <= cycles, "{what}: {level:?}");
                    assert!(
                        level.amount > 0.0 && level.amount <= capacity,
                        "{what}: {level:?} of {capacity}"
                    );
                }
                assert!(of.windows(2).all(|two| two[0].end <= two[1].start), "{what}: {part:?}");
            }
            let made = |l: &Level| l.amount * (l.end - l.start) as f64;
            let products: f64 = levels.iter().filter(|l| l.part == Part::Array).map(made).sum();
            // Chunks are padded with channels, and arrays that reduce by channel read whole ones.
            let least = shape.useful_macs() as f64;
            assert!(
                products >= least * 0.999 && products <= cycles as f64 * Part::Array.capacity(&config) as f64,
                "{what}"
            );
        }
    }
}

/// A small layer is in the buffers as a whole: its map, its weights and parameters, its outputs.
#[test]
fn a_small_layer_is_there_as_a_whole() {
    let (_, _, levels, _) = levels("conv cin=16 h=8 w=8 cout=32 k=1", "default");
    assert_eq!(peak(&levels, Part::Activations(0)), f64::from(16 * 8 * 8));
    assert_eq!(peak(&levels, Part::Params), f64::from(32 * 8));
    assert_eq!(peak(&levels, Part::Weights), f64::from(16 * 32));
    assert_eq!(peak(&levels, Part::Activations(1)), f64::from(32 * 8 * 8));
    assert_eq!(peak(&levels, Part::Activations(2)), 0.0);
}
