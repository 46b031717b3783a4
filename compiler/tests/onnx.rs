//! Import against ONNX Runtime: every quantised tensor of ResNet-56 on one image (`testbench/fixtures/resnet56`, made
//! by `scripts/make_resnet56_vectors.py`), and the digits network. All bit for bit.
//!
//! The networks are read from `../shared/models` beside the workspace; a test without them fails.

use compiler::network::Network;
use compiler::npy::{TO_NHWC, Tensor, Type};
use compiler::onnx::{Attribute, Model};

mod fixture;
use fixture::*;

fn resnet() -> (Model, Tensor) {
    (model("resnet56-cifar10-int8-qoperator"), array("cifar10-test-200-images"))
}

#[test]
fn every_layer_of_resnet56_equals_onnx_runtime() {
    let (model, _) = resnet();
    let fixture = Fixture::load();
    let mut layers = 0;
    for row in &fixture.rows {
        let (node, op, input, output) = (&row[0], &row[1], &row[2], &row[4]);
        if op == "QLinearConv" || op == "QGemm" {
            let (layer, data) = model.layer(node, fixture.tensor(input)).unwrap();
            let output = fixture.tensor(output);
            assert!(reference::conv(&layer, &data) == nhwc(output), "{node}: `{layer}`");
            layers += 1;
        }
    }
    assert_eq!(layers, 58);
    assert_eq!(model.layer_nodes().count(), 58);
}

#[test]
fn a_layer_comes_from_images_or_from_its_own_input() {
    let (model, images) = resnet();
    let fixture = Fixture::load();
    for row in ["node_Conv_807_quant", "node_Conv_809_quant", "node_Conv_861_quant", "node_linear_quant"]
        .map(|name| fixture.rows.iter().find(|r| r[0] == name).unwrap())
    {
        let own = fixture.tensor(&row[2]);
        let from_own = model.layer(&row[0], own).unwrap();
        let equal = |array: &Tensor, image| model.layer_for_image(&row[0], array, image).unwrap() == from_own;
        assert!(equal(&images, 0) && !equal(&images, 199), "{} from images", row[0]);
        assert!(equal(own, 0), "{} from its own input", row[0]);
        if own.shape.len() == 4 {
            assert!(equal(&own.permute(TO_NHWC), 0), "{} from its own input, NHWC", row[0]);
        }
    }
    let (layer, data) = model.layer_for_image("node_Conv_807_quant", &images, 0).unwrap();
    assert_eq!(layer.to_string(), "conv cin=3 h=32 w=32 cout=16 k=3 pad=1");
    assert_eq!((data.quant.operand_bits, data.quant.signed, data.quant.y_max), (8, false, 255));
}

#[test]
fn errors_name_the_remedy() {
    let (model, images) = resnet();
    let message = |result: Result<_, compiler::onnx::ImportError>| match result {
        Err(e) => e.to_string(),
        Ok(_) => panic!("accepted"),
    };
    let cases = [
        (message(model.node("node_Conv_808_quant").map(drop)), "close names: node_Conv_80"),
        (message(model.node("Conv_807").map(drop)), "close names: node_Conv_807_quant"),
        (
            message(model.node("fc").map(drop)),
            "QLinearConv and QGemm nodes: node_Conv_807_quant, node_Conv_809",
        ),
        (
            message(model.layer_for_image("node_add_quant", &images, 0).map(drop)),
            "not a QLinearConv or QGemm",
        ),
        (
            message(model.layer_for_image("node_Conv_809_quant", &images, 200).map(drop)),
            "image 200 of a batch of 200",
        ),
        (
            message(
                model
                    .layer_for_image("node_Conv_809_quant", &Tensor::ints(&[1, 5], Type::U8, vec![0; 5]), 0)
                    .map(drop),
            ),
            "neither the node's input [?, 16, ?, ?] (U8) nor the network's [?, 3, 32, 32] (F32)",
        ),
        (
            message(
                model
                    .layer("node_Conv_809_quant", &Tensor::ints(&[1, 3, 1, 1], Type::U8, vec![0; 3]))
                    .map(drop),
            ),
            "input of shape [1, 3, 1, 1]: [?, 16, ?, ?] (U8) wanted",
        ),
        (
            message(
                model.layer("node_Conv_809_quant", &Tensor::floats(&[1, 16, 1, 1], vec![0.0; 16])).map(drop),
            ),
            "input is F32, U8 wanted",
        ),
    ];
    for (message, wanted) in cases {
        assert!(message.contains(wanted), "{message}\n{wanted}");
    }
}

/// The first convolution of ResNet-56 with one thing changed.
#[test]
fn unsupported_nodes_are_refused_and_attributes_obeyed() {
    let input = Tensor::ints(&[1, 3, 9, 9], Type::U8, vec![7; 243]);
    let base = resnet().0;
    let layer = |change: &dyn Fn(&mut Model)| {
        let mut model = base.clone();
        change(&mut model);
        model
            .layer("node_Conv_807_quant", &input)
            .map(|(layer, _)| layer.to_string())
            .map_err(|e| e.to_string())
    };
    let attribute = |name: &'static str, value: Attribute| {
        layer(&move |m| {
            let node = m.nodes.iter_mut().find(|n| n.op == "QLinearConv").unwrap();
            node.attributes.insert(name.to_owned(), value.clone());
        })
    };
    let text = |s: &str| Attribute::Text(s.to_owned());
    let shape = "conv cin=3 h=9 w=9 cout=16 k=3";
    assert_eq!(layer(&|_| {}).unwrap(), format!("{shape} pad=1"));
    assert_eq!(attribute("auto_pad", text("VALID")).unwrap(), shape);
    assert_eq!(attribute("auto_pad", text("SAME_UPPER")).unwrap(), format!("{shape} pad=1"));
    assert_eq!(attribute("strides", Attribute::Ints(vec![2, 1])).unwrap(), format!("{shape} sh=2 pad=1"));
    assert_eq!(attribute("pads", Attribute::Ints(vec![0, 1, 2, 0])).unwrap(), format!("{shape} pl=1 pb=2"));
    assert_eq!(attribute("dilations", Attribute::Ints(vec![2, 2])).unwrap(), format!("{shape} pad=1 dil=2"));
    for (result, wanted) in [
        (attribute("auto_pad", text("MAYBE")), "auto_pad=MAYBE"),
        (
            attribute("pads", Attribute::Ints(vec![-1, 0, 0, 0])),
            "pads=[-1, 0, 0, 0]: 4 integers of 0 or more",
        ),
        (attribute("strides", Attribute::Ints(vec![1])), "strides=[1]: 2 integers"),
        (attribute("strides", Attribute::Ints(vec![0, 1])), "sh=0: 1 to 255 allowed"),
        (attribute("group", Attribute::Int(3)), "input of shape [1, 3, 9, 9]: [?, 9, ?, ?] (U8) wanted"),
        (attribute("group", Attribute::Int(-1)), "group out of range"),
        (
            layer(&|m| {
                let zero = m.constants.get_mut("conv1.weight_zero_point").unwrap();
                *zero = Tensor::ints(&[16], Type::I8, vec![3; 16]);
            }),
            "with weight zero point 3: a difference of -128 to 127 wanted",
        ),
        (
            layer(&|m| {
                m.constants.insert("getitem_scale".to_owned(), Tensor::floats(&[], vec![0.0]));
            }),
            "requantisation multiplier inf",
        ),
        (
            layer(&|m| {
                m.constants.remove("conv1.weight_quantized");
            }),
            "input \"conv1.weight_quantized\" is not a constant",
        ),
    ] {
        let error = result.unwrap_err();
        assert!(
            error.starts_with("node node_Conv_807_quant (QLinearConv): ") && error.contains(wanted),
            "{error}"
        );
    }
}

#[test]
fn damaged_files_are_refused() {
    let bytes = std::fs::read(workspace("../shared/models/digits-int8-qoperator.onnx")).unwrap();
    assert!(Model::parse(b"").unwrap_err().to_string().contains("it holds no graph"));
    assert!(Model::parse(b"\x93NUMPY").unwrap_err().to_string().contains("not an ONNX file"));
    let whole = Model::parse(&bytes).unwrap();
    for cut in (0..bytes.len()).step_by(97) {
        // What is cut off after nodes and constants is not missed.
        let cut_short = Model::parse(&bytes[..cut]);
        assert!(
            cut_short.is_err()
                || cut_short.is_ok_and(|m| m.nodes == whole.nodes && m.constants == whole.constants)
        );
    }
    // A changed byte may go unnoticed; it must not panic, neither here nor when the network runs.
    for at in (0..bytes.len()).step_by(41) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        if let Ok(model) = Model::parse(&damaged) {
            let input = Tensor::floats(&[1, 1, 8, 8], vec![0.5; 64]);
            if let Ok(network) = Network::from_model(&model)
                && let Ok(input) = network.quantise_input(&input, 0)
            {
                let values = network.run(input).unwrap();
                network.host_outputs(&values).unwrap();
            }
        }
    }
}

/// Files that `make fuzz-import` found: each once made the import panic or run for ever.
#[test]
fn hostile_files_are_refused() {
    let mut files = 0;
    for file in std::fs::read_dir(workspace("compiler/tests/fixtures/hostile")).unwrap() {
        let path = file.unwrap().path();
        let network = Model::parse(&std::fs::read(&path).unwrap()).and_then(|m| Network::from_model(&m));
        assert!(network.is_err(), "{}", path.display());
        files += 1;
    }
    assert_eq!(files, 3);
}
