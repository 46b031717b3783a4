//! What a client of another making needs to run layers on a config; `testbench/cocotb/` is one.

use serde_json::{Map, Value, json};
use spec::regs::{COUNTERS_OFFSET, ID, REGISTERS};
use spec::{Config, Counters, MemorySpec, Status};
use std::path::Path;

use crate::cases::Case;

const LAYERS: &[&str] = &["conv cin=3 h=6 w=5 cout=7 k=3 pad=1", "conv cin=5 h=7 w=6 cout=9 k=1 stride=3"];
const BY_CHANNEL: &str = "conv cin=6 h=8 w=8 cout=6 k=3 stride=2 pad=1 groups=6";

/// What the array is fed, and what the bus moves.
const UNTIMED: &[&str] =
    &["busy", "idle_feed", "read_program", "read_input", "read_weight", "read_param", "written"];

/// Products of the largest random layer: a client in Python runs some thousand cycles a second.
const LARGEST: u64 = 20_000;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn case(case: &Case) -> Result<Value, String> {
    let Case { config, layer, data, program, memory, .. } = case;
    let want: Vec<u8> = match config.operand_bits {
        8 => reference::conv(layer, data).iter().map(|&v| v as u8).collect(),
        _ => reference::conv(layer, data).iter().flat_map(|&v| (v as u16).to_le_bytes()).collect(),
    };
    let model = cyclemodel::run(config, program, memory).map_err(|e| e.to_string())?.counters.values();
    let untimed = Counters::ALL.iter().zip(model).filter(|((name, _), _)| UNTIMED.contains(name));
    let segments = program.data.iter().map(|s| json!({ "address": s.address, "bytes": hex(&s.bytes) }));
    Ok(json!({
        "layer": layer.to_string(),
        "program": { "address": program.base, "bytes": hex(&program.code), "instructions": program.len() },
        "data": segments.collect::<Vec<_>>(),
        "output": { "address": program.output.0, "bytes": hex(&want) },
        "counters": untimed.map(|((name, _), v)| ((*name).to_owned(), v.into())).collect::<Map<_, _>>(),
    }))
}

/// Writes the Verilog into `directory/rtl`, and `directory/cases.json`: registers (and what some read after a reset), counters and status codes by name; for each layer
/// its program, its memory, the reference's outputs, and the model's counters that no timing of the memory changes. The
/// layers are a convolution with padding, one with a stride, one by channel if the config has that, and `count` random ones.
pub fn write(config: &Config, directory: &Path, count: u64) -> Result<(), String> {
    let by_channel = config.by_channel.then_some(&BY_CHANNEL);
    let mut cases = Vec::new();
    for text in LAYERS.iter().chain(by_channel) {
        let layer = text.parse().map_err(|e| format!("{text}: {e}"))?;
        cases.push(case(&Case::new(config.clone(), layer, MemorySpec::default(), 1)?)?);
    }
    let random = (0..).map(|index| Case::random(1, index, config));
    for small in random.filter(|c| c.layer.padded_macs() <= LARGEST).take(count as usize) {
        cases.push(case(&small)?);
    }
    let registers = REGISTERS.iter().map(|r| (r.name.to_owned(), r.offset.into()));
    let counters =
        (0u32..).zip(Counters::ALL).map(|(k, c)| (c.0.to_owned(), (COUNTERS_OFFSET + 8 * k).into()));
    let statuses =
        (0..16).filter_map(|code| Some((code.to_string(), Status::from_code(code)?.to_string().into())));
    let all = json!({
        "config": config.name,
        "bus_bytes": config.bus_bytes(),
        "identity": { "id": ID, "layer": 0, "interrupt": 0 },
        "registers": registers.collect::<Map<_, _>>(),
        "counters": counters.collect::<Map<_, _>>(),
        "statuses": statuses.collect::<Map<_, _>>(),
        "cases": cases,
    });
    let design = hdl::koch::design(config);
    hdl::tools::write(&design, &directory.join("rtl"))
        .and_then(|_| std::fs::write(directory.join("cases.json"), all.to_string()))
        .map_err(|e| format!("{}: {e}", directory.display()))
}
