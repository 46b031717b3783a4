//! `koch graph`.

use crate::args::{SizesArgs, config_of, picture_file, write_picture};
use crate::memory::Precision;
use crate::{Failure, Outcome, timeline};
use ::report::{Chart, Data};
use clap::ValueEnum;
use compiler::network::Network;
use compiler::program::{Compiled, compile};
use drawing::fold::{Alike, fold};
use drawing::layers::{Layer, Layers};
use drawing::svg::{Home, Picture, count, svg};
use footprint::lives::Storage;
use footprint::{Graph, Role};
use spec::MemorySpec;
use std::collections::HashMap;
use std::path::PathBuf;

/// Width of the picture of a step.
const WIDTH: u32 = 1400;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    sizes: SizesArgs,
    /// A .svg or .png file.
    #[arg(short, long, value_name = "FILE", value_parser = picture_file)]
    output: PathBuf,
    /// Show which tensors stay on chip when this config computes the model, which is quantised then.
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "table")]
    config: Option<String>,
    /// Images at a time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    batch: u64,
    /// What an element is stored as; f32 if not given, and what the config computes with if there is one.
    #[arg(long, value_enum, conflicts_with = "config")]
    precision: Option<Precision>,
    /// Which blocks in a row are drawn once.
    #[arg(long, value_enum, default_value_t = Fold::Shape)]
    fold: Fold,
    /// What of it to draw.
    #[arg(long, value_enum, default_value_t = Level::Network)]
    level: Level,
    /// Which step of the network as the config computes it, counted from 1, as `koch compile --dump plan` lists them.
    #[arg(long, default_value_t = 1)]
    step: usize,
    /// Pixels of a PNG to one of the picture.
    #[arg(long, default_value_t = 2, value_name = "FACTOR", value_parser = clap::value_parser!(u32).range(1..=8))]
    scale: u32,
}

#[derive(ValueEnum, Clone, Copy)]
enum Fold {
    /// None.
    Never,
    /// Those that are equal.
    Equal,
    /// Those that are equal but for their channels.
    Shape,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Its layers, and the tensors between them.
    Network,
    /// One step of it, from tile to tile: what the engines do, and how full the array and the buffers are over time, by
    /// the cycle model. Needs --config.
    Tile,
}

/// By tensor of the graph: where the config has it. What is computed on the way has no place of its own.
fn homes(graph: &Graph, compiled: &Compiled) -> Vec<Home> {
    let tensors = compiled.lowered.network.tensors.iter().enumerate();
    let places: HashMap<&str, Home> = tensors
        .filter_map(|(id, tensor)| {
            let home = if compiled.chip(id).is_some() { Home::OnChip } else { Home::OffChip };
            (compiled.chip(id).is_some() || compiled.region(id).is_some())
                .then_some((tensor.name.as_str(), home))
        })
        .collect();
    let home = |id: usize| places.get(graph.tensors[id].name.as_str()).copied().unwrap_or(Home::Unknown);
    (0..graph.tensors.len()).map(home).collect()
}

/// The picture of a step.
fn draw_step(args: &Args) -> Result<String, Failure> {
    let (Some(model), Some(config)) = (&args.sizes.model, &args.config) else {
        return Err(Failure::Input(
            "--level tile: which config computes which model? give --model and --config".into(),
        ));
    };
    let (config, memory) = (config_of(config)?, MemorySpec::default());
    let compiled = compile(&Network::load(model)?, &config, false)?;
    let steps = &compiled.lowered.steps;
    let Some(step) = args.step.checked_sub(1).and_then(|index| steps.get(index)) else {
        return Err(Failure::Input(format!("--step {}: choose one of 1 to {}", args.step, steps.len())));
    };
    let name =
        format!("{}, step {} {}", compiled.lowered.network.name, args.step, compiled.lowered.name(step));
    let program = compiled.program(args.step - 1..args.step, None)?;
    let rows = timeline::rows(&name, &config, &program, &memory)?;
    let spans = rows.into_iter().map(Into::into).collect();
    let data = Data { timeline: Some([(name, spans)].into()), ..Data::default() };
    let figures = Chart::Timeline.figures(&data)?;
    let picture = figures.first().map(|f| ::report::svg(f, WIDTH, f.height + 40)).transpose()?;
    Ok(picture.unwrap_or_default())
}

/// The picture of a network, whose tensors are at home where `homes` says; `on` says where that is.
pub fn picture(
    graph: &Graph,
    storage: &Storage,
    mut homes: Vec<Home>,
    on: &str,
    alike: Alike,
) -> Result<String, Failure> {
    let layers = Layers::new(graph);
    // A layer has one colour: that of its tensor that is worst off.
    let outputs = |layer: &Layer| -> Vec<usize> {
        layer.steps.iter().flat_map(|&s| &graph.steps[s].outputs).copied().collect()
    };
    let mut marks = Vec::new();
    for layer in &layers.layers {
        let worst = outputs(layer).into_iter().map(|id| homes[id]).max().unwrap_or(Home::Unknown);
        outputs(layer).into_iter().for_each(|id| homes[id] = worst);
        marks.push(worst);
    }
    let subtitle = format!(
        "{} layers, {} MACs an image, {} weights; {} bits, batch {}{on}",
        layers.layers.len(),
        count(graph.macs()),
        count(graph.elements(Role::Weight) + graph.elements(Role::Norm)),
        storage.bits,
        storage.batch,
    );
    let parts = fold(&layers, alike, &marks);
    let picture =
        Picture { graph, layers: &layers, parts: &parts, storage, homes: &homes, subtitle: &subtitle };
    Ok(svg(&picture)?)
}

/// The picture of a model.
fn draw(args: &Args) -> Result<String, Failure> {
    let graph = args.sizes.graph()?;
    let mut bits = args.precision.unwrap_or(Precision::F32).bits();
    let (mut places, mut on) = (vec![Home::Unknown; graph.tensors.len()], String::new());
    if let (Some(model), Some(name)) = (&args.sizes.model, &args.config) {
        let config = config_of(name)?;
        bits = u64::from(config.operand_bits);
        let compiled = compile(&Network::load(model)?, &config, true)?;
        places = homes(&graph, &compiled);
        on = format!(", on {}", config.name);
    }
    let storage = Storage { batch: args.batch, bits, vector: 1 };
    let alike = match args.fold {
        Fold::Never => Alike::Never,
        Fold::Equal => Alike::Equal,
        Fold::Shape => Alike::Shape,
    };
    picture(&graph, &storage, places, &on, alike)
}

pub fn run(args: &Args) -> Outcome {
    let picture = if args.level == Level::Tile { draw_step(args)? } else { draw(args)? };
    write_picture(&args.output, &picture, args.scale)
}
