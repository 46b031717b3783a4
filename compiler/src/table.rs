//! Functions of one element as tables of 256 entries.

/// A function of a real number, in binary32 as ONNX Runtime computes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Map {
    /// max(lo, min(x, hi)).
    Clip(f32, f32),
    /// x, or alpha × x where that is negative.
    LeakyRelu(f32),
    /// 1 ÷ (1 + e^−x).
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// Clip of alpha × x + beta to 0..=1.
    HardSigmoid(f32, f32),
    /// x × HardSigmoid(1 ÷ 6, 0.5).
    HardSwish,
    /// x + a constant.
    Add(f32),
    /// x × a constant.
    Mul(f32),
    /// x ÷ a constant.
    Div(f32),
    /// A constant − x.
    SubFrom(f32),
}

impl Map {
    /// The function's value.
    pub fn of(self, x: f32) -> f32 {
        match self {
            Self::Clip(lo, hi) => x.min(hi).max(lo),
            Self::LeakyRelu(alpha) if x < 0.0 => alpha * x,
            Self::LeakyRelu(_) => x,
            Self::Sigmoid => logistic(x),
            Self::Tanh => tanh(x),
            Self::HardSigmoid(alpha, beta) => (alpha * x + beta).clamp(0.0, 1.0),
            Self::HardSwish => x * (x * (1.0 / 6.0) + 0.5).clamp(0.0, 1.0),
            Self::Add(b) => x + b,
            Self::Mul(b) => x * b,
            Self::Div(b) => x / b,
            Self::SubFrom(b) => b - x,
        }
    }

    /// Whether a larger argument never gives a smaller value.
    pub fn is_monotone(self) -> bool {
        match self {
            Self::Clip(..) | Self::Sigmoid | Self::Tanh | Self::Add(_) => true,
            Self::LeakyRelu(a) | Self::HardSigmoid(a, _) | Self::Mul(a) | Self::Div(a) => a >= 0.0,
            Self::HardSwish | Self::SubFrom(_) => false,
        }
    }
}

/// How integers stand for real numbers: x = (element − zero) × scale, elements `lo..=hi`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The real number that a step stands for.
    pub scale: f32,
    /// The element that stands for 0.
    pub zero: i32,
    /// Smallest element.
    pub lo: i32,
    /// Largest element.
    pub hi: i32,
}

impl Scale {
    /// ONNX's DequantizeLinear.
    pub fn dequantise(&self, element: i32) -> f32 {
        element.wrapping_sub(self.zero) as f32 * self.scale
    }

    /// ONNX's QuantizeLinear.
    pub fn quantise(&self, x: f32) -> i32 {
        self.saturate(x / self.scale)
    }

    /// `clip(round(x) + zero)`.
    pub fn saturate(&self, x: f32) -> i32 {
        let rounded = (x.round_ties_even() as i64).saturating_add(self.zero.into());
        rounded.max(self.lo.into()).min(self.hi.into()) as i32
    }
}

/// The table of `f`: the output's bits by the bits of an input of 8 bits, signed or not.
pub fn table(signed: bool, f: impl Fn(i32) -> i32) -> Box<[u8; 256]> {
    Box::new(std::array::from_fn(|bits| f(element(bits as u8, signed)) as u8))
}

/// The element that 8 bits stand for.
pub fn element(bits: u8, signed: bool) -> i32 {
    if signed { i32::from(bits as i8) } else { i32::from(bits) }
}

/// ONNX Runtime's sigmoid on x86 with fused multiply-add: a quotient of polynomials.
fn logistic(x: f32) -> f32 {
    const P: [f32; 5] = [4.37031e-11, 1.1562732e-7, 6.085749e-5, 8.513771e-3, 2.4828795e-1];
    const Q: [f32; 6] = [6.1024737e-13, 5.7610214e-9, 6.291068e-6, 1.7019882e-3, 1.1681765e-1, 9.931519e-1];
    let x = x.clamp(-18.0, 18.0);
    ((horner(&P, x * x) * x) / horner(&Q, x * x) + 0.5).clamp(0.0, 1.0)
}

/// ONNX Runtime's hyperbolic tangent, likewise.
fn tanh(x: f32) -> f32 {
    const P: [f32; 7] = [
        -2.7607684e-16,
        2.000188e-13,
        -8.604672e-11,
        5.1222973e-8,
        1.48572235e-5,
        6.3726195e-4,
        4.8935246e-3,
    ];
    const Q: [f32; 4] = [1.1982584e-6, 1.1853471e-4, 2.2684347e-3, 4.893525e-3];
    let x = x.clamp(-9.0, 9.0);
    horner(&P, x * x) * x / horner(&Q, x * x)
}

/// A polynomial, its highest coefficient first.
fn horner(coefficients: &[f32], x: f32) -> f32 {
    coefficients.iter().fold(0.0, |sum: f32, c| sum.mul_add(x, *c))
}
