//! Every input that is refused, with the message that says so, against `bad_input.txt`.

use std::fmt::Write as _;

use proptest::prelude::*;
use spec::layer::Layer;
use spec::{Config, ConfigSpec, MemorySpec, Size};

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad_input.txt");

/// A config as TOML, and what is said of it: `base` with lines added, which replace those of the same key.
fn config(lines: &str) -> Result<Config, String> {
    let spec = ConfigSpec::from_toml(lines).map_err(|e| e.to_string())?;
    let base = ConfigSpec::named("default").map_err(|e| e.to_string())?;
    Config::new("test", spec.over(base)).map_err(|e| e.to_string())
}

/// A config of these lines alone.
fn whole_config(lines: &str) -> Result<Config, String> {
    let spec = ConfigSpec::from_toml(lines).map_err(|e| e.to_string())?;
    Config::new("test", spec).map_err(|e| e.to_string())
}

fn name(name: &str) -> Result<Config, String> {
    let spec = ConfigSpec::named("default").map_err(|e| e.to_string())?;
    Config::new(name, spec).map_err(|e| e.to_string())
}

fn named(name: &str) -> Result<Config, String> {
    Config::named(name).map_err(|e| e.to_string())
}

fn size(text: &str) -> Result<Size, String> {
    text.parse().map_err(|e: spec::ConfigError| e.to_string())
}

fn layer(text: &str) -> Result<Layer, String> {
    text.parse().map_err(|e: spec::layer::LayerError| e.to_string())
}

/// `field=value` words of a memory on a bus of 16 bytes.
fn memory(text: &str) -> Result<MemorySpec, String> {
    let mut memory = MemorySpec::default();
    for word in text.split_whitespace() {
        let (field, value) = word.split_once('=').unwrap();
        let value = value.parse().unwrap();
        match field {
            "latency" => memory.latency = value,
            "bytes_per_cycle" => memory.bytes_per_cycle = Some(value),
            "outstanding" => memory.outstanding = value,
            "stall_percent" => memory.stall_percent = value,
            _ => panic!("{field}"),
        }
    }
    memory.check(16).map(|()| memory).map_err(|e| e.to_string())
}

/// One input a line, its message indented below it.
fn section<T: std::fmt::Debug>(
    title: &str,
    read: impl Fn(&str) -> Result<T, String>,
    inputs: &[&str],
) -> String {
    let mut out = format!("# {title}\n\n");
    for input in inputs {
        let message = read(input).expect_err(input).replace('\n', "\n    ");
        let _ = writeln!(out, "{}\n    {message}", input.replace('\n', "; "));
    }
    out + "\n"
}

fn snapshot() -> String {
    let sections = [
        section(
            "Fields of a config, the others those of `default`",
            config,
            &[
                "rows = 0",
                "rows = 17",
                "rows = 4294967295",
                "cols = 0",
                "cols = 2",
                "cols = 30",
                "cols = 68",
                "cols = 4294967292",
                "lanes = 0",
                "lanes = 3",
                "lanes = 32",
                "cols = 12\nlanes = 8",
                "operand_bits = 0",
                "operand_bits = 4",
                "operand_bits = 32",
                "post = 1",
                "operand_bits = 16\npost = true",
                "bus_bits = 0",
                "bus_bits = 16",
                "bus_bits = 96",
                "bus_bits = 1024",
                "burst_beats = 0",
                "burst_beats = 4",
                "burst_beats = 24",
                "burst_beats = 128",
                "outstanding = 0",
                "outstanding = 17",
                "ibuf = 1023",
                "ibuf = \"9MiB\"",
                "ibuf = 9223372036854775807",
                "wbuf = \"0B\"",
                "wbuf = \"9MiB\"",
                "cols = 4\nwbuf = \"8MiB\"",
                "obuf = 511",
                "obuf = \"9MiB\"",
                "pbuf = 255",
                "pbuf = 511",
                "pbuf = \"9MiB\"",
                "cols = 64\npbuf = \"512B\"",
                "lanes = 1\npbuf = \"1MiB\"",
            ],
        ),
        section(
            "Config files",
            whole_config,
            &[
                "",
                "rows = 7",
                "rows = 7\ncols = 32",
                "rows = 7\ncols = 32\nibuf = \"64KiB\"",
                "rows = 7\ncols = 32\nibuf = \"64KiB\"\nwbuf = \"64KiB\"",
                "row = 7",
                "rows = -1",
                "rows = 4294967296",
                "rows = 7.5",
                "rows = \"7\"",
                "rows = true",
                "rows = 7\nrows = 8",
                "rows =",
                "[default]\nrows = 7",
                "ibuf = \"64kB\"",
                "ibuf = -1",
                "ibuf = true",
                "ibuf = [1]",
            ],
        ),
        section("Names given to a config", name, &["", "a b", "../up", &"x".repeat(41), "ä"]),
        section("Named configs", named, &["", "Default", "big"]),
        section(
            "Sizes",
            size,
            &["", "KiB", "64k", "64 KB", "-1", "1.5KiB", "18446744073709551616", "18014398509481984KiB"],
        ),
        section(
            "Layers",
            layer,
            &[
                "",
                "pool k=2",
                "conv",
                "conv cin=1 h=1 w=1 cout=1",
                "conv cin=1 h=1 w=1 cout=1 kh=1",
                "conv h=1 w=1 cout=1 k=1",
                "conv cin=1 w=1 cout=1 k=1",
                "conv cin=1 h=1 cout=1 k=1",
                "conv cin=1 h=1 w=1 k=1",
                "fc",
                "fc in=1",
                "fc out=1",
                "conv cin=1 h=1 w=1 cout=1 k=1 c=3",
                "fc in=1 out=1 h=3",
                "fc in=1 out=1 in=2",
                "conv cin=1 h=1 w=1 cout=1 k=1 kw=2",
                "fc in=1 out=1 relu relu",
                "fc in=1 out=1 relu=2",
                "fc in=x out=1",
                "fc in out=1",
                "fc in= out=1",
                "fc in=-1 out=1",
                "fc in=1.5 out=1",
                "fc in=4294967296 out=1",
                "fc in=0 out=1",
                "fc in=65536 out=1",
                "fc in=1 out=0",
                "fc in=1 out=65536",
                "fc in=1 out=1 batch=0",
                "fc in=1 out=1 batch=65536",
                "conv cin=0 h=1 w=1 cout=1 k=1",
                "conv cin=1 h=0 w=1 cout=1 k=1",
                "conv cin=1 h=65536 w=1 cout=1 k=1",
                "conv cin=1 h=1 w=0 cout=1 k=1",
                "conv cin=1 h=1 w=65536 cout=1 k=1",
                "conv cin=1 h=1 w=1 cout=0 k=1",
                "conv cin=1 h=1 w=1 cout=1 k=0",
                "conv cin=1 h=300 w=300 cout=1 k=256",
                "conv cin=1 h=9 w=9 cout=1 k=3 stride=0",
                "conv cin=1 h=9 w=9 cout=1 k=3 stride=256",
                "conv cin=1 h=9 w=9 cout=1 k=3 dil=0",
                "conv cin=1 h=9 w=9 cout=1 k=3 dil=256",
                "conv cin=1 h=9 w=9 cout=1 k=3 groups=0",
                "conv cin=1 h=9 w=9 cout=1 k=3 pad=3",
                "conv cin=1 h=9 w=9 cout=1 k=3 pl=4294967295",
                "conv cin=1 h=9 w=9 cout=1 k=1 pb=1",
                "conv cin=1 h=2 w=9 cout=1 k=3",
                "conv cin=1 h=9 w=4 cout=1 k=3 dil=2",
                "conv cin=6 h=1 w=1 cout=4 k=1 groups=3",
                "conv cin=4 h=1 w=1 cout=6 k=1 groups=3",
                "conv cin=65535 h=65535 w=2 cout=1 k=1",
                "conv cin=65535 h=2 w=2 cout=65535 k=2",
                "conv cin=1 h=65535 w=2 cout=65535 k=1",
            ],
        ),
        section(
            "Memories, on a bus of 16 bytes",
            memory,
            &[
                "latency=0",
                "latency=1000001",
                "bytes_per_cycle=0",
                "bytes_per_cycle=3",
                "bytes_per_cycle=32",
                "outstanding=0",
                "stall_percent=91",
            ],
        ),
    ];
    sections.concat()
}

#[test]
fn messages_are_as_committed() {
    let found = snapshot();
    if std::env::var_os("KOCH_BLESS").is_some() {
        std::fs::write(SNAPSHOT, found).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(SNAPSHOT).unwrap_or_default();
    for (found, committed) in found.lines().zip(committed.lines()) {
        assert_eq!(
            found, committed,
            "bad_input.txt is out of date: run `make bless` and look at the difference"
        );
    }
    assert_eq!(found.len(), committed.len(), "bad_input.txt is out of date: run `make bless`");
}

prop_compose! {
    /// A number that is often near a limit.
    fn number()(any in any::<u32>(), shift in 0..32u32, near in -2..=2i64, how in 0..3) -> u32 {
        match how {
            0 => any,
            1 => any >> shift,
            _ => ((1i64 << shift) + near).clamp(0, i64::from(u32::MAX)) as u32,
        }
    }
}

prop_compose! {
    fn any_spec()(
        small in prop::array::uniform7(prop::option::weighted(0.95, number())),
        legal in prop::array::uniform7(prop::bool::weighted(0.7)),
        flags in prop::array::uniform2(prop::option::of(any::<bool>())),
        sizes in prop::array::uniform5(prop::option::weighted(0.95, (number(), 0..40u32))),
    ) -> ConfigSpec {
        let choices: [&[u32]; 7] = [
            &[1, 2, 7, 8, 15, 16], &[4, 8, 12, 32, 36, 60, 64], &[1, 2, 4, 8, 16], &[8, 16],
            &[32, 64, 128, 256, 512], &[8, 16, 32, 64], &[1, 2, 8, 16],
        ];
        let pick = |k: usize| small[k].map(|n| if legal[k] { choices[k][n as usize % choices[k].len()] } else { n });
        let size = |k: usize| sizes[k].map(|(n, shift)| Size(u64::from(n) << shift));
        ConfigSpec {
            rows: pick(0), cols: pick(1), lanes: pick(2), operand_bits: pick(3),
            bus_bits: pick(4), burst_beats: pick(5), outstanding: pick(6), by_channel: flags[0], post: flags[1],
            ibuf: size(0), wbuf: size(1), obuf: size(2), pbuf: size(3), rbuf: size(4),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// No numbers make the constructor, or what is derived from a config, panic or overflow.
    #[test]
    fn any_numbers_are_a_config_or_refused(spec in any_spec()) {
        if let Ok(config) = Config::new("any", spec) {
            prop_assert!(config.wbuf_words() <= spec::config::MAX_WBUF_WORDS);
            prop_assert!(config.pbuf_words() <= spec::config::MAX_PBUF_WORDS);
            prop_assert!(config.wbuf_words() > 0 && config.wbuf_words() * config.wbuf_stride() <= 1 << 24 && config.pbuf_words() > 0 && config.chunks() > 0);
            prop_assert!(config.abuf_stride() <= config.obuf && config.abuf_stride() < config.ibuf);
            prop_assert!(spec::timing::fetch_batch(&config) > 0 && config.peak() > 0);
            for depth in [false, true] {
                prop_assert!(spec::timing::tile_gap(&config, depth) > 0);
                prop_assert!(spec::timing::issue_to_drain(&config, depth) > 0);
            }
            // What is printed reads back as the same config.
            let again = Config::new("any", ConfigSpec::from_toml(&config.to_toml()).unwrap()).unwrap();
            prop_assert_eq!(again.hash(), config.hash());
            prop_assert_eq!(again, config);
        }
    }

    #[test]
    fn any_text_is_a_config_or_refused(text in "((rows|cols|ibuf|x) ?= ?[-\"0-9a-zA-Z.]{0,12}\n){0,3}") {
        let _ = whole_config(&text);
    }

    #[test]
    fn any_text_is_a_size_or_refused(text in "[0-9]{0,24} ?(B|KiB|MiB|.)?") {
        if let Ok(size) = text.parse::<Size>() {
            prop_assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
        }
    }

    #[test]
    fn any_text_is_a_layer_or_refused(
        kind in "(conv|fc)",
        words in "( (cin|h|w|cout|k|kw|stride|pad|pl|dil|groups|batch|in|out)=[0-9]{1,6}){0,9}",
    ) {
        if let Ok(layer) = layer(&(kind + &words)) {
            prop_assert_eq!(layer.to_string().parse::<Layer>().unwrap(), layer);
        }
    }

    #[test]
    fn any_memory_is_checked(numbers in prop::array::uniform4(number()), shift in 0..7u32) {
        let [latency, bytes, outstanding, stall_percent] = numbers;
        let spec =
            MemorySpec { latency, bytes_per_cycle: Some(bytes), outstanding, stall_percent, ..MemorySpec::default() };
        if spec.check(4 << shift.min(4)).is_ok() {
            prop_assert!(spec.beat_interval(4 << shift.min(4)) >= 1);
        }
    }
}
