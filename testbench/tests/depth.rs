//! Random reductions by channel, with reductions over channels in between: RTL, model and the machine without time.

use spec::config::WORD;
use spec::isa::{Depth, End, Instruction, Load, Quant, Rect, Store, Taps, activation};
use spec::program::Segment;
use spec::{Config, ConfigSpec, Program, Size};
use testbench::cases::Draw;

mod campaign;
use campaign::campaign;

/// The map: its pixels lie one behind the other in a ring, from pixel `start` of it on.
struct Map {
    width: u32,
    height: u32,
    channels: u32,
    /// Operands between pixels.
    pitch: u32,
    /// Pixels that the ring holds.
    ring: u32,
    start: u32,
}

impl Map {
    /// Address of a pixel, which may lie before or beyond the map.
    fn address(&self, config: &Config, x: i64, y: i64) -> u32 {
        let pixel = (i64::from(self.start) + y * i64::from(self.width) + x).rem_euclid(self.ring.into());
        pixel as u32 * self.pitch * config.operand_bytes()
    }
}

/// A program that grows by passes over one map, and what it holds where.
struct Builder<'a> {
    config: &'a Config,
    d: &'a mut Draw,
    map: Map,
    compute: Vec<Instruction>,
    stores: Vec<Instruction>,
    weight_words: u32,
    param_words: u32,
    output_at: u32,
    stored: u32,
}

/// Where memory holds what.
const INPUT: u32 = 0x10_0000;
const WEIGHTS: u32 = 0x20_0000;
const PARAMS: u32 = 0x40_0000;
const OUTPUT: u32 = 0x50_0000;

impl Builder<'_> {
    fn quant(&mut self, depth: bool, op: u32) {
        let bits = self.config.operand_bits;
        let signed = self.d.chance(50);
        let zero = |d: &mut Draw, signed: bool| {
            let low = if signed { -(1 << (bits - 1)) } else { 0 };
            low + d.between(0, (1 << bits) - 1) as i32
        };
        let (x_zero, y_zero) = (zero(self.d, signed), zero(self.d, true));
        self.compute.push(
            Quant {
                x_signed: signed,
                x_zero,
                y_zero,
                y_min: -(1 << (bits - 1)),
                y_max: (1 << (bits - 1)) - 1,
                ring: self.map.ring * self.map.pitch * self.config.operand_bytes(),
                depth,
                op,
                layer: 0,
            }
            .into(),
        );
    }

    /// Stores `pixels` outputs of `channels` channels, `pitch` operands apart.
    fn store(&mut self, pixels: u32, channels: u32, pitch: u32) {
        let operand = self.config.operand_bytes();
        let bytes = pixels * channels * operand;
        self.stores.push(
            Store {
                pop_prev: 1,
                src: activation(1, self.output_at),
                seg_bytes: channels * operand,
                seg_pitch: pitch * operand,
                dst: OUTPUT + self.stored,
                run_bytes: bytes,
                runs: 1,
                ..Store::default()
            }
            .into(),
        );
        self.output_at += pixels * pitch * operand;
        self.stored += bytes;
    }

    /// A convolution of 1 × 1 over all channels.
    fn dense(&mut self) {
        let (config, operand) = (self.config, self.config.operand_bytes());
        self.quant(false, 0);
        let chunks = self.d.between(1, config.chunks());
        let channels = self.map.channels;
        let words = channels.div_ceil(WORD);
        let word_len = channels.div_ceil(words);
        self.compute.push(
            Taps {
                last: true,
                n_ky: 1,
                n_kx: 1,
                words,
                word_len,
                longs: channels - words * (word_len - 1),
                w_base: self.weight_words,
                p_base: self.param_words,
                chunks,
                ..Taps::default()
            }
            .into(),
        );
        self.weight_words += channels;
        self.param_words += chunks;
        let pitch = chunks * config.lanes;
        let (nx, ny) = (self.map.width, self.map.height);
        self.compute.push(
            Rect {
                push_next: true,
                in_base: self.map.address(config, 0, 0),
                in_x: self.map.pitch * operand,
                in_y: nx * self.map.pitch * operand,
                out_base: activation(1, self.output_at),
                out_x: pitch * operand,
                out_y: nx * pitch * operand,
                nx,
                ny,
                ..Rect::default()
            }
            .into(),
        );
        self.store(nx * ny, pitch, pitch);
    }

    /// A depthwise convolution or a pooling.
    fn depth(&mut self) {
        let (config, operand) = (self.config, self.config.operand_bytes());
        let Map { width, height, channels, pitch, .. } = self.map;
        let op = self.d.between(0, 2);
        let (kh, kw, stride) = (self.d.between(1, 4), self.d.between(1, 7), self.d.between(1, 4));
        let dilation = if self.d.chance(70) { 1 } else { self.d.between(2, 3) };
        let pad = |d: &mut Draw, most: u32| if d.chance(40) { 0 } else { d.between(0, most) };
        let (left, right) = (pad(self.d, 8), pad(self.d, 8));
        let (top, bottom) = (pad(self.d, kh - 1), pad(self.d, kh - 1));
        let outputs = |size: u32, reach: u32| (size + 1).checked_sub(reach).map_or(0, |n| n.div_ceil(stride));
        let nx = outputs(width + left + right, dilation * (kw - 1) + 1);
        let ny = outputs(height + top + bottom, kh);
        if nx == 0 || ny == 0 {
            return;
        }
        self.quant(true, op);
        let taps = if dilation > 1 { 1 } else { kw.div_ceil(stride) };
        let phases = if dilation > 1 { 1 } else { kw.min(stride) };
        let longs = if taps == 1 { phases } else { kw - (taps - 1) * stride };
        let bytes = pitch * operand;
        let group = config.depth_channels();
        let out_pitch = channels.next_multiple_of(config.lanes);
        for first in (0..channels).step_by(group as usize) {
            let chunks = group.min(channels - first).div_ceil(config.lanes);
            let mut y = 0;
            while y < ny {
                // Rows of the kernel that are in the map; rows that have all of them are one rectangle.
                let above = |y: u32| top.saturating_sub(y * stride);
                let below = |y: u32| (y * stride + kh).saturating_sub(height + top);
                let (skip, n_ky) = (above(y), kh - above(y) - below(y));
                let rows = (y..ny).take_while(|&y| above(y) == 0 && below(y) == 0).count().max(1) as u32;
                self.compute.push(
                    Depth {
                        n_ky,
                        n_kx: if dilation > 1 { kw } else { 1 },
                        ky_pitch: width * bytes,
                        kx_pitch: dilation * bytes,
                        phases,
                        taps,
                        longs,
                        phase_pitch: bytes,
                        w_base: self.weight_words + skip * kw,
                        p_base: self.param_words,
                        chunks,
                        stride,
                        kx_step: dilation,
                        pad: left,
                        width,
                    }
                    .into(),
                );
                let row = i64::from(y * stride + skip) - i64::from(top);
                self.compute.push(
                    Rect {
                        push_next: y + rows == ny && first + group >= channels,
                        in_base: self.map.address(config, -i64::from(left), row) + first * operand,
                        in_x: stride * bytes,
                        in_y: stride * width * bytes,
                        out_base: activation(1, self.output_at + (y * nx * out_pitch + first) * operand),
                        out_x: out_pitch * operand,
                        out_y: nx * out_pitch * operand,
                        nx,
                        ny: rows,
                        ..Rect::default()
                    }
                    .into(),
                );
                y += rows;
            }
            self.weight_words += kh * kw;
            self.param_words += chunks;
        }
        self.store(nx * ny, channels, out_pitch);
    }

    /// The program, if the buffers hold what it needs.
    fn finish(mut self) -> Option<Program> {
        let (config, operand) = (self.config, self.config.operand_bytes());
        let Map { width, height, channels, pitch, ring, .. } = self.map;
        let fits = ring * pitch * operand <= config.ibuf
            && self.weight_words <= config.wbuf_words()
            && self.param_words <= config.pbuf_words()
            && self.output_at <= config.obuf;
        let Some(Instruction::Rect(rect)) =
            self.compute.iter_mut().find(|i| matches!(i, Instruction::Rect(_)))
        else {
            return None;
        };
        if !fits {
            return None;
        }
        rect.pop_prev = 1;
        let bytes = channels * operand;
        // A row of the map is loaded in up to two parts: the ring may end in it.
        let mut code: Vec<Instruction> = Vec::new();
        for y in 0..height {
            let at = self.map.address(config, 0, y.into()) / (pitch * operand);
            let split = width.min(ring - at);
            for (x, n, at) in [(0, split, at), (split, width - split, 0)] {
                if n > 0 {
                    code.push(
                        Load {
                            src: INPUT + (y * width + x) * bytes,
                            run_bytes: n * bytes,
                            runs: 1,
                            dst: at * pitch * operand,
                            dst_pitch: pitch * operand,
                            row_bytes: bytes,
                            ..Load::default()
                        }
                        .into(),
                    );
                }
            }
        }
        let word = config.cols * operand;
        code.push(
            Load {
                buffer: 1,
                src: WEIGHTS,
                run_bytes: self.weight_words * word,
                runs: 1,
                dst_pitch: config.wbuf_stride(),
                row_bytes: word,
                ..Load::default()
            }
            .into(),
        );
        let params = self.param_words * config.pbuf_stride();
        code.push(
            Load {
                push_next: true,
                buffer: 2,
                src: PARAMS,
                run_bytes: params,
                runs: 1,
                dst_pitch: params,
                row_bytes: params,
                ..Load::default()
            }
            .into(),
        );
        code.append(&mut self.compute);
        code.append(&mut self.stores);
        code.push(End {}.into());
        let d = self.d;
        let mut random = |n: u32| -> Vec<u8> { (0..n).map(|_| d.between(0, 255) as u8).collect() };
        let input = random(width * height * bytes);
        let weights = random(self.weight_words * word);
        let mut parameters = Vec::new();
        for _ in 0..params / 8 {
            let bias = d.between(0, 20_000) as i32 - 10_000;
            let multiplier = d.between(1, 1000) as f32 / (1u32 << d.between(10, 20)) as f32;
            parameters.extend(bias.to_le_bytes());
            parameters.extend(multiplier.to_le_bytes());
        }
        let segment = |address, bytes| Segment { address, bytes };
        Some(Program {
            base: 0,
            code: code.iter().flat_map(|i| i.encode().unwrap_or_else(|e| panic!("{e}"))).collect(),
            data: vec![segment(INPUT, input), segment(WEIGHTS, weights), segment(PARAMS, parameters)],
            output: (OUTPUT, self.stored),
            limit: 0,
        })
    }
}

/// A program of a few passes that fits the config.
pub fn random_program(d: &mut Draw, config: &Config) -> Program {
    loop {
        let group = config.depth_channels();
        let channels = if d.chance(60) { d.between(1, group) } else { d.between(1, 3 * group) };
        let (width, height) = (d.between(1, 40), d.between(1, 9));
        // Groups of two words begin with a word.
        let pitch = if group > WORD { channels.next_multiple_of(WORD) } else { channels + d.between(0, 3) };
        // The ring holds the map, and what a kernel that begins before it reaches over.
        let least = (width * height).max(3 * width + 8 + 6 * 3 + 16 * 4);
        let ring = least + d.between(0, width);
        let start = d.between(0, ring - 1);
        let map = Map { width, height, channels, pitch, ring, start };
        let mut builder = Builder {
            config,
            d,
            map,
            compute: Vec::new(),
            stores: Vec::new(),
            weight_words: 0,
            param_words: 0,
            output_at: 0,
            stored: 0,
        };
        for _ in 0..builder.d.between(1, 4) {
            if builder.d.chance(25) { builder.dense() } else { builder.depth() }
        }
        if let Some(program) = builder.finish() {
            return program;
        }
    }
}

/// What the array has no part in.
fn small() -> ConfigSpec {
    ConfigSpec {
        operand_bits: Some(8),
        ibuf: Some(Size(64 << 10)),
        wbuf: Some(Size(64 << 10)),
        obuf: Some(Size(48 << 10)),
        pbuf: Some(Size(8 << 10)),
        bus_bits: Some(128),
        burst_beats: Some(16),
        outstanding: Some(4),
        ..ConfigSpec::default()
    }
}

/// A config: its columns give groups of channels of every kind.
fn random_config(d: &mut Draw, index: u64) -> Config {
    let cols = d.of(&[4u32, 8, 12, 16, 20, 32, 36, 64]);
    let lanes = d.of(&[1, 2, 4, 8, 16]).min(1 << cols.trailing_zeros());
    let spec = ConfigSpec {
        // At most 256 processing elements, which are soon built.
        rows: Some(d.between(1, (256 / cols).min(WORD))),
        cols: Some(cols),
        lanes: if d.chance(50) { None } else { Some(lanes) },
        operand_bits: Some(d.of(&[8, 8, 16])),
        wbuf: Some(Size(u64::from(d.of(&[16u32, 24, 64])) << 10)),
        obuf: Some(Size(u64::from(d.of(&[32u32, 48])) << 10)),
        bus_bits: Some(d.of(&[32, 64, 128])),
        ..small()
    };
    Config::new(&format!("depth-{index}"), spec).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn random_reductions_by_channel() {
    campaign(&Config::named("tiny").expect("a named config"), 1, 60, |d, c| Some(random_program(d, c)));
    campaign(&Config::named("default").expect("a named config"), 2, 60, |d, c| Some(random_program(d, c)));
    // The gap between tiles is another by channel.
    let gaps = ConfigSpec { rows: Some(16), cols: Some(4), lanes: Some(1), ..small() };
    campaign(&Config::new("gaps", gaps).unwrap_or_else(|e| panic!("{e}")), 3, 60, |d, c| {
        Some(random_program(d, c))
    });
    for index in 0..3 {
        campaign(&random_config(&mut Draw::new(3, index), index), 4 + index, 40, |d, c| {
            Some(random_program(d, c))
        });
    }
}
