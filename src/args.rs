//! Options that several verbs share.

use crate::Failure;
use bitstreams::Board;
use clap::Args;
use compiler::{npy, onnx};
use footprint::{Graph, import, table};
use spec::layer::{Layer, LayerData};
use spec::{Config, ConfigSpec, MemorySpec, Size};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Which hardware.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Config")]
pub struct ConfigArgs {
    /// A named config, or a TOML file.
    #[arg(long, default_value = "default", value_name = "NAME|FILE")]
    pub config: String,
    /// Rows of the array: output pixels per tile.
    #[arg(long)]
    rows: Option<u32>,
    /// Columns of the array: output channels per tile.
    #[arg(long)]
    cols: Option<u32>,
    /// Channels requantised per cycle.
    #[arg(long)]
    lanes: Option<u32>,
    /// Bits of an operand: 8 or 16.
    #[arg(long, value_name = "BITS")]
    operand_bits: Option<u32>,
    /// Reduction by channel: depthwise convolution, pooling.
    #[arg(long, value_name = "BOOL")]
    by_channel: Option<bool>,
    /// Lanes for second operands and tables.
    #[arg(long, value_name = "BOOL")]
    post: Option<bool>,
    /// Input buffer, as 128KiB.
    #[arg(long, value_name = "SIZE")]
    ibuf: Option<Size>,
    /// Weight buffer.
    #[arg(long, value_name = "SIZE")]
    wbuf: Option<Size>,
    /// Output buffer.
    #[arg(long, value_name = "SIZE")]
    obuf: Option<Size>,
    /// Residual buffer.
    #[arg(long, value_name = "SIZE")]
    rbuf: Option<Size>,
    /// Parameter buffer.
    #[arg(long, value_name = "SIZE")]
    pbuf: Option<Size>,
    /// Width of the memory bus.
    #[arg(long, value_name = "BITS")]
    bus_bits: Option<u32>,
    /// Longest AXI burst.
    #[arg(long, value_name = "BEATS")]
    burst_beats: Option<u32>,
    /// Outstanding bursts of the accelerator.
    #[arg(long, value_name = "BURSTS")]
    outstanding: Option<u32>,
}

/// Name and fields of a named config or a TOML file.
fn spec_of(config: &str) -> Result<(String, ConfigSpec), Failure> {
    if config.ends_with(".toml") || config.contains('/') {
        let path = Path::new(config);
        let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or("config");
        return Ok((name.to_owned(), ConfigSpec::from_toml(&read_text(path)?)?));
    }
    Ok((config.to_owned(), ConfigSpec::named(config)?))
}

impl ConfigArgs {
    /// The config that is meant.
    pub fn resolve(&self) -> Result<Config, Failure> {
        let (name, base) = spec_of(&self.config)?;
        let flags = ConfigSpec {
            rows: self.rows,
            cols: self.cols,
            lanes: self.lanes,
            operand_bits: self.operand_bits,
            by_channel: self.by_channel,
            post: self.post,
            ibuf: self.ibuf,
            wbuf: self.wbuf,
            obuf: self.obuf,
            rbuf: self.rbuf,
            pbuf: self.pbuf,
            bus_bits: self.bus_bits,
            burst_beats: self.burst_beats,
            outstanding: self.outstanding,
        };
        let plain = Config::new(&name, base.clone());
        let config = Config::new(&name, flags.over(base))?;
        // A config that the flags have changed is no longer the one of that name.
        match plain {
            Ok(plain) if plain == config => Ok(config),
            _ => Ok(config.renamed(&format!("{name}-modified"))?),
        }
    }
}

/// A config by its name or file.
pub fn config_of(text: &str) -> Result<Config, Failure> {
    let (name, spec) = spec_of(text)?;
    Ok(Config::new(&name, spec)?)
}

/// Which layer, with which numbers.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Layer")]
pub struct LayerArgs {
    /// The layer as text: "conv cin=192 h=13 w=13 cout=192 k=3 pad=1" or "fc in=2048 out=1000".
    #[arg(long, conflicts_with_all = ["model", "node", "input"])]
    layer: Option<String>,
    /// Seed of the layer's random numbers.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// An ONNX model: all of it, or with --node and --input a layer.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// A table of layers (CSV, one row per operator, NCHW sizes): each layer on its own, and their sum.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["layer", "model", "node", "input"])]
    pub table: Option<PathBuf>,
    /// A QLinearConv or QGemm node of the model.
    #[arg(long, requires = "model", requires = "input")]
    node: Option<String>,
    /// A .npy file with the network's inputs, or the node's own: float, uint8 pixels, or quantised already.
    #[arg(long, value_name = "FILE", requires = "model")]
    pub input: Option<PathBuf>,
    /// Which of the inputs.
    #[arg(long, default_value_t = 0)]
    pub index: usize,
}

/// Operands of the largest layer that is given numbers: beyond it, they would fill the memory of a workstation.
const MOST_OPERANDS: usize = 1 << 29;

impl LayerArgs {
    /// The model, if all of it is meant.
    pub fn network(&self) -> Option<&Path> {
        self.model.as_deref().filter(|_| self.node.is_none())
    }

    /// The layer with its name, and with its numbers where they come with it.
    pub fn shape(&self) -> Result<(String, Layer, Option<LayerData>), Failure> {
        if let (Some(model), Some(node), Some(input)) = (&self.model, &self.node, &self.input) {
            let network = onnx::Model::load(model)?;
            let array = npy::load(input)?;
            let (layer, data) = network.layer_for_image(node, &array, self.index)?;
            return Ok((format!("{node} of {}", model.display()), layer, Some(data)));
        }
        let Some(text) = &self.layer else {
            return Err(Failure::Input(
                "no layer is given: use --layer TEXT, --table FILE, or --model FILE with --node NAME and --input FILE"
                    .into(),
            ));
        };
        let layer: Layer = text.parse()?;
        Ok((layer.to_string(), layer, None))
    }

    /// The layer with its name and numbers, random ones if it has none.
    pub fn numbers(&self, config: &Config) -> Result<(String, Layer, LayerData), Failure> {
        let (name, layer, data) = self.shape()?;
        let operands = layer.input_len() + layer.weight_len() + layer.output_len();
        if operands > MOST_OPERANDS {
            return Err(Failure::Input(format!(
                "layer of {operands} operands: at most {MOST_OPERANDS} can be run with numbers; use `koch model`, \
                 which needs none, or a smaller layer"
            )));
        }
        let data = match data {
            Some(data) => data,
            None => LayerData::random(&layer, config.operand_bits, self.seed)?,
        };
        Ok((name, layer, data))
    }
}

/// How a network is compiled, and which part of it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Network")]
pub struct NetworkArgs {
    /// Steps of the network, counted from 1, as Rust writes ranges: 3..7 is 3 to 6, 3..=7 is 3 to 7. What they read
    /// is in memory, so nothing stays on chip between steps, as with --no-chain.
    #[arg(long, value_name = "A..B", value_parser = Steps::parse)]
    layers: Option<Steps>,
    /// Store every tensor in memory, even what would fit the buffers until it is read.
    #[arg(long)]
    no_chain: bool,
}

/// A range of steps as it was given, counted from 1.
#[derive(Clone, Debug)]
struct Steps {
    text: String,
    first: usize,
    /// One after the last.
    end: Option<usize>,
}

impl Steps {
    fn parse(text: &str) -> Result<Self, String> {
        let number = |n: &str| n.parse::<usize>().ok();
        let steps = text.split_once("..").and_then(|(a, b)| {
            let first = if a.is_empty() { 1 } else { number(a)? };
            let end = match b.strip_prefix('=') {
                Some(last) => Some(number(last)?.checked_add(1)?),
                None if b.is_empty() => None,
                None => Some(number(b)?),
            };
            Some(Self { text: text.to_owned(), first, end })
        });
        steps.ok_or_else(|| "no range of steps: write 3..7 for steps 3 to 6, 3..=7, 3.. or ..7".into())
    }
}

impl NetworkArgs {
    /// All steps.
    pub fn whole(no_chain: bool) -> Self {
        Self { layers: None, no_chain }
    }

    /// Refuses options of networks where none is meant.
    pub fn none(&self) -> Result<(), Failure> {
        let given = [("--layers", self.layers.is_some()), ("--no-chain", self.no_chain)];
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(Failure::Input(format!(
                "{flag} is for whole networks: give one with --model, without --node, or leave it out"
            ))),
            None => Ok(()),
        }
    }

    /// Whether tensors may stay on chip.
    pub fn chain(&self) -> bool {
        !self.no_chain && self.layers.is_none()
    }

    /// The part of a network of `count` steps that is meant, counted from 0.
    pub fn steps(&self, count: usize) -> Result<Range<usize>, Failure> {
        let Some(Steps { text, first, end }) = &self.layers else { return Ok(0..count) };
        let end = end.unwrap_or(count + 1);
        if *first < 1 || end <= *first || end > count + 1 {
            return Err(Failure::Input(format!(
                "--layers {text}: the network has steps 1 to {count}; give a range that holds some of them, as ..{}",
                count + 1
            )));
        }
        Ok(first - 1..end - 1)
    }
}

/// How the memory behaves.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Memory")]
pub struct MemoryArgs {
    /// Cycles from a read's acceptance to its first beat.
    #[arg(long, default_value_t = 40, value_name = "CYCLES")]
    latency: u32,
    /// Bytes per cycle; the bus width if not given.
    #[arg(long, value_name = "BYTES")]
    bytes_per_cycle: Option<u32>,
    /// Bursts of each kind that the memory takes at once.
    #[arg(long, default_value_t = 16, value_name = "BURSTS")]
    memory_outstanding: u32,
    /// Seed of the stall pattern.
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    stall_seed: u64,
    /// Per cent of cycles in which each channel stalls.
    #[arg(long, default_value_t = 0, value_name = "PER CENT")]
    stall_percent: u32,
}

impl MemoryArgs {
    /// The memory behaviour, checked for the bus of `config`.
    pub fn resolve(&self, config: &Config) -> Result<MemorySpec, Failure> {
        let memory = MemorySpec {
            latency: self.latency,
            bytes_per_cycle: self.bytes_per_cycle,
            outstanding: self.memory_outstanding,
            stall_seed: self.stall_seed,
            stall_percent: self.stall_percent,
            ..MemorySpec::default()
        };
        memory.check(config.bus_bytes())?;
        Ok(memory)
    }
}

/// Which part of a sweep.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Sweep")]
pub struct SweepArgs {
    /// A directory that `koch sweep` has written. For the engines over time, put a timeline.csv of `koch model
    /// --timeline` into it, for the picture of a network a graph.svg of `koch graph`.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Draw this network only.
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// The design point whose layers are drawn; the most efficient of those in layers.csv if not given.
    #[arg(long, value_name = "N")]
    point: Option<u64>,
}

impl SweepArgs {
    /// What the directory holds of it.
    pub fn read(&self) -> Result<report::Data, Failure> {
        let choice = report::Choice { point: self.point, network: self.network.clone() };
        Ok(report::Data::read(&self.dir, &choice)?)
    }
}

/// Which board, with which hardware on it.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Board")]
pub struct BoardArgs {
    /// A board of `koch boards`, or a board's folder.
    #[arg(long, value_name = "NAME|DIR")]
    board: String,
    /// A named config, or a TOML file; the board's own if not given.
    #[arg(long, value_name = "NAME|FILE")]
    config: Option<String>,
    /// The accelerator's clock; the board's own if not given.
    #[arg(long, value_name = "MHZ", value_parser = parse_mhz)]
    mhz: Option<f64>,
}

fn parse_mhz(text: &str) -> Result<f64, String> {
    let mhz = text.parse().ok().filter(|m| (1.0..=1000.0).contains(m));
    mhz.ok_or_else(|| "no clock: give MHz, 1 to 1000".into())
}

impl BoardArgs {
    /// The board and the config that are meant.
    pub fn resolve(&self) -> Result<(Board, Config), Failure> {
        let mut board = Board::find(&self.board)?;
        if let Some(mhz) = self.mhz {
            board = board.clocked(mhz)?;
        }
        let config = match &self.config {
            Some(name) => {
                let (name, spec) = spec_of(name)?;
                Config::new(&name, spec)?
            }
            None => board.config.clone(),
        };
        board.accepts(&config)?;
        Ok((board, config))
    }
}

/// A network by its sizes alone.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct SizesArgs {
    /// An ONNX model, float or quantised; its numbers are not read.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// A table of layers with what is between them, as CSV.
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
}

impl SizesArgs {
    /// The network's steps and tensors.
    pub fn graph(&self) -> Result<Graph, Failure> {
        match (&self.model, &self.table) {
            (Some(path), _) => import::graph(&onnx::Model::load(path)?).map_err(|e| e.in_file(path).into()),
            (None, Some(path)) => Ok(table::load(path)?),
            (None, None) => Err(Failure::Input("no network is given: use --model or --table".into())),
        }
    }
}

/// How results are printed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// One JSON object.
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// A CSV header and row.
    #[arg(long)]
    pub csv: bool,
}

/// Reads a text file.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::Input(format!("{}: {e}; give the path of a text file", path.display())))
}

/// Writes a file whole or not at all.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let error = |e: std::io::Error| {
        Failure::Input(format!("{}: {e}; choose a place that can be written", path.display()))
    };
    // Its own words would name a file that nobody asked for.
    let all = std::fs::Permissions::from_mode(0o666);
    let file = tempfile::Builder::new().permissions(all).tempfile_in(dir);
    let mut file = file.map_err(|e| error(e.kind().into()))?;
    file.write_all(bytes).map_err(error)?;
    file.persist(path).map_err(|e| error(e.error))?;
    Ok(())
}

/// The path of a picture, whose extension says of which kind.
pub fn picture_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|e| e.to_str()) {
        Some("svg" | "png") => Ok(path),
        _ => Err("ends neither in .svg nor in .png; give one of these".into()),
    }
}

/// Writes a picture as what its file's name says, a PNG with `scale` pixels to one of the picture.
pub fn write_picture(path: &Path, svg: &str, scale: u32) -> Result<(), Failure> {
    if path.extension().is_some_and(|e| e == "png") {
        write_file(path, &report::png(svg, scale)?)
    } else {
        write_file(path, svg.as_bytes())
    }
}
