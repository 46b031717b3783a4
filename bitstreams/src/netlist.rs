//! What nextpnr-ecp5 is given: Yosys's netlist as JSON, with the registers behind multipliers inside of them, which Yosys
//! does not do for this part, with places for the array's, with a reset for each module, and without carries that nobody
//! reads.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

type Cells = Map<String, Value>;

/// A parameter; Yosys adds a space to a text of zeros and ones.
fn param<'a>(cell: &'a Value, name: &str) -> &'a str {
    cell["parameters"][name].as_str().unwrap_or("").trim_end()
}

/// A port's first bit: a net's number, or a constant.
fn bit<'a>(cell: &'a Value, port: &str) -> &'a Value {
    &cell["connections"][port][0]
}

fn connect(cell: &mut Value, port: &str, bit: Value) {
    cell["port_directions"][port] = "input".into();
    cell["connections"][port] = json!([bit]);
}

/// Cells, and ports of the module, that read each net.
fn readers(cells: &Cells, ports: &Value) -> BTreeMap<u64, Vec<String>> {
    let mut readers: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (name, port) in ports.as_object().into_iter().flatten().filter(|(_, p)| p["direction"] == "output") {
        for net in port["bits"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
            readers.entry(net).or_default().push(name.clone());
        }
    }
    for (name, cell) in cells {
        for (port, bits) in cell["connections"].as_object().into_iter().flatten() {
            if cell["port_directions"][port] == "input" {
                for net in bits.as_array().into_iter().flatten().filter_map(Value::as_u64) {
                    readers.entry(net).or_default().push(name.clone());
                }
            }
        }
    }
    readers
}

/// The flip-flops that alone read what a multiplier says, by its ports, if all of these are of one kind that its output
/// register can be.
fn behind(cells: &Cells, readers: &BTreeMap<u64, Vec<String>>, name: &str) -> Option<Vec<(String, String)>> {
    let mut found: Vec<(String, String)> = vec![];
    for k in 0..36 {
        let port = format!("P{k}");
        let Some(read) = bit(&cells[name], &port).as_u64().and_then(|net| readers.get(&net)) else {
            continue;
        };
        let [reader] = read.as_slice() else { return None };
        let register = cells.get(reader)?;
        let fits = register["type"] == "TRELLIS_FF"
            && bit(register, "DI") == bit(&cells[name], &port)
            && param(register, "CLKMUX") == "CLK"
            && param(register, "REGSET") == "RESET"
            && ["CE", "1"].contains(&param(register, "CEMUX"))
            && (param(register, "SRMODE") == "LSR_OVER_CE" || bit(register, "LSR") == "0");
        let like = |other: &Value| {
            ["CLK", "LSR", "CE"].iter().all(|p| bit(register, p) == bit(other, p))
                && ["CEMUX", "LSRMUX"].iter().all(|p| param(register, p) == param(other, p))
        };
        if !fits || !found.first().is_none_or(|(_, first)| like(&cells[first])) {
            return None;
        }
        found.push((port, reader.clone()));
    }
    Some(found).filter(|f| !f.is_empty())
}

/// Flip-flops that one net may reset. On a net with thousands the last is reached after 11 ns.
const RESETS: usize = 1000;

/// The module in the design that a cell comes from, by its name.
fn module(name: &str) -> String {
    let inner = name.rsplit_once('.').map_or("", |(path, _)| path);
    inner.split('.').take(3).collect::<Vec<_>>().join(".")
}

/// If a look-up table behind a single flip-flop resets more than `most` others, every module gets a copy of both.
/// Returns the number of copies.
fn spread_reset(cells: &mut Cells, most: usize) -> usize {
    let mut loads: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for (name, cell) in cells.iter().filter(|(_, c)| c["type"] == "TRELLIS_FF") {
        if let Some(net) = bit(cell, "LSR").as_u64() {
            loads.entry(net).or_default().push(name.clone());
        }
    }
    let drives = |cell: &Value, port: &str, net: u64| bit(cell, port).as_u64() == Some(net);
    let mut copies = 0;
    for (net, names) in loads.into_iter().filter(|(_, names)| names.len() > most) {
        let Some((table, lut)) = cells.iter().find(|(_, c)| c["type"] == "LUT4" && drives(c, "Z", net))
        else {
            continue;
        };
        let inputs: Vec<u64> = ["A", "B", "C", "D"].iter().filter_map(|p| bit(lut, p).as_u64()).collect();
        let [input] = inputs[..] else { continue };
        let source = cells.iter().find(|(_, c)| c["type"] == "TRELLIS_FF" && drives(c, "Q", input));
        let Some((register, flip_flop)) = source else { continue };
        let (table, lut, register, flip_flop) =
            (table.clone(), lut.clone(), register.clone(), flip_flop.clone());
        let nets = cells.values().flat_map(|c| c["connections"].as_object().into_iter().flatten());
        let bits = nets.flat_map(|(_, bits)| bits.as_array().into_iter().flatten().filter_map(Value::as_u64));
        let mut fresh = bits.max().unwrap_or(0);
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for name in names {
            groups.entry(module(&name)).or_default().push(name);
        }
        // The first keeps what there is.
        for (group, members) in groups.into_iter().skip(1) {
            let (q, z) = (fresh + 1, fresh + 2);
            fresh += 2;
            let mut own = flip_flop.clone();
            own["connections"]["Q"] = json!([q]);
            cells.insert(format!("{group}.{register}"), own);
            let mut own = lut.clone();
            for port in ["A", "B", "C", "D"].iter().filter(|p| drives(&lut, p, input)) {
                own["connections"][*port] = json!([q]);
            }
            own["connections"]["Z"] = json!([z]);
            cells.insert(format!("{group}.{table}"), own);
            for member in members {
                cells[&member]["connections"]["LSR"] = json!([z]);
            }
            copies += 1;
        }
    }
    copies
}

/// Leaves the last carry of a chain open if nothing reads it. nextpnr leads any net out of a chain, for two LUTs each.
/// Returns how many there were.
fn open_carries(cells: &mut Cells, readers: &BTreeMap<u64, Vec<String>>) -> usize {
    let mut open = 0;
    for cell in cells.values_mut().filter(|c| c["type"] == "CCU2C") {
        if bit(cell, "COUT").as_u64().is_some_and(|net| !readers.contains_key(&net)) {
            cell["connections"]["COUT"] = json!(["x"]);
            open += 1;
        }
    }
    open
}

/// Puts registers into the multipliers before them, and these where `sites` says: a site for each start of a name.
/// Gives modules a reset of their own. Returns how many multipliers got a register.
///
/// # Errors
/// It is not a netlist of one module `top`.
pub fn finish(text: &str, top: &str, sites: &[(String, String)]) -> Result<(String, usize), String> {
    let mut netlist: Value = serde_json::from_str(text).map_err(|e| format!("netlist: {e}"))?;
    let ports = netlist["modules"][top]["ports"].clone();
    let cells = netlist["modules"][top]["cells"]
        .as_object_mut()
        .ok_or_else(|| format!("netlist: no module `{top}`"))?;
    let multipliers: Vec<String> =
        cells.iter().filter(|(_, c)| c["type"] == "MULT18X18D").map(|(n, _)| n.clone()).collect();
    let readers = readers(cells, &ports);
    open_carries(cells, &readers);
    let mut packed = 0;
    for name in &multipliers {
        if let Some(registers) = behind(cells, &readers, name) {
            packed += 1;
            let first = cells[&registers[0].1].clone();
            for (port, register) in registers {
                let q = bit(&cells[&register], "Q").clone();
                cells[name]["connections"][&port] = json!([q]);
                cells.remove(&register);
            }
            let cell = &mut cells[name];
            let enable = if param(&first, "CEMUX") == "CE" { bit(&first, "CE").clone() } else { "1".into() };
            connect(cell, "CLK0", bit(&first, "CLK").clone());
            connect(cell, "CE0", enable);
            connect(cell, "RST0", bit(&first, "LSR").clone());
            for (parameter, value) in
                [("REG_OUTPUT_CLK", "CLK0"), ("REG_OUTPUT_CE", "CE0"), ("REG_OUTPUT_RST", "RST0")]
            {
                cell["parameters"][parameter] = value.into();
            }
            cell["parameters"]["RESETMODE"] = "SYNC".into();
            cell["parameters"]["GSR"] = "DISABLED".into();
        }
        if let Some((_, site)) = sites.iter().find(|(start, _)| name.starts_with(start)) {
            cells[name]["attributes"]["BEL"] = site.as_str().into();
        }
    }
    spread_reset(cells, RESETS);
    Ok((netlist.to_string(), packed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A multiplier of two bits, and a flip-flop behind each.
    fn netlist(change: impl FnOnce(&mut Value)) -> String {
        let register = |d: u64, q: u64| {
            json!({
                "type": "TRELLIS_FF",
                "parameters": {"CEMUX": "CE", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET", "SRMODE": "LSR_OVER_CE"},
                "port_directions": {"CE": "input", "CLK": "input", "DI": "input", "LSR": "input", "Q": "output"},
                "connections": {"CE": [5], "CLK": [6], "DI": [d], "LSR": [7], "Q": [q]},
            })
        };
        let mut netlist = json!({"modules": {"top": {"ports": {"out": {"direction": "output", "bits": [20]}}, "cells": {
            "row[1].mul": {
                "type": "MULT18X18D",
                "parameters": {},
                "attributes": {},
                "port_directions": {"A0": "input", "P0": "output", "P1": "output", "P2": "output"},
                "connections": {"A0": [2], "P0": [3], "P1": [4], "P2": [8]},
            },
            "low": register(3, 13),
            "high": register(4, 14),
        }}}});
        change(&mut netlist["modules"]["top"]["cells"]);
        netlist.to_string()
    }

    #[test]
    fn a_register_goes_into_the_multiplier() {
        let sites = [("row[0].".to_owned(), "X0".to_owned()), ("row[1].".to_owned(), "X1".to_owned())];
        let (text, packed) = finish(&netlist(|_| ()), "top", &sites).expect("a netlist");
        let netlist: Value = serde_json::from_str(&text).expect("JSON");
        let cells = netlist["modules"]["top"]["cells"].as_object().expect("cells");
        assert_eq!((packed, cells.len()), (1, 1));
        let cell = &cells["row[1].mul"];
        assert_eq!(cell["attributes"]["BEL"], "X1");
        assert_eq!(cell["parameters"]["REG_OUTPUT_CLK"], "CLK0");
        let nets: Vec<u64> =
            ["P0", "P1", "P2", "CLK0", "CE0", "RST0"].iter().filter_map(|p| bit(cell, p).as_u64()).collect();
        assert_eq!(nets, [13, 14, 8, 6, 5, 7]);
    }

    #[test]
    fn a_register_without_enable_and_reset_does_too() {
        let plain = |cells: &mut Value| {
            for name in ["low", "high"] {
                cells[name]["parameters"] =
                    json!({"CEMUX": "1 ", "CLKMUX": "CLK", "LSRMUX": "LSR", "REGSET": "RESET"});
                cells[name]["connections"]["LSR"] = json!(["0"]);
            }
        };
        let (text, packed) = finish(&netlist(plain), "top", &[]).expect("a netlist");
        let netlist: Value = serde_json::from_str(&text).expect("JSON");
        let cell = &netlist["modules"]["top"]["cells"]["row[1].mul"];
        assert_eq!((packed, bit(cell, "CE0"), bit(cell, "RST0")), (1, &"1".into(), &"0".into()));
    }

    #[test]
    fn a_register_stays_where_the_product_is_read_or_its_bits_differ() {
        let changes: [fn(&mut Value); 6] = [
            |cells| cells["row[1].mul"]["connections"]["P2"] = json!([20]),
            |cells| cells["high"]["connections"]["CE"] = json!([9]),
            |cells| cells["high"]["parameters"]["REGSET"] = "SET".into(),
            |cells| cells["high"]["parameters"]["SRMODE"] = "ASYNC".into(),
            |cells| cells["high"]["connections"]["CE"] = json!([3]),
            |cells| cells["high"]["type"] = "LUT4".into(),
        ];
        for change in changes {
            assert_eq!(finish(&netlist(change), "top", &[]).expect("a netlist").1, 0);
        }
    }

    #[test]
    fn every_module_gets_a_reset() {
        let register = |d: u64, q: u64, reset: Value| json!({"type": "TRELLIS_FF", "connections": {"DI": [d], "Q": [q], "LSR": [reset]}});
        let design = || {
            let cells = json!({
                "reset.q": register(2, 3, "0".into()),
                "inverter": {"type": "LUT4", "connections": {"A": ["0"], "B": ["0"], "C": ["0"], "D": [3], "Z": [4]}},
                "a.b.c.x": register(5, 6, 4.into()),
                "a.b.c.d.y": register(6, 7, 4.into()),
                "a.b.e.z": register(7, 8, 4.into()),
            });
            cells.as_object().expect("cells").clone()
        };
        assert_eq!(spread_reset(&mut design(), 3), 0);
        let mut cells = design();
        assert_eq!((spread_reset(&mut cells, 2), cells.len()), (1, 7));
        let resets = ["a.b.c.x", "a.b.c.d.y", "a.b.e.z"].map(|n| bit(&cells[n], "LSR").as_u64());
        assert_eq!(resets, [Some(4), Some(4), Some(10)]);
        let (own, inverter) = (&cells["a.b.e.reset.q"], &cells["a.b.e.inverter"]);
        assert_eq!((bit(own, "DI"), bit(own, "Q")), (&json!(2), &json!(9)));
        assert_eq!((bit(inverter, "D"), bit(inverter, "Z")), (&json!(9), &json!(10)));
        // What does not come from a flip-flop stays.
        let mut cells = design();
        cells.remove("reset.q");
        assert_eq!(spread_reset(&mut cells, 2), 0);
    }

    #[test]
    fn a_carry_that_nobody_reads_is_open() {
        let adder = |cin: Value, cout: u64| {
            json!({
                "type": "CCU2C",
                "port_directions": {"CIN": "input", "COUT": "output"},
                "connections": {"CIN": [cin], "COUT": [cout]},
            })
        };
        let cells =
            json!({"low": adder("0".into(), 2), "high": adder(2.into(), 3), "top": adder(2.into(), 4)});
        let mut cells = cells.as_object().expect("cells").clone();
        let ports = json!({"carry": {"direction": "output", "bits": [4]}});
        let readers = readers(&cells, &ports);
        assert_eq!(open_carries(&mut cells, &readers), 1);
        assert_eq!(
            ["low", "high", "top"].map(|n| bit(&cells[n], "COUT")),
            [&json!(2), &json!("x"), &json!(4)]
        );
    }

    #[test]
    fn what_is_no_netlist_is_refused() {
        assert!(finish("{", "top", &[]).is_err());
        assert_eq!(finish("{}", "top", &[]), Err("netlist: no module `top`".to_owned()));
    }
}
