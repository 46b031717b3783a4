//! What is generated: the same bytes each time, a file for each module, headers, and no word from any tool.

use hdl::koch::design;
use hdl::tools::lint;
use spec::{Config, ConfigSpec};

fn corner(name: &str, toml: &str) -> Config {
    let spec = ConfigSpec::from_toml(toml).expect("legal TOML");
    Config::new(name, spec).expect("a legal config")
}

/// One row and one lane with a narrow bus; the widest of everything; sizes that are no powers of two; words narrower than the bus.
fn corners() -> Vec<Config> {
    vec![
        corner(
            "least",
            "rows = 1\ncols = 4\nlanes = 1\nibuf = \"1KiB\"\nwbuf = \"1KiB\"\nobuf = \"512B\"\npbuf = \"512B\"\nbus_bits = 32\n",
        ),
        corner(
            "odd",
            "rows = 3\ncols = 12\nibuf = \"3KiB\"\nwbuf = \"3KiB\"\nobuf = \"3KiB\"\npbuf = \"3KiB\"\nbus_bits = 512\n",
        ),
        corner(
            "wide",
            "rows = 2\ncols = 64\nlanes = 16\noperand_bits = 16\nibuf = \"8KiB\"\nwbuf = \"16KiB\"\nobuf = \"4KiB\"\nbus_bits = 128\n",
        ),
        corner(
            "tall",
            "rows = 16\ncols = 4\noperand_bits = 16\nibuf = \"4KiB\"\nwbuf = \"5KiB\"\nobuf = \"3KiB\"\nbus_bits = 256\n",
        ),
        corner(
            "padded",
            "rows = 2\ncols = 12\noperand_bits = 16\nibuf = \"4KiB\"\nwbuf = \"3KiB\"\nobuf = \"2KiB\"\nbus_bits = 256\n",
        ),
    ]
}

fn silent(configs: &[Config]) {
    for config in configs {
        if let Err(said) = lint(&design(config), "koch") {
            panic!("config {}:\n{said}", config.name);
        }
    }
}

fn named(name: &str) -> Config {
    Config::named(name).expect("a named config")
}

#[test]
fn no_tool_says_a_word_about_small_configs() {
    silent(&[named("tiny"), corners().remove(0), corners().remove(1)]);
}

#[test]
fn no_tool_says_a_word_about_wide_configs() {
    silent(&corners()[2..]);
}

#[test]
fn no_tool_says_a_word_about_default() {
    silent(&[named("default")]);
}

#[test]
fn no_tool_says_a_word_about_the_other_named_configs() {
    let names = Config::names();
    let others: Vec<Config> =
        names.iter().filter(|n| !["tiny", "default"].contains(&n.as_str())).map(|n| named(n)).collect();
    silent(&others);
}

#[test]
fn every_config_passes_the_checker() {
    let all = Config::names().into_iter().map(|n| named(&n)).chain(corners());
    for config in all {
        assert_eq!(design(&config).check(), Ok(()), "config {}", config.name);
    }
}

#[test]
fn the_same_config_gives_the_same_bytes() {
    for name in Config::names() {
        assert_eq!(design(&named(&name)).files(), design(&named(&name)).files(), "config {name}");
    }
}

#[test]
fn a_file_for_each_module_with_a_header() {
    for config in Config::names().into_iter().map(|n| named(&n)).chain(corners()) {
        let design = design(&config);
        let config_line = format!("Config {}, {}.", config.name, config.hash());
        assert_eq!(design.modules.last().map(|m| m.name.as_str()), Some("koch"));
        for (module, (file, text)) in design.modules.iter().zip(design.files()) {
            assert_eq!(file, format!("{}.sv", module.name));
            assert!(module.name == "koch" || module.name.starts_with("koch_"), "{}", module.name);
            assert_eq!(text.matches("\nmodule ").count(), 1, "{file}");
            assert!(text.contains(&format!("\nmodule {} ", module.name)), "{file}");
            let header: Vec<&str> = text.lines().take_while(|l| l.starts_with("//")).collect();
            assert!(header[0].len() > 20, "{file}: no purpose");
            let latency = header.iter().any(|l| l.starts_with("// Latency: "));
            assert!(latency || module.name == "koch", "{file}: no latency");
            assert!(header.iter().any(|l| l.contains(&config_line)), "{file}: no config");
        }
    }
}
