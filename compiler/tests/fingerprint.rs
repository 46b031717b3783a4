//! Equal fingerprints are equal programs, and costs that are known change no plan.

use std::collections::HashMap;

use compiler::plan::Costs;
use compiler::schedule::fingerprint;
use spec::layer::{Layer, LayerSpec};
use spec::rng::in_range;
use spec::{Config, ConfigSpec, Size};

/// Layers for each config.
const LAYERS: usize = 200;
/// Sizes of the buffers for each layer.
const SIZES: usize = 60;
/// Programs that are compared with another of the same fingerprint, at least.
const PAIRS: usize = 20_000;

struct Draw(u64);

impl Draw {
    fn between(&mut self, lo: i32, hi: i32) -> u32 {
        in_range(&mut self.0, lo, hi).unsigned_abs()
    }

    fn of(&mut self, choices: &[u32]) -> u32 {
        choices[self.between(0, choices.len() as i32 - 1) as usize]
    }

    /// Fully connected, depthwise, grouped or dense; strided, dilated and padded in any mixture.
    fn layer(&mut self) -> Layer {
        loop {
            let mut spec = LayerSpec {
                cin: self.of(&[1, 3, 4, 8, 16, 24, 48]),
                h: self.between(1, 24),
                w: self.between(1, 24),
                cout: self.of(&[1, 4, 7, 8, 16, 24, 48, 80]),
                kh: self.of(&[1, 1, 3, 3, 5, 7]),
                kw: self.of(&[1, 3, 3, 5]),
                sh: self.of(&[1, 1, 2, 3]),
                sw: self.of(&[1, 1, 2]),
                dh: self.of(&[1, 1, 1, 2]),
                dw: self.of(&[1, 1, 1, 2]),
                batch: self.of(&[1, 1, 1, 2]),
                ..LayerSpec::default()
            };
            match self.between(0, 4) {
                0 => {
                    let (cin, cout) = (self.between(1, 2000), self.between(1, 150));
                    spec = LayerSpec { cin, cout, batch: self.between(1, 12), ..LayerSpec::default() };
                }
                1 => {
                    spec.groups = spec.cin;
                    spec.cout = spec.cin;
                }
                2 => {
                    spec.groups = self.of(&[2, 3]);
                    (spec.cin, spec.cout) = (spec.cin * spec.groups, spec.cout * spec.groups);
                }
                _ => {}
            }
            let (down, right) = ((spec.dh * (spec.kh - 1)) as i32, (spec.dw * (spec.kw - 1)) as i32);
            (spec.pt, spec.pb) = (self.between(0, down), self.between(0, down));
            (spec.pl, spec.pr) = (self.between(0, right), self.between(0, right));
            if let Ok(layer) = Layer::new(spec) {
                return layer;
            }
        }
    }

    /// From less than the layers need to more than they can use.
    fn buffers(&mut self, config: &ConfigSpec) -> ConfigSpec {
        let size = |d: &mut Self, least: u32| {
            let whole = least << d.between(0, 6);
            Some(Size(u64::from(if d.between(0, 2) > 0 { whole } else { whole + least * d.between(0, 40) })))
        };
        let sizes = ConfigSpec {
            ibuf: size(self, 2 << 10),
            wbuf: size(self, 2 << 10),
            obuf: size(self, 1 << 10),
            pbuf: size(self, 1 << 10),
            ..ConfigSpec::default()
        };
        sizes.over(config.clone())
    }
}

#[test]
fn equal_fingerprints_are_equal_programs() {
    let mut d = Draw(1);
    let (mut plans, mut pairs, mut different) = (0, 0, 0);
    for (name, wide) in [("tiny", false), ("default", false), ("tiny", true), ("square", false)] {
        let mut base = ConfigSpec::named(name).expect("a config");
        if wide {
            base.operand_bits = Some(16);
        }
        for _ in 0..LAYERS {
            let layer = d.layer();
            let mut costs = Costs::default();
            let mut programs: HashMap<Vec<i64>, Vec<u8>> = HashMap::new();
            for _ in 0..SIZES {
                let config = Config::new(name, d.buffers(&base)).expect("a config");
                let alone = compiler::plan(&layer, &config);
                let plan = match (alone, compiler::plan_with_costs(&layer, &config, &mut costs)) {
                    (Ok(alone), Ok(plan)) => {
                        assert_eq!(format!("{alone:?}"), format!("{plan:?}"), "{layer} on {config:?}");
                        plan
                    }
                    (Err(alone), Err(e)) => {
                        assert_eq!(alone.to_string(), e.to_string());
                        continue;
                    }
                    (alone, plan) => panic!("{layer} on {config:?}: {alone:?} and {plan:?}"),
                };
                plans += 1;
                let code = compiler::assemble(&plan, None).expect("a program").code;
                match programs.get(&fingerprint(&plan)) {
                    Some(known) => {
                        pairs += 1;
                        assert!(*known == code, "{layer} on {config:?}: another program");
                    }
                    None => {
                        different += 1;
                        programs.insert(fingerprint(&plan), code);
                    }
                }
            }
        }
    }
    assert!(
        pairs > PAIRS && different > PAIRS / 10,
        "{plans} plans, {different} fingerprints, {pairs} pairs"
    );
}
