//! From rust-hdl's tree to ours.

use super::Leaf;
use crate::reg::DFF;
use crate::verilog::*;
use rust_hdl_core::ast::{
    Verilog, VerilogBlock, VerilogBlockOrConditional, VerilogExpression as E, VerilogLiteral,
    VerilogOp as Op, VerilogOpUnary, VerilogStatement as S,
};
use rust_hdl_core::atom::{Atom, AtomKind};
use rust_hdl_core::block::Block;
use rust_hdl_core::probe::Probe;
use rust_hdl_core::type_descriptor::{TypeDescriptor, TypeKind};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Why a leaf does not translate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafError {
    /// The leaf.
    pub leaf: String,
    /// What was found.
    pub messages: Vec<String>,
}

impl fmt::Display for LeafError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "leaf {}: {}", self.leaf, self.messages.join("; "))
    }
}
impl std::error::Error for LeafError {}

/// The module of a leaf.
///
/// # Panics
/// If the leaf uses what does not translate; that is a mistake in the leaf, found by its tests.
pub fn module<L: Leaf>(leaf: &L) -> Module {
    try_module(leaf).unwrap_or_else(|e| panic!("{e}"))
}

/// The module of a leaf, or why there is none.
///
/// # Errors
/// Everything in the leaf that does not translate.
pub fn try_module<L: Leaf>(leaf: &L) -> Result<Module, LeafError> {
    let mut t = Translator::default();
    leaf.accept("leaf", &mut t.fields);
    t.errors.append(&mut t.fields.errors);
    for (name, value) in leaf.consts() {
        t.consts.insert(name.to_string(), value.into());
    }
    let statements = match leaf.hdl() {
        Verilog::Combinatorial(block) => {
            let mut out = vec![];
            t.block(&block, &mut out);
            out
        }
        _ => {
            t.errors.push("update() has no #[hdl_gen]".into());
            vec![]
        }
    };
    let module = t.finish(leaf, statements);
    if t.errors.is_empty() { Ok(module) } else { Err(LeafError { leaf: leaf.name(), messages: t.errors }) }
}

/// A literal's width and value; the value's two's complement when negative.
pub(crate) fn literal_limbs(l: &VerilogLiteral) -> (u32, Vec<u64>) {
    let text = format!("{l:x}");
    let (width, hex) = text.split_once("'h").expect("a literal prints as width'hvalue");
    let limbs = hex
        .as_bytes()
        .rchunks(16)
        .map(|c| u64::from_str_radix(std::str::from_utf8(c).unwrap(), 16).expect("hexadecimal digits"))
        .collect();
    (width.parse().expect("a width"), limbs)
}

/// A small literal of the source, whatever its sign.
fn literal_value(l: &VerilogLiteral) -> Result<i128, String> {
    let text = format!("{l:x}");
    let hex = text.split_once("'h").map_or("", |(_, v)| v);
    i128::from_str_radix(hex, 16).map_err(|_| format!("literal {text} is too large"))
}

fn literal_bits(l: &VerilogLiteral) -> Option<u128> {
    let (_, limbs) = literal_limbs(l);
    let at = |k: usize| u128::from(limbs.get(k).copied().unwrap_or(0));
    limbs.iter().skip(2).all(|l| *l == 0).then(|| at(0) | at(1) << 64)
}

/// The Verilog name of a field: `$` becomes `_`, the direction comes last, and once.
pub(crate) fn suffixed(field: &str, suffix: &str) -> String {
    let (stem, index) = field.split_once('$').unwrap_or((field, ""));
    let stem = stem.strip_suffix(suffix).unwrap_or(stem);
    let join = if index.is_empty() { "" } else { "_" };
    format!("{stem}{join}{}{suffix}", index.replace('$', "_"))
}

fn camel(name: &str) -> String {
    name.split(['_', '$'])
        .map(|w| {
            let mut c = w.chars();
            c.next().map(|f| f.to_uppercase().collect::<String>() + c.as_str()).unwrap_or_default()
        })
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Input,
    Output,
    Local,
    Constant,
    RegD,
    RegQ,
}

#[derive(Clone, Debug)]
struct Symbol {
    name: String,
    kind: Kind,
    width: u32,
    signed: bool,
    /// Value of a constant, initial value of a register.
    value: Option<u128>,
    /// Keys of the enum's variants, in order.
    variants: Vec<String>,
}

/// What the block's fields are.
#[derive(Default)]
struct Fields {
    scope: Vec<String>,
    /// The initial value of the register being visited.
    register: Option<Option<u128>>,
    clock: Option<String>,
    order: Vec<String>,
    symbols: BTreeMap<String, Symbol>,
    errors: Vec<String>,
}

impl Fields {
    fn add(&mut self, key: String, symbol: Symbol) {
        self.order.push(key.clone());
        self.symbols.insert(key, symbol);
    }

    /// Declares an enum's variants; their keys.
    fn variants(&mut self, ty: &TypeDescriptor) -> Vec<String> {
        let TypeKind::Enum(variants) = &ty.kind else { return vec![] };
        let width = width_of(variants.len());
        if variants.len() < 2 {
            self.errors.push(format!("enum {} has less than two variants", ty.name));
        }
        for (value, v) in variants.iter().enumerate() {
            let key = v.replace("::", "$");
            if !self.symbols.contains_key(&key) {
                let name = camel(&key);
                let value = Some(value as u128);
                let (kind, signed, variants) = (Kind::Constant, false, vec![]);
                self.add(key, Symbol { name, kind, width, signed, value, variants });
            }
        }
        variants.iter().map(|v| v.replace("::", "$")).collect()
    }
}

fn width_of(variants: usize) -> u32 {
    variants.next_power_of_two().trailing_zeros()
}

impl Probe for Fields {
    fn visit_start_scope(&mut self, name: &str, node: &dyn Block) {
        self.scope.push(name.to_string());
        if self.scope.len() == 1 {
            return;
        }
        match node.hdl() {
            Verilog::Custom(text) if text.starts_with(DFF::<bool>::MARK) && self.scope.len() == 2 => {
                let init = &text[DFF::<bool>::MARK.len()..];
                let hex = init.split_once("'h").map_or("", |(_, v)| v);
                self.register = Some(u128::from_str_radix(hex, 16).ok());
            }
            _ => self.errors.push(format!("`{name}` is a block; leaves hold signals and registers only")),
        }
    }

    fn visit_end_scope(&mut self, _: &str, _: &dyn Block) {
        self.scope.pop();
        self.register = None;
    }

    fn visit_atom(&mut self, name: &str, atom: &dyn Atom) {
        let ty = atom.descriptor();
        let signed = matches!(ty.kind, TypeKind::Signed(_));
        let width = u32::try_from(atom.bits()).expect("a sane width");
        let variants = self.variants(&ty);
        if let Some(init) = self.register {
            let field = self.scope[1].clone();
            let plain = field.replace('$', "_");
            let (kind, suffix) = match name {
                "d" => (Kind::RegD, "_d"),
                "q" => (Kind::RegQ, "_q"),
                _ => return,
            };
            if init.is_none() {
                self.errors.push(format!("initial value of `{plain}` has more than 128 bits"));
            }
            let symbol = Symbol { name: plain + suffix, kind, width, signed, value: init, variants };
            return self.add(format!("{field}${name}"), symbol);
        }
        if self.scope.len() != 1 {
            return;
        }
        let (name_out, kind) = match atom.kind() {
            AtomKind::InputParameter if ty.name == "clock" => {
                self.clock = Some(name.to_string());
                return;
            }
            AtomKind::InputParameter => (suffixed(name, "_i"), Kind::Input),
            AtomKind::OutputParameter => (suffixed(name, "_o"), Kind::Output),
            AtomKind::LocalSignal => (name.replace('$', "_"), Kind::Local),
            AtomKind::Constant => (camel(name), Kind::Constant),
            other => return self.errors.push(format!("`{name}` is a {other:?}")),
        };
        let value = match kind {
            Kind::Constant => literal_bits(&atom.verilog()),
            _ => None,
        };
        if kind == Kind::Constant && value.is_none() {
            self.errors.push(format!("constant `{name}` has more than 128 bits"));
        }
        if width == 0 {
            self.errors.push(format!("`{name}` has no bits"));
        }
        self.add(name.to_string(), Symbol { name: name_out, kind, width, signed, value, variants });
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ty {
    width: u32,
    signed: bool,
}
const BIT: Ty = Ty { width: 1, signed: false };

type Out<T> = Result<T, String>;
/// Part of a concatenation: place, width, value.
type Field<'a> = (u32, u32, &'a E);

#[derive(Default)]
struct Translator {
    fields: Fields,
    consts: BTreeMap<String, i128>,
    loops: Vec<(String, i128)>,
    clocked: BTreeSet<String>,
    /// Bits read, by Verilog name.
    used: BTreeMap<String, BTreeSet<u32>>,
    errors: Vec<String>,
}

impl Translator {
    fn block(&mut self, block: &VerilogBlock, out: &mut Vec<Stmt>) {
        for s in block {
            if let Err(m) = self.statement(s, out) {
                self.errors.push(m);
            }
        }
    }

    fn statement(&mut self, s: &S, out: &mut Vec<Stmt>) -> Out<()> {
        match s {
            S::Assignment(l, r) => {
                let E::Signal(target) = l else { return Err("assignment to an expression".into()) };
                let key = self.key(target)?;
                if let Some(reg) = key.strip_suffix("$clock") {
                    self.clocked.insert(reg.to_string());
                    return Ok(());
                }
                let symbol = self.symbol(&key)?;
                if !matches!(symbol.kind, Kind::Output | Kind::Local | Kind::RegD) {
                    return Err(format!("`{}` cannot be assigned", symbol.name));
                }
                if let Some(stmt) = self.bit_assignment(&key, &symbol, r)? {
                    out.push(stmt);
                    return Ok(());
                }
                let value = self.sized(r, symbol.width)?;
                out.push(set(symbol.name, value));
            }
            S::SliceAssignment { base, width, offset, replacement } => {
                let E::Signal(target) = base else { return Err("assignment to an expression".into()) };
                let key = self.key(target)?;
                let symbol = self.symbol(&key)?;
                let width = *width as u32;
                let value = self.sized(replacement, width)?;
                let offset = self.constant(offset).ok_or("field at a variable place")?;
                let lhs = select(id(symbol.name.clone()), symbol.width, offset as u32, width);
                out.push(set(lhs, value));
            }
            S::If(c) => {
                if let Some(v) = self.constant(&c.test) {
                    if v != 0 {
                        self.block(&c.then, out);
                    } else {
                        self.otherwise(&c.otherwise, out);
                    }
                    return Ok(());
                }
                let test = self.sized(&c.test, 1)?;
                let (mut then, mut otherwise) = (vec![], vec![]);
                self.block(&c.then, &mut then);
                self.otherwise(&c.otherwise, &mut otherwise);
                out.push(Stmt::If(test, then, otherwise));
            }
            S::Match(m) => {
                let ty = self.ty(&m.test)?.ok_or("match on a literal")?;
                let test = self.sized(&m.test, ty.width)?;
                let (mut arms, mut default) = (vec![], vec![]);
                for c in &m.cases {
                    let mut body = vec![];
                    self.block(&c.block, &mut body);
                    match c.condition.as_str() {
                        "default" | "_" => default = body,
                        "true" => arms.push((vec![lit(1, 1)], body)),
                        "false" => arms.push((vec![lit(1, 0)], body)),
                        name => {
                            let symbol = self.variant(name)?;
                            arms.push((vec![id(symbol.name)], body));
                        }
                    }
                }
                out.push(Stmt::Case(test, arms, default));
            }
            S::Loop(l) => {
                for v in l.from.as_usize()..l.to.as_usize() {
                    self.loops.push((l.index.clone(), v as i128));
                    self.block(&l.block, out);
                    self.loops.pop();
                }
            }
            S::Macro(block) => self.block(block, out),
            S::Comment(text) => out.push(Stmt::Comment(text.trim().trim_matches('"').to_string())),
            S::Link(_) => return Err("links do not translate".into()),
        }
        Ok(())
    }

    fn otherwise(&mut self, o: &VerilogBlockOrConditional, out: &mut Vec<Stmt>) {
        match o {
            VerilogBlockOrConditional::Block(b) => self.block(b, out),
            VerilogBlockOrConditional::Conditional(s) => {
                if let Err(m) = self.statement(s, out) {
                    self.errors.push(m);
                }
            }
            VerilogBlockOrConditional::None => {}
        }
    }

    /// `x.next = x.val().replace_bit(i, v)` sets one bit.
    fn bit_assignment(&mut self, key: &str, symbol: &Symbol, r: &E) -> Out<Option<Stmt>> {
        let E::IndexReplace(base, index, value) = strip(r) else { return Ok(None) };
        let E::Signal(name) = strip(base) else { return Ok(None) };
        let Some(i) = self.constant(index) else { return Ok(None) };
        if self.key(name)? != key {
            return Ok(None);
        }
        let value = self.sized(value, 1)?;
        let lhs = select(id(symbol.name.clone()), symbol.width, i as u32, 1);
        Ok(Some(set(lhs, value)))
    }

    /// The key of a name of the source: loop variables filled in, `.next` dropped.
    fn key(&self, name: &str) -> Out<String> {
        let mut out = String::new();
        let mut rest = name.trim_start_matches(['.', '$']);
        while let Some((head, tail)) = rest.split_once('[') {
            let mut depth = 1;
            let end = tail
                .find(|c| {
                    depth += i32::from(c == '[') - i32::from(c == ']');
                    depth == 0
                })
                .ok_or_else(|| format!("`{name}` does not parse"))?;
            let index = Arithmetic { text: &tail[..end], of: self }.value()?;
            out.push_str(&format!("{head}${index}"));
            rest = &tail[end + 1..];
        }
        out.push_str(rest);
        let out = out.replace('.', "$");
        Ok(out.strip_suffix("$next").unwrap_or(&out).to_string())
    }

    fn number(&self, name: &str) -> Option<i128> {
        let inner = self.loops.iter().rev().find(|(n, _)| n == name).map(|(_, v)| *v);
        inner.or_else(|| self.consts.get(name).copied())
    }

    fn symbol(&self, key: &str) -> Out<Symbol> {
        let found = self.fields.symbols.get(key).cloned();
        found.ok_or_else(|| format!("`{key}` is neither a field nor listed in consts()"))
    }

    fn variant(&self, name: &str) -> Out<Symbol> {
        let key = name.replace("::", "$");
        if let Ok(s) = self.symbol(&key) {
            return Ok(s);
        }
        let suffix = format!("${key}");
        let mut hits = self.fields.symbols.iter().filter(|(k, s)| k.ends_with(&suffix) && s.value.is_some());
        match (hits.next(), hits.next()) {
            (Some((_, s)), None) => Ok(s.clone()),
            _ => Err(format!("pattern `{name}` is no variant of a field's type")),
        }
    }

    /// The value of an expression of numbers, loop variables and constants of `consts()`.
    fn constant(&self, e: &E) -> Option<i128> {
        Some(match e {
            E::Signal(name) => self.number(name)?,
            E::Literal(l) => literal_value(l).ok()?,
            E::Paren(e) => self.constant(e)?,
            E::Unary(VerilogOpUnary::Neg, e) => -self.constant(e)?,
            E::Binary(a, op, b) => {
                let (a, b) = (self.constant(a)?, self.constant(b)?);
                match op {
                    Op::Add => a + b,
                    Op::Sub => a - b,
                    Op::Mul => a * b,
                    Op::Shl => a << b,
                    Op::Shr => a >> b,
                    Op::BitAnd => a & b,
                    Op::BitOr => a | b,
                    Op::BitXor => a ^ b,
                    Op::LogicalAnd => (a != 0 && b != 0).into(),
                    Op::LogicalOr => (a != 0 || b != 0).into(),
                    Op::Eq => (a == b).into(),
                    Op::Ne => (a != b).into(),
                    Op::Lt => (a < b).into(),
                    Op::Le => (a <= b).into(),
                    Op::Gt => (a > b).into(),
                    Op::Ge => (a >= b).into(),
                }
            }
            _ => return None,
        })
    }

    /// The type, unless the context gives it.
    fn ty(&self, e: &E) -> Out<Option<Ty>> {
        if self.constant(e).is_some() {
            let bit = matches!(strip(e), E::Literal(l) if literal_limbs(l).0 == 1);
            return Ok(bit.then_some(BIT));
        }
        Ok(match e {
            E::Signal(name) => {
                let s = self.symbol(&self.key(name)?)?;
                Some(Ty { width: s.width, signed: s.signed })
            }
            E::Literal(_) => None,
            E::Paren(e) => self.ty(e)?,
            E::Cast(e, width) => {
                let signed = self.ty(e)?.is_some_and(|t| t.signed);
                Some(Ty { width: *width as u32, signed })
            }
            E::Signed(e) => match self.ty(e)? {
                Some(Ty { signed: true, .. }) if !matches!(strip(e), E::Signal(_)) => {
                    return Err("signed_bit_cast loses its width: use bit_cast_signed::<M, N>".into());
                }
                Some(t) => Some(Ty { signed: true, ..t }),
                None => return Err("signed_cast of a literal: use a Constant".into()),
            },
            E::Unsigned(e) => self.ty(e)?.map(|t| Ty { signed: false, ..t }),
            E::Binary(a, op, b) => match op {
                Op::Shl | Op::Shr => self.ty(a)?,
                Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge => Some(BIT),
                Op::LogicalAnd | Op::LogicalOr => Some(BIT),
                _ => wider(self.ty(a)?, self.ty(b)?),
            },
            E::Unary(VerilogOpUnary::Not | VerilogOpUnary::Neg, e) => self.ty(e)?,
            E::Unary(..) | E::Index(..) => Some(BIT),
            E::Slice(_, width, _) => Some(Ty { width: *width as u32, signed: false }),
            E::IndexReplace(e, ..) => self.ty(e)?,
        })
    }

    /// An expression where the context has `width` bits.
    fn sized(&mut self, e: &E, width: u32) -> Out<Expr> {
        let ty = self.ty(e)?;
        if let Some(t) = ty.filter(|t| t.width != width) {
            // `signal.to_bits::<M>()` leaves a bare signal behind: what surrounds it tells the width.
            let inner = match strip(e) {
                E::Signed(inner) => strip(inner),
                inner => inner,
            };
            match inner {
                E::Signal(_) if t.width < width => {
                    let x = self.expr(inner, t.width)?;
                    return Ok(extend(x, t, width));
                }
                E::Binary(..) | E::Unary(VerilogOpUnary::Not | VerilogOpUnary::Neg, _) if t.width < width => {
                }
                _ => return Err(format!("an expression of {} bits where {width} are wanted", t.width)),
            }
            if t == BIT && !self.arithmetic(inner) {
                return Err(format!("a condition where {width} bits are wanted"));
            }
        }
        if let Some(v) = self.constant(e) {
            let fits = if v < 0 { -v <= 1 << (width - 1) } else { width >= 127 || v >> width == 0 };
            if !fits {
                return Err(format!("literal {v} does not fit {width} bits"));
            }
            let mask = if width >= 128 { u128::MAX } else { (1 << width) - 1 };
            return Ok(lit(width, v as u128 & mask));
        }
        self.expr(e, width)
    }

    fn arithmetic(&self, e: &E) -> bool {
        !matches!(
            e,
            E::Binary(
                _,
                Op::Eq | Op::Ne | Op::Lt | Op::Le | Op::Gt | Op::Ge | Op::LogicalAnd | Op::LogicalOr,
                _
            )
        )
    }

    /// An expression with a type of its own.
    fn typed(&mut self, e: &E) -> Out<(Expr, Ty)> {
        let ty = self.ty(e)?.ok_or("a literal without a width: give it one with bits::<N>(..)")?;
        Ok((self.sized(e, ty.width)?, ty))
    }

    fn expr(&mut self, e: &E, width: u32) -> Out<Expr> {
        Ok(match e {
            E::Signal(name) => {
                let key = self.key(name)?;
                let s = self.symbol(&key)?;
                if s.kind == Kind::RegD {
                    return Err(format!(
                        "`{}` is read; its old value in Rust, its new one in Verilog",
                        s.name
                    ));
                }
                id(s.name)
            }
            E::Literal(_) => unreachable!("literals are constants"),
            E::Paren(e) => self.sized(e, width)?,
            E::Cast(inner, m) => match self.ty(inner)? {
                None => self.sized(inner, *m as u32)?,
                Some(t) => {
                    let m = *m as u32;
                    if m < t.width {
                        return self.slice(inner, 0, m);
                    }
                    let x = self.sized(inner, t.width)?;
                    extend(x, t, m)
                }
            },
            E::Signed(e) | E::Unsigned(e) => self.sized(e, width)?,
            E::Binary(a, op, b) => return self.binary(e, a, op, b, width),
            E::Unary(op, e) => {
                let operand = match op {
                    VerilogOpUnary::Not | VerilogOpUnary::Neg => self.sized(e, width)?,
                    _ => self.typed(e)?.0,
                };
                match op {
                    // Yosys 0.23 takes no unary operator before a cast to one bit.
                    VerilogOpUnary::Not if matches!(operand, Expr::Resize(..)) && width == 1 => {
                        operand.eq_(lit(1, 0))
                    }
                    VerilogOpUnary::All | VerilogOpUnary::Any | VerilogOpUnary::Xor
                        if self.ty(e)? == Some(BIT) =>
                    {
                        operand
                    }
                    VerilogOpUnary::Neg if width == 1 => operand,
                    VerilogOpUnary::Not if width == 1 => operand.lnot(),
                    VerilogOpUnary::Not => !operand,
                    VerilogOpUnary::Neg => -operand,
                    VerilogOpUnary::All => operand.all(),
                    VerilogOpUnary::Any => operand.any(),
                    VerilogOpUnary::Xor => operand.parity(),
                }
            }
            E::Index(base, index) => match self.constant(index) {
                Some(i) => self.slice(base, i as u32, 1)?,
                None => {
                    let (i, ti) = self.typed(index)?;
                    let (x, tx) = self.typed(base)?;
                    match x {
                        // Exactly as many places as the index can name: no bit outside.
                        Expr::Id(_) if 1u64.checked_shl(ti.width) == Some(tx.width.into()) => x.at(i),
                        x => resize(1, x >> i),
                    }
                }
            },
            E::Slice(base, w, offset) => match self.constant(offset) {
                Some(o) => self.slice(base, o as u32, *w as u32)?,
                None => {
                    let (o, _) = self.typed(offset)?;
                    let (x, tx) = self.typed(base)?;
                    let shifted = x >> o;
                    match (*w as u32).cmp(&tx.width) {
                        std::cmp::Ordering::Less => resize(*w, shifted),
                        std::cmp::Ordering::Equal => shifted,
                        std::cmp::Ordering::Greater => return Err("get_bits of more than there are".into()),
                    }
                }
            },
            E::IndexReplace(base, index, value) => {
                let (x, t) = self.typed(base)?;
                let value = self.sized(value, 1)?;
                let shift = match self.constant(index) {
                    Some(i) => num(i as i64),
                    None => self.typed(index)?.0,
                };
                let one = lit(t.width, 1);
                (x & !(one << shift.clone())) | (extend(value, BIT, t.width) << shift)
            }
        })
    }

    fn binary(&mut self, whole: &E, a: &E, op: &Op, b: &E, width: u32) -> Out<Expr> {
        if let Some(fields) = self.fields_of(whole, width)?
            && (fields.len() > 1 || fields.iter().any(|f| f.0 > 0))
        {
            return self.concatenation(fields, width);
        }
        let (op, compares) = match op {
            Op::Shl | Op::Shr => {
                let ty = Ty { width, signed: self.ty(a)?.is_some_and(|t| t.signed) };
                let x = self.sized(a, width)?;
                let by = match self.constant(b) {
                    Some(n) => num(n as i64),
                    None => self.typed(b)?.0,
                };
                return Ok(match op {
                    Op::Shl => x << by,
                    _ if ty.signed => unsigned(as_signed(x).sra(by)),
                    _ => x >> by,
                });
            }
            Op::Add => (BinaryOp::Add, false),
            Op::Sub => (BinaryOp::Sub, false),
            Op::Mul => (BinaryOp::Mul, false),
            Op::BitAnd => (BinaryOp::And, false),
            Op::BitOr => (BinaryOp::Or, false),
            Op::BitXor => (BinaryOp::Xor, false),
            Op::LogicalAnd => (BinaryOp::LogicalAnd, false),
            Op::LogicalOr => (BinaryOp::LogicalOr, false),
            Op::Eq => (BinaryOp::Eq, true),
            Op::Ne => (BinaryOp::Ne, true),
            Op::Lt => (BinaryOp::Lt, true),
            Op::Le => (BinaryOp::Le, true),
            Op::Gt => (BinaryOp::Gt, true),
            Op::Ge => (BinaryOp::Ge, true),
        };
        let ty = wider(self.ty(a)?, self.ty(b)?);
        let ty = match (compares, ty) {
            (true, None) => return Err("comparison of literals".into()),
            (true, Some(t)) => t,
            (false, t) => Ty { width, signed: t.is_some_and(|t| t.signed) },
        };
        let (mut x, mut y) = (self.sized(a, ty.width)?, self.sized(b, ty.width)?);
        // Sign matters to order, and tells synthesis how wide a product's factors really are.
        let ordered = matches!(op, BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Mul);
        if ty.signed && ordered {
            (x, y) = (as_signed(x), as_signed(y));
        }
        // Of one bit: the operators that read as conditions.
        let op = match op {
            BinaryOp::And if ty.width == 1 => BinaryOp::LogicalAnd,
            BinaryOp::Or if ty.width == 1 => BinaryOp::LogicalOr,
            op => op,
        };
        Ok(Expr::Binary(op, Box::new(x), Box::new(y)))
    }

    /// Constant bits of an expression.
    fn slice(&mut self, base: &E, lo: u32, width: u32) -> Out<Expr> {
        let ty = self.ty(base)?.ok_or("bits of a literal")?;
        if lo + width > ty.width {
            return Err(format!("bits {lo} to {} of {}", lo + width - 1, ty.width));
        }
        // Bits of bits.
        match strip(base) {
            E::Slice(inner, _, offset) if self.constant(offset).is_some() => {
                let offset = self.constant(offset).unwrap_or(0) as u32;
                return self.slice(inner, offset + lo, width);
            }
            E::Signed(inner) | E::Unsigned(inner) => return self.slice(inner, lo, width),
            E::Signal(name) => {
                let s = self.symbol(&self.key(name)?)?;
                if matches!(s.kind, Kind::Input | Kind::RegQ | Kind::Local | Kind::Output) {
                    return Ok(select(id(s.name), s.width, lo, width));
                }
            }
            _ => {}
        }
        let x = self.sized(base, ty.width)?;
        let x = if lo == 0 { x } else { x >> num(lo.into()) };
        Ok(if width == ty.width { x } else { resize(width, x) })
    }

    /// Disjoint fields joined by casts, shifts and ors: place, width, value.
    fn fields_of<'a>(&self, e: &'a E, total: u32) -> Out<Option<Vec<Field<'a>>>> {
        Ok(match e {
            E::Paren(e) => self.fields_of(e, total)?,
            E::Cast(inner, m) => match self.ty(inner)? {
                Some(t) if !t.signed && t.width <= *m as u32 => Some(vec![(0, t.width, inner)]),
                _ => None,
            },
            E::Binary(a, Op::Shl, b) => match (self.fields_of(a, total)?, self.constant(b)) {
                (Some(fields), Some(k)) => {
                    let moved: Vec<_> = fields.into_iter().map(|(lo, w, e)| (lo + k as u32, w, e)).collect();
                    moved.iter().all(|(lo, w, _)| lo + w <= total).then_some(moved)
                }
                _ => None,
            },
            E::Binary(a, Op::BitOr, b) => match (self.fields_of(a, total)?, self.fields_of(b, total)?) {
                (Some(mut x), Some(y)) => {
                    x.extend(y);
                    x.sort_by_key(|f| f.0);
                    x.windows(2).all(|p| p[0].0 + p[0].1 <= p[1].0).then_some(x)
                }
                _ => None,
            },
            _ => None,
        })
    }

    fn concatenation(&mut self, fields: Vec<Field<'_>>, total: u32) -> Out<Expr> {
        let mut parts = vec![];
        let mut at = 0;
        for (lo, width, e) in fields {
            if lo > at {
                parts.push(lit(lo - at, 0));
            }
            parts.push(self.sized(e, width)?);
            at = lo + width;
        }
        if total > at {
            parts.push(lit(total - at, 0));
        }
        parts.reverse();
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => Expr::Concat(parts),
        })
    }

    fn finish<L: Leaf>(&mut self, leaf: &L, mut statements: Vec<Stmt>) -> Module {
        let doc = leaf.doc();
        let mut m = Module::new(leaf.name(), doc.purpose);
        if !doc.latency.is_empty() {
            m.note("").note(format!("Latency: {}", doc.latency));
        }
        if !doc.notes.is_empty() {
            m.note("");
            doc.notes.into_iter().for_each(|n| {
                m.note(n);
            });
        }
        let symbols: Vec<(String, Symbol)> =
            self.fields.order.iter().map(|k| (k.clone(), self.fields.symbols[k].clone())).collect();
        let of = |kind: Kind| symbols.iter().filter(move |(_, s)| s.kind == kind).map(|(_, s)| s);
        if self.fields.clock.is_some() {
            m.input("clk_i", 1);
            if leaf.has_reset() {
                m.input("rst_ni", 1);
            }
        }
        for (_, s) in &symbols {
            match s.kind {
                Kind::Input => m.input(&s.name, s.width),
                Kind::Output => m.output(&s.name, s.width),
                _ => continue,
            };
        }
        let mut targets: BTreeMap<String, u32> = symbols
            .iter()
            .filter(|(_, s)| matches!(s.kind, Kind::Output | Kind::Local | Kind::RegD))
            .map(|(_, s)| (s.name.clone(), s.width))
            .collect();
        let locals: BTreeSet<String> = of(Kind::Local).map(|s| s.name.clone()).collect();
        let partial = super::flow::check(&statements, &targets, &locals, &mut self.errors);
        let next: BTreeSet<String> = of(Kind::RegD).map(|s| s.name.clone()).collect();
        let clocked = super::flow::split_clocked(&mut statements, &next);
        targets.retain(|name, _| !next.contains(name));
        super::flow::add_defaults(&mut statements, &partial, &targets);
        let (items, hoisted) = super::flow::arrange(statements, &targets);
        let widths = symbols.iter().map(|(_, s)| (s.name.clone(), s.width)).collect();
        self.used = super::flow::reads(&items, &clocked, &hoisted, &widths);
        let regs: Vec<Symbol> = of(Kind::RegQ).cloned().collect();
        let initial: Vec<Expr> = regs.iter().map(|s| self.initial(s)).collect();
        for s in of(Kind::Constant).filter(|s| self.used.contains_key(&s.name)) {
            m.localparam_bits(&s.name, s.width, lit(s.width, s.value.unwrap_or(0)));
        }
        for s in of(Kind::Local) {
            m.logic(&s.name, s.width);
        }
        for s in of(Kind::RegQ) {
            m.logic(&s.name, s.width);
        }
        for (key, s) in &symbols {
            if let (Kind::RegQ, Some(reg)) = (s.kind, key.strip_suffix("$q"))
                && !self.clocked.contains(reg)
            {
                self.errors.push(format!("register `{reg}` is missing from dff_setup!"));
            }
        }
        for (name, width, _) in &hoisted {
            m.logic(name, *width);
        }
        for (name, _, value) in hoisted {
            m.assign(name, value);
        }
        items.into_iter().for_each(|i| {
            m.item(i);
        });
        if !regs.is_empty() && !leaf.has_reset() {
            m.ff_no_reset(clocked);
        } else if !regs.is_empty() {
            let reset = regs.iter().zip(initial).map(|(s, value)| set_nb(s.name.as_str(), value));
            m.ff(reset.collect::<Vec<_>>(), clocked);
        } else if self.fields.clock.is_some() {
            self.errors.push("a clock but no register".into());
        }
        self.unused(&mut m, &symbols);
        m
    }

    /// A register's value on reset: an enum's by name.
    fn initial(&mut self, s: &Symbol) -> Expr {
        let value = s.value.unwrap_or(0);
        let variant = usize::try_from(value).ok().and_then(|v| s.variants.get(v));
        match variant.and_then(|key| self.symbol(key).ok()) {
            Some(v) => {
                self.used.entry(v.name.clone()).or_default().extend(0..v.width);
                id(v.name)
            }
            None => lit(s.width, value),
        }
    }

    /// Consumes what nobody reads, so that no tool warns.
    fn unused(&self, m: &mut Module, symbols: &[(String, Symbol)]) {
        let none = BTreeSet::new();
        let mut parts = vec![];
        for (_, s) in symbols.iter().filter(|(_, s)| matches!(s.kind, Kind::Input | Kind::Local | Kind::RegQ))
        {
            let used = self.used.get(&s.name).unwrap_or(&none);
            let mut hi = s.width;
            while hi > 0 {
                let lo = (0..hi).rev().take_while(|b| !used.contains(b)).last();
                match lo {
                    Some(lo) => {
                        parts.push(select(id(s.name.clone()), s.width, lo, hi - lo));
                        hi = lo;
                    }
                    None => hi -= 1,
                }
            }
        }
        if !parts.is_empty() {
            m.logic("unused", 1);
            let all = if parts.len() == 1 { parts.remove(0) } else { Expr::Concat(parts) };
            m.assign("unused", all.parity());
        }
    }
}

/// Operands have one width; where a widened signal hides it, the other operand shows it.
fn wider(a: Option<Ty>, b: Option<Ty>) -> Option<Ty> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.width > a.width { b } else { a }),
        _ => a.or(b),
    }
}

fn strip(e: &E) -> &E {
    match e {
        E::Paren(e) => strip(e),
        e => e,
    }
}

/// Bits `lo` and up of a name.
fn select(x: Expr, total: u32, lo: u32, width: u32) -> Expr {
    match width {
        w if w == total => x,
        w => x.range(lo + w - 1, lo),
    }
}

fn as_signed(x: Expr) -> Expr {
    match x {
        Expr::Resize(_, ref inner) if matches!(**inner, Expr::Signed(_)) => x,
        x => signed(x),
    }
}

fn extend(x: Expr, from: Ty, to: u32) -> Expr {
    match to - from.width {
        0 => x,
        _ if from.signed => resize(to, signed(x)),
        n => match x {
            // Literals and shorter zero extensions grow in place.
            Expr::Lit { value, .. } => lit(to, value),
            Expr::Concat(mut parts) if matches!(parts[0], Expr::Lit { value: 0, .. }) => {
                if let Expr::Lit { width, .. } = &mut parts[0] {
                    *width += n;
                }
                Expr::Concat(parts)
            }
            x => cat([lit(n, 0), x]),
        },
    }
}

/// `+ - *` over numbers and loop variables, inside an index.
struct Arithmetic<'a> {
    text: &'a str,
    of: &'a Translator,
}

impl Arithmetic<'_> {
    fn value(mut self) -> Out<i128> {
        let v = self.sum()?;
        if self.text.is_empty() { Ok(v) } else { Err(format!("index does not parse at `{}`", self.text)) }
    }
    fn eat(&mut self, c: char) -> bool {
        self.text = self.text.trim_start();
        let hit = self.text.strip_prefix(c);
        self.text = hit.unwrap_or(self.text);
        hit.is_some()
    }
    fn sum(&mut self) -> Out<i128> {
        let mut v = self.product()?;
        loop {
            if self.eat('+') {
                v += self.product()?;
            } else if self.eat('-') {
                v -= self.product()?;
            } else {
                return Ok(v);
            }
        }
    }
    fn product(&mut self) -> Out<i128> {
        let mut v = self.atom()?;
        while self.eat('*') {
            v *= self.atom()?;
        }
        Ok(v)
    }
    fn atom(&mut self) -> Out<i128> {
        if self.eat('(') {
            let v = self.sum()?;
            return if self.eat(')') { Ok(v) } else { Err("index without `)`".into()) };
        }
        self.text = self.text.trim_start();
        let end = self.text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(self.text.len());
        let (word, rest) = self.text.split_at(end);
        self.text = rest;
        let digits = word.trim_end_matches("usize").trim_end_matches('_');
        let number = digits.parse().ok().or_else(|| self.of.number(word));
        number.ok_or_else(|| format!("index `{word}` is no loop variable"))
    }
}
