//! Configs: the hardware design points, from a name, a TOML file and flags, through one validating constructor.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Operands of a word of an activation buffer, which is what one read brings. At least the number of rows.
pub const WORD: u32 = 16;
/// Instructions that each engine's queue holds.
pub const QUEUE_DEPTH: u32 = 8;
/// Load instructions between the requester and the writer.
pub const LOAD_WINDOW: u32 = 4;
/// Bytes of one channel's parameters: bias (int32) and multiplier (binary32).
pub const PARAM_BYTES: u32 = 8;
/// Most bytes of a buffer: what the offset of an activation address reaches.
const MAX_BUFFER: u32 = 4 << 20;
/// Most words of the weight buffer, which instructions address.
pub const MAX_WBUF_WORDS: u32 = 1 << 20;
/// Most words of the parameter buffer, which instructions address.
pub const MAX_PBUF_WORDS: u32 = 1 << 16;

const NAMED: &str = include_str!("../configs.toml");

/// Config fields as written in a TOML file or given as flags: everything optional, nothing checked yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigSpec {
    /// Rows of the array: output pixels per tile.
    pub rows: Option<u32>,
    /// Columns of the array: output channels per tile.
    pub cols: Option<u32>,
    /// Channels requantised per cycle.
    pub lanes: Option<u32>,
    /// Bits of an activation and of a weight, 8 or 16.
    pub operand_bits: Option<u32>,
    /// Reduction by channel.
    pub by_channel: Option<bool>,
    /// Post lanes.
    pub post: Option<bool>,
    /// Input buffer, bytes.
    pub ibuf: Option<Size>,
    /// Weight buffer, bytes.
    pub wbuf: Option<Size>,
    /// Output buffer, bytes.
    pub obuf: Option<Size>,
    /// Residual buffer (second operands), bytes.
    pub rbuf: Option<Size>,
    /// Parameter buffer (biases and multipliers), bytes.
    pub pbuf: Option<Size>,
    /// Width of the memory bus.
    pub bus_bits: Option<u32>,
    /// Longest AXI burst, beats.
    pub burst_beats: Option<u32>,
    /// Outstanding AXI read bursts (and, separately, write bursts).
    pub outstanding: Option<u32>,
}

/// A number of bytes, written as a number or as text with a unit: `"128KiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl std::str::FromStr for Size {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let digits = text.trim().find(|c: char| !c.is_ascii_digit()).unwrap_or(text.trim().len());
        let (number, unit) = text.trim().split_at(digits);
        let scale = match unit.trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            _ => 0,
        };
        number
            .parse()
            .ok()
            .filter(|_| scale != 0)
            .and_then(|n: u64| n.checked_mul(scale))
            .map(Self)
            .ok_or_else(|| {
                ConfigError(format!("`{text}` is no size: write bytes as 4096, 4096B, 4KiB or 1MiB"))
            })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n != 0 && n % (1 << 20) == 0 => write!(f, "{}MiB", n >> 20),
            n if n != 0 && n % (1 << 10) == 0 => write!(f, "{}KiB", n >> 10),
            n => write!(f, "{n}B"),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "expected bytes, as a number or as text with a unit: 4096, \"4KiB\" or \"1MiB\""
        )]
        enum Raw {
            Number(u64),
            Text(String),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Number(n) => Ok(Self(n)),
            Raw::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// A config that cannot be: the message names value, limit and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// One legal hardware design point. Every value of this type has passed [`Config::new`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Config {
    /// Name given by the user or by the table of named configs.
    pub name: String,
    /// Rows of the array: output pixels per tile, 1..=16.
    pub rows: u32,
    /// Columns of the array: output channels per tile, a multiple of 4 in 4..=64.
    pub cols: u32,
    /// Channels requantised per cycle: a power of two that divides `cols`, at most 16.
    pub lanes: u32,
    /// Bits of an activation and of a weight: 8 or 16.
    pub operand_bits: u32,
    /// The array can reduce by channel: depthwise convolution, pooling, what only moves channels.
    pub by_channel: bool,
    /// Lanes behind the requantisation, for second operands and tables; only with operands of 8 bits.
    pub post: bool,
    /// Input buffer, bytes.
    pub ibuf: u32,
    /// Weight buffer, bytes.
    pub wbuf: u32,
    /// Output buffer, bytes.
    pub obuf: u32,
    /// Residual buffer, bytes.
    pub rbuf: u32,
    /// Parameter buffer, bytes.
    pub pbuf: u32,
    /// Width of the memory bus: 32, 64, 128, 256 or 512.
    pub bus_bits: u32,
    /// Longest AXI burst in beats: a power of two in 8..=64.
    pub burst_beats: u32,
    /// Outstanding AXI read bursts, and write bursts: 1..=16.
    pub outstanding: u32,
}

/// The sizes that a buffer may have: `least..=most`, of which whole multiples of `unit` count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The config's field.
    pub name: &'static str,
    /// Bytes of a word, or of a pair of words.
    pub unit: u32,
    /// Fewest bytes.
    pub least: u32,
    /// Most bytes.
    pub most: u32,
}

/// Those of `ibuf`, `wbuf`, `obuf`, `rbuf` and `pbuf`. Units are a pair of bank words, one operand per column, one chunk
/// of parameters.
fn grids(cols: u32, lanes: u32, operand: u32) -> [Grid; 5] {
    let grid = |name, unit: u32, least, words: u32| Grid {
        name,
        unit,
        least,
        most: MAX_BUFFER.min(words.saturating_mul(unit)),
    };
    let pair = 2 * WORD * operand;
    // Parameters of two groups of channels: one in use, one being loaded.
    let params = (2 * cols * PARAM_BYTES).max(256);
    [
        grid("ibuf", pair, 1 << 10, u32::MAX),
        grid("wbuf", cols * operand, 1 << 10, MAX_WBUF_WORDS),
        grid("obuf", pair, 512, u32::MAX),
        grid("rbuf", pair, 512, u32::MAX),
        grid("pbuf", lanes * PARAM_BYTES, params, MAX_PBUF_WORDS),
    ]
}

fn check(
    field: &str,
    value: impl fmt::Display,
    legal: bool,
    limit: &str,
    remedy: &str,
) -> Result<(), ConfigError> {
    if legal {
        Ok(())
    } else {
        Err(ConfigError(format!("{field} = {value}: {field} must be {limit}; {remedy}")))
    }
}

fn check_name(name: &str) -> Result<(), ConfigError> {
    let legal = (1..=40).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    check("name", name, legal, "1 to 40 letters, digits, `-` or `_`", "rename the config or its file")
}

impl ConfigSpec {
    /// Reads TOML text; unknown keys are refused.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|e| {
            let e = e.to_string();
            ConfigError(format!("config file: {}\n`koch config` prints one to start from", e.trim_end()))
        })
    }

    /// These fields where given, else those of `base`.
    pub fn over(self, base: Self) -> Self {
        Self {
            rows: self.rows.or(base.rows),
            cols: self.cols.or(base.cols),
            lanes: self.lanes.or(base.lanes),
            operand_bits: self.operand_bits.or(base.operand_bits),
            by_channel: self.by_channel.or(base.by_channel),
            post: self.post.or(base.post),
            ibuf: self.ibuf.or(base.ibuf),
            wbuf: self.wbuf.or(base.wbuf),
            obuf: self.obuf.or(base.obuf),
            rbuf: self.rbuf.or(base.rbuf),
            pbuf: self.pbuf.or(base.pbuf),
            bus_bits: self.bus_bits.or(base.bus_bits),
            burst_beats: self.burst_beats.or(base.burst_beats),
            outstanding: self.outstanding.or(base.outstanding),
        }
    }

    /// The fields of a named config.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        named_specs()?.into_iter().find(|(n, _)| n == name).map(|(_, spec)| spec).ok_or_else(|| {
            let known = Config::names().join(", ");
            ConfigError(format!(
                "no config is named `{name}`: use one of {known}, or the path of a .toml file"
            ))
        })
    }
}

fn named_specs() -> Result<Vec<(String, ConfigSpec)>, ConfigError> {
    let table: toml::map::Map<String, toml::Value> =
        toml::from_str(NAMED).map_err(|e| ConfigError(format!("table of named configs: {e}")))?;
    let specs = table.into_iter().map(|(name, value)| match value.try_into() {
        Ok(spec) => Ok((name, spec)),
        Err(e) => Err(ConfigError(format!("named config `{name}`: {e}"))),
    });
    specs.collect()
}

impl Config {
    /// Names of the named configs.
    pub fn names() -> Vec<String> {
        named_specs().map(|specs| specs.into_iter().map(|(n, _)| n).collect()).unwrap_or_default()
    }

    /// A named config as it is.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        Self::new(name, ConfigSpec::named(name)?)
    }

    /// The one way to a config: fills in defaults and checks every limit.
    pub fn new(name: &str, spec: ConfigSpec) -> Result<Self, ConfigError> {
        let need = |field: &str, value: Option<u32>| {
            value.ok_or_else(|| {
                ConfigError(format!("{field} is missing: set it, or start from a named config"))
            })
        };
        check_name(name)?;
        let rows = need("rows", spec.rows)?;
        check(
            "rows",
            rows,
            (1..=WORD).contains(&rows),
            "1..=16",
            "use at least 1, and more columns for more MACs",
        )?;
        let cols = need("cols", spec.cols)?;
        let legal = (4..=64).contains(&cols) && cols % 4 == 0;
        check("cols", cols, legal, "a multiple of 4 in 4..=64", "use the nearest of these")?;
        let lanes = spec.lanes.unwrap_or_else(|| 8.min(1 << cols.trailing_zeros()));
        let legal = lanes.is_power_of_two() && lanes <= 16 && cols % lanes == 0;
        check(
            "lanes",
            lanes,
            legal,
            &format!("1, 2, 4, 8 or 16 and divide cols = {cols}"),
            "leave it out for the widest up to 8",
        )?;
        let operand_bits = spec.operand_bits.unwrap_or(8);
        let legal = operand_bits == 8 || operand_bits == 16;
        check("operand_bits", operand_bits, legal, "8 or 16", "quantise to 8 or 16 bits")?;
        let by_channel = spec.by_channel.unwrap_or(true);
        let post = spec.post.unwrap_or(operand_bits == 8);
        let legal = !post || operand_bits == 8;
        check("post", post, legal, "false with operand_bits = 16", "leave it out, or use operand_bits = 8")?;
        let bus_bits = spec.bus_bits.unwrap_or(128);
        let legal = bus_bits.is_power_of_two() && (32..=512).contains(&bus_bits);
        check("bus_bits", bus_bits, legal, "32, 64, 128, 256 or 512", "use the nearest of these")?;
        let burst_beats = spec.burst_beats.unwrap_or(16);
        let legal = burst_beats.is_power_of_two() && (8..=64).contains(&burst_beats);
        check("burst_beats", burst_beats, legal, "8, 16, 32 or 64", "use the nearest of these")?;
        let outstanding = spec.outstanding.unwrap_or(8);
        check(
            "outstanding",
            outstanding,
            (1..=16).contains(&outstanding),
            "1..=16",
            "bring it into the range",
        )?;

        let operand = operand_bits / 8;
        let bytes = |Grid { name: field, unit, least, most }: Grid, size: Option<Size>| {
            let size = size.ok_or_else(|| {
                ConfigError(format!("{field} is missing: set it, e.g. {field} = \"64KiB\""))
            })?;
            let [least, most] = [least, most].map(|b| Size(b.into()));
            let legal = (least..=most).contains(&size);
            let limit = format!("{least}..={most}");
            check(field, size, legal, &limit, "bring it into the range")?;
            Ok(size.0 as u32 / unit * unit)
        };
        let [ibuf, wbuf, obuf, rbuf, pbuf] = grids(cols, lanes, operand);
        Ok(Self {
            name: name.to_owned(),
            rows,
            cols,
            lanes,
            operand_bits,
            by_channel,
            post,
            ibuf: bytes(ibuf, spec.ibuf)?,
            wbuf: bytes(wbuf, spec.wbuf)?,
            obuf: bytes(obuf, spec.obuf)?,
            rbuf: bytes(rbuf, spec.rbuf.or(spec.obuf))?,
            pbuf: bytes(pbuf, spec.pbuf.or(Some(Size(8 << 10))))?,
            bus_bits,
            burst_beats,
            outstanding,
        })
    }

    /// The same design point under another name.
    pub fn renamed(mut self, name: &str) -> Result<Self, ConfigError> {
        check_name(name)?;
        self.name = name.to_owned();
        Ok(self)
    }

    /// What sizes its buffers may have: `ibuf`, `wbuf`, `obuf`, `rbuf`, `pbuf`.
    pub fn grids(&self) -> [Grid; 5] {
        grids(self.cols, self.lanes, self.operand_bytes())
    }

    /// Bytes of `ibuf`, `wbuf`, `obuf`, `rbuf` and `pbuf`.
    pub fn buffers(&self) -> [u32; 5] {
        [self.ibuf, self.wbuf, self.obuf, self.rbuf, self.pbuf]
    }

    /// The same design point with buffers of other sizes, which must be on their grids.
    pub fn resized(&self, buffers: [u32; 5]) -> Self {
        debug_assert!(
            self.grids().iter().zip(buffers).all(|(g, b)| b % g.unit == 0 && b <= g.most),
            "{buffers:?}"
        );
        let [ibuf, wbuf, obuf, rbuf, pbuf] = buffers;
        Self { ibuf, wbuf, obuf, rbuf, pbuf, ..self.clone() }
    }

    /// MACs per cycle.
    pub fn peak(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.cols)
    }

    /// Bytes of an operand.
    pub fn operand_bytes(&self) -> u32 {
        self.operand_bits / 8
    }

    /// Bytes of one beat on the memory bus.
    pub fn bus_bytes(&self) -> u32 {
        self.bus_bits / 8
    }

    /// Bytes of one word of an activation buffer's bank: what is read or written at a time.
    pub fn abuf_stride(&self) -> u32 {
        WORD * self.operand_bytes()
    }

    /// Bytes between words of the weight buffer in the address space of load instructions: one operand per
    /// column, padded to a power of two.
    pub fn wbuf_stride(&self) -> u32 {
        (self.cols * self.operand_bytes()).next_power_of_two()
    }

    /// Words of the weight buffer: reduction steps that it holds.
    pub fn wbuf_words(&self) -> u32 {
        self.wbuf / (self.cols * self.operand_bytes())
    }

    /// Bytes of one word of the parameter buffer: the parameters of one chunk of `lanes` channels.
    pub fn pbuf_stride(&self) -> u32 {
        self.lanes * PARAM_BYTES
    }

    /// Words of the parameter buffer: chunks of `lanes` channels.
    pub fn pbuf_words(&self) -> u32 {
        self.pbuf / self.pbuf_stride()
    }

    /// Bytes that the drain writes at a time.
    pub fn chunk_bytes(&self) -> u32 {
        self.lanes * self.operand_bytes()
    }

    /// Channels that the array works on at a time where it reduces by channel: those of two words, if it has the
    /// columns. None if it cannot.
    pub fn depth_channels(&self) -> u32 {
        if !self.by_channel {
            return 0;
        }
        let words = if self.cols >= 2 * WORD { 2 * WORD } else { WORD };
        self.cols.min(words) / self.lanes * self.lanes
    }

    /// Chunks of `lanes` channels in a row of the array.
    pub fn chunks(&self) -> u32 {
        self.cols / self.lanes
    }

    /// The config as canonical TOML: what `koch config` prints and [`Self::hash`] covers.
    pub fn to_toml(&self) -> String {
        let Self { rows, cols, lanes, operand_bits, by_channel, post, .. } = self;
        let Self { bus_bits, burst_beats, outstanding, .. } = self;
        let [ibuf, wbuf, obuf, rbuf, pbuf] =
            [self.ibuf, self.wbuf, self.obuf, self.rbuf, self.pbuf].map(|b| Size(u64::from(b)));
        format!(
            "rows = {rows}\ncols = {cols}\nlanes = {lanes}\noperand_bits = {operand_bits}\n\
             by_channel = {by_channel}\npost = {post}\nibuf = \"{ibuf}\"\nwbuf = \"{wbuf}\"\nobuf = \"{obuf}\"\nrbuf = \"{rbuf}\"\npbuf = \"{pbuf}\"\nbus_bits = {bus_bits}\n\
             burst_beats = {burst_beats}\noutstanding = {outstanding}\n"
        )
    }

    /// Sixteen hexadecimal digits that name the design point: the start of the SHA-256 of [`Self::to_toml`].
    pub fn hash(&self) -> String {
        use sha2::Digest as _;
        sha2::Sha256::digest(self.to_toml()).iter().take(8).map(|b| format!("{b:02x}")).collect()
    }
}
