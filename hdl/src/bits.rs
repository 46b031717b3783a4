//! The values that leaves compute with: [`Bits`] and [`Signed`].
//!
//! They carry rust-hdl's names and methods, so that its `hdl_gen` translates them, and replace its own types,
//! which multiply only 16 × 16 bits, recurse without end when a most negative number is widened, and keep
//! more than 32 bits as an array of `bool`.
//!
//! Operators take equal widths and wrap, as the printed Verilog does.

use rust_hdl_core::ast::VerilogLiteral;
use rust_hdl_core::bits::Bits as CoreBits;
use rust_hdl_core::direction::{In, Local, Out};
use rust_hdl_core::signal::Signal;
use rust_hdl_core::synth::{Synth, VCDValue};
use rust_hdl_core::type_descriptor::{TypeDescriptor, TypeKind};
use std::cmp::Ordering;
use std::fmt;
use std::ops;

/// The type of bare literals in leaves.
pub type LiteralType = u64;

const LIMBS: usize = 8;
/// The widest [`Bits`].
pub const MAX_BITS: usize = 64 * LIMBS;

/// `N` bits, unsigned; `N` up to 512.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bits<const N: usize>([u64; LIMBS]);

/// One bit.
pub type Bit = bool;

impl<const N: usize> Default for Bits<N> {
    #[inline]
    fn default() -> Self {
        Bits([0; LIMBS])
    }
}

impl<const N: usize> fmt::Debug for Bits<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N}'h")?;
        let top = self.0.iter().rposition(|l| *l != 0).unwrap_or(0);
        write!(f, "{:x}", self.0[top])?;
        self.0[..top].iter().rev().try_for_each(|l| write!(f, "{l:016x}"))
    }
}

impl<const N: usize> Bits<N> {
    const USED: usize = N.div_ceil(64);

    #[inline]
    fn masked(mut self) -> Self {
        assert!(N <= MAX_BITS);
        if !N.is_multiple_of(64) {
            self.0[Self::USED - 1] &= u64::MAX >> (64 - N % 64);
        }
        self
    }
    /// From limbs, least significant first; missing ones are zero, bits beyond `N` are dropped.
    pub fn from_limbs(limbs: &[u64]) -> Self {
        let mut out = Self::default();
        for (o, l) in out.0[..Self::USED].iter_mut().zip(limbs) {
            *o = *l;
        }
        out.masked()
    }
    /// Limbs, least significant first.
    pub fn limbs(&self) -> &[u64] {
        &self.0[..Self::USED.max(1)]
    }
    /// The low 64 bits.
    #[inline]
    pub fn to_u64(self) -> u64 {
        self.0[0]
    }
    /// All ones.
    pub fn mask() -> Self {
        !Self::default()
    }
    /// Bit `index`; false beyond the width.
    #[inline]
    pub fn get_bit(&self, index: usize) -> bool {
        index < N && self.0[index / 64] >> (index % 64) & 1 != 0
    }
    /// The same with bit `index` set to `value`.
    #[inline]
    pub fn replace_bit(&self, index: usize, value: bool) -> Self {
        let mut out = *self;
        if index < N {
            out.0[index / 64] = out.0[index / 64] & !(1 << (index % 64)) | u64::from(value) << (index % 64);
        }
        out
    }
    /// `M` bits from bit `index` up; zeros beyond the width.
    #[inline]
    pub fn get_bits<const M: usize>(&self, index: usize) -> Bits<M> {
        bit_cast::<M, N>(*self >> index as u64)
    }
    /// As an index.
    #[inline]
    pub fn index(&self) -> usize {
        self.0[0] as usize
    }
    /// Whether any bit is set.
    #[inline]
    pub fn any(&self) -> bool {
        self.0[..Self::USED].iter().any(|l| *l != 0)
    }
    /// Whether all bits are set.
    #[inline]
    pub fn all(&self) -> bool {
        *self == Self::mask()
    }
    /// Parity.
    #[inline]
    pub fn xor(&self) -> bool {
        self.0.iter().fold(0, |p, l| p ^ (l.count_ones() & 1)) != 0
    }
}

/// `M` low bits of `x`, zero-extended when `M` is larger.
#[inline]
pub fn bit_cast<const M: usize, const N: usize>(x: Bits<N>) -> Bits<M> {
    Bits::from_limbs(&x.0)
}

/// A constant.
#[inline]
pub fn bits<const N: usize>(x: LiteralType) -> Bits<N> {
    x.into()
}

/// A truth value as a number of `N` bits.
#[inline]
pub fn bits_of_bool<const N: usize>(x: bool) -> Bits<N> {
    u64::from(x).into()
}

/// Conversion of loop variables.
pub trait ToBits {
    /// As `N` bits.
    fn to_bits<const N: usize>(self) -> Bits<N>;
}
macro_rules! to_bits {
    ($($t:ty),*) => {$(
        impl ToBits for $t {
            fn to_bits<const N: usize>(self) -> Bits<N> {
                (self as u64).into()
            }
        }
    )*};
}
to_bits!(u8, u16, u32, u64, usize);

/// Widening of a signal's value, for loops: there `bit_cast` cannot name the loop variable.
///
/// `self.x[i].to_bits::<M>()`, on the signal itself and not on `.val()`; `M` is at least the signal's width.
pub trait Widen {
    /// Extended by zeros.
    fn to_bits<const M: usize>(&self) -> Bits<M>;
}
/// The same for signed signals: `self.x[i].to_signed_bits::<M>()`.
pub trait WidenSigned {
    /// Extended by the sign.
    fn to_signed_bits<const M: usize>(&self) -> Signed<M>;
}
macro_rules! widen {
    ($($dir:ty),*) => {$(
        impl<const N: usize> Widen for Signal<$dir, Bits<N>> {
            fn to_bits<const M: usize>(&self) -> Bits<M> {
                assert!(M >= N, "to_bits widens only");
                bit_cast(self.val())
            }
        }
        impl<const N: usize> WidenSigned for Signal<$dir, Signed<N>> {
            fn to_signed_bits<const M: usize>(&self) -> Signed<M> {
                assert!(M >= N, "to_signed_bits widens only");
                bit_cast_signed(self.val())
            }
        }
    )*};
}
widen!(In, Out, Local);

impl<const N: usize> From<u64> for Bits<N> {
    #[inline]
    fn from(x: u64) -> Self {
        assert!(N >= 64 || x >> N == 0, "{x} does not fit {N} bits");
        let mut out = Self::default();
        out.0[0] = x;
        out
    }
}
impl From<bool> for Bits<1> {
    #[inline]
    fn from(x: bool) -> Self {
        u64::from(x).into()
    }
}
impl From<Bits<1>> for bool {
    #[inline]
    fn from(x: Bits<1>) -> Self {
        x.any()
    }
}

macro_rules! operator {
    ($tr:ident $f:ident |$a:ident, $b:ident| $body:expr) => {
        impl<const N: usize> ops::$tr for Bits<N> {
            type Output = Self;
            #[inline]
            fn $f(self, rhs: Self) -> Self {
                let ($a, $b) = (self, rhs);
                $body
            }
        }
        impl<const N: usize> ops::$tr<LiteralType> for Bits<N> {
            type Output = Self;
            #[inline]
            fn $f(self, rhs: LiteralType) -> Self {
                let ($a, $b) = (self, Self::from(rhs));
                $body
            }
        }
        impl<const N: usize> ops::$tr<Bits<N>> for LiteralType {
            type Output = Bits<N>;
            #[inline]
            fn $f(self, rhs: Bits<N>) -> Bits<N> {
                let ($a, $b) = (Bits::<N>::from(self), rhs);
                $body
            }
        }
    };
}
operator!(Add add |a, b| add(a, b, false));
operator!(Sub sub |a, b| add(a, !b, true));
operator!(BitAnd bitand |a, b| zip(a, b, |x, y| x & y));
operator!(BitOr bitor |a, b| zip(a, b, |x, y| x | y));
operator!(BitXor bitxor |a, b| zip(a, b, |x, y| x ^ y));
operator!(Mul mul |a, b| {
    assert!(N <= 128, "products are at most 128 bits wide");
    let wide = |x: Bits<N>| u128::from(x.0[0]) | u128::from(x.0[1]) << 64;
    let p = wide(a).wrapping_mul(wide(b));
    Bits::from_limbs(&[p as u64, (p >> 64) as u64])
});

#[inline]
fn add<const N: usize>(a: Bits<N>, b: Bits<N>, mut carry: bool) -> Bits<N> {
    let mut out = Bits::default();
    for k in 0..Bits::<N>::USED {
        let (s, c) = a.0[k].overflowing_add(b.0[k]);
        let (s, d) = s.overflowing_add(carry.into());
        (out.0[k], carry) = (s, c | d);
    }
    out.masked()
}
#[inline]
fn zip<const N: usize>(a: Bits<N>, b: Bits<N>, f: impl Fn(u64, u64) -> u64) -> Bits<N> {
    let mut out = Bits::default();
    for k in 0..Bits::<N>::USED {
        out.0[k] = f(a.0[k], b.0[k]);
    }
    out
}

impl<const N: usize> ops::Not for Bits<N> {
    type Output = Self;
    #[inline]
    fn not(self) -> Self {
        zip(self, self, |x, _| !x).masked()
    }
}
impl<const N: usize> ops::Shl<LiteralType> for Bits<N> {
    type Output = Self;
    #[inline]
    fn shl(self, by: LiteralType) -> Self {
        let mut out = Self::default();
        if by < N as u64 {
            let (limbs, bits) = (by as usize / 64, by as usize % 64);
            for k in limbs..Self::USED {
                out.0[k] = self.0[k - limbs] << bits;
                if bits != 0 && k > limbs {
                    out.0[k] |= self.0[k - limbs - 1] >> (64 - bits);
                }
            }
        }
        out.masked()
    }
}
impl<const N: usize> ops::Shr<LiteralType> for Bits<N> {
    type Output = Self;
    #[inline]
    fn shr(self, by: LiteralType) -> Self {
        let mut out = Self::default();
        if by < N as u64 {
            let (limbs, bits) = (by as usize / 64, by as usize % 64);
            for k in 0..Self::USED - limbs {
                out.0[k] = self.0[k + limbs] >> bits;
                if bits != 0 && k + limbs + 1 < Self::USED {
                    out.0[k] |= self.0[k + limbs + 1] << (64 - bits);
                }
            }
        }
        out
    }
}
impl<const M: usize, const N: usize> ops::Shl<Bits<M>> for Bits<N> {
    type Output = Self;
    #[inline]
    fn shl(self, by: Bits<M>) -> Self {
        self << by.saturated()
    }
}
impl<const M: usize, const N: usize> ops::Shr<Bits<M>> for Bits<N> {
    type Output = Self;
    #[inline]
    fn shr(self, by: Bits<M>) -> Self {
        self >> by.saturated()
    }
}
impl<const N: usize> Bits<N> {
    fn saturated(&self) -> u64 {
        if self.0[1..].iter().any(|l| *l != 0) { u64::MAX } else { self.0[0] }
    }
}

impl<const N: usize> Ord for Bits<N> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}
impl<const N: usize> PartialOrd for Bits<N> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<const N: usize> PartialEq<LiteralType> for Bits<N> {
    #[inline]
    fn eq(&self, other: &LiteralType) -> bool {
        *self == Self::from(*other)
    }
}
impl<const N: usize> PartialOrd<LiteralType> for Bits<N> {
    #[inline]
    fn partial_cmp(&self, other: &LiteralType) -> Option<Ordering> {
        Some(self.cmp(&Self::from(*other)))
    }
}
impl<const N: usize> PartialEq<Bits<N>> for LiteralType {
    #[inline]
    fn eq(&self, other: &Bits<N>) -> bool {
        other == self
    }
}
impl<const N: usize> PartialOrd<Bits<N>> for LiteralType {
    #[inline]
    fn partial_cmp(&self, other: &Bits<N>) -> Option<Ordering> {
        Some(Bits::<N>::from(*self).cmp(other))
    }
}

impl<const N: usize> From<Bits<N>> for VerilogLiteral {
    fn from(x: Bits<N>) -> Self {
        let mut core = CoreBits::<N>::default();
        for k in (0..N).filter(|k| x.get_bit(*k)) {
            core = core.replace_bit(k, true);
        }
        core.into()
    }
}

impl<const N: usize> Synth for Bits<N> {
    const BITS: usize = N;
    fn descriptor() -> TypeDescriptor {
        TypeDescriptor { name: format!("Bits::<{N}>"), kind: TypeKind::Bits(N) }
    }
    fn vcd(self) -> VCDValue {
        VCDValue::String(format!("{self:?}"))
    }
    fn verilog(self) -> VerilogLiteral {
        self.into()
    }
}

/// `N` bits, two's complement; `N` up to 64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct Signed<const N: usize>(i64);

impl<const N: usize> fmt::Debug for Signed<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N}'sd({})", self.0)
    }
}

impl<const N: usize> Signed<N> {
    #[inline]
    fn wrap(x: i64) -> Self {
        assert!(N <= 64);
        Signed(x << (64 - N) >> (64 - N))
    }
    /// The value.
    #[inline]
    pub fn to_i64(self) -> i64 {
        self.0
    }
    /// Bit `index`; false beyond the width.
    #[inline]
    pub fn get_bit(&self, index: usize) -> bool {
        unsigned_cast(*self).get_bit(index)
    }
}

impl<const N: usize> From<i64> for Signed<N> {
    #[inline]
    fn from(x: i64) -> Self {
        let out = Self::wrap(x);
        assert_eq!(out.0, x, "{x} does not fit {N} signed bits");
        out
    }
}

/// The same bits as a signed number.
#[inline]
pub fn signed_cast<const N: usize>(x: Bits<N>) -> Signed<N> {
    Signed::wrap(x.to_u64() as i64)
}
/// The same bits as an unsigned number.
#[inline]
pub fn unsigned_cast<const N: usize>(x: Signed<N>) -> Bits<N> {
    Bits::from_limbs(&[x.0 as u64])
}
/// The number in `M` bits: sign-extended, or its low bits.
///
/// Takes the place of rust-hdl's `signed_bit_cast`, whose tree does not tell the width.
#[inline]
pub fn bit_cast_signed<const M: usize, const N: usize>(x: Signed<N>) -> Signed<M> {
    Signed::wrap(x.0)
}

macro_rules! signed_operator {
    ($($tr:ident $f:ident $g:ident),*) => {$(
        impl<const N: usize> ops::$tr for Signed<N> {
            type Output = Self;
            #[inline]
            fn $f(self, rhs: Self) -> Self {
                Self::wrap(self.0.$g(rhs.0))
            }
        }
    )*};
}
signed_operator!(Add add wrapping_add, Sub sub wrapping_sub, Mul mul wrapping_mul);

impl<const N: usize> ops::Neg for Signed<N> {
    type Output = Self;
    #[inline]
    fn neg(self) -> Self {
        Self::wrap(self.0.wrapping_neg())
    }
}
/// Arithmetic, printed as `>>>`.
impl<const N: usize, const M: usize> ops::Shr<Bits<M>> for Signed<N> {
    type Output = Self;
    #[inline]
    fn shr(self, by: Bits<M>) -> Self {
        Signed(self.0 >> by.saturated().min(63))
    }
}
/// Arithmetic, printed as `>>>`.
impl<const N: usize> ops::Shr<LiteralType> for Signed<N> {
    type Output = Self;
    #[inline]
    fn shr(self, by: LiteralType) -> Self {
        Signed(self.0 >> by.min(63))
    }
}

impl<const N: usize> From<Signed<N>> for VerilogLiteral {
    fn from(x: Signed<N>) -> Self {
        unsigned_cast(x).into()
    }
}
impl<const N: usize> Synth for Signed<N> {
    const BITS: usize = N;
    fn descriptor() -> TypeDescriptor {
        TypeDescriptor { name: format!("Signed::<{N}>"), kind: TypeKind::Signed(N) }
    }
    fn vcd(self) -> VCDValue {
        VCDValue::String(format!("{self:?}"))
    }
    fn verilog(self) -> VerilogLiteral {
        self.into()
    }
}
