//! Networks in less memory than they take: plans against an interpreter that looks at which value lies where.

use std::collections::HashMap;
use std::io::Read as _;
use std::time::Duration;

use compiler::onnx::Model;
use footprint::budget::{Workload, operations};
use footprint::lives::Storage;
use footprint::{Graph, Kind, Op, TensorId, import, training};
use remat::{Action, Fate, Limits, Method, Rate, heuristic, plan, run, smallest};

fn network(name: &str) -> Graph {
    let file =
        std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/topologies.zip")).unwrap();
    let mut bytes = Vec::new();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    archive.by_name(&format!("{name}.onnx")).unwrap().read_to_end(&mut bytes).unwrap();
    import::graph(&Model::parse(&bytes).unwrap()).unwrap()
}

const STORAGE: Storage = Storage { batch: 4, bits: 32, vector: 1 };

/// Runs a schedule on the tensors of the graph: each place holds one tensor's value at a time, and a step finds in them what it
/// reads. What is on chip is never more than the budget.
fn execute(graph: &Graph, work: &Workload, schedule: &[Action], budget: u64) {
    // A view has its input's value.
    let mut value: Vec<TensorId> = (0..graph.tensors.len()).collect();
    for step in graph.steps.iter().filter(|s| s.op == Op::View) {
        value[step.outputs[0]] = value[step.inputs[0]];
    }
    let mut times = vec![0; graph.steps.len()];
    let mut chip: HashMap<usize, TensorId> = HashMap::new();
    let mut copies: HashMap<usize, TensorId> = HashMap::new();
    for (id, tensor) in graph.tensors.iter().enumerate() {
        if tensor.role == footprint::Role::Input {
            chip.insert(work.place[id].unwrap(), id);
        }
    }
    let bytes = |chip: &HashMap<usize, TensorId>| chip.values().map(|&id| STORAGE.of(graph, id)).sum::<u64>();
    for &action in schedule {
        match action {
            Action::Compute(k) => {
                for &at in &work.steps[k] {
                    times[at] += 1;
                    for &id in &graph.steps[at].inputs {
                        if let Some(place) = work.place[id] {
                            let found = chip.get(&place).map(|&id| value[id]);
                            assert_eq!(found, Some(value[id]), "{} reads it", graph.steps[at].name);
                        }
                    }
                    for &id in &graph.steps[at].outputs {
                        if let Some(place) = work.place[id] {
                            chip.insert(place, id);
                        }
                    }
                    assert!(bytes(&chip) <= budget);
                }
            }
            Action::Free(place) => assert!(chip.remove(&place).is_some()),
            Action::Out(place) => assert!(copies.insert(place, chip[&place]).is_none()),
            Action::In(place) => assert!(chip.insert(place, copies[&place]).is_none()),
        }
        assert!(bytes(&chip) <= budget);
    }
    for (at, step) in graph.steps.iter().enumerate() {
        let views = matches!(step.op, Op::View) || step.name == "update";
        assert!(
            times[at] == 1 || (step.kind == Kind::Forward && times[at] > 1) || views,
            "{} {}",
            step.name,
            times[at]
        );
    }
}

#[test]
fn plans_of_networks_run_and_cost_no_more_than_any_heuristic() {
    let mut saved = 0;
    for name in ["vgg19", "resnet50", "unet"] {
        let graph = training::backward(&network(name));
        let work = Workload::new(&graph, &STORAGE, &operations(&graph, &STORAGE)).unwrap();
        for link in [None, Some(Rate { cost: 200, bytes: 1 })] {
            let problem = work.problem.clone().with(link, true).unwrap();
            let all = heuristic::schedule(&problem, Method::KeepAll, u64::MAX).unwrap();
            let most = run(&problem, &all, u64::MAX).unwrap().peak;
            let (least, floor) = smallest(&problem);
            assert!(floor <= least && least < most);
            let limits = Limits { time: Duration::from_secs(1), steps: 40 };
            let nothing = plan(&problem, floor - 1, &limits, &mut |_| true);
            assert!(nothing.infeasible && nothing.best().is_none());
            for budget in [least, least + (most - least) / 2, most] {
                let plan = plan(&problem, budget, &limits, &mut |_| true);
                let (_, schedule, cost) = plan.best().unwrap_or_else(|| panic!("{name} in {budget}"));
                for &method in Method::HEURISTICS {
                    if let Some(schedule) = heuristic::schedule(&problem, method, budget) {
                        let other = run(&problem, &schedule, budget).unwrap();
                        assert!(cost.total() <= other.total(), "{name} {budget} {method}");
                        saved += usize::from(cost.total() < other.total());
                    }
                }
                execute(&graph, &work, schedule, budget);
                assert_eq!(cost.total() == problem.once(), budget == most, "{name}");
                let fates = work.fates(schedule);
                let changed = fates.iter().flatten().any(|fate| *fate != Fate::Kept);
                assert_eq!(changed, budget < most, "{name}");
                let offsets = work.offsets(schedule, 64).unwrap();
                assert!(compiler::offsets::lower_bound(&offsets) <= budget.next_multiple_of(64) + 64 * 64);
            }
        }
    }
    assert!(saved > 60, "{saved}");
}

/// Inference: there is no backward pass, and skip connections of a U-Net are what lies unread for long.
#[test]
fn inference_of_a_u_net_fits_less_with_transfers() {
    let graph = network("unet");
    let work = Workload::new(&graph, &STORAGE, &operations(&graph, &STORAGE)).unwrap();
    let problem = work.problem.clone().with(Some(Rate { cost: 1, bytes: 1 }), false).unwrap();
    let all = heuristic::schedule(&problem, Method::KeepAll, u64::MAX).unwrap();
    let most = run(&problem, &all, u64::MAX).unwrap().peak;
    let (least, floor) = smallest(&problem);
    assert_eq!(least, floor);
    assert!(least < most);
    let limits = Limits { time: Duration::from_secs(2), steps: 60 };
    let plan = plan(&problem, least, &limits, &mut |_| true);
    let (_, schedule, cost) = plan.best().unwrap();
    assert!(cost.moved > 0 && cost.compute == problem.once());
    execute(&graph, &work, schedule, least);
}
