//! Multiply-accumulates per second of the reference on the layers given, or on a few usual ones.

use std::time::Instant;

use spec::layer::{Layer, LayerData};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut texts: Vec<String> = std::env::args().skip(1).collect();
    if texts.is_empty() {
        texts = [
            "conv cin=3 h=224 w=224 cout=64 k=7 stride=2 pad=3",
            "conv cin=16 h=32 w=32 cout=16 k=3 pad=1",
            "conv cin=256 h=14 w=14 cout=256 k=3 pad=1",
            "conv cin=256 h=56 w=56 cout=64 k=1",
            "conv cin=256 h=14 w=14 cout=256 k=3 pad=1 groups=256",
            "fc in=2048 out=1000",
        ]
        .map(String::from)
        .into();
    }
    for text in texts {
        let layer: Layer = text.parse()?;
        let data = LayerData::random(&layer, 8, 1)?;
        let start = Instant::now();
        std::hint::black_box(reference::conv(&layer, &data));
        let rate = layer.useful_macs() as f64 / start.elapsed().as_secs_f64() / 1e6;
        println!("{rate:7.0} MMAC/s  {layer}");
    }
    Ok(())
}
