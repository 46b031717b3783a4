//! A trained network: what quantisation leaves of its accuracy, and ONNX Runtime's view of the file.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use compiler::network::Network;
use compiler::npy::{self, TO_NHWC, Tensor};
use compiler::onnx::Model;

fn workspace(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    assert!(path.exists(), "{} is missing: this test needs it", path.display());
    path
}

fn array(name: &str) -> Tensor {
    npy::load(&workspace(&format!("../shared/models/{name}.npy"))).unwrap()
}

/// ResNet-56, quantised by the first 100 images.
fn quantised() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let model = std::fs::read(workspace("../shared/models/resnet56-cifar10-float.onnx")).unwrap();
        let (bytes, summary) = quantize::quantize(model, &array("cifar10-test-200-images"), 100).unwrap();
        assert_eq!(summary.images, 100);
        bytes
    })
}

fn network() -> Network {
    Network::from_model(&Model::parse(quantised()).unwrap()).unwrap()
}

fn right(network: &Network, range: std::ops::Range<usize>) -> usize {
    let (images, labels) = (array("cifar10-test-200-images"), array("cifar10-test-200-labels"));
    let labels = labels.as_ints().unwrap();
    range
        .filter(|&i| {
            let values = network.run(network.quantise_input(&images, i).unwrap()).unwrap();
            let outputs = network.host_outputs(&values).unwrap();
            let y = outputs[0].1.as_floats().unwrap();
            (0..10).rev().max_by(|&a, &b| y[a].total_cmp(&y[b])) == Some(labels[i] as usize)
        })
        .count()
}

#[test]
fn resnet56_keeps_its_accuracy() {
    let network = network();
    // Convolutions and additions, nothing left of batch normalisations and ReLUs.
    assert_eq!(network.nodes.len(), 57 + 27 + 1 + 1);
    let halves = std::thread::scope(|scope| {
        let second = scope.spawn(|| right(&network, 100..200));
        [right(&network, 0..100), second.join().unwrap()]
    });
    let right = halves[0] + halves[1];
    println!("{right} of 200 images right");
    assert!(right >= 184, "{right} of 200 images right: at least 92 % wanted");
}

/// Runs a model on the first images, one `.npy` file for each tensor of each image.
const ONNX_RUNTIME: &str = r#"
import sys, numpy as np, onnx, onnxruntime as ort
model, images, out = onnx.load(sys.argv[1]), np.load(sys.argv[2])[:4], sys.argv[3]
onnx.checker.check_model(model)
names = [n.output[0] for n in model.graph.node if n.op_type != "DequantizeLinear"]
model.graph.output.extend(onnx.helper.make_tensor_value_info(n, onnx.TensorProto.UINT8, None) for n in names)
# Without it products of uint8 and int8 saturate at 16 bits on processors that have AVX2 and no VNNI.
options = ort.SessionOptions()
options.add_session_config_entry("session.x64quantprecision", "1")
session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
for i, image in enumerate(images):
    x = np.ascontiguousarray(image[None].astype(np.float32).transpose(0, 3, 1, 2) / np.float32(255))
    for k, y in enumerate(session.run(names, {model.graph.input[0].name: x})):
        np.save(f"{out}/{i}-{k}.npy", y)
print("\n".join(names))
"#;

/// Needs `scripts/setup.sh fixtures`, or a Python with onnx and onnxruntime in `KOCH_PYTHON`.
#[test]
fn onnx_runtime_computes_the_same() {
    let python = std::env::var_os("KOCH_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/bin/python"),
        PathBuf::from,
    );
    let has = Command::new(&python).args(["-c", "import onnx, onnxruntime"]).output();
    if !has.is_ok_and(|o| o.status.success()) {
        println!("skipped: {} has no onnxruntime; run scripts/setup.sh fixtures", python.display());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("int8.onnx");
    std::fs::write(&model, quantised()).unwrap();
    let output = Command::new(&python)
        .args(["-c", ONNX_RUNTIME])
        .arg(&model)
        .arg(workspace("../shared/models/cifar10-test-200-images.npy"))
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).unwrap();
    let (network, images) = (network(), array("cifar10-test-200-images"));
    for i in 0..4 {
        let values = network.run(network.quantise_input(&images, i).unwrap()).unwrap();
        let mut compared = 0;
        for (k, name) in names.lines().enumerate() {
            // A reshaped tensor is the same tensor here.
            let Some(id) = network.tensors.iter().position(|t| t.name == name) else { continue };
            let want = npy::load(&dir.path().join(format!("{i}-{k}.npy"))).unwrap();
            let want = if want.shape.len() == 4 { want.permute(TO_NHWC) } else { want };
            assert_eq!(values[id].as_deref(), want.as_ints(), "{name} of image {i}");
            compared += 1;
        }
        assert_eq!(compared, network.tensors.len());
    }
}
