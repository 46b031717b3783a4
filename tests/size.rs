//! Buffer sizes as a user asks for them, proven on the RTL.

use std::process::Command;

use serde_json::Value;

fn size(args: &[&str]) -> (i32, Value) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_koch")).arg("size").args(args).arg("--json").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}{:?}", output.stderr));
    (output.status.code().unwrap(), json)
}

/// At the size found every address is touched once; one step below in either buffer, some twice.
#[test]
fn the_rtl_touches_every_address_once() {
    let layer = "conv cin=48 h=7 w=7 cout=16 k=3 stride=2 pad=1";
    let (code, report) = size(&["--layer", layer, "--config", "tiny", "--rtl"]);
    assert_eq!(code, 0, "{report:#}");
    let at = &report["proof"]["at_size"][0];
    assert_eq!(at["once"], true, "{at}");
    assert_eq!(at["equal"], true, "{at}");
    for none in ["bytes_read_again", "words_read_again", "bytes_written_again", "unexplained"] {
        assert_eq!(at[none], 0, "{none}: {at}");
    }
    // Inputs, weights, and 8 bytes of parameters a channel; outputs.
    assert_eq!(at["bytes_read"], 48 * 7 * 7 + 16 * 48 * 9 + 16 * 8);
    assert_eq!(at["bytes_written"], 16 * 4 * 4);
    let below = report["proof"]["below"].as_array().unwrap();
    let buffers: Vec<&str> = below.iter().filter_map(|b| b["buffer"].as_str()).collect();
    assert_eq!(buffers, ["ibuf", "wbuf"]);
    for b in below {
        assert!(b["run"]["bytes_read_again"].as_u64().unwrap() > 0, "{b}");
        assert_eq!(b["run"]["equal"], true, "{b}");
        assert_eq!(b["run"]["unexplained"], 0, "{b}");
    }
}

/// Worst layers of the shared tables on the default config are no larger than weights or inputs resident alone would have them.
#[test]
fn networks_need_no_more_than_the_reference_design_says() {
    for (table, kib) in [("alexnet", 186), ("googlenet", 170), ("resnet50", 424), ("vgg16", 680)] {
        let path = format!("{}/../shared/networks/{table}.csv", env!("CARGO_MANIFEST_DIR"));
        let (code, report) = size(&["--table", &path]);
        assert_eq!(code, 0);
        let largest = report["largest"][1].as_u64().unwrap();
        assert!(largest <= kib * 1024, "{table}: {largest} bytes");
        let layers = report["layers"].as_array().unwrap();
        assert!(layers.iter().all(|l| !l["together"].as_array().unwrap().is_empty()), "{table}");
        // A step less costs bytes, or does not run.
        for layer in layers {
            let bytes = layer["together"][0]["bytes"].as_u64().unwrap();
            for smaller in layer["smaller"].as_array().unwrap() {
                let more = smaller["found"]["bytes"].as_u64();
                assert!(more.is_none_or(|b| b > bytes), "{table}: {layer:#}");
            }
        }
    }
}

/// With the activation buffers found, a network's activations stay on chip between its layers.
#[test]
fn resnet56_stays_on_chip() {
    let root = env!("CARGO_MANIFEST_DIR");
    let model = format!("{root}/../shared/models/resnet56-cifar10-int8-qoperator.onnx");
    let (code, report) = size(&["--model", &model]);
    assert_eq!(code, 0);
    assert!(report.get("never_on_chip").is_none(), "{}", report["never_on_chip"]);
    let b = &report["on_chip"]["buffers"];
    let flag = |name: &str| b[name].to_string();
    let traffic = |ibuf: String, obuf: String, rbuf: String| {
        let output = Command::new(env!("CARGO_BIN_EXE_koch"))
            .args(["model", "--model", &model, "--json", "--ibuf", &ibuf, "--obuf", &obuf, "--rbuf", &rbuf])
            .output()
            .unwrap();
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let bytes = &json["total"]["model"]["bytes"];
        bytes["input"].as_u64().unwrap() + bytes["output"].as_u64().unwrap()
    };
    // The image, and ten outputs, in bus words.
    assert_eq!(traffic(flag("ibuf"), flag("obuf"), flag("rbuf")), 32 * 32 * 3 + 16);
    let less = |name: &str| (b[name].as_u64().unwrap() - 32).to_string();
    for (ibuf, obuf, rbuf) in [
        (less("ibuf"), flag("obuf"), flag("rbuf")),
        (flag("ibuf"), less("obuf"), flag("rbuf")),
        (flag("ibuf"), flag("obuf"), less("rbuf")),
    ] {
        let sizes: Vec<u64> = [&ibuf, &obuf, &rbuf].iter().map(|s| s.parse().unwrap()).collect();
        if sizes[0] >= 1024 && sizes[1] >= 512 && sizes[2] >= 512 {
            assert!(traffic(ibuf, obuf, rbuf) > 32 * 32 * 3 + 16);
        }
    }
}
