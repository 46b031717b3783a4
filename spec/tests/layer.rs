//! Layers: shape arithmetic, text form, limits, random data.

use proptest::prelude::*;
use spec::layer::{Layer, LayerData, LayerSpec};

fn layer(text: &str) -> Layer {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// Counts products by visiting each one.
fn counted_macs(l: &Layer) -> u64 {
    let mut count = 0;
    for oh in 0..l.out_h() {
        for ow in 0..l.out_w() {
            for kh in 0..l.kh {
                for kw in 0..l.kw {
                    let ih = i64::from(oh * l.sh + kh * l.dh) - i64::from(l.pt);
                    let iw = i64::from(ow * l.sw + kw * l.dw) - i64::from(l.pl);
                    if (0..i64::from(l.h)).contains(&ih) && (0..i64::from(l.w)).contains(&iw) {
                        count += 1;
                    }
                }
            }
        }
    }
    count * u64::from(l.batch) * u64::from(l.cout) * u64::from(l.cin / l.groups)
}

#[test]
fn shapes_of_known_layers() {
    // ResNet-50's first layer; AlexNet's second, in two groups; MobileNet's depthwise; a fully connected one.
    let l = layer("conv cin=3 h=224 w=224 cout=64 k=7 stride=2 pad=3");
    assert_eq!((l.out_h(), l.out_w(), l.padded_macs()), (112, 112, 118_013_952));
    let l = layer("conv cin=96 h=27 w=27 cout=256 k=5 pad=2 groups=2");
    assert_eq!((l.out_h(), l.weight_len(), l.padded_macs()), (27, 307_200, 223_948_800));
    let l = layer("conv cin=32 h=112 w=112 cout=32 k=3 pad=1 groups=32");
    assert_eq!((l.weight_len(), l.useful_macs()), (288, 334 * 334 * 32));
    let l = layer("fc in=2048 out=1000 batch=4");
    assert_eq!((l.input_len(), l.weight_len(), l.output_len()), (8192, 2_048_000, 4000));
    assert_eq!(l.useful_macs(), 8_192_000);
}

#[test]
fn text_is_canonical() {
    for (text, canonical) in [
        ("conv pad=1 cin=192 h=13 w=13 cout=192 k=3", "conv cin=192 h=13 w=13 cout=192 k=3 pad=1"),
        ("conv cin=8 h=9 w=9 cout=8 kh=3 kw=3 sh=1 sw=1 pad=0", "conv cin=8 h=9 w=9 cout=8 k=3"),
        ("conv cin=8 h=9 w=9 cout=8 kh=3 kw=1 sh=2 pt=1", "conv cin=8 h=9 w=9 cout=8 kh=3 kw=1 sh=2 pt=1"),
        (
            "conv cin=8 h=9 w=9 cout=8 k=3 dil=2 relu=1 groups=4",
            "conv cin=8 h=9 w=9 cout=8 k=3 dil=2 groups=4 relu",
        ),
        ("conv cin=8 h=1 w=1 cout=9 k=1 batch=2", "fc in=8 out=9 batch=2"),
        ("fc in=8 out=9 relu=0", "fc in=8 out=9"),
    ] {
        assert_eq!(layer(text).to_string(), canonical);
    }
}

#[test]
fn errors_name_value_limit_and_remedy() {
    for (text, message) in [
        ("", "kind \"\": conv or fc allowed; start with it"),
        ("pool k=2", "kind \"pool\": conv or fc allowed"),
        ("conv cin=1 h=1 w=1 cout=1", "k is missing; add k=…"),
        ("conv cin=1 h=1 w=1 cout=1 kh=1", "k is missing"),
        ("fc in=1", "out is missing; add out=…"),
        ("conv cin=1 h=1 w=1 cout=1 k=1 c=3", "key \"c\": no key of conv; use cin h w cout"),
        ("fc in=1 out=1 h=3", "key \"h\": no key of fc; use in out"),
        ("conv cin=1 h=1 w=1 cout=1 k=1 cin=2", "cin=2: cin is already given; give it once"),
        ("conv cin=1 h=1 w=1 cout=1 k=1 kw=2", "kw=2: kw is already given"),
        ("fc in=1 out=1 relu relu", "relu: relu is already given"),
        ("fc in=1 out=1 relu=2", "relu=2: 0 or 1 allowed; write relu"),
        ("fc in=x out=1", "in=x: in takes a whole number up to 65535; write in=1"),
        ("fc in out=1", "in: in takes a whole number"),
        ("fc in=-1 out=1", "in=-1: in takes a whole number"),
        ("fc in=4294967296 out=1", "in=4294967296: in takes a whole number"),
        ("fc in=0 out=1", "cin=0: 1 to 65535 allowed; use 1 or more"),
        ("fc in=65536 out=1", "cin=65536: 1 to 65535 allowed; split the layer"),
        ("conv cin=1 h=300 w=300 cout=1 k=256", "kh=256: 1 to 255 allowed; split"),
        ("conv cin=1 h=9 w=9 cout=1 k=3 stride=256", "sh=256: 1 to 255 allowed"),
        (
            "conv cin=1 h=9 w=9 cout=1 k=3 pad=3",
            "pt=3: at most 2 allowed, one less than the dilated kernel; use less",
        ),
        (
            "conv cin=1 h=2 w=9 cout=1 k=3",
            "padded map of 2 rows: at least 3 wanted, the dilated kernel; use a larger h",
        ),
        ("conv cin=1 h=9 w=4 cout=1 k=3 dil=2", "padded map of 4 columns: at least 5 wanted"),
        (
            "conv cin=6 h=1 w=1 cout=4 k=1 groups=3",
            "groups=3: a divisor of cout=4 wanted; change groups or cout",
        ),
        ("conv cin=4 h=1 w=1 cout=6 k=1 groups=3", "groups=3: a divisor of cin=4 wanted"),
        (
            "conv cin=65535 h=65535 w=2 cout=1 k=1",
            "input of 8589672450 elements: at most 4294967295 allowed; split",
        ),
        ("fc in=65535 out=65535 batch=65535", ""),
    ] {
        match text.parse::<Layer>() {
            Ok(l) => assert!(message.is_empty(), "{l} was accepted"),
            Err(e) => assert!(!message.is_empty() && e.to_string().contains(message), "{e}\n{message}"),
        }
    }
}

#[test]
fn random_data_is_seeded_and_valid() {
    for text in [
        "conv cin=16 h=8 w=8 cout=8 k=3 pad=1",
        "fc in=256 out=32 relu",
        "conv cin=8 h=9 w=7 cout=8 k=3 groups=8",
    ] {
        let l = layer(text);
        for bits in [8, 16] {
            for seed in 0..20 {
                let data = LayerData::random(&l, bits, seed).unwrap();
                data.check(&l).unwrap();
                assert_eq!(data, LayerData::random(&l, bits, seed).unwrap());
                assert_ne!(data, LayerData::random(&l, bits, seed + 100).unwrap());
                assert!(!l.relu || data.quant.y_min == data.quant.y_zero);
            }
        }
    }
    let error = LayerData::random(&layer("fc in=1 out=1"), 12, 0).unwrap_err().to_string();
    assert!(error.contains("operand_bits=12: 8 or 16 allowed"), "{error}");
}

#[test]
fn data_that_does_not_fit_is_refused() {
    let l = layer("fc in=4 out=2");
    let good = LayerData::random(&l, 8, 1).unwrap();
    let refused = |change: fn(&mut LayerData), message: &str| {
        let mut data = good.clone();
        change(&mut data);
        let error = data.check(&l).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    };
    refused(|d| d.input.truncate(3), "input of 3 elements: 4 wanted by `fc in=4 out=2`");
    refused(|d| d.weights[0] = 128, "weight 128: -128 to 127 allowed at 8 bits");
    refused(|d| d.input[1] = 256, "activation 256");
    refused(|d| d.quant.x_zero = -129, "zero point or output limit -129");
    refused(|d| (d.quant.y_min, d.quant.y_max) = (5, 4), "y_min=5: at most y_max=4");
    refused(|d| d.multipliers[1] = 0.0, "requantisation multiplier 0e0");
    refused(|d| d.quant.operand_bits = 0, "operand_bits=0");
}

prop_compose! {
    fn any_spec()(
        (cin, cout, groups) in (1..9u32, 1..9u32, 1..5u32),
        (h, w, batch, relu) in (1..12u32, 1..12u32, 1..4u32, any::<bool>()),
        (kh, kw, sh, sw, dh, dw) in (1..5u32, 1..5u32, 1..4u32, 1..4u32, 1..4u32, 1..4u32),
        pads in [0..5u32, 0..5u32, 0..5u32, 0..5u32],
    ) -> LayerSpec {
        let [pt, pl, pb, pr] = pads;
        LayerSpec { cin: cin * groups, cout: cout * groups, h, w, kh, kw, sh, sw, pt, pl, pb, pr, dh, dw, groups,
            batch, relu }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn text_parses_back_and_macs_are_counted(spec in any_spec()) {
        let Ok(l) = Layer::new(spec) else { return Ok(()) };
        prop_assert_eq!(l.to_string().parse::<Layer>(), Ok(l));
        prop_assert_eq!(l.useful_macs(), counted_macs(&l));
        prop_assert!(l.useful_macs() <= l.padded_macs());
    }

    #[test]
    fn any_text_is_refused_or_parsed(text in "(conv|fc)( (cin|h|w|cout|k|pad|in|out|relu|dil|groups)=?[0-9]{0,5}){0,7}") {
        if let Ok(l) = text.parse::<Layer>() {
            prop_assert_eq!(l.to_string().parse::<Layer>(), Ok(l));
        }
    }
}
