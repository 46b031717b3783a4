//! Pictures of known networks: everything is there once, and blocks are folded as often as they come.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use compiler::onnx::Model;
use drawing::fold::{Alike, Part, fold};
use drawing::layers::Layers;
use drawing::svg::{Home, Picture, svg};
use footprint::lives::Storage;
use footprint::{Graph, import};

const STORAGE: Storage = Storage { batch: 1, bits: 32, vector: 1 };

/// Networks of [`footprint`]'s fixture, by name.
fn networks() -> BTreeMap<String, Graph> {
    let zip = include_bytes!("../../footprint/tests/fixtures/topologies.zip");
    let mut archive = zip::ZipArchive::new(Cursor::new(&zip[..])).unwrap();
    let mut networks = BTreeMap::new();
    for i in 0..archive.len() {
        let mut file = archive.by_index(i).unwrap();
        let name = file.name().unwrap().trim_end_matches(".onnx").to_owned();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        let mut model = Model::parse(&bytes).unwrap();
        model.name.clone_from(&name);
        networks.insert(name, import::graph(&model).unwrap());
    }
    networks
}

fn folded(graph: &Graph, alike: Alike) -> (Layers, Vec<Part>) {
    let layers = Layers::new(graph);
    let parts = fold(&layers, alike, &vec![(); layers.layers.len()]);
    (layers, parts)
}

fn drawn(graph: &Graph, alike: Alike, homes: &[Home]) -> String {
    let (layers, parts) = folded(graph, alike);
    let picture =
        Picture { graph, layers: &layers, parts: &parts, storage: &STORAGE, homes, subtitle: "a < b" };
    svg(&picture).unwrap()
}

/// Every step is in one layer, edges are the tensors between layers, and parts are all layers in their order.
#[test]
fn layers_and_parts_cover_networks() {
    for (name, graph) in networks() {
        for alike in [Alike::Never, Alike::Equal, Alike::Shape] {
            let (layers, parts) = folded(&graph, alike);
            let mut steps: Vec<usize> = layers.layers.iter().flat_map(|l| &l.steps).copied().collect();
            steps.sort_unstable();
            assert_eq!(steps, (0..graph.steps.len()).collect::<Vec<_>>(), "{name}");
            assert_eq!(layers.layers.iter().map(|l| l.macs).sum::<u64>(), graph.macs(), "{name}");
            let makers = graph.makers();
            for edge in &layers.edges {
                let holds = |layer: usize, step: usize| layers.layers[layer].steps.contains(&step);
                assert_eq!(edge.from.is_some(), makers[edge.tensor].is_some(), "{name}");
                assert!(edge.from.zip(makers[edge.tensor]).is_none_or(|(l, s)| holds(l, s)), "{name}");
                assert!(edge.from.zip(edge.to).is_none_or(|(from, to)| from < to), "{name}");
            }
            let mut next = 0;
            for part in &parts {
                assert_eq!(part.first, next, "{name}");
                next += part.layers * part.times;
                for k in 0..part.layers * (part.times - 1) {
                    let [a, b] = [part.first + k, part.first + k + part.layers].map(|at| &layers.layers[at]);
                    assert_eq!((&a.operator, a.shape.get(2..)), (&b.operator, b.shape.get(2..)), "{name}");
                    assert!(alike == Alike::Shape || (&a.shape, a.macs) == (&b.shape, b.macs), "{name}");
                }
            }
            assert_eq!(next, layers.layers.len(), "{name}");
        }
    }
}

/// What their papers say: He et al. 2016, table 1; Szegedy et al. 2015, table 1; Huang et al. 2017, table 1 (the last layer of
/// a block has the transition's normalisation behind it).
#[test]
fn blocks_are_folded() {
    let networks = networks();
    let times = |name: &str, alike| -> Vec<usize> {
        let times = folded(&networks[name], alike).1.into_iter().map(|part| part.times);
        times.filter(|&times| times > 1).collect()
    };
    assert_eq!(times("resnet50", Alike::Equal), [2, 3, 5, 2]);
    assert_eq!(times("resnet50", Alike::Shape), [2, 3, 5, 2]);
    assert_eq!(times("googlenet", Alike::Shape), [2, 5, 2]);
    assert_eq!(times("googlenet", Alike::Equal), Vec::<usize>::new());
    assert_eq!(times("vgg19", Alike::Equal), [3, 3, 4]);
    assert_eq!(times("densenet121", Alike::Shape), [5, 11, 23, 15]);
    assert_eq!(times("vgg19", Alike::Never), Vec::<usize>::new());
}

/// What is marked as different is not folded.
#[test]
fn marks_keep_blocks_apart() {
    let graph = &networks()["resnet50"];
    let layers = Layers::new(graph);
    let marks: Vec<usize> = (0..layers.layers.len()).collect();
    assert!(fold(&layers, Alike::Shape, &marks).iter().all(|part| part.times == 1));
}

/// A picture is XML, has every layer's name and every fold's count, boxes that do not overlap, and is the same each time.
#[test]
fn pictures_show_everything() {
    for (name, graph) in networks() {
        let homes = vec![Home::Unknown; graph.tensors.len()];
        let (_, parts) = folded(&graph, Alike::Shape);
        let text = drawn(&graph, Alike::Shape, &homes);
        assert_eq!(text, drawn(&graph, Alike::Shape, &homes), "{name}");
        let document = roxmltree::Document::parse(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        let nodes = || document.descendants();
        let cards: Vec<_> = nodes()
            .filter(|n| {
                n.has_tag_name("g") && n.first_element_child().is_some_and(|c| c.has_tag_name("title"))
            })
            .collect();
        let ends = Layers::new(&graph).edges.iter().filter(|e| e.to.is_none()).count() + 1;
        assert_eq!(cards.len(), parts.iter().map(|p| p.layers).sum::<usize>() + ends, "{name}");
        let hints: String = cards.iter().filter_map(|n| n.first_element_child()?.text()).collect();
        for step in &graph.steps {
            assert!(hints.contains(&step.name), "{name}: {}", step.name);
        }
        let texts: Vec<_> = nodes().filter(|n| n.has_tag_name("text")).filter_map(|n| n.text()).collect();
        let folds = texts.iter().filter(|t| t.starts_with("× ")).count();
        assert_eq!(folds, parts.iter().filter(|p| p.times > 1).count(), "{name}");
        assert!(texts.contains(&"a < b"), "{name}");
        let boxes: Vec<[f64; 4]> = cards
            .iter()
            .map(|card| {
                let rect = card.children().find(|c| c.has_tag_name("rect")).unwrap();
                ["x", "y", "width", "height"].map(|of| rect.attribute(of).unwrap().parse().unwrap())
            })
            .collect();
        for (i, a) in boxes.iter().enumerate() {
            for b in &boxes[..i] {
                let apart = |k: usize| a[k] + a[k + 2] < b[k] || b[k] + b[k + 2] < a[k];
                assert!(apart(0) || apart(1), "{name}: {a:?} {b:?}");
            }
        }
    }
}

/// Tensors have the colour of where they are, and the legend names those that there are.
#[test]
fn colours_say_where_tensors_are() {
    let graph = &networks()["alexnet"];
    let mut homes = vec![Home::OffChip; graph.tensors.len()];
    let text = drawn(graph, Alike::Never, &homes);
    assert!(text.contains("output off chip") && !text.contains("output on chip"));
    let last = *graph.steps[1].outputs.first().unwrap();
    homes[last] = Home::OnChip;
    let other = drawn(graph, Alike::Never, &homes);
    assert!(other.contains("output on chip") && other.contains("output off chip"));
}
