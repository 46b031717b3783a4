//! A directory as `koch sweep` writes it, small and always the same, with numbers that are plausible at best.
#![allow(dead_code, missing_docs)] // Each test program uses a part of it.

use std::fmt::Write as _;
use std::path::Path;

/// The second one has every character that HTML, XML, CSV or JSON might trip over.
pub const NETWORKS: [&str; 2] = ["resnet", "a \"b\" <c> & 'd', </script> é"];
/// So has the last one of these.
pub const LAYERS: [&str; 4] = ["conv1", "conv2", "pool", "fc <b>\"&'</script>\u{1}"];

pub const POINTS: &str = "point,network,rows,cols,lanes,operand_bits,ibuf,wbuf,obuf,rbuf,pbuf,bus_bits,burst_beats,\
    outstanding,latency,bytes_per_cycle,memory_outstanding,stall_seed,stall_percent,clock_mhz,status,macs,buffer_bytes,\
    useful_macs,padded_macs,cycles,fps,efficiency,roofline_efficiency,bytes,once_only_bytes,traffic_ratio,luts,ffs,\
    multipliers,block_rams,area\n";

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// The rows of a design point, one per network; `n` chooses its numbers.
fn rows(n: usize) -> [String; 2] {
    let pick = |of: &[u64], step: usize| of[n / step % of.len()];
    let (rows, cols) = (pick(&[2, 4, 7], 1), pick(&[8, 16, 32], 3));
    let (kib, bandwidth) = (pick(&[32, 64, 128, 256], 9), pick(&[8, 16], 36));
    // A digit of its own for each point beyond the grid.
    let extra = n as u64 / 72;
    let (macs, buffers) = (rows * cols, 2048 * kib + 1024 * extra);
    [0, 1].map(|network| {
        let useful = 1_000_000 * (network + 1);
        let traffic = 0.7 + 30.0 / (kib as f64 + extra as f64 / 64.0) + 0.1 * network as f64;
        let once_only = 200_000 * (network + 1);
        let bytes = (traffic * once_only as f64) as u64;
        let cycles = (useful / macs).max(bytes / bandwidth) + 997 + 13 * (n as u64 % 7) + extra;
        let efficiency = useful as f64 / (macs * cycles) as f64;
        let fps = 2e8 / cycles as f64;
        let area = 9000 * macs + 80 * buffers + 50_000 * bandwidth;
        format!(
            "{n},{},{rows},{cols},8,8,{},{},4096,4096,4096,128,16,8,40,{bandwidth},16,0,0,200,ok,{macs},{buffers},\
             {useful},{useful},{cycles},{fps},{efficiency},{efficiency},{bytes},{once_only},{traffic},1,2,3,4,{area}\n",
            quoted(NETWORKS[network as usize]),
            512 * kib,
            512 * kib,
        )
    })
}

/// Writes the directory with `points` design points, the last of which is impossible.
pub fn write(dir: &Path, points: usize) {
    let put = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("a file");
    let mut text = POINTS.to_owned();
    let mut front = POINTS.to_owned();
    for n in 0..points - 1 {
        let rows = rows(n);
        rows.iter().for_each(|row| text += row);
        if n % 5 == 0 && n < 200 {
            rows.iter().for_each(|row| front += row);
        }
    }
    for network in NETWORKS {
        let _ = write!(text, "{},{},2,8,8,8,", points - 1, quoted(network));
        text += "1,1,1,1,1,128,16,8,40,16,16,0,0,200,\"too small, whatever\",16,5,,,,,,,,,,,,,,\n";
    }
    put("points.csv", &text);
    put("pareto.csv", &front);
    put("layers.csv", &layers());
    put("check.csv", &check());
    put("timeline.csv", &timeline(50));
}

/// Layers of points 0 and 5.
fn layers() -> String {
    let mut text =
        "point,network,index,layer,count,spec,strategy,useful_macs,once_only_bytes,bytes,cycles,roofline_cycles,\
         mac_busy_cycles,idle_load,idle_store,idle_never,efficiency,roofline_efficiency\n"
            .to_owned();
    for point in [0, 5] {
        for network in NETWORKS {
            for (i, layer) in LAYERS.iter().enumerate() {
                let macs = if *layer == "pool" { 0 } else { 50_000 * (i + 1) };
                let (busy, load, store) = (macs / 16 + 100, 300 * (i + 1), 40 + point);
                let cycles = busy + load + store;
                let _ = writeln!(
                    text,
                    "{point},{},{},{},2,spec,all resident,{macs},{},{},{cycles},{},{busy},{load},{store},0,0.5,0.5",
                    quoted(network),
                    i + 1,
                    quoted(layer),
                    1000 * (i + 1),
                    1100 * (i + 1),
                    macs as f64 / 16.0,
                );
            }
        }
    }
    text
}

/// Layer 2 of every point on the RTL.
fn check() -> String {
    let mut text = "point,network,index,layer,cycles,bytes,equal\n".to_owned();
    for (point, network) in [(0, 0), (0, 1), (5, 0), (5, 1)] {
        let _ = writeln!(text, "{point},{},2,conv2,{},2200,true", quoted(NETWORKS[network]), 6990 + point);
    }
    text
}

/// A layer of so many instructions in each engine.
pub fn timeline(count: u64) -> String {
    let mut text = "layer,engine,instruction,start,end\n".to_owned();
    for (delay, engine) in ["fetch", "load", "compute", "store"].into_iter().enumerate() {
        for i in 0..count {
            let start = 100 * i + 150 * delay as u64;
            let _ = writeln!(text, "{},{engine},{engine} {i},{start},{}", quoted(LAYERS[3]), start + 80);
        }
    }
    text
}
