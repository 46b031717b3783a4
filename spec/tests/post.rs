//! The second operand's arithmetic: vectors from ONNX Runtime (`fixtures/post.csv`), and the agreement of its two
//! forms.

use proptest::prelude::*;
use spec::post::{Op, Post, Table};
use spec::rng::{in_range, splitmix64};

fn both(post: &Post, a: i32, b: i32) -> i32 {
    let y = post.apply(a, b);
    assert_eq!(y, post.apply_bits(a, b), "a {a} b {b} {post:?}");
    y
}

/// A factor or an offset that an instruction may have, mostly a little more or less than 2^`near`.
fn scale(state: &mut u64, near: i32) -> f32 {
    let draw = splitmix64(state);
    let exponent = if draw & 3 == 0 { in_range(state, -64, 63) } else { near + in_range(state, -12, 4) };
    let fraction = match draw >> 2 & 3 {
        0 => 0,
        1 => 0x70_0000,
        2 => 0x7f_fff0,
        _ => 0x7f_ffff,
    };
    let bits = (exponent.clamp(-64, 63) + 127) << 23 | ((draw >> 8) as i32 & fraction);
    f32::from_bits(bits as u32)
}

/// Anything legal, mostly where the summands meet.
fn any_post(state: &mut u64) -> Post {
    let draw = splitmix64(state);
    let near = in_range(state, -12, 4);
    let sign = if draw >> 8 & 1 == 0 { 1.0 } else { -1.0 };
    Post {
        op: if draw & 3 == 0 { Op::Mul } else { Op::Add },
        table: false,
        signed: false,
        swap: draw >> 9 & 1 == 0,
        a_zero: in_range(state, -128, 255),
        b_zero: in_range(state, -128, 255),
        y_zero: in_range(state, -128, 255),
        y_min: -65536,
        y_max: 65535,
        a_scale: scale(state, near),
        b_scale: scale(state, near),
        offset: if draw >> 4 & 7 == 0 { 0.0 } else { sign * scale(state, near + 7) },
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// 512 cases of 256 settings and 64 pairs: eight million.
    #[test]
    fn both_forms_agree(seed: u64) {
        let mut state = seed;
        for _ in 0..256 {
            let mut post = any_post(&mut state);
            for k in 0..64 {
                let a = in_range(&mut state, -128, 255);
                let b = in_range(&mut state, -128, 255);
                both(&post, a, b);
                // An offset that cancels what is added to it.
                if k % 16 == 0 {
                    let sign = if k % 32 == 0 { -1.0 } else { 1.0 };
                    let near = sign * ((b - post.b_zero) as f32).abs() * post.b_scale;
                    if near.abs() >= 2f32.powi(-64) && near.abs() < 2f32.powi(64) {
                        post.offset = near;
                        both(&post, a, b);
                    }
                }
            }
        }
    }
}

#[test]
fn extremes() {
    let post = |op, a_scale: f32, offset: f32| Post {
        op,
        a_scale,
        offset,
        y_min: -65536,
        y_max: 65535,
        ..Post::OFF
    };
    let (tiny, huge) = (2f32.powi(-64), 2f32.powi(64).next_down());
    for op in [Op::Add, Op::Mul] {
        assert_eq!(both(&post(op, huge, huge), 200, 200), 65535);
        assert_eq!(both(&post(op, huge, -huge), -200, 200), -65536);
        assert_eq!(both(&post(op, tiny, tiny), 200, 0), 0);
    }
    assert_eq!(both(&post(Op::Add, huge, tiny), 0, -3), -3);
    assert_eq!(both(&post(Op::Mul, 1.0, 0.0), -256, -256), 65535);
    // Differences have 9 bits.
    assert_eq!(both(&post(Op::Mul, 1.0, 0.0), 256, 1), -256);
    assert_eq!(both(&Post { a_zero: -40000, ..Post::OFF }, 77, 5), 77);
    // Ties to even, after one rounding to binary32.
    for (a, y) in [(1, 0), (3, 2), (5, 2), (-1, 0), (-3, -2)] {
        assert_eq!(both(&post(Op::Mul, 0.5, 0.0), a, 1), y);
    }
    assert_eq!(both(&post(Op::Add, 0.5, 2f32.powi(-26)), 1, 0), 0);
    assert_eq!(both(&post(Op::Add, 0.5, 2f32.powi(-24)), 1, 0), 1);
    // A product is rounded before the offset is added, and again.
    assert_eq!(both(&post(Op::Mul, 0.5f32.next_up(), 128.0), 1, 1), 128);
    assert_eq!(both(&Post { swap: true, a_scale: 2.0, ..post(Op::Add, 1.0, 0.0) }, 3, 10), 23);
}

#[test]
fn tables() {
    let mut table = Table([0; 256]);
    table.write(&spec::isa::Table { index: 15, d0: 0x0403_0201, d1: 0, d2: 0, d3: 0x100f_0e0d });
    assert_eq!([240, 243, -1, -4].map(|y| table.apply(y)), [1, 4, 16, 13]);
}

/// Every line of the fixture: the operation, the operands' type, f32 scales in hexadecimal, zero points, two operands,
/// and ONNX Runtime's result.
#[test]
fn onnx_runtime_vectors() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/post.csv");
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("op,type,sa,sb,sy,za,zb,zy,a,b,y"), "header of {path}");
    let mut count = 0;
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let scale = |i: usize| f32::from_bits(u32::from_str_radix(fields[i], 16).unwrap());
        let int = |i: usize| fields[i].parse::<i32>().unwrap();
        let signed = fields[1] == "int8";
        let [sa, sb, sy] = [2, 3, 4].map(scale);
        let [za, zb, zy, a, b, y] = [5, 6, 7, 8, 9, 10].map(int);
        let (y_min, y_max) = if signed { (-128, 127) } else { (0, 255) };
        let post = Post { signed, y_min, y_max, ..Post::OFF };
        let (ra, rb) = (sa / sy, sb / sy);
        let post = match fields[0] {
            "QLinearAdd" => Post {
                op: Op::Add,
                a_scale: ra,
                b_scale: rb,
                offset: zy as f32 - ra.mul_add(za as f32, rb * zb as f32),
                ..post
            },
            "QLinearMul" => {
                Post { op: Op::Mul, a_zero: za, b_zero: zb, a_scale: sa * sb / sy, offset: zy as f32, ..post }
            }
            op => panic!("{path}: {op}"),
        };
        assert_eq!(both(&post, a, b), y, "{line}");
        assert_eq!(both(&Post { swap: true, ..post }, b, a), y, "{line}");
        count += 1;
    }
    assert!(count >= 1000, "{path} holds only {count} vectors");
}
