//! Every convolution of ResNet-56 on a real image: the RTL's outputs equal ONNX Runtime's, bit for bit.

use compiler::{npy, onnx};
use spec::{Config, MemorySpec};
use std::path::{Path, PathBuf};
use testbench::Rtl;
use testbench::cases::Case;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn all_57_convolutions_equal_onnx_runtime() {
    let model = root().join("../shared/models/resnet56-cifar10-int8-qoperator.onnx");
    let network = onnx::Model::load(&model).unwrap_or_else(|e| panic!("{e}"));
    let fixtures = root().join("testbench/fixtures/resnet56");
    let file = std::fs::File::open(fixtures.join("tensors.npz")).expect("the fixture");
    let mut archive = zip::ZipArchive::new(file).expect("a zip file");
    let mut tensor = |key: &str| {
        let entry = archive.by_name(&format!("{key}.npy")).expect("a tensor of that name");
        npy::read(entry).unwrap_or_else(|e| panic!("{key}: {e}"))
    };
    let config = Config::named("default").expect("a named config");
    let rtl = Rtl::new(&config, None).unwrap_or_else(|e| panic!("{e}"));
    let memory = MemorySpec::default();
    let mut index = csv::Reader::from_path(fixtures.join("index.csv")).expect("the index");
    let (mut layers, mut outputs) = (0, 0);
    for record in index.records() {
        let record = record.expect("a row");
        let (node, op, input, output) = (&record[0], &record[1], &record[2], &record[4]);
        if op != "QLinearConv" {
            continue;
        }
        let (layer, data) = network.layer(node, &tensor(input)).unwrap_or_else(|e| panic!("{node}: {e}"));
        let plan = compiler::plan(&layer, &config).unwrap_or_else(|e| panic!("{node}: {e}"));
        let program = compiler::assemble(&plan, Some(&data)).unwrap_or_else(|e| panic!("{node}: {e}"));
        let case = Case { config: config.clone(), layer, data, plan, program, memory: memory.clone() };
        let outcome = case.run(&rtl).unwrap_or_else(|e| panic!("{node}: {e}"));
        assert_eq!(outcome.difference(), None, "{node}");
        let want = tensor(output).permute(npy::TO_NHWC);
        let got =
            compiler::unpack_output(&case.data.quant, outcome.rtl.output.as_deref().unwrap_or_default());
        assert_eq!(Some(got.as_slice()), want.as_ints(), "{node}");
        layers += 1;
        outputs += got.len();
    }
    assert_eq!(layers, 57);
    println!("{layers} convolutions, {outputs} outputs equal");
}
