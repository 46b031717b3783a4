//! The smallest buffers found are the smallest there are, and a larger buffer never brings traffic back.

use compiler::network::Network;
use compiler::program::compile;
use compiler::size::{Buffers, Sizer, together, total};
use spec::layer::Layer;
use spec::{Config, ConfigSpec, Size};

fn config(rows: u32, cols: u32, lanes: u32) -> Config {
    let size = |kib: u64| Some(Size(kib << 10));
    let spec = ConfigSpec {
        rows: Some(rows),
        cols: Some(cols),
        lanes: Some(lanes),
        ibuf: size(64),
        wbuf: size(64),
        obuf: size(64),
        ..ConfigSpec::default()
    };
    Config::new("small", spec).unwrap()
}

/// Every combination of sizes up to `most`, from the least on, in steps of the units; the residual buffer aside.
fn all(config: &Config, most: Buffers, mut check: impl FnMut(Buffers)) {
    let grids = config.grids();
    let steps = |k: usize| {
        let unit = grids[k].unit;
        (grids[k].least.next_multiple_of(unit)..=most[k]).step_by(unit as usize)
    };
    for i in steps(0) {
        for w in steps(1) {
            for o in steps(2) {
                steps(4).for_each(|p| check([i, w, o, most[3], p]));
            }
        }
    }
}

const LAYERS: [&str; 9] = [
    "conv cin=32 h=8 w=8 cout=24 k=3 pad=1",
    "conv cin=16 h=12 w=12 cout=8 k=3",
    "conv cin=64 h=6 w=6 cout=32 k=1",
    "conv cin=64 h=12 w=12 cout=12 k=1 stride=2",
    "conv cin=48 h=7 w=7 cout=16 k=3 stride=2 pad=1",
    "conv cin=3 h=24 w=24 cout=8 k=5 stride=2 pad=2",
    "conv cin=32 h=9 w=9 cout=32 k=3 pad=1 groups=32",
    "conv cin=32 h=10 w=10 cout=16 k=3 pad=1 groups=2",
    "fc in=1500 out=40",
];

#[test]
fn no_smaller_buffers_suffice() {
    // All but the fifth layer, and three on a wider array: those that take seconds.
    let narrow = LAYERS.iter().enumerate().filter(|(i, _)| *i != 4).map(|(_, l)| (config(2, 4, 4), l));
    for (config, text) in narrow.chain(LAYERS[1..4].iter().map(|l| (config(7, 16, 8), l))) {
        {
            let layer: Layer = text.parse().unwrap();
            let mut sizer = Sizer::alone(&layer, &config);
            let front = sizer.front();
            let best = front[0];
            for buffers in &front {
                assert!(sizer.plan(*buffers).unwrap().is_once_only(), "{text}: {buffers:?}");
            }
            let slack = total(&best) - total(&config.grids().map(|g| g.least));
            let most = config.grids().map(|g| g.least + u32::try_from(slack).unwrap());
            let mut tried = 0;
            all(&config, [most[0], most[1], most[2], best[3], most[4]], |buffers| {
                if total(&buffers) < total(&best) {
                    tried += 1;
                    let once = sizer.plan(buffers).is_some_and(|plan| plan.is_once_only());
                    assert!(!once, "{text}: {buffers:?} suffice, found were {best:?}");
                }
            });
            println!("{text}: {best:?} of {} combinations, {tried} smaller ones tried", front.len());
        }
    }
}

#[test]
fn larger_buffers_never_bring_traffic_back() {
    let config = config(2, 4, 4);
    for text in LAYERS {
        let layer: Layer = text.parse().unwrap();
        let mut sizer = Sizer::alone(&layer, &config);
        for front in sizer.front() {
            for step in 0..400u32 {
                let grids = config.grids();
                let random = |k: usize| grids[k].unit * (step * (k as u32 * 7 + 13) % 97) * (step % 5);
                let buffers: Buffers = std::array::from_fn(|k| (front[k] + random(k)).min(grids[k].most));
                let once = sizer.plan(buffers).is_some_and(|plan| plan.is_once_only());
                assert!(once, "{text}: {front:?} suffice, {buffers:?} do not");
            }
        }
    }
}

/// Each of a front has no buffer that could be a step smaller.
#[test]
fn a_step_below_does_not_suffice() {
    let config = config(7, 16, 8);
    for text in LAYERS {
        let layer: Layer = text.parse().unwrap();
        let mut sizer = Sizer::alone(&layer, &config);
        for front in sizer.front() {
            for (k, grid) in config.grids().into_iter().enumerate() {
                let mut buffers = front;
                buffers[k] -= grid.unit;
                if buffers[k] >= grid.least {
                    let once = sizer.plan(buffers).is_some_and(|plan| plan.is_once_only());
                    assert!(!once, "{text}: {front:?} are not minimal, {buffers:?} suffice");
                }
            }
        }
    }
}

#[test]
fn one_set_of_buffers_serves_all_layers() {
    let config = config(2, 4, 4);
    let mut sizers: Vec<Sizer> = LAYERS.iter().map(|l| Sizer::alone(&l.parse().unwrap(), &config)).collect();
    let fronts: Vec<_> = sizers.iter_mut().map(Sizer::front).collect();
    let buffers = together(&fronts).unwrap();
    for sizer in &mut sizers {
        assert!(sizer.plan(buffers).unwrap().is_once_only());
    }
    // One of each front, by all ways to choose, would not be smaller.
    let mut sums: Vec<Buffers> = vec![[0; 5]];
    for front in &fronts {
        let raised = |a: &Buffers, b: &Buffers| std::array::from_fn(|k| a[k].max(b[k]));
        sums = sums.iter().flat_map(|a| front.iter().map(move |b| raised(a, b))).collect();
        sums.sort_unstable();
        sums.dedup();
    }
    assert_eq!(total(&buffers), sums.iter().map(total).min().unwrap());
}

/// The search plans a network's steps as the compiler does.
#[test]
fn steps_are_planned_as_the_compiler_plans_them() {
    let file =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/models/resnet56-cifar10-int8-qoperator.onnx");
    let network = Network::load(file.as_ref()).unwrap();
    for name in ["default", "square"] {
        let config = Config::named(name).unwrap();
        let compiled = compile(&network, &config, false).unwrap();
        for plan in compiled.plans() {
            let found = Sizer::of_plan(plan).plan(config.buffers()).unwrap();
            assert_eq!(found.to_string(), plan.to_string());
        }
    }
}
