//! Networks in less memory than they take: plans against an interpreter that looks at which value lies where.

use std::collections::HashMap;
use std::io::Read as _;
use std::time::Duration;

use compiler::onnx::Model;
use footprint::budget::{Workload, operations};
use footprint::lives::Storage;
use footprint::{Graph, Op, Role, TensorId, import, training};
use remat::{Action, Limits, Method, Rate, heuristic, plan, run, smallest};

fn network(name: &str) -> Graph {
    let file =
        std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/topologies.zip")).unwrap();
    let mut bytes = Vec::new();
    let mut archive = zip::ZipArchive::new(file).unwrap();
    archive.by_name(&format!("{name}.onnx")).unwrap().read_to_end(&mut bytes).unwrap();
    import::graph(&Model::parse(&bytes).unwrap()).unwrap()
}

const STORAGE: Storage = Storage { batch: 4, bits: 32, vector: 1 };

#[test]
#[ignore]
fn look() {
    for name in ["vgg19", "resnet50", "unet"] {
        let graph = training::backward(&network(name));
        let work = Workload::new(&graph, &STORAGE, &operations(&graph, &STORAGE)).unwrap();
        let all: Vec<Action> = heuristic::schedule(&work.problem, Method::KeepAll, u64::MAX).unwrap();
        let most = run(&work.problem, &all, u64::MAX).unwrap();
        for link in [None, Some(Rate { cost: 100, bytes: 1 })] {
            let problem = work.problem.clone().with(link, true).unwrap();
            let clock = std::time::Instant::now();
            let (least, floor) = smallest(&problem);
            eprintln!("{name} {} steps {} tensors: all {} MB, found {}, floor {} in {:?}", problem.steps().len(), problem.tensors().len(), most.peak / 1_000_000, least / 1_000_000, floor / 1_000_000, clock.elapsed());
            for part in [90, 75, 50, 35, 25] {
                let budget = most.peak * part / 100;
                for method in Method::HEURISTICS {
                    let clock = std::time::Instant::now();
                    if let Some(s) = heuristic::schedule(&problem, method, budget) {
                        let cost = run(&problem, &s, budget).unwrap();
                        eprintln!("  {part}% {method}: {:.4} peak {} in {:?}", cost.total() as f64 / problem.once() as f64, cost.peak / 1_000_000, clock.elapsed());
                    }
                }
                let clock = std::time::Instant::now();
                let limits = Limits { time: Duration::from_secs(30), steps: 40 };
                let p = plan(&problem, budget, &limits, &mut |_| true);
                for f in &p.found { if let (Method::Milp | Method::Rounded, Some((_, c))) = (f.method, &f.schedule) { eprintln!("  {part}% {}: {:.4}", f.method, c.total() as f64 / problem.once() as f64); } }
                eprintln!("  {part}% plan {:?} bound {:.4} proven {} infeasible {} grouped {} in {:?}", p.best().map(|(m, _, c)| (m, c.total() as f64 / problem.once() as f64)), p.bound as f64 / problem.once() as f64, p.proven, p.infeasible, p.grouped, clock.elapsed());
            }
        }
    }
}
