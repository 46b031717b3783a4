//! The instruction set: declarations that make sense, and round trips.

use proptest::prelude::*;
use spec::isa::{CHECKS, FORMS, Form, INSTRUCTION_BYTES, Instruction, OPCODE, Setup, form};
use spec::{Config, Status};

/// An instruction of this form as text, with these field values.
fn text(form: &Form, values: &[i64]) -> String {
    form.fields.iter().zip(values).fold(form.name.to_owned(), |t, (f, v)| format!("{t} {}={v}", f.name))
}

/// Any instruction: a form, and a value within its limits for each field.
fn instruction() -> impl Strategy<Value = Instruction> {
    (0..FORMS.len(), prop::collection::vec(any::<(u64, u8)>(), 32)).prop_map(|(form, random)| {
        let form = &FORMS[form];
        let value = |(f, (bits, extreme)): (&spec::isa::Field, &(u64, u8))| match extreme {
            0..32 => f.min(),
            32..64 => f.max(),
            64..96 => 0,
            _ => f.min() + (bits % (1u64 << f.width)) as i64,
        };
        let values: Vec<i64> = form.fields.iter().zip(&random).map(value).collect();
        text(form, &values).parse().unwrap()
    })
}

#[test]
fn fields_do_not_overlap() {
    for form in FORMS {
        let mut used = [false; INSTRUCTION_BYTES * 8];
        for f in std::iter::once(&OPCODE).chain(form.fields) {
            assert!((1..=32).contains(&f.width), "{} {}", form.name, f.name);
            for bit in f.lsb..f.lsb + f.width {
                let bit = used.get_mut(bit as usize).unwrap_or_else(|| panic!("{} {}", form.name, f.name));
                assert!(!std::mem::replace(bit, true), "{} {} overlaps", form.name, f.name);
            }
        }
    }
}

#[test]
fn names_and_opcodes_are_unique() {
    for (k, f) in FORMS.iter().enumerate() {
        assert!((1..1 << OPCODE.width).contains(&f.opcode), "{}", f.name);
        assert!(FORMS[..k].iter().all(|g| g.opcode != f.opcode && g.name != f.name), "{}", f.name);
        assert!(!f.doc.is_empty() && f.fields.iter().all(|f| !f.doc.is_empty()), "{}", f.name);
    }
}

/// [`form`] panics for an unknown name: every name that the sources pass to it exists.
#[test]
fn names_that_are_looked_up_exist() {
    let mut seen = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../hdl/src")).unwrap() {
        let path = file.unwrap().path();
        let source = if path.is_file() { std::fs::read_to_string(path).unwrap() } else { String::new() };
        for (_, rest) in source.match_indices("form(\"").map(|(at, found)| source.split_at(at + found.len()))
        {
            let name = rest.split('"').next().unwrap();
            assert_eq!(form(name).name, name);
            seen += 1;
        }
    }
    assert!(seen >= FORMS.len(), "only {seen} calls found");
}

/// The same field of different forms is in the same place: engines read tokens without looking at the opcode.
#[test]
fn token_fields_are_where_they_are_in_every_form() {
    let tokens = ["pop_prev", "pop_next", "push_prev", "push_next"];
    let fields: Vec<_> = FORMS.iter().flat_map(|f| f.fields).filter(|f| tokens.contains(&f.name)).collect();
    for f in &fields {
        assert!(
            fields.iter().all(|g| g.name != f.name || (g.lsb, g.width) == (f.lsb, f.width)),
            "{}",
            f.name
        );
    }
}

#[test]
fn instructions_reach_every_word_of_the_largest_buffers() {
    let most = |name| form("taps").fields.iter().find(|f| f.name == name).map(|f| f.max() + 1);
    assert_eq!(most("w_base"), Some(i64::from(spec::config::MAX_WBUF_WORDS)));
    assert_eq!(most("p_base"), Some(i64::from(spec::config::MAX_PBUF_WORDS)));
}

#[test]
fn cleared_memory_is_no_instruction() {
    let message = Instruction::decode(&[0; INSTRUCTION_BYTES]).unwrap_err().to_string();
    assert_eq!(
        message,
        "illegal opcode 0: the opcodes are 1 load, 2 quant, 3 taps, 4 rect, 5 store, 6 end, 7 depth, 8 post, 9 table"
    );
}

#[test]
fn values_that_do_not_fit_are_refused() {
    for form in FORMS {
        for field in form.fields {
            for value in [field.min() - 1, field.max() + 1] {
                let line = format!("{} {}={value}", form.name, field.name);
                let message = line.parse::<Instruction>().unwrap_err().to_string();
                assert!(message.contains(&format!("{}..={}", field.min(), field.max())), "{message}");
            }
        }
    }
    let wide = spec::isa::Load { runs: 65_536, ..Default::default() };
    assert_eq!(
        Instruction::from(wide).encode().unwrap_err().to_string(),
        "instruction field `runs` = 65536 is outside 0..=65535: split the work into smaller instructions"
    );
}

/// One instruction that each check refuses and that passes all checks before it, in the order of [`CHECKS`].
#[test]
fn every_check_refuses_something() {
    let config = Config::new(
        "wide",
        spec::ConfigSpec { operand_bits: Some(16), ..spec::ConfigSpec::named("default").unwrap() },
    )
    .unwrap();
    let taps = "taps n_ky=1 n_kx=1 words=2 word_len=16 longs=2 chunks=4";
    let depth = "depth n_ky=1 n_kx=1 phases=2 taps=2 longs=1 chunks=4 stride=1 width=9";
    let rect = "rect nx=1 ny=1";
    let store = "store seg_bytes=2 run_bytes=2 runs=1";
    let (none, mut set_up) = (Setup::default(), Setup::default());
    ["quant", taps].iter().for_each(|line| set_up.see(&line.parse().unwrap()));
    let loaded = "load runs=1 run_bytes=2 row_bytes=2";
    for good in ["load", loaded, taps, depth, rect, store, "quant x_zero=-1", "post", "table", "end"] {
        assert_eq!(good.parse::<Instruction>().unwrap().fault(&config, &set_up), None, "{good}");
    }
    let refused = [
        "load buffer=3".to_owned(),
        "load dst=12582912".to_owned(),
        "load runs=1 run_bytes=2".to_owned(),
        "load src=1".to_owned(),
        taps.replace("n_kx=1", "n_kx=0"),
        taps.replace("word_len=16", "word_len=17"),
        taps.replace("chunks=4", "chunks=5"),
        taps.replace("longs=2", "longs=3"),
        "quant op=3".to_owned(),
        depth.replace("width=9", "width=0"),
        depth.replace("chunks=4", "chunks=5"),
        depth.replace("longs=1", "longs=3"),
        "post op=1".to_owned(),
        "post op=2 a_scale=1".to_owned(),
        "post op=2 a_scale=1065353216 offset=1".to_owned(),
        "rect nx=1".to_owned(),
        format!("{rect} out_base=12582912"),
        format!("{rect} chain=1 push_next=1"),
        rect.to_owned(),
        format!("{rect} out_base=3"),
        "store src=12582912".to_owned(),
        store.replace("runs=1", "runs=0"),
        format!("{store} dst=1"),
    ];
    // Second operands are for operands of 8 bits.
    let narrow = Config::named("default").unwrap();
    assert_eq!(refused.len(), CHECKS.len());
    for (line, check) in refused.iter().zip(CHECKS) {
        assert!(line.starts_with(check.form));
        let config = if line.contains("a_scale") { &narrow } else { &config };
        let status: Option<Status> =
            line.parse::<Instruction>().unwrap().fault(config, if line == rect { &none } else { &set_up });
        assert_eq!(status, Some(check.status), "{line}");
    }
}

/// A rectangle wants a `quant`, and a reduction of its kind, wherever they stand before it.
#[test]
fn rectangles_want_a_reduction_of_their_kind() {
    let config = Config::named("default").unwrap();
    let taps = "taps n_ky=1 n_kx=1 words=1 word_len=1 longs=1 chunks=1";
    let depth = "depth n_ky=1 n_kx=1 phases=1 taps=1 longs=1 chunks=1 stride=1 width=1";
    for (before, fits) in [
        (vec![], false),
        (vec![taps], false),
        (vec!["quant"], false),
        (vec!["quant depth=1"], false),
        (vec!["quant", taps], true),
        (vec![taps, "quant"], true),
        (vec!["quant", depth], false),
        (vec!["quant depth=1", depth], true),
        (vec!["quant depth=1", taps], false),
        (vec!["quant depth=1", depth, taps], false),
        (vec!["quant depth=1", depth, "quant"], false),
        (vec!["quant depth=1", depth, "quant", taps, "load", "post"], true),
    ] {
        let mut setup = Setup::default();
        before.iter().for_each(|line| setup.see(&line.parse().unwrap()));
        let fault = "rect nx=1 ny=1".parse::<Instruction>().unwrap().fault(&config, &setup);
        assert_eq!(fault, if fits { None } else { Some(Status::BadField) }, "{before:?}");
    }
}

proptest! {
    #[test]
    fn encoding_and_assembly_round_trip(i in instruction()) {
        let bytes = i.encode().unwrap();
        prop_assert_eq!(Instruction::decode(&bytes).unwrap(), i);
        prop_assert_eq!(i.to_string().parse::<Instruction>().unwrap(), i);
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in any::<[u8; INSTRUCTION_BYTES]>()) {
        let opcode = u32::from(bytes[0] & 15);
        match Instruction::decode(&bytes) {
            Ok(i) => prop_assert_eq!(Instruction::decode(&i.encode().unwrap()).unwrap(), i),
            Err(e) => prop_assert!(e.opcode == opcode && FORMS.iter().all(|f| f.opcode != opcode)),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(mnemonic in "(load|taps|rect|end|x)?", rest in "( (src|nx|n|)=?[-0-9a-z]{0,20}){0,3}") {
        let line = mnemonic + &rest;
        if let Ok(i) = line.parse::<Instruction>() {
            prop_assert!(i.encode().is_ok());
        }
    }
}
