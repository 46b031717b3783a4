//! `koch config`.

use crate::Outcome;
use crate::args::ConfigArgs;
use spec::Config;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// List the named configs.
    #[arg(long)]
    list: bool,
    /// JSON instead of TOML.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    if args.list {
        let configs = Config::names().iter().map(|n| Config::named(n)).collect::<Result<Vec<_>, _>>()?;
        if args.json {
            say!("{}", serde_json::to_string_pretty(&configs)?);
        } else {
            for config in configs {
                say!("# {} ({}): {} MACs\n{}", config.name, config.hash(), config.peak(), config.to_toml());
            }
        }
        return Ok(());
    }
    let config = args.config.resolve()?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&config)?);
    } else {
        say!(
            "# {} ({}): {} MACs\n{}",
            config.name,
            config.hash(),
            config.peak(),
            config.to_toml().trim_end()
        );
    }
    Ok(())
}
