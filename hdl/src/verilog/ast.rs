//! A typed syntax tree for the SystemVerilog subset that Verilator, Icarus and Yosys all accept.
//!
//! Structure (grids, memories, top levels) is written with the builder methods of [`Module`] and [`Body`];
//! leaves come from rust-hdl (see [`crate::leaf`]). Widths are expressions over parameters: they are printed
//! symbolically and checked by evaluation ([`Design::check`](super::Design::check)).
//!
//! ```
//! use hdl::verilog::*;
//! let mut m = Module::new("koch_skew", "Delays lane r by r cycles.");
//! m.param("Lanes", 4).param("Width", 8);
//! m.clocked();
//! m.input("data_i", id("Lanes") * "Width").output("data_o", id("Lanes") * "Width");
//! m.gen_for("r", 0, "Lanes", "gen_lane", |b| {
//!     // Registers are packed vectors: Yosys warns about arrays that are reset.
//!     b.logic("pipe_q", (id("r") + 1) * "Width");
//!     b.gen_for("s", 0, id("r") + 1, "gen_stage", |b| {
//!         let stage = |s: Expr| id("pipe_q").part(s * "Width", "Width");
//!         b.logic("in", "Width");
//!         b.gen_if_else(
//!             id("s").eq_(0),
//!             "gen_first",
//!             |b| {
//!                 b.assign("in", id("data_i").part(id("r") * "Width", "Width"));
//!             },
//!             "gen_next",
//!             |b| {
//!                 b.assign("in", stage(id("s") - 1));
//!             },
//!         );
//!         b.ff([set_nb(stage(id("s")), rep("Width", lit(1, 0)))], [set_nb(stage(id("s")), "in")]);
//!     });
//!     b.assign(id("data_o").part(id("r") * "Width", "Width"), id("pipe_q").part(id("r") * "Width", "Width"));
//! });
//! let design = Design::new([m]);
//! assert_eq!(design.check(), Ok(()));
//! ```

use std::ops;

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// A sized literal, printed as `8'd5`, or as `32'hdeadbeef` from 16 bits on when not small.
    Lit {
        /// Width in bits.
        width: u32,
        /// Value; must fit the width.
        value: u128,
    },
    /// Of this width, and whatever suits: printed as `8'bx`.
    Unknown(u32),
    /// A plain decimal number: only where a constant is asked for (widths, ranges, parameters, indices, shift counts).
    Num(i64),
    /// A name.
    Id(String),
    /// `$clog2(e)`: in constant expressions.
    Clog2(Box<Expr>),
    /// `base[index]`: a bit of a vector, or an element of an array.
    Index(Box<Expr>, Box<Expr>),
    /// `base[hi:lo]` with constant bounds.
    Range(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `base[offset +: width]`.
    Part(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `{a, b}`, most significant first.
    Concat(Vec<Expr>),
    /// `{n{e}}`.
    Repeat(Box<Expr>, Box<Expr>),
    /// A unary operator.
    Unary(UnaryOp, Box<Expr>),
    /// A binary operator.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `cond ? a : b`.
    Cond(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `$signed(e)`.
    Signed(Box<Expr>),
    /// `$unsigned(e)`.
    Unsigned(Box<Expr>),
    /// `width'(e)`: truncation, or extension by the sign when `e` is signed.
    Resize(Box<Expr>, Box<Expr>),
    /// A call of a function of the same module.
    Call(String, Vec<Expr>),
}

/// Unary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `~`
    Not,
    /// `!`
    LogicalNot,
    /// `-`
    Neg,
    /// `&`
    All,
    /// `|`
    Any,
    /// `^`
    Xor,
}

/// Binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    /// `>>>`
    Sra,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    LogicalAnd,
    LogicalOr,
}

/// A name.
pub fn id(name: impl Into<String>) -> Expr {
    Expr::Id(name.into())
}

/// A sized literal.
pub fn lit(width: u32, value: impl LitValue) -> Expr {
    Expr::Lit { width, value: value.value() }
}

/// What a literal is made of: any integer that is not negative.
pub trait LitValue {
    /// The value.
    fn value(self) -> u128;
}
macro_rules! lit_value {
    ($($t:ty),*) => {$(
        impl LitValue for $t {
            fn value(self) -> u128 {
                u128::try_from(self).expect("literals are not negative")
            }
        }
    )*};
}
lit_value!(i32, u8, u16, u32, u64, u128, usize);

/// A plain number, for constant contexts.
pub fn num(value: i64) -> Expr {
    Expr::Num(value)
}

/// `{a, b, ...}`, most significant first.
pub fn cat(parts: impl IntoIterator<Item = Expr>) -> Expr {
    Expr::Concat(parts.into_iter().collect())
}

/// `{n{e}}`.
pub fn rep(n: impl Into<Expr>, e: impl Into<Expr>) -> Expr {
    Expr::Repeat(Box::new(n.into()), Box::new(e.into()))
}

/// `cond ? a : b`.
pub fn mux(cond: impl Into<Expr>, a: impl Into<Expr>, b: impl Into<Expr>) -> Expr {
    Expr::Cond(Box::new(cond.into()), Box::new(a.into()), Box::new(b.into()))
}

/// `$clog2(e)`.
pub fn clog2(e: impl Into<Expr>) -> Expr {
    Expr::Clog2(Box::new(e.into()))
}

/// `$signed(e)`.
pub fn signed(e: impl Into<Expr>) -> Expr {
    Expr::Signed(Box::new(e.into()))
}

/// `$unsigned(e)`.
pub fn unsigned(e: impl Into<Expr>) -> Expr {
    Expr::Unsigned(Box::new(e.into()))
}

/// `width'(e)`.
pub fn resize(width: impl Into<Expr>, e: impl Into<Expr>) -> Expr {
    Expr::Resize(Box::new(width.into()), Box::new(e.into()))
}

/// `name(args)`.
pub fn call(name: impl Into<String>, args: impl IntoIterator<Item = Expr>) -> Expr {
    Expr::Call(name.into(), args.into_iter().collect())
}

impl From<&str> for Expr {
    fn from(name: &str) -> Self {
        id(name)
    }
}
impl From<String> for Expr {
    fn from(name: String) -> Self {
        id(name)
    }
}
impl From<&Expr> for Expr {
    fn from(e: &Expr) -> Self {
        e.clone()
    }
}
macro_rules! from_int {
    ($($t:ty),*) => {$(
        impl From<$t> for Expr {
            fn from(v: $t) -> Self {
                Expr::Num(i64::try_from(v).expect("constant fits 63 bits"))
            }
        }
    )*};
}
from_int!(i32, u32, u64, usize, i64);

macro_rules! binary {
    ($($(#[$doc:meta])* $f:ident = $op:ident),* $(,)?) => {$(
        $(#[$doc])*
        pub fn $f(self, rhs: impl Into<Expr>) -> Expr {
            Expr::Binary(BinaryOp::$op, Box::new(self), Box::new(rhs.into()))
        }
    )*};
}

impl Expr {
    binary! {
        /// `==`
        eq_ = Eq,
        /// `!=`
        ne_ = Ne,
        /// `<`
        lt_ = Lt,
        /// `<=`
        le_ = Le,
        /// `>`
        gt_ = Gt,
        /// `>=`
        ge_ = Ge,
        /// `&&`
        and = LogicalAnd,
        /// `||`
        or = LogicalOr,
        /// `>>>`
        sra = Sra,
    }

    /// `self[index]`.
    pub fn at(self, index: impl Into<Expr>) -> Expr {
        Expr::Index(Box::new(self), Box::new(index.into()))
    }
    /// `self[hi:lo]`.
    pub fn range(self, hi: impl Into<Expr>, lo: impl Into<Expr>) -> Expr {
        Expr::Range(Box::new(self), Box::new(hi.into()), Box::new(lo.into()))
    }
    /// `self[offset +: width]`.
    pub fn part(self, offset: impl Into<Expr>, width: impl Into<Expr>) -> Expr {
        Expr::Part(Box::new(self), Box::new(offset.into()), Box::new(width.into()))
    }
    /// `!self`, of one bit.
    pub fn lnot(self) -> Expr {
        Expr::Unary(UnaryOp::LogicalNot, Box::new(self))
    }
    /// `|self`.
    pub fn any(self) -> Expr {
        Expr::Unary(UnaryOp::Any, Box::new(self))
    }
    /// `&self`.
    pub fn all(self) -> Expr {
        Expr::Unary(UnaryOp::All, Box::new(self))
    }
    /// `^self`.
    pub fn parity(self) -> Expr {
        Expr::Unary(UnaryOp::Xor, Box::new(self))
    }
}

macro_rules! operator {
    ($($tr:ident $f:ident $op:ident),*) => {$(
        impl<T: Into<Expr>> ops::$tr<T> for Expr {
            type Output = Expr;
            fn $f(self, rhs: T) -> Expr {
                Expr::Binary(BinaryOp::$op, Box::new(self), Box::new(rhs.into()))
            }
        }
    )*};
}
operator!(Add add Add, Sub sub Sub, Mul mul Mul, Div div Div, Rem rem Mod, BitAnd bitand And, BitOr bitor Or,
    BitXor bitxor Xor, Shl shl Shl, Shr shr Shr);

impl ops::Not for Expr {
    type Output = Expr;
    fn not(self) -> Expr {
        Expr::Unary(UnaryOp::Not, Box::new(self))
    }
}
impl ops::Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        Expr::Unary(UnaryOp::Neg, Box::new(self))
    }
}

/// A procedural statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stmt {
    /// `lhs = rhs;`
    Blocking(Expr, Expr),
    /// `lhs <= rhs;`
    NonBlocking(Expr, Expr),
    /// `if (cond) ... else ...`; an `else` of exactly one `If` prints as `else if`.
    If(Expr, Vec<Stmt>, Vec<Stmt>),
    /// `case`: arms, then the default (possibly empty, always printed).
    Case(Expr, Vec<(Vec<Expr>, Vec<Stmt>)>, Vec<Stmt>),
    /// `for (int unsigned var = from; var < to; var = var + 1)`.
    For(String, Expr, Expr, Vec<Stmt>),
    /// A comment line.
    Comment(String),
}

/// `lhs = rhs;`
pub fn set(lhs: impl Into<Expr>, rhs: impl Into<Expr>) -> Stmt {
    Stmt::Blocking(lhs.into(), rhs.into())
}
/// `lhs <= rhs;`
pub fn set_nb(lhs: impl Into<Expr>, rhs: impl Into<Expr>) -> Stmt {
    Stmt::NonBlocking(lhs.into(), rhs.into())
}
/// `if (cond) ...`
pub fn when(cond: impl Into<Expr>, then: impl IntoIterator<Item = Stmt>) -> Stmt {
    Stmt::If(cond.into(), then.into_iter().collect(), vec![])
}
/// `if (cond) ... else ...`
pub fn if_else(
    cond: impl Into<Expr>,
    then: impl IntoIterator<Item = Stmt>,
    otherwise: impl IntoIterator<Item = Stmt>,
) -> Stmt {
    Stmt::If(cond.into(), then.into_iter().collect(), otherwise.into_iter().collect())
}
/// `case (e) ... default: ... endcase`
pub fn case(
    e: impl Into<Expr>,
    arms: impl IntoIterator<Item = (Expr, Vec<Stmt>)>,
    default: impl IntoIterator<Item = Stmt>,
) -> Stmt {
    let arms = arms.into_iter().map(|(p, b)| (vec![p], b)).collect();
    Stmt::Case(e.into(), arms, default.into_iter().collect())
}
/// A procedural loop.
pub fn for_loop(
    var: impl Into<String>,
    from: impl Into<Expr>,
    to: impl Into<Expr>,
    body: impl IntoIterator<Item = Stmt>,
) -> Stmt {
    Stmt::For(var.into(), from.into(), to.into(), body.into_iter().collect())
}

/// The attribute behind [`Body::logic_split`].
const SPLIT: &str = "verilator split_var";

/// Port direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dir {
    /// `input`
    In,
    /// `output`
    Out,
}

/// A port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Direction.
    pub dir: Dir,
    /// Name.
    pub name: String,
    /// Width in bits, over the parameters; the number 1 prints as a scalar.
    pub width: Expr,
    /// `signed`.
    pub signed: bool,
}

/// A parameter, `int unsigned`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param {
    /// Name, upper camel case.
    pub name: String,
    /// Default.
    pub default: Expr,
}

/// A local constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalParam {
    /// Name, upper camel case.
    pub name: String,
    /// Width; none for `int unsigned`.
    pub width: Option<Expr>,
    /// Value.
    pub value: Expr,
}

/// A declared `logic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Net {
    /// Name.
    pub name: String,
    /// Width in bits.
    pub width: Expr,
    /// `signed`.
    pub signed: bool,
    /// Unpacked dimensions, each a count: `[0:n-1]`.
    pub dims: Vec<Expr>,
    /// Attributes, as `name` or `name = "value"`.
    pub attrs: Vec<String>,
}

/// A module instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Module.
    pub module: String,
    /// Instance name, `u_...`.
    pub name: String,
    /// Parameter overrides.
    pub params: Vec<(String, Expr)>,
    /// Connections; `None` is open, which the checker rejects: outputs that nobody reads go to nets named
    /// `unused_*`, about which no tool complains.
    pub conns: Vec<(String, Option<Expr>)>,
}

/// A function: automatic, one return value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Name.
    pub name: String,
    /// Width of the result.
    pub width: Expr,
    /// Arguments: name, width.
    pub args: Vec<(String, Expr)>,
    /// Local variables: name, width.
    pub locals: Vec<(String, Expr)>,
    /// Body; assigns to the function's name.
    pub body: Vec<Stmt>,
}

/// Something inside a module or a generate block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// `localparam`
    LocalParam(LocalParam),
    /// `logic`
    Net(Net),
    /// `assign`
    Assign(Expr, Expr),
    /// `always_comb`
    Comb(Vec<Stmt>),
    /// `always_ff` with synchronous active-low reset: reset statements, clocked statements.
    FfReset(Vec<Stmt>, Vec<Stmt>),
    /// `always_ff` without reset (memories, data pipelines).
    Ff(Vec<Stmt>),
    /// `for (genvar ...) begin : label`: variable, from, to (exclusive), label, body.
    GenFor(String, Expr, Expr, String, Body),
    /// `if (cond) begin : label ... end else begin : label`.
    GenIf(Expr, (String, Body), Option<(String, Body)>),
    /// Instance.
    Instance(Instance),
    /// Function.
    Function(Function),
    /// Comment lines.
    Comment(String),
    /// An empty line.
    Blank,
}

/// The inside of a module or generate block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// In order.
    pub items: Vec<Item>,
}

impl Body {
    fn push(&mut self, item: Item) -> &mut Self {
        self.items.push(item);
        self
    }
    /// `localparam int unsigned name = value;`
    pub fn localparam(&mut self, name: impl Into<String>, value: impl Into<Expr>) -> &mut Self {
        self.push(Item::LocalParam(LocalParam { name: name.into(), width: None, value: value.into() }))
    }
    /// `localparam logic [width-1:0] name = value;`
    pub fn localparam_bits(
        &mut self,
        name: impl Into<String>,
        width: impl Into<Expr>,
        value: impl Into<Expr>,
    ) -> &mut Self {
        let width = Some(width.into());
        self.push(Item::LocalParam(LocalParam { name: name.into(), width, value: value.into() }))
    }
    /// `logic [width-1:0] name;`
    pub fn logic(&mut self, name: impl Into<String>, width: impl Into<Expr>) -> &mut Self {
        self.net(name, width, [], [])
    }
    /// `logic signed [width-1:0] name;`
    pub fn logic_signed(&mut self, name: impl Into<String>, width: impl Into<Expr>) -> &mut Self {
        self.net(name, width, [], []);
        if let Some(Item::Net(n)) = self.items.last_mut() {
            n.signed = true;
        }
        self
    }
    /// `logic [width-1:0] name [n];`
    pub fn logic_array(
        &mut self,
        name: impl Into<String>,
        width: impl Into<Expr>,
        n: impl Into<Expr>,
    ) -> &mut Self {
        self.net(name, width, [n.into()], [])
    }
    /// A `logic` of which Verilator keeps every part that is selected as a variable of its own: for chains through
    /// a vector, which would otherwise be shifted and masked as one wide number.
    pub fn logic_split(&mut self, name: impl Into<String>, width: impl Into<Expr>) -> &mut Self {
        self.net(name, width, [], [SPLIT])
    }
    /// A `logic` with unpacked dimensions and attributes (`no_rw_check`, `ram_style = "block"`).
    pub fn net<'a>(
        &mut self,
        name: impl Into<String>,
        width: impl Into<Expr>,
        dims: impl IntoIterator<Item = Expr>,
        attrs: impl IntoIterator<Item = &'a str>,
    ) -> &mut Self {
        self.push(Item::Net(Net {
            name: name.into(),
            width: width.into(),
            signed: false,
            dims: dims.into_iter().collect(),
            attrs: attrs.into_iter().map(String::from).collect(),
        }))
    }
    /// `assign lhs = rhs;`
    pub fn assign(&mut self, lhs: impl Into<Expr>, rhs: impl Into<Expr>) -> &mut Self {
        self.push(Item::Assign(lhs.into(), rhs.into()))
    }
    /// `always_comb`.
    pub fn comb(&mut self, body: impl IntoIterator<Item = Stmt>) -> &mut Self {
        self.push(Item::Comb(body.into_iter().collect()))
    }
    /// `always_ff` on `clk_i` with synchronous reset `rst_ni`.
    pub fn ff(
        &mut self,
        reset: impl IntoIterator<Item = Stmt>,
        body: impl IntoIterator<Item = Stmt>,
    ) -> &mut Self {
        self.push(Item::FfReset(reset.into_iter().collect(), body.into_iter().collect()))
    }
    /// `always_ff` on `clk_i` without reset.
    pub fn ff_no_reset(&mut self, body: impl IntoIterator<Item = Stmt>) -> &mut Self {
        self.push(Item::Ff(body.into_iter().collect()))
    }
    /// `for (genvar var = from; var < to; ...) begin : label`.
    pub fn gen_for(
        &mut self,
        var: impl Into<String>,
        from: impl Into<Expr>,
        to: impl Into<Expr>,
        label: impl Into<String>,
        f: impl FnOnce(&mut Body),
    ) -> &mut Self {
        let mut body = Body::default();
        f(&mut body);
        self.push(Item::GenFor(var.into(), from.into(), to.into(), label.into(), body))
    }
    /// `if (cond) begin : label`.
    pub fn gen_if(
        &mut self,
        cond: impl Into<Expr>,
        label: impl Into<String>,
        f: impl FnOnce(&mut Body),
    ) -> &mut Self {
        let mut body = Body::default();
        f(&mut body);
        self.push(Item::GenIf(cond.into(), (label.into(), body), None))
    }
    /// `if (cond) begin : label ... end else begin : label`.
    pub fn gen_if_else(
        &mut self,
        cond: impl Into<Expr>,
        label: impl Into<String>,
        f: impl FnOnce(&mut Body),
        else_label: impl Into<String>,
        g: impl FnOnce(&mut Body),
    ) -> &mut Self {
        let (mut then, mut otherwise) = (Body::default(), Body::default());
        f(&mut then);
        g(&mut otherwise);
        self.push(Item::GenIf(cond.into(), (label.into(), then), Some((else_label.into(), otherwise))))
    }
    /// An instance with named connections: an array of `(port, expression)`, names standing for themselves.
    pub fn inst<'p, 'c, E: Into<Expr>>(
        &mut self,
        module: impl Into<String>,
        name: impl Into<String>,
        params: impl IntoIterator<Item = (&'p str, Expr)>,
        conns: impl IntoIterator<Item = (&'c str, E)>,
    ) -> &mut Self {
        self.push(Item::Instance(Instance {
            module: module.into(),
            name: name.into(),
            params: params.into_iter().map(|(n, e)| (n.into(), e)).collect(),
            conns: conns.into_iter().map(|(n, e)| (n.into(), Some(e.into()))).collect(),
        }))
    }
    /// Leaves a port of the last instance open; the checker rejects it, and names what to do instead.
    pub fn open(&mut self, port: impl Into<String>) -> &mut Self {
        match self.items.last_mut() {
            Some(Item::Instance(i)) => i.conns.push((port.into(), None)),
            _ => panic!("open() follows inst()"),
        }
        self
    }
    /// Adds one connection to the last instance.
    pub fn conn(&mut self, port: impl Into<String>, e: impl Into<Expr>) -> &mut Self {
        match self.items.last_mut() {
            Some(Item::Instance(i)) => i.conns.push((port.into(), Some(e.into()))),
            _ => panic!("conn() follows inst()"),
        }
        self
    }
    /// Consumes bits that nobody reads: a net `unused_name` that is their parity.
    pub fn unused(&mut self, name: &str, bits: impl IntoIterator<Item = Expr>) -> &mut Self {
        let net = format!("unused_{name}");
        self.logic(&net, 1).assign(net, cat(bits).parity())
    }
    /// A comment, wrapped by line breaks.
    pub fn comment(&mut self, text: impl Into<String>) -> &mut Self {
        self.push(Item::Comment(text.into()))
    }
    /// An empty line.
    pub fn blank(&mut self) -> &mut Self {
        self.push(Item::Blank)
    }
    /// Any item.
    pub fn item(&mut self, item: Item) -> &mut Self {
        self.push(item)
    }
}

/// A module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Name; also the file's.
    pub name: String,
    /// Lines of the header comment: purpose, latency, config name and hash.
    pub header: Vec<String>,
    /// Parameters.
    pub params: Vec<Param>,
    /// Ports.
    pub ports: Vec<Port>,
    /// Contents. `Module` dereferences to it, so `m.logic(..)` works.
    pub body: Body,
}

impl Module {
    /// An empty module with a purpose.
    pub fn new(name: impl Into<String>, purpose: impl Into<String>) -> Self {
        Module {
            name: name.into(),
            header: vec![purpose.into()],
            params: vec![],
            ports: vec![],
            body: Body::default(),
        }
    }
    /// One more line (or lines) in the header comment.
    pub fn note(&mut self, text: impl Into<String>) -> &mut Self {
        self.header.push(text.into());
        self
    }
    /// `parameter int unsigned name = default`.
    pub fn param(&mut self, name: impl Into<String>, default: impl Into<Expr>) -> &mut Self {
        self.params.push(Param { name: name.into(), default: default.into() });
        self
    }
    /// `input logic clk_i, input logic rst_ni`.
    pub fn clocked(&mut self) -> &mut Self {
        self.input("clk_i", 1).input("rst_ni", 1)
    }
    /// An input.
    pub fn input(&mut self, name: impl Into<String>, width: impl Into<Expr>) -> &mut Self {
        self.port(Dir::In, name, width)
    }
    /// An output.
    pub fn output(&mut self, name: impl Into<String>, width: impl Into<Expr>) -> &mut Self {
        self.port(Dir::Out, name, width)
    }
    fn port(&mut self, dir: Dir, name: impl Into<String>, width: impl Into<Expr>) -> &mut Self {
        self.ports.push(Port { dir, name: name.into(), width: width.into(), signed: false });
        self
    }
    /// The port of that name.
    pub fn find_port(&self, name: &str) -> Option<&Port> {
        self.ports.iter().find(|p| p.name == name)
    }
}

impl ops::Deref for Module {
    type Target = Body;
    fn deref(&self) -> &Body {
        &self.body
    }
}
impl ops::DerefMut for Module {
    fn deref_mut(&mut self) -> &mut Body {
        &mut self.body
    }
}

/// A set of modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Design {
    /// In printing order.
    pub modules: Vec<Module>,
}

impl Design {
    /// A design of these modules.
    pub fn new(modules: impl IntoIterator<Item = Module>) -> Self {
        Design { modules: modules.into_iter().collect() }
    }
    /// The module of that name.
    pub fn find(&self, name: &str) -> Option<&Module> {
        self.modules.iter().find(|m| m.name == name)
    }
    /// Adds a module unless the same one is there already.
    ///
    /// # Panics
    /// If another module has its name.
    pub fn add(&mut self, module: Module) -> &mut Self {
        match self.find(&module.name) {
            None => self.modules.push(module),
            Some(old) => assert_eq!(*old, module, "two different modules named {}", module.name),
        }
        self
    }
}
