//! Sizes of well-known networks against published ones, and places against an interpreter that looks at what lies there.
//!
//! `fixtures/topologies.zip` is written by `scripts/make_topologies.py`; two of its files are from the PyPI package `onnx`
//! (Apache-2.0).

use std::io::Read as _;

use compiler::onnx::Model;
use footprint::lives::{Sharing, Storage, lives};
use footprint::{Graph, Kind, Op, Role, TensorId, import, training};

fn graphs() -> Vec<Graph> {
    let file =
        std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/topologies.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    let graph = |name: &String| {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        let mut model = Model::parse(&bytes).unwrap();
        model.name = name.trim_end_matches(".onnx").to_owned();
        import::graph(&model).unwrap()
    };
    names.iter().map(graph).collect()
}

fn network(name: &str) -> Graph {
    graphs().into_iter().find(|g| g.name == name).unwrap()
}

/// Trained parameters as torchvision counts them, those of U-Net and GoogLeNet (without its auxiliary outputs) as their
/// papers' networks have them, DenseNet-121 with the scales and offsets that its Caffe graph has twice (83,648);
/// multiplications of convolutions and fully connected layers.
#[test]
fn parameters_and_work_are_the_published_ones() {
    for (name, parameters, macs) in [
        ("resnet50", 25_557_032, 4_089_184_256),
        ("resnet50-v1", 25_557_032, 3_857_973_248),
        ("vgg16", 138_357_544, 15_470_264_320),
        ("vgg19", 143_667_240, 19_632_062_464),
        ("mobilenetv2", 3_504_872, 300_774_272),
        ("squeezenet", 1_235_496, 349_151_936),
        ("alexnet", 61_100_840, 714_188_480),
        ("densenet121", 8_062_504, 2_834_161_664),
        ("googlenet", 6_998_552, 1_431_556_352),
        ("unet", 31_030_658, 150_428_424_448),
    ] {
        let graph = network(name);
        let trained = graph.elements(Role::Weight) + graph.elements(Role::Norm);
        assert_eq!(trained, parameters, "{name}");
        assert_eq!(graph.macs(), macs, "{name}");
    }
}

/// The figures that the question behind `koch memory` is asked with: Hanlon, "Why is so much memory needed for deep neural
/// networks?" (2017): 26 million weights and 16 million activations, 168 MB, and more than 2 GB for a batch of 32.
#[test]
fn resnet_50_has_the_activations_that_the_literature_counts() {
    let (v15, v1) = (network("resnet50"), network("resnet50-v1"));
    assert_eq!(v15.elements(Role::Weight), 25_503_912);
    assert_eq!(v15.elements(Role::Norm), 53_120);
    assert_eq!(v15.counted(), 16_633_344);
    assert_eq!(v1.counted(), 16_106_496);
    let f32s = Storage { batch: 32, bits: 32, vector: 1 };
    assert!(f32s.bytes(v15.counted(), Role::Activation) > 2_000_000_000);
}

/// Whether the output of a window operator runs into its input no further than it may, for each image of the batch.
fn overlaps(graph: &Graph, storage: &Storage, at: usize, [from, to]: [u64; 2]) -> bool {
    let step = &graph.steps[at];
    let Some(lag) = step.lag else { return false };
    let [lag_forward, lag_backward] = [lag.forward, lag.backward].map(|n| (n * storage.bits / 8) as i64);
    let [input, output] =
        [step.inputs[0], step.outputs[0]].map(|id| (storage.of(graph, id) / storage.batch) as i64);
    let apart = to as i64 - from as i64;
    let images = 0..storage.batch as i64;
    let forward = images.clone().all(|n| -apart - n * (output - input) >= lag_forward);
    let backward = images.clone().all(|n| apart + (n + 1) * (output - input) >= lag_backward);
    forward || backward
}

/// Runs the steps with what lies at each place: every tensor that is read must be there.
fn interpret(graph: &Graph, sharing: Sharing) {
    let storage = Storage { batch: 3, bits: 16, vector: 1 };
    let lives = lives(graph, &storage, sharing);
    let mut place_of: Vec<Option<usize>> = vec![None; graph.tensors.len()];
    for (k, place) in lives.places.iter().enumerate() {
        for id in place.tensors.iter().map(|l| l.id) {
            assert_eq!(place_of[id].replace(k), None, "{} has two places", graph.tensors[id].name);
        }
    }
    // A view holds what its input holds.
    let mut same: Vec<TensorId> = (0..graph.tensors.len()).collect();
    for step in graph.steps.iter().filter(|s| s.op == Op::View) {
        if let ([input], [output]) = (&step.inputs[..], &step.outputs[..]) {
            same[*output] = same[*input];
        }
    }
    let lies = |place: usize, id: TensorId| {
        let found = lives.places[place].tensors.iter().find(|l| l.id == id).unwrap();
        assert!(found.offset + storage.of(graph, id) <= lives.places[place].bytes);
        found.offset
    };
    let mut holds: Vec<Option<TensorId>> = vec![None; lives.places.len()];
    for (id, tensor) in graph.tensors.iter().enumerate().filter(|(_, t)| t.role == Role::Input) {
        holds[place_of[id].unwrap_or_else(|| panic!("{} has no place", tensor.name))] = Some(id);
    }
    let mut live = vec![0; graph.steps.len()];
    for place in &lives.places {
        (place.first..=place.last).for_each(|at| live[at] += place.bytes);
    }
    assert_eq!(live, lives.live);
    for (at, step) in graph.steps.iter().enumerate() {
        let touch = |id: TensorId| {
            let place = place_of[id].unwrap_or_else(|| panic!("{} has no place", graph.tensors[id].name));
            assert!((lives.places[place].first..=lives.places[place].last).contains(&at), "{}", step.name);
            assert!(storage.of(graph, id) <= lives.places[place].bytes);
            place
        };
        for &id in &step.inputs {
            let found = holds[touch(id)].map(|id| same[id]);
            assert_eq!(found, Some(same[id]), "{}: {} is gone", step.name, graph.tensors[id].name);
        }
        for &id in &step.outputs {
            let place = touch(id);
            for &input in step.inputs.iter().filter(|&&input| place_of[input] == Some(place)) {
                let [from, to] = [input, id].map(|id| lies(place, id));
                let same = from == to && storage.of(graph, input) == storage.of(graph, id);
                let in_place = matches!(step.op, Op::View | Op::Function(_) | Op::Norm | Op::Add | Op::Mul);
                assert!(same && in_place || overlaps(graph, &storage, at, [from, to]), "{}", step.name);
            }
            // What is overwritten is read by this step at the latest: the next one that does fails above.
            holds[place] = Some(id);
        }
    }
    for &id in &graph.outputs {
        let found = place_of[id].and_then(|place| holds[place]).map(|id| same[id]);
        assert_eq!(found, Some(same[id]), "output {} is gone", graph.tensors[id].name);
    }
}

#[test]
fn what_is_read_is_still_there() {
    for graph in graphs() {
        let whole = training::backward(&graph);
        for sharing in [Sharing::None, Sharing::Lives, Sharing::InPlace, Sharing::Overlap] {
            interpret(&graph, sharing);
            interpret(&whole, sharing);
        }
    }
}

#[test]
fn less_is_shared_than_more() {
    let storage = Storage { batch: 1, bits: 32, vector: 1 };
    for graph in graphs() {
        for graph in [training::backward(&graph), graph] {
            let all = [Sharing::None, Sharing::Lives, Sharing::InPlace, Sharing::Overlap];
            let [none, by_life, in_place, overlap] = all.map(|s| lives(&graph, &storage, s));
            assert!(in_place.peak() <= by_life.peak() && by_life.peak() <= none.peak(), "{}", graph.name);
            assert!(overlap.peak() <= in_place.peak(), "{}", graph.name);
            assert_eq!(none.peak(), none.sum());
        }
    }
}

/// Every weight gets one gradient, of its own size, and the update reads it.
#[test]
fn training_has_a_gradient_for_each_weight() {
    for graph in graphs() {
        let whole = training::backward(&graph);
        let update = whole.steps.last().unwrap();
        let gradients: u64 = update.inputs.iter().map(|&id| whole.tensors[id].elements()).sum();
        assert_eq!(gradients, graph.elements(Role::Weight) + graph.elements(Role::Norm), "{}", graph.name);
        assert!(update.inputs.iter().all(|&id| whole.tensors[id].role == Role::WeightGradient));
        let forward = whole.steps.iter().filter(|s| s.kind == Kind::Forward).count();
        assert_eq!(forward, graph.steps.len());
        // A backward pass is twice the work of a forward one, but for the first layer, whose input needs no gradient.
        let first = graph.steps.iter().find(|s| s.macs > 0).unwrap().macs;
        assert_eq!(whole.macs(), 3 * graph.macs() - first, "{}", graph.name);
    }
}

/// The same network before and after quantisation: as many weights, as much work.
#[test]
fn quantised_networks_have_the_sizes_of_the_float_one() {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/models");
    let load = |name: &str| {
        let model = Model::load(std::path::Path::new(&format!("{shared}/{name}.onnx"))).unwrap();
        import::graph(&model).unwrap()
    };
    let float = load("resnet56-cifar10-float");
    for form in ["qoperator", "qdq"] {
        let quantised = load(&format!("resnet56-cifar10-int8-{form}"));
        assert_eq!(quantised.macs(), float.macs(), "{form}");
        let convolutions = |g: &Graph| g.steps.iter().filter(|s| matches!(s.op, Op::Conv(_))).count();
        assert_eq!(convolutions(&quantised), convolutions(&float), "{form}");
        assert_eq!(quantised.counted(), float.counted(), "{form}");
        // Batch normalisations are folded into biases.
        let biases: u64 = float.elements(Role::Norm) / 2;
        assert_eq!(quantised.elements(Role::Weight), float.elements(Role::Weight) + biases, "{form}");
    }
}

/// Files with bytes of them changed are imported, or refused with a message; some of each.
#[test]
fn damaged_files_are_refused_without_a_panic() {
    let file =
        std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/topologies.zip")).unwrap();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    let (mut good, mut bad) = (0, 0);
    for name in ["unet.onnx", "googlenet.onnx", "squeezenet.onnx", "vgg16.onnx"] {
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        for _ in 0..1000 {
            let mut damaged = bytes.clone();
            for _ in 0..=next() % 4 {
                let at = next() % damaged.len();
                damaged[at] = if next() % 2 == 0 { next() as u8 } else { damaged[at] ^ 1 << (next() % 8) };
            }
            match Model::parse(&damaged).and_then(|model| import::graph(&model)) {
                Err(_) => bad += 1,
                Ok(graph) => {
                    good += 1;
                    let storage = Storage { batch: 1 << 20, bits: 32, vector: 1 << 12 };
                    let whole = training::backward(&graph);
                    lives(&whole, &storage, Sharing::InPlace);
                    let _ = (whole.macs(), whole.counted(), graph.elements(Role::Activation));
                }
            }
        }
    }
    assert!(good > 100 && bad > 100, "{good} good, {bad} bad");
}
