//! The structural checker: names, widths, directions, connections.

use super::ast::*;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckError {
    /// Module.
    pub module: String,
    /// Where inside it, and what.
    pub message: String,
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.module, self.message)
    }
}
impl std::error::Error for CheckError {}

/// Values of parameters, local parameters and genvars.
pub type Env = HashMap<String, i128>;

/// Evaluates a constant expression.
pub fn eval(e: &Expr, env: &Env) -> Result<i128, String> {
    Ok(match e {
        Expr::Lit { value, .. } => i128::try_from(*value).map_err(|_| "constant too large".to_string())?,
        Expr::Num(n) => (*n).into(),
        Expr::Id(name) => *env.get(name).ok_or_else(|| format!("`{name}` is no constant here"))?,
        Expr::Clog2(e) => {
            let v = eval(e, env)?;
            if v <= 1 { 0 } else { i128::from(128 - (v - 1).leading_zeros()) }
        }
        Expr::Cond(c, a, b) => eval(if eval(c, env)? != 0 { a } else { b }, env)?,
        Expr::Unary(UnaryOp::Neg, e) => -eval(e, env)?,
        Expr::Unary(UnaryOp::LogicalNot, e) => i128::from(eval(e, env)? == 0),
        Expr::Resize(_, e) | Expr::Signed(e) | Expr::Unsigned(e) => eval(e, env)?,
        Expr::Binary(op, a, b) => {
            let (a, b) = (eval(a, env)?, eval(b, env)?);
            match op {
                BinaryOp::Add => a + b,
                BinaryOp::Sub => a - b,
                BinaryOp::Mul => a * b,
                BinaryOp::Div => a.checked_div(b).ok_or("division by zero")?,
                BinaryOp::Mod => a.checked_rem(b).ok_or("division by zero")?,
                BinaryOp::And => a & b,
                BinaryOp::Or => a | b,
                BinaryOp::Xor => a ^ b,
                BinaryOp::Shl => a << b,
                BinaryOp::Shr | BinaryOp::Sra => a >> b,
                BinaryOp::Eq => i128::from(a == b),
                BinaryOp::Ne => i128::from(a != b),
                BinaryOp::Lt => i128::from(a < b),
                BinaryOp::Le => i128::from(a <= b),
                BinaryOp::Gt => i128::from(a > b),
                BinaryOp::Ge => i128::from(a >= b),
                BinaryOp::LogicalAnd => i128::from(a != 0 && b != 0),
                BinaryOp::LogicalOr => i128::from(a != 0 || b != 0),
            }
        }
        other => return Err(format!("`{other}` is not constant")),
    })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Input,
    Output,
    Net,
}

#[derive(Clone, Debug)]
struct Var {
    kind: Kind,
    width: i128,
    dims: Vec<i128>,
}

/// The width of an expression: a number, or whatever the context asks for (plain numbers and parameters).
type Width = Option<i128>;

struct Checker<'a> {
    design: &'a Design,
    module: &'a Module,
    env: Env,
    vars: BTreeMap<String, Var>,
    funcs: HashMap<String, (i128, Vec<i128>)>,
    errors: Vec<CheckError>,
    context: Vec<String>,
}

impl Checker<'_> {
    fn error(&mut self, message: impl fmt::Display) {
        let message = match self.context.is_empty() {
            true => message.to_string(),
            false => format!("{}: {message}", self.context.join(", ")),
        };
        let error = CheckError { module: self.module.name.clone(), message };
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    fn eval(&mut self, e: &Expr) -> Option<i128> {
        match eval(e, &self.env) {
            Ok(v) => Some(v),
            Err(m) => {
                self.error(m);
                None
            }
        }
    }

    fn positive(&mut self, what: &str, e: &Expr) -> i128 {
        match self.eval(e) {
            Some(v) if v > 0 => v,
            Some(v) => {
                self.error(format!("{what} `{e}` is {v}"));
                1
            }
            None => 1,
        }
    }

    fn declare(&mut self, name: &str, var: Var) {
        if !is_name(name) {
            self.error(format!("`{name}` is not a legal name"));
        }
        if self.env.contains_key(name) || self.vars.insert(name.to_string(), var).is_some() {
            self.error(format!("`{name}` is declared twice"));
        }
    }

    fn constant(&mut self, name: &str, value: Option<i128>) {
        if !is_name(name) {
            self.error(format!("`{name}` is not a legal name"));
        }
        if self.vars.contains_key(name) || self.env.insert(name.to_string(), value.unwrap_or(0)).is_some() {
            self.error(format!("`{name}` is declared twice"));
        }
    }

    /// The width, with errors for what is inside. Elements of arrays only when fully indexed.
    fn width(&mut self, e: &Expr) -> Width {
        match e {
            Expr::Lit { width, value } => {
                if *width == 0 || (*width < 128 && value >> width != 0) {
                    self.error(format!("literal {value} does not fit {width} bits"));
                }
                Some((*width).into())
            }
            Expr::Unknown(width) => Some((*width).into()),
            Expr::Num(_) | Expr::Clog2(_) => None,
            Expr::Id(name) => match self.vars.get(name) {
                Some(v) if v.dims.is_empty() => Some(v.width),
                Some(_) => {
                    self.error(format!("array `{name}` used without index"));
                    None
                }
                None if self.env.contains_key(name) => self.localparam_width(name),
                None => {
                    self.error(format!("`{name}` is not declared"));
                    None
                }
            },
            Expr::Index(base, index) => {
                let (name, indices) = flatten(base, index);
                let iw: Vec<Width> = indices.iter().map(|i| self.width(i)).collect();
                let Some(name) = name else {
                    self.error(format!("`{e}` indexes an expression"));
                    return Some(1);
                };
                if let Some(w) = self.localparam_width(&name) {
                    self.bounds(e, indices[0], w);
                    return Some(1);
                }
                let Some(v) = self.vars.get(&name).cloned() else {
                    self.error(format!("`{name}` is not declared"));
                    return None;
                };
                for (k, i) in indices.iter().enumerate() {
                    let limit = if k < v.dims.len() { v.dims[k] } else { v.width };
                    self.bounds(e, i, limit);
                    let need = index_width(limit);
                    if let Some(w) = iw[k].filter(|w| *w != need) {
                        self.error(format!("`{e}`: index of {w} bits for {limit} places needs {need} bits"));
                    }
                }
                match indices.len() {
                    n if n == v.dims.len() => Some(v.width),
                    n if n == v.dims.len() + 1 => Some(1),
                    _ => {
                        self.error(format!("`{e}`: wrong number of indices"));
                        None
                    }
                }
            }
            Expr::Range(base, hi, lo) => {
                let w = self.width(base);
                let (hi, lo) = (self.eval(hi)?, self.eval(lo)?);
                if hi < lo || lo < 0 || w.is_some_and(|w| hi >= w) {
                    self.error(format!("`{e}` is outside of {} bits", w.unwrap_or(0)));
                }
                Some(hi - lo + 1)
            }
            Expr::Part(base, offset, n) => {
                let w = self.width(base);
                let wo = self.width(offset);
                let n = self.eval(n)?;
                if let (Some(wo), Some(w)) = (wo, w)
                    && eval(offset, &self.env).is_err()
                    && wo != index_width(w)
                {
                    let need = index_width(w);
                    self.error(format!("`{e}`: offset of {wo} bits into {w} bits needs {need} bits"));
                }
                if let (Ok(o), Some(w)) = (eval(offset, &self.env), w)
                    && (o < 0 || o + n > w)
                {
                    self.error(format!("`{e}` reaches bit {} of {w}", o + n - 1));
                }
                Some(n)
            }
            Expr::Concat(parts) => {
                let mut sum = 0;
                for p in parts {
                    match self.width(p) {
                        Some(w) => sum += w,
                        None => self.error(format!("`{p}` has no width inside a concatenation")),
                    }
                }
                Some(sum)
            }
            Expr::Repeat(n, e) => {
                let n = self.eval(n)?;
                let w = self.width(e);
                if n < 1 || w.is_none() {
                    self.error(format!("`{{{n}{{{e}}}}}` has no width"));
                }
                Some(n * w.unwrap_or(1))
            }
            Expr::Unary(_, inner) if matches!(&**inner, Expr::Resize(w, _) if **w == Expr::Num(1)) => {
                self.error(format!("`{e}`: Yosys takes no unary operator before a cast to one bit"));
                Some(1)
            }
            Expr::Unary(UnaryOp::All | UnaryOp::Any | UnaryOp::Xor, inner)
                if matches!(&**inner, Expr::Resize(..)) =>
            {
                self.error(format!("`{e}`: Yosys 0.23 reduces one bit of a cast only"));
                Some(1)
            }
            Expr::Unary(UnaryOp::Not | UnaryOp::Neg, e) => self.width(e),
            Expr::Unary(op, e) => {
                let w = self.width(e);
                if *op == UnaryOp::LogicalNot && w.is_some_and(|w| w != 1) {
                    self.error(format!("`!` of {} bits: {e}", w.unwrap_or(0)));
                }
                Some(1)
            }
            Expr::Binary(op, a, b) => {
                let (wa, wb) = (self.width(a), self.width(b));
                match op {
                    BinaryOp::Shl | BinaryOp::Shr | BinaryOp::Sra => wa,
                    BinaryOp::LogicalAnd | BinaryOp::LogicalOr => {
                        for (w, e) in [(wa, a), (wb, b)] {
                            if w.is_some_and(|w| w != 1) {
                                self.error(format!("condition of {} bits: {e}", w.unwrap_or(0)));
                            }
                        }
                        Some(1)
                    }
                    _ => {
                        let w = self.same(e, wa, wb);
                        let compares = matches!(
                            op,
                            BinaryOp::Eq
                                | BinaryOp::Ne
                                | BinaryOp::Lt
                                | BinaryOp::Le
                                | BinaryOp::Gt
                                | BinaryOp::Ge
                        );
                        if compares { Some(1) } else { w }
                    }
                }
            }
            Expr::Cond(c, a, b) => {
                self.condition(c);
                let (wa, wb) = (self.width(a), self.width(b));
                self.same(e, wa, wb)
            }
            Expr::Signed(e) | Expr::Unsigned(e) => self.width(e),
            Expr::Resize(w, e) => {
                self.width(e);
                self.eval(w)
            }
            Expr::Call(name, args) => {
                let Some((width, wants)) = self.funcs.get(name).cloned() else {
                    self.error(format!("no function `{name}`"));
                    return None;
                };
                if args.len() != wants.len() {
                    self.error(format!("`{e}`: {} arguments wanted", wants.len()));
                }
                for (a, want) in args.iter().zip(wants) {
                    let w = self.width(a);
                    self.same(e, w, Some(want));
                }
                Some(width)
            }
        }
    }

    fn bounds(&mut self, e: &Expr, index: &Expr, limit: i128) {
        if let Ok(i) = eval(index, &self.env)
            && !(0..limit).contains(&i)
        {
            self.error(format!("`{e}`: index {i} of {limit}"));
        }
    }

    fn localparam_width(&mut self, name: &str) -> Width {
        let find = |b: &Body| {
            b.items.iter().find_map(|i| match i {
                Item::LocalParam(p) if p.name == name => p.width.clone(),
                _ => None,
            })
        };
        find(&self.module.body).and_then(|w| self.eval(&w))
    }

    fn same(&mut self, e: &Expr, a: Width, b: Width) -> Width {
        if let (Some(a), Some(b)) = (a, b)
            && a != b
        {
            self.error(format!("`{e}`: {a} bits with {b} bits"));
        }
        a.or(b)
    }

    fn condition(&mut self, c: &Expr) {
        if let Some(w) = self.width(c).filter(|w| *w != 1) {
            self.error(format!("condition of {w} bits: {c}"));
        }
    }

    fn assign(&mut self, l: &Expr, r: &Expr) {
        self.lvalue(l);
        let (wl, wr) = (self.width(l), self.width(r));
        match (wl, wr) {
            (Some(a), Some(b)) if a != b => self.error(format!("`{l}` has {a} bits, `{r}` has {b}")),
            (_, None) => self.error(format!("`{r}` needs a width")),
            _ => {}
        }
    }

    fn lvalue(&mut self, l: &Expr) {
        match l {
            Expr::Id(name) => match self.vars.get(name).map(|v| v.kind) {
                Some(Kind::Input) => self.error(format!("input `{name}` is assigned")),
                Some(_) => {}
                None => self.error(format!("`{name}` is assigned but not declared")),
            },
            Expr::Index(b, _) | Expr::Range(b, ..) | Expr::Part(b, ..) => self.lvalue(b),
            Expr::Concat(parts) => parts.iter().for_each(|p| self.lvalue(p)),
            other => self.error(format!("`{other}` cannot be assigned")),
        }
    }

    fn stmts(&mut self, stmts: &[Stmt], clocked: bool) {
        for s in stmts {
            match s {
                Stmt::Blocking(l, r) => {
                    if clocked {
                        self.error(format!("blocking assignment to `{l}` in always_ff"));
                    }
                    self.assign(l, r);
                }
                Stmt::NonBlocking(l, r) => {
                    if !clocked {
                        self.error(format!("nonblocking assignment to `{l}` in always_comb"));
                    }
                    self.assign(l, r);
                }
                Stmt::If(c, a, b) => {
                    self.condition(c);
                    self.stmts(a, clocked);
                    self.stmts(b, clocked);
                }
                Stmt::Case(e, arms, default) => {
                    let w = self.width(e);
                    for (patterns, body) in arms {
                        for p in patterns {
                            let wp = self.width(p);
                            self.same(p, w, wp);
                        }
                        self.stmts(body, clocked);
                    }
                    self.stmts(default, clocked);
                }
                Stmt::For(v, from, to, body) => {
                    if let (Some(from), Some(to)) = (self.eval(from), self.eval(to)) {
                        self.iterate(v, from, to, |c| c.stmts(body, clocked));
                    }
                }
                Stmt::Comment(_) => {}
            }
        }
    }

    /// The body under the first and the last value of the loop variable.
    fn iterate(&mut self, var: &str, from: i128, to: i128, mut f: impl FnMut(&mut Self)) {
        let mut values = vec![from, to - 1];
        values.dedup();
        for v in values.into_iter().filter(|v| (from..to).contains(v)) {
            self.constant(var, Some(v));
            self.context.push(format!("{var} = {v}"));
            f(self);
            self.context.pop();
            self.env.remove(var);
        }
    }

    fn body(&mut self, body: &Body) {
        let (vars, env) = (self.vars.clone(), self.env.clone());
        for item in &body.items {
            match item {
                Item::LocalParam(p) => {
                    let value = self.eval(&p.value);
                    self.constant(&p.name, value);
                }
                Item::Net(n) => {
                    let width = self.positive("width", &n.width);
                    let dims = n.dims.iter().map(|d| self.positive("size", d)).collect();
                    self.declare(&n.name, Var { kind: Kind::Net, width, dims });
                }
                Item::Function(f) => {
                    let w = self.positive("width", &f.width);
                    let args = f.args.iter().map(|(_, w)| self.positive("width", w)).collect();
                    self.funcs.insert(f.name.clone(), (w, args));
                }
                _ => {}
            }
        }
        for item in &body.items {
            self.item(item);
        }
        (self.vars, self.env) = (vars, env);
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Assign(l, r) => self.assign(l, r),
            Item::Comb(s) => self.stmts(s, false),
            Item::Ff(s) => self.clocked(s, &[]),
            Item::FfReset(r, s) => self.clocked(s, r),
            Item::GenFor(v, from, to, label, body) => {
                if !label.starts_with("gen_") {
                    self.error(format!("generate block `{label}` is not named gen_*"));
                }
                if let (Some(from), Some(to)) = (self.eval(from), self.eval(to)) {
                    self.iterate(v, from, to, |c| c.body(body));
                }
            }
            Item::GenIf(c, (label, then), otherwise) => {
                if !label.starts_with("gen_") {
                    self.error(format!("generate block `{label}` is not named gen_*"));
                }
                match (self.eval(c), otherwise) {
                    (Some(0), Some((_, b))) => self.body(b),
                    (Some(0), None) | (None, _) => {}
                    _ => self.body(then),
                }
            }
            Item::Instance(i) => {
                self.context.push(format!("instance {}", i.name));
                self.instance(i);
                self.context.pop();
            }
            Item::Function(f) => {
                let vars = self.vars.clone();
                let declare = |c: &mut Self, n: &str, w: &Expr| {
                    let width = c.positive("width", w);
                    c.vars.insert(n.to_string(), Var { kind: Kind::Net, width, dims: vec![] });
                };
                declare(self, &f.name, &f.width);
                f.args.iter().chain(&f.locals).for_each(|(n, w)| declare(self, n, w));
                self.stmts(&f.body, false);
                self.vars = vars;
            }
            Item::LocalParam(_) | Item::Net(_) | Item::Comment(_) | Item::Blank => {}
        }
    }

    fn clocked(&mut self, body: &[Stmt], reset: &[Stmt]) {
        for port in if reset.is_empty() { &["clk_i"][..] } else { &["clk_i", "rst_ni"][..] } {
            if !self.vars.contains_key(*port) {
                self.error(format!("always_ff without a port `{port}`"));
            }
        }
        self.stmts(reset, true);
        self.stmts(body, true);
    }

    fn instance(&mut self, i: &Instance) {
        let Some(module) = self.design.find(&i.module) else {
            return self.error(format!("no module `{}`", i.module));
        };
        for (name, _) in &i.params {
            if !module.params.iter().any(|p| p.name == *name) {
                self.error(format!("`{}` has no parameter `{name}`", i.module));
            }
        }
        let mut env = Env::new();
        for p in &module.params {
            let value = match i.params.iter().find(|(n, _)| *n == p.name) {
                Some((_, e)) => self.eval(e),
                None => eval(&p.default, &env).ok(),
            };
            env.insert(p.name.clone(), value.unwrap_or(1));
        }
        for (n, (name, _)) in i.conns.iter().enumerate() {
            if module.find_port(name).is_none() {
                self.error(format!("`{}` has no port `{name}`", i.module));
            }
            if i.conns[..n].iter().any(|(other, _)| other == name) {
                self.error(format!("port `{name}` is connected twice"));
            }
        }
        for port in &module.ports {
            let Some((_, conn)) = i.conns.iter().find(|(n, _)| *n == port.name) else {
                self.error(format!("port `{}` is not connected", port.name));
                continue;
            };
            let Some(e) = conn else {
                match port.dir {
                    Dir::In => self.error(format!("input `{}` is left open", port.name)),
                    Dir::Out => self.error(format!("connect output `{}` to a net named unused_*", port.name)),
                }
                continue;
            };
            if port.dir == Dir::Out {
                self.lvalue(e);
            }
            let want = eval(&port.width, &env);
            match (self.width(e), want) {
                (Some(w), Ok(want)) if w == want => {}
                (Some(w), Ok(want)) => {
                    self.error(format!("port `{}` has {want} bits, `{e}` has {w}", port.name));
                }
                (None, _) => self.error(format!("port `{}`: `{e}` needs a width", port.name)),
                (_, Err(m)) => self.error(format!("port `{}`: {m}", port.name)),
            }
        }
    }
}

/// Bits to name one of `places`, as Verilator wants an index.
fn index_width(places: i128) -> i128 {
    i128::from(128 - (places - 1).max(1).leading_zeros())
}

fn flatten<'a>(base: &'a Expr, index: &'a Expr) -> (Option<String>, Vec<&'a Expr>) {
    match base {
        Expr::Id(name) => (Some(name.clone()), vec![index]),
        Expr::Index(b, i) => {
            let (name, mut all) = flatten(b, i);
            all.push(index);
            (name, all)
        }
        _ => (None, vec![index]),
    }
}

const KEYWORDS: &[&str] = &[
    "always",
    "and",
    "assign",
    "automatic",
    "begin",
    "bit",
    "buf",
    "byte",
    "case",
    "cell",
    "config",
    "const",
    "cover",
    "default",
    "disable",
    "do",
    "edge",
    "else",
    "end",
    "enum",
    "event",
    "export",
    "final",
    "for",
    "force",
    "function",
    "generate",
    "if",
    "import",
    "initial",
    "inout",
    "input",
    "int",
    "integer",
    "interface",
    "join",
    "library",
    "local",
    "logic",
    "longint",
    "modport",
    "module",
    "nand",
    "negedge",
    "new",
    "nor",
    "not",
    "or",
    "output",
    "package",
    "parameter",
    "posedge",
    "priority",
    "program",
    "property",
    "protected",
    "pure",
    "rand",
    "ref",
    "reg",
    "release",
    "repeat",
    "return",
    "sequence",
    "shortint",
    "signed",
    "specify",
    "static",
    "string",
    "strong",
    "struct",
    "super",
    "supply0",
    "supply1",
    "table",
    "tagged",
    "task",
    "this",
    "time",
    "tran",
    "tri",
    "type",
    "typedef",
    "union",
    "unique",
    "unsigned",
    "use",
    "var",
    "virtual",
    "void",
    "wait",
    "while",
    "wire",
    "with",
    "within",
    "xnor",
    "xor",
    "weak",
    "design",
    "instance",
    "expect",
    "extends",
    "dist",
    "cross",
    "context",
    "checker",
    "bind",
    "before",
    "alias",
    "accept_on",
    "iff",
    "inside",
    "matches",
    "null",
    "solve",
    "chandle",
    "class",
    "clocking",
    "constraint",
    "covergroup",
    "first_match",
    "foreach",
    "forever",
    "fork",
    "genvar",
    "small",
    "medium",
    "large",
    "highz0",
    "highz1",
    "pull0",
    "pull1",
    "primitive",
    "real",
    "realtime",
    "scalared",
    "vectored",
    "shortreal",
    "timeprecision",
    "timeunit",
    "trireg",
    "wor",
    "wand",
    "until",
    "throughout",
    "implies",
    "global",
    "let",
    "restrict",
    "strong0",
    "strong1",
    "weak0",
    "weak1",
];

/// Whether a name is legal in all three tools.
pub(crate) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !KEYWORDS.contains(&name)
}

impl Design {
    /// Checks every module under its default parameters, and every instance under its own.
    ///
    /// Generate and procedural loops are checked at their first and last value.
    ///
    /// # Errors
    /// Everything found.
    pub fn check(&self) -> Result<(), Vec<CheckError>> {
        let mut errors = vec![];
        for (n, module) in self.modules.iter().enumerate() {
            let mut c = Checker {
                design: self,
                module,
                env: Env::new(),
                vars: BTreeMap::new(),
                funcs: HashMap::new(),
                errors: vec![],
                context: vec![],
            };
            if !is_name(&module.name) || self.modules[..n].iter().any(|m| m.name == module.name) {
                c.error("module name illegal or used twice");
            }
            for p in &module.params {
                let value = c.eval(&p.default);
                c.constant(&p.name, value);
            }
            for p in &module.ports {
                let width = c.positive("width", &p.width);
                let kind = if p.dir == Dir::In { Kind::Input } else { Kind::Output };
                c.declare(&p.name, Var { kind, width, dims: vec![] });
            }
            c.body(&module.body);
            errors.append(&mut c.errors);
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }
}
