//! Whatever bytes are said to be an ONNX file: import and compilation end with a result or an error.
#![no_main]

use std::sync::LazyLock;

use compiler::network::Network;
use compiler::onnx::Model;
use compiler::program::compile;
use libfuzzer_sys::fuzz_target;
use spec::Config;

static TINY: LazyLock<Config> = LazyLock::new(|| Config::named("tiny").expect("a named config"));

fuzz_target!(|file: &[u8]| {
    let Ok(network) = Model::parse(file).and_then(|model| Network::from_model(&model)) else { return };
    let _ = network.to_string();
    let Ok(compiled) = compile(&network, &TINY, true) else { return };
    let steps = 0..compiled.lowered.steps.len();
    let _ = compiled.program(steps, None);
});
