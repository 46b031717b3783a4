//! Tables of 256 entries equal ONNX Runtime's operators on all operands (`fixtures/table.csv`).

use compiler::table::{Map, Scale, table};

#[test]
fn onnx_runtime_vectors() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/table.csv");
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("function,x_type,y_type,sx,sy,zx,zy,y"), "header of {path}");
    let mut count = 0;
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let [function, x_type, y_type, sx, sy, zx, zy, y] = fields[..] else { panic!("{path}: {line}") };
        let side = |ty: &str, scale: &str, zero: &str| Scale {
            scale: f32::from_bits(u32::from_str_radix(scale, 16).unwrap()),
            zero: zero.parse().unwrap(),
            lo: if ty == "int8" { -128 } else { 0 },
            hi: if ty == "int8" { 127 } else { 255 },
        };
        let (x, y_scale) = (side(x_type, sx, zx), side(y_type, sy, zy));
        let mut words = function.split(' ');
        let name = words.next().unwrap_or_default();
        let attributes: Vec<f32> = words.map(|w| w.split_once('=').unwrap().1.parse().unwrap()).collect();
        let map = match (name.trim_start_matches("QLinear"), &attributes[..]) {
            ("Concat" | "Quantize", []) => None,
            ("Relu", []) => Some(Map::Clip(0.0, f32::INFINITY)),
            ("Clip", [lo, hi]) => Some(Map::Clip(*lo, *hi)),
            ("LeakyRelu", [alpha]) => Some(Map::LeakyRelu(*alpha)),
            ("HardSigmoid", [alpha, beta]) => Some(Map::HardSigmoid(*alpha, *beta)),
            ("HardSwish", []) => Some(Map::HardSwish),
            ("Sigmoid", []) => Some(Map::Sigmoid),
            ("Tanh", []) => Some(Map::Tanh),
            _ => panic!("{path}: {function}"),
        };
        let ours = table(x.lo < 0, |element| {
            let real = x.dequantise(element);
            y_scale.quantise(map.map_or(real, |map| map.of(real)))
        });
        for (k, element) in (x.lo..=x.hi).enumerate() {
            let want = u8::from_str_radix(&y[2 * k..2 * k + 2], 16).unwrap();
            assert_eq!(ours[usize::from(element as u8)], want, "{element} in {line}");
        }
        count += 1;
    }
    assert!(count >= 70, "{path} holds only {count} tables");
}
