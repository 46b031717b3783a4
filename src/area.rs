//! `koch area`.

use crate::Outcome;
use crate::args::ConfigArgs;
use area::Model;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Coefficients and errors of the estimate, as docs/area.md shows them, instead of an estimate.
    #[arg(long)]
    fit: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Outcome {
    let model = Model::new()?;
    match (args.fit, args.json) {
        (true, true) => say!("{}", serde_json::to_string_pretty(model.resources())?),
        (true, false) => say!("{}", model.page().trim_end()),
        (false, json) => {
            let config = args.config.resolve()?;
            let area = model.estimate(&config);
            if json {
                let report = serde_json::json!({ "config": config, "area": area });
                say!("{}", serde_json::to_string_pretty(&report)?);
            } else {
                say!("config {} ({})", config.name, config.hash());
                say!("luts          {:>12}", area.luts);
                say!("ffs           {:>12}", area.ffs);
                say!("multipliers   {:>12}", area.multipliers);
                say!("block RAMs    {:>12}", area.block_rams);
                say!("transistors   {:>12}", area.transistors);
            }
        }
    }
    Ok(())
}
