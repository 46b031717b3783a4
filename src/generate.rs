//! `koch generate`.

use crate::args::{ConfigArgs, write_file};
use crate::{Failure, Outcome};
use spec::Config;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Directory to write to; made if it is not there.
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
}

pub fn run(args: &Args) -> Outcome {
    let config = args.config.resolve()?;
    let names = write(&config, &args.output)?;
    eprintln!(
        "koch: {} ({}): {} files in {}",
        config.name,
        config.hash(),
        names.len(),
        args.output.display()
    );
    for name in names {
        say!("{}", args.output.join(name).display());
    }
    Ok(())
}

/// Writes the Verilog of `config`, `koch.f` that lists it in order, the constants for software and testbenches, and
/// the config itself.
pub fn write(config: &Config, dir: &Path) -> Result<Vec<String>, Failure> {
    let design = hdl::koch::design(config);
    design.check().map_err(|errors| {
        let text = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        Failure::Mismatch(format!(
            "the generated design breaks its own rules, please report this config:\n{text}"
        ))
    })?;
    std::fs::create_dir_all(dir)
        .map_err(|e| Failure::Input(format!("{}: {e}; choose a place that can be written", dir.display())))?;
    let mut files = design.files();
    let list: String = files.iter().map(|(name, _)| format!("{name}\n")).collect();
    files.push(("koch.f".to_owned(), list));
    files.push(("config.toml".to_owned(), config.to_toml()));
    let constants = spec::docs::generated().into_iter();
    files
        .extend(constants.filter_map(|(path, text)| Some((path.strip_prefix("include/")?.to_owned(), text))));
    for (name, text) in &files {
        write_file(&dir.join(name), text.as_bytes())?;
    }
    Ok(files.into_iter().map(|(name, _)| name).collect())
}
