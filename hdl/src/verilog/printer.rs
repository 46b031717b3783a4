//! Prints the tree in lowRISC style. The same tree gives the same bytes.

use super::ast::*;
use std::fmt::{self, Display, Write};

const COLUMNS: usize = 100;

fn unary_text(op: UnaryOp) -> &'static str {
    match op {
        UnaryOp::Not => "~",
        UnaryOp::LogicalNot => "!",
        UnaryOp::Neg => "-",
        UnaryOp::All => "&",
        UnaryOp::Any => "|",
        UnaryOp::Xor => "^",
    }
}

fn binary_text(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Mod => "%",
        BinaryOp::And => "&",
        BinaryOp::Or => "|",
        BinaryOp::Xor => "^",
        BinaryOp::Shl => "<<",
        BinaryOp::Shr => ">>",
        BinaryOp::Sra => ">>>",
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::LogicalAnd => "&&",
        BinaryOp::LogicalOr => "||",
    }
}

/// Binding strength; larger binds tighter.
fn strength(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod => 9,
        BinaryOp::Add | BinaryOp::Sub => 8,
        BinaryOp::Shl | BinaryOp::Shr | BinaryOp::Sra => 7,
        BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => 6,
        BinaryOp::Eq | BinaryOp::Ne => 5,
        BinaryOp::And => 4,
        BinaryOp::Xor => 3,
        BinaryOp::Or => 2,
        BinaryOp::LogicalAnd => 1,
        BinaryOp::LogicalOr => 0,
    }
}

/// Whether a binary operand needs no parentheses: only where every reader knows the precedence.
fn bare_operand(parent: BinaryOp, child: BinaryOp, left: bool) -> bool {
    let associative = matches!(
        parent,
        BinaryOp::Add
            | BinaryOp::Mul
            | BinaryOp::And
            | BinaryOp::Or
            | BinaryOp::Xor
            | BinaryOp::LogicalAnd
            | BinaryOp::LogicalOr
    );
    if parent == child {
        return left && (associative || parent == BinaryOp::Sub);
    }
    let arithmetic = |op| strength(op) >= 8;
    let compare = |op| matches!(strength(op), 5 | 6);
    let logical = |op| strength(op) <= 1;
    match () {
        _ if arithmetic(parent) && arithmetic(child) => {
            strength(child) > strength(parent) || (left && strength(child) == strength(parent))
        }
        _ if compare(parent) => arithmetic(child),
        _ if logical(parent) => arithmetic(child) || compare(child),
        _ => false,
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Unknown(width) => write!(f, "{width}'bx"),
            Expr::Lit { width: 1, value } => write!(f, "1'b{value}"),
            Expr::Lit { width, value } if *value < 4096 || *width < 16 => write!(f, "{width}'d{value}"),
            Expr::Lit { width, value } => write!(f, "{width}'h{value:x}"),
            Expr::Num(n) => write!(f, "{n}"),
            Expr::Id(name) => f.write_str(name),
            Expr::Clog2(e) => write!(f, "$clog2({e})"),
            Expr::Index(b, i) => write!(f, "{}[{}]", Primary(b), Tight(i)),
            Expr::Range(b, hi, lo) if hi == lo => write!(f, "{}[{}]", Primary(b), Tight(hi)),
            Expr::Range(b, hi, lo) => write!(f, "{}[{}:{}]", Primary(b), Tight(hi), Tight(lo)),
            Expr::Part(b, o, w) => write!(f, "{}[{} +: {}]", Primary(b), Tight(o), Tight(w)),
            Expr::Concat(parts) => {
                f.write_str("{")?;
                for (n, p) in parts.iter().enumerate() {
                    let comma = if n == 0 { "" } else { ", " };
                    write!(f, "{comma}{p}")?;
                }
                f.write_str("}")
            }
            Expr::Repeat(n, e) => match &**e {
                Expr::Concat(_) => write!(f, "{{{}{e}}}", Count(n)),
                _ => write!(f, "{{{}{{{e}}}}}", Count(n)),
            },
            Expr::Unary(op, e) => match **e {
                // Yosys 0.23 drops an operator right before a cast.
                Expr::Binary(..) | Expr::Cond(..) | Expr::Unary(..) | Expr::Resize(..) => {
                    write!(f, "{}({e})", unary_text(*op))
                }
                _ => write!(f, "{}{e}", unary_text(*op)),
            },
            Expr::Binary(op, a, b) => {
                write!(f, "{} {} {}", Operand(*op, a, true), binary_text(*op), Operand(*op, b, false))
            }
            Expr::Cond(c, a, b) => {
                let side = |e: &Expr| match e {
                    Expr::Cond(..) => format!("({e})"),
                    _ => e.to_string(),
                };
                let c = match **c {
                    Expr::Binary(..) | Expr::Cond(..) => format!("({c})"),
                    _ => c.to_string(),
                };
                write!(f, "{c} ? {} : {}", side(a), side(b))
            }
            Expr::Signed(e) => write!(f, "$signed({e})"),
            Expr::Unsigned(e) => write!(f, "$unsigned({e})"),
            Expr::Resize(w, e) => write!(f, "{}'({e})", Count(w)),
            Expr::Call(name, args) => {
                let args: Vec<String> = args.iter().map(ToString::to_string).collect();
                write!(f, "{name}({})", args.join(", "))
            }
        }
    }
}

/// An operand of a binary operator.
struct Operand<'a>(BinaryOp, &'a Expr, bool);
impl Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Expr::Binary(child, ..) if !bare_operand(self.0, *child, self.2) => write!(f, "({})", self.1),
            Expr::Cond(..) => write!(f, "({})", self.1),
            Expr::Unary(UnaryOp::All | UnaryOp::Any | UnaryOp::Xor | UnaryOp::Neg, _) => {
                write!(f, "({})", self.1)
            }
            e => write!(f, "{e}"),
        }
    }
}

/// A repeat count or cast width: a number or name, or in parentheses.
struct Count<'a>(&'a Expr);
impl Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expr::Num(_) | Expr::Id(_) => write!(f, "{}", self.0),
            e => write!(f, "({e})"),
        }
    }
}

/// The base of a select.
struct Primary<'a>(&'a Expr);
impl Display for Primary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Index arithmetic, without spaces around its operators.
struct Tight<'a>(&'a Expr);
impl Display for Tight<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Expr::Binary(op, a, b)
                if strength(*op) >= 8 && !matches!(**a, Expr::Cond(..)) && !matches!(**b, Expr::Cond(..)) =>
            {
                let side = |e: &Expr, left| match e {
                    Expr::Binary(child, ..) if !bare_operand(*op, *child, left) => format!("({})", Tight(e)),
                    e => Tight(e).to_string(),
                };
                write!(f, "{}{}{}", side(a, true), binary_text(*op), side(b, false))
            }
            e => write!(f, "{e}"),
        }
    }
}

/// `[w-1:0] `, or nothing for one bit.
fn packed(width: &Expr) -> String {
    match width {
        Expr::Num(1) => String::new(),
        Expr::Num(n) => format!("[{}:0]", n - 1),
        Expr::Binary(BinaryOp::Add | BinaryOp::Sub, ..) | Expr::Cond(..) => {
            format!("[({})-1:0]", Tight(width))
        }
        e => format!("[{}-1:0]", Tight(e)),
    }
}

struct Writer {
    out: String,
    level: usize,
}

impl Writer {
    fn line(&mut self, text: impl AsRef<str>) {
        let text = text.as_ref();
        if text.is_empty() {
            self.out.push('\n');
            return;
        }
        for _ in 0..self.level {
            self.out.push_str("  ");
        }
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn comment(&mut self, text: &str) {
        let room = COLUMNS - 2 * self.level - 3;
        for paragraph in text.split('\n') {
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                if !line.is_empty() && line.len() + 1 + word.len() > room {
                    self.line(format!("// {line}"));
                    line.clear();
                }
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            self.line(format!("// {line}").trim_end());
        }
    }

    /// `lhs op rhs;`, broken at operators or commas when too long.
    fn assignment(&mut self, head: &str, rhs: &Expr) {
        let whole = format!("{head} {rhs};");
        if 2 * self.level + whole.len() <= COLUMNS {
            self.line(whole);
            return;
        }
        let mut pieces = vec![];
        break_points(rhs, &mut pieces);
        self.line(head);
        self.level += 2;
        let room = COLUMNS - 2 * self.level;
        let mut line = String::new();
        for p in pieces {
            if !line.is_empty() && line.len() + p.len() > room {
                self.line(line.trim_end());
                line = p.trim_start().to_string();
            } else {
                line.push_str(&p);
            }
        }
        self.line(format!("{};", line.trim_end()));
        self.level -= 2;
    }

    fn block(&mut self, f: impl FnOnce(&mut Self)) {
        self.level += 1;
        f(self);
        self.level -= 1;
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for s in stmts {
            self.stmt(s);
        }
    }

    fn stmt(&mut self, s: &Stmt) {
        match s {
            Stmt::Blocking(l, r) => self.assignment(&format!("{l} ="), r),
            Stmt::NonBlocking(l, r) => self.assignment(&format!("{l} <="), r),
            Stmt::If(c, then, otherwise) => self.conditional("", c, then, otherwise),
            Stmt::Case(e, arms, default) => {
                self.line(format!("case ({e})"));
                self.block(|w| {
                    for (patterns, body) in arms {
                        let p: Vec<String> = patterns.iter().map(ToString::to_string).collect();
                        w.arm(&p.join(", "), body);
                    }
                    w.arm("default", default);
                });
                self.line("endcase");
            }
            Stmt::For(v, from, to, body) => {
                self.line(format!("for (int {v} = {from}; {v} < {to}; {v} = {v} + 1) begin"));
                self.block(|w| w.stmts(body));
                self.line("end");
            }
            Stmt::Comment(c) => self.comment(c),
        }
    }

    fn arm(&mut self, pattern: &str, body: &[Stmt]) {
        if body.is_empty() {
            return self.line(format!("{pattern}: ;"));
        }
        self.line(format!("{pattern}: begin"));
        self.block(|w| w.stmts(body));
        self.line("end");
    }

    fn conditional(&mut self, prefix: &str, c: &Expr, then: &[Stmt], otherwise: &[Stmt]) {
        self.line(format!("{prefix}if ({c}) begin"));
        self.block(|w| w.stmts(then));
        match otherwise {
            [] => self.line("end"),
            [Stmt::If(c, then, otherwise)] => self.conditional("end else ", c, then, otherwise),
            _ => {
                self.line("end else begin");
                self.block(|w| w.stmts(otherwise));
                self.line("end");
            }
        }
    }

    fn body(&mut self, body: &Body) {
        let mut before: Option<&Item> = None;
        let mut items = body.items.iter().peekable();
        while let Some(item) = items.next() {
            if before.is_some_and(|b| separated(b, item)) {
                self.line("");
            }
            before = Some(item);
            if let (Item::Net(d), Some(Item::Net(q))) = (item, items.peek())
                && register_pair(d, q)
            {
                let range = packed(&d.width);
                let gap = if range.is_empty() { "" } else { " " };
                self.line(format!("logic {range}{gap}{}, {};", d.name, q.name));
                before = items.next();
                continue;
            }
            self.item(item);
        }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::LocalParam(p) => {
                let ty = match &p.width {
                    None => "int".to_string(),
                    Some(w) => format!("logic {}", packed(w)).trim_end().to_string(),
                };
                self.line(format!("localparam {ty} {} = {};", p.name, p.value));
            }
            Item::Net(n) => {
                // What only Verilator knows is a comment to the others.
                let (comments, attrs): (Vec<&str>, Vec<&str>) =
                    n.attrs.iter().map(String::as_str).partition(|a| a.starts_with("verilator "));
                if !attrs.is_empty() {
                    self.line(format!("(* {} *)", attrs.join(", ")));
                }
                let mut text = "logic ".to_string();
                if n.signed {
                    text.push_str("signed ");
                }
                let range = packed(&n.width);
                if !range.is_empty() {
                    write!(text, "{range} ").unwrap();
                }
                text.push_str(&n.name);
                for d in &n.dims {
                    write!(text, " [{}]", Tight(d)).unwrap();
                }
                for comment in comments {
                    write!(text, " /*{comment}*/").unwrap();
                }
                self.line(format!("{text};"));
            }
            Item::Assign(l, r) => self.assignment(&format!("assign {l} ="), r),
            Item::Comb(body) => {
                self.line("always_comb begin");
                self.block(|w| w.stmts(body));
                self.line("end");
            }
            Item::FfReset(reset, body) => {
                self.line("always_ff @(posedge clk_i) begin");
                self.block(|w| {
                    w.line("if (!rst_ni) begin");
                    w.block(|w| w.stmts(reset));
                    w.line("end else begin");
                    w.block(|w| w.stmts(body));
                    w.line("end");
                });
                self.line("end");
            }
            Item::Ff(body) => {
                self.line("always_ff @(posedge clk_i) begin");
                self.block(|w| w.stmts(body));
                self.line("end");
            }
            Item::GenFor(v, from, to, label, body) => {
                self.line(format!("for (genvar {v} = {from}; {v} < {to}; {v} = {v} + 1) begin : {label}"));
                self.block(|w| w.body(body));
                self.line("end");
            }
            Item::GenIf(c, (label, then), otherwise) => {
                self.line(format!("if ({c}) begin : {label}"));
                self.block(|w| w.body(then));
                if let Some((label, body)) = otherwise {
                    self.line(format!("end else begin : {label}"));
                    self.block(|w| w.body(body));
                }
                self.line("end");
            }
            Item::Instance(i) => self.instance(i),
            Item::Function(f) => {
                let typed = |w: &Expr| format!("logic {}", packed(w)).trim_end().to_string();
                let args: Vec<String> =
                    f.args.iter().map(|(n, w)| format!("input {} {n}", typed(w))).collect();
                self.line(format!("function automatic {} {}({});", typed(&f.width), f.name, args.join(", ")));
                self.block(|w| {
                    for (n, width) in &f.locals {
                        w.line(format!("{} {n};", typed(width)));
                    }
                    w.stmts(&f.body);
                });
                self.line("endfunction");
            }
            Item::Comment(c) => self.comment(c),
            Item::Blank => self.line(""),
        }
    }

    fn instance(&mut self, i: &Instance) {
        if i.params.is_empty() {
            self.line(format!("{} {} (", i.module, i.name));
        } else {
            self.line(format!("{} #(", i.module));
            self.block(|w| {
                w.list(i.params.iter().map(|(n, e)| (n.clone(), e.to_string())).collect());
            });
            self.line(format!(") {} (", i.name));
        }
        self.block(|w| {
            let text = |e: &Option<Expr>| e.as_ref().map(ToString::to_string).unwrap_or_default();
            w.list(i.conns.iter().map(|(n, e)| (n.clone(), text(e))).collect());
        });
        self.line(");");
    }

    /// `.name   (value)`, aligned.
    fn list(&mut self, pairs: Vec<(String, String)>) {
        let widest = pairs.iter().map(|(n, _)| n.len()).max().unwrap_or(0);
        let last = pairs.len().saturating_sub(1);
        for (k, (name, value)) in pairs.into_iter().enumerate() {
            let comma = if k == last { "" } else { "," };
            self.line(format!(".{name:widest$} ({value}){comma}"));
        }
    }

    fn module(&mut self, m: &Module) {
        for h in &m.header {
            self.comment(h);
        }
        self.line("");
        self.line("`default_nettype none");
        self.line("");
        if m.params.is_empty() {
            self.line(format!("module {} (", m.name));
        } else {
            self.line(format!("module {} #(", m.name));
            let last = m.params.len() - 1;
            self.block(|w| {
                for (k, p) in m.params.iter().enumerate() {
                    let comma = if k == last { "" } else { "," };
                    w.line(format!("parameter int {} = {}{comma}", p.name, p.default));
                }
            });
            self.line(") (");
        }
        let ranges: Vec<String> = m
            .ports
            .iter()
            .map(|p| {
                let range = packed(&p.width);
                if p.signed { format!("signed {range}").trim_end().to_string() } else { range }
            })
            .collect();
        let widest = ranges.iter().map(String::len).max().unwrap_or(0);
        let last = m.ports.len().saturating_sub(1);
        self.block(|w| {
            for (k, (p, range)) in m.ports.iter().zip(&ranges).enumerate() {
                let dir = if p.dir == Dir::In { "input " } else { "output" };
                let comma = if k == last { "" } else { "," };
                let gap = if widest == 0 { "" } else { " " };
                w.line(format!("{dir} logic {range:widest$}{gap}{}{comma}", p.name));
            }
        });
        self.line(");");
        self.line("");
        self.block(|w| w.body(&m.body));
        self.line("");
        self.line("endmodule");
        self.line("");
        self.line("`default_nettype wire");
    }
}

/// Whether an empty line goes between two items: around blocks, and between groups.
fn separated(before: &Item, item: &Item) -> bool {
    if matches!(before, Item::Comment(_) | Item::Blank) || matches!(item, Item::Blank) {
        return false;
    }
    let group = |i: &Item| match i {
        Item::LocalParam(_) => 1,
        Item::Net(_) => 2,
        Item::Assign(..) => 3,
        _ => 0,
    };
    group(before) == 0 || group(before) != group(item)
}

/// `x_d` and `x_q` of one type share a line.
fn register_pair(d: &Net, q: &Net) -> bool {
    let plain = |n: &Net| n.dims.is_empty() && n.attrs.is_empty() && !n.signed;
    let stem = d.name.strip_suffix("_d");
    stem.is_some() && stem == q.name.strip_suffix("_q") && plain(d) && plain(q) && d.width == q.width
}

/// Splits an expression at its outer operators.
fn break_points(e: &Expr, out: &mut Vec<String>) {
    match e {
        Expr::Binary(op, a, b) => {
            match &**a {
                Expr::Binary(child, ..) if bare_operand(*op, *child, true) => break_points(a, out),
                _ => out.push(Operand(*op, a, true).to_string()),
            }
            let last = out.len() - 1;
            write!(out[last], " {} ", binary_text(*op)).unwrap();
            out.push(Operand(*op, b, false).to_string());
        }
        Expr::Concat(parts) => {
            for (k, p) in parts.iter().enumerate() {
                let open = if k == 0 { "{" } else { "" };
                let close = if k + 1 == parts.len() { "}" } else { ", " };
                out.push(format!("{open}{p}{close}"));
            }
        }
        Expr::Cond(c, a, b) => {
            let text = Expr::Cond(c.clone(), a.clone(), b.clone()).to_string();
            let c_text = if matches!(**c, Expr::Binary(..) | Expr::Cond(..)) {
                format!("({c})")
            } else {
                c.to_string()
            };
            let rest = &text[c_text.len()..];
            out.push(format!("{c_text} "));
            let tail = match **b {
                Expr::Cond(..) => format!(": ({b})"),
                _ => format!(": {b}"),
            };
            out.push(format!("{} ", rest[..rest.len() - tail.len()].trim()));
            out.push(tail);
        }
        e => out.push(e.to_string()),
    }
}

impl Display for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut w = Writer { out: String::new(), level: 0 };
        w.module(self);
        f.write_str(&w.out)
    }
}

impl Module {
    /// The file's name: `<module>.sv`.
    pub fn file_name(&self) -> String {
        format!("{}.sv", self.name)
    }
}

impl Design {
    /// Every file: name and text.
    pub fn files(&self) -> Vec<(String, String)> {
        self.modules.iter().map(|m| (m.file_name(), m.to_string())).collect()
    }
}
