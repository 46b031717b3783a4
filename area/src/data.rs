//! What Yosys counted: the rows of `area/yosys.csv`, which `scripts/area.py` writes.

use crate::Broken;
use serde::Deserialize;
use spec::{Config, ConfigSpec, Size};

const TABLE: &str = include_str!("../yosys.csv");

#[derive(Deserialize)]
struct Row {
    name: String,
    rows: u32,
    cols: u32,
    lanes: u32,
    operand_bits: u32,
    by_channel: bool,
    post: bool,
    ibuf: u64,
    wbuf: u64,
    obuf: u64,
    rbuf: u64,
    pbuf: u64,
    bus_bits: u32,
    burst_beats: u32,
    outstanding: u32,
    lut4: u32,
    ccu2c: u32,
    dpr16x4: u32,
    ffs: u32,
    multipliers: u32,
    block_rams: u32,
    memory_bits: u64,
    logic_transistors: u64,
}

/// A synthesised design point.
pub(crate) struct Point {
    pub(crate) config: Config,
    /// LUT4 cells and those in CCU2C carry cells.
    pub(crate) logic_luts: u32,
    pub(crate) distributed_rams: u32,
    pub(crate) ffs: u32,
    pub(crate) multipliers: u32,
    pub(crate) block_rams: u32,
    pub(crate) memory_bits: u64,
    pub(crate) logic_transistors: u64,
}

/// Every row of the table.
pub(crate) fn points() -> Result<Vec<Point>, Broken> {
    let mut points = vec![];
    for row in csv::Reader::from_reader(TABLE.as_bytes()).deserialize::<Row>() {
        let row = row.map_err(|e| Broken(format!("yosys.csv: {e}; `make area` writes it anew")))?;
        let size = |bytes| Some(Size(bytes));
        let spec = ConfigSpec {
            rows: Some(row.rows),
            cols: Some(row.cols),
            lanes: Some(row.lanes),
            operand_bits: Some(row.operand_bits),
            ibuf: size(row.ibuf),
            wbuf: size(row.wbuf),
            obuf: size(row.obuf),
            rbuf: size(row.rbuf),
            pbuf: size(row.pbuf),
            bus_bits: Some(row.bus_bits),
            burst_beats: Some(row.burst_beats),
            outstanding: Some(row.outstanding),
            by_channel: Some(row.by_channel),
            post: Some(row.post),
        };
        points.push(Point {
            config: Config::new(&row.name, spec).map_err(|e| Broken(format!("yosys.csv: {e}")))?,
            logic_luts: row.lut4 + 2 * row.ccu2c,
            distributed_rams: row.dpr16x4,
            ffs: row.ffs,
            multipliers: row.multipliers,
            block_rams: row.block_rams,
            memory_bits: row.memory_bits,
            logic_transistors: row.logic_transistors,
        });
    }
    Ok(points)
}
