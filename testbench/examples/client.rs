//! Writes what a client of another making needs to run layers on a config: see `testbench::client`.
//!
//!     client CONFIG DIRECTORY COUNT
//!
//! CONFIG is a named config, a TOML file, or `random-SEED-INDEX`, the name that `random_config` gives.

use spec::{Config, ConfigSpec};
use std::path::Path;
use testbench::cases::random_config;

fn config(text: &str) -> Result<Config, String> {
    if let Some(numbers) = text.strip_prefix("random-") {
        let (seed, index) = numbers.split_once('-').ok_or(format!("{text}: random-SEED-INDEX"))?;
        let number = |n: &str| n.parse().map_err(|e| format!("{text}: {e}"));
        return Ok(random_config(number(seed)?, number(index)?));
    }
    if !text.ends_with(".toml") {
        return Config::named(text).map_err(|e| e.to_string());
    }
    let path = Path::new(text);
    let toml = std::fs::read_to_string(path).map_err(|e| format!("{text}: {e}"))?;
    let spec = ConfigSpec::from_toml(&toml).map_err(|e| e.to_string())?;
    let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or("config");
    Config::new(name, spec).map_err(|e| e.to_string())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match &arguments[..] {
        [text, directory, count] => config(text).and_then(|c| {
            let count = count.parse().map_err(|e| format!("{count}: {e}"))?;
            testbench::client::write(&c, Path::new(directory), count)
        }),
        _ => Err("client CONFIG DIRECTORY COUNT".to_owned()),
    };
    if let Err(e) = done {
        eprintln!("client: {e}");
        std::process::exit(2);
    }
}
