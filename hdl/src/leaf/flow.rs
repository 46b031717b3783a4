//! What the statements of a leaf assign and read, in order.

use crate::verilog::*;
use std::collections::{BTreeMap, BTreeSet};

/// Bits assigned so far, by target.
type Assigned = BTreeMap<String, BTreeSet<u32>>;

/// Finds latches, and reads of what is not assigned yet.
pub(super) fn check(statements: &[Stmt], targets: &BTreeMap<String, u32>, errors: &mut Vec<String>) {
    let mut flow = Flow { targets, errors: BTreeSet::new() };
    let mut assigned = Assigned::new();
    flow.block(statements, &mut assigned);
    for (name, width) in targets {
        let bits = assigned.get(name).map_or(0, BTreeSet::len);
        if bits != *width as usize {
            flow.errors.insert(match bits {
                0 => format!("`{name}` is not assigned on every path (or never)"),
                n => format!("`{name}`: only {n} of {width} bits are assigned on every path"),
            });
        }
    }
    errors.extend(flow.errors);
}

struct Flow<'a> {
    targets: &'a BTreeMap<String, u32>,
    errors: BTreeSet<String>,
}

impl Flow<'_> {
    fn block(&mut self, statements: &[Stmt], assigned: &mut Assigned) {
        for s in statements {
            match s {
                Stmt::Blocking(l, r) => {
                    self.read(r, assigned);
                    if let Some((name, lo, width)) = bits_of(l, self.targets) {
                        assigned.entry(name).or_default().extend(lo..lo + width);
                    }
                }
                Stmt::If(c, a, b) => {
                    self.read(c, assigned);
                    let (mut x, mut y) = (assigned.clone(), assigned.clone());
                    self.block(a, &mut x);
                    self.block(b, &mut y);
                    *assigned = common(x, &y);
                }
                Stmt::Case(e, arms, default) => {
                    self.read(e, assigned);
                    let start = assigned.clone();
                    let mut all = start.clone();
                    // A `match` on true and false is complete; any other needs `_`.
                    let both = arms.len() == 2 && arms.iter().all(|a| matches!(a.0[0], Expr::Lit { .. }));
                    if !both {
                        self.block(default, &mut all);
                    }
                    for (n, (_, body)) in arms.iter().enumerate() {
                        let mut arm = start.clone();
                        self.block(body, &mut arm);
                        all = if both && n == 0 { arm } else { common(all, &arm) };
                    }
                    *assigned = all;
                }
                Stmt::Comment(_) => {}
                other => {
                    self.errors.insert(format!("unexpected {other:?}"));
                }
            }
        }
    }

    fn read(&mut self, e: &Expr, assigned: &Assigned) {
        visit(e, &mut |e| {
            let Some((name, lo, width)) = bits_of(e, self.targets) else { return true };
            let have = assigned.get(&name);
            if !(lo..lo + width).all(|b| have.is_some_and(|h| h.contains(&b))) {
                self.errors.insert(format!("`{name}` is read before it is assigned"));
            }
            false
        });
    }
}

fn common(x: Assigned, y: &Assigned) -> Assigned {
    let both = |(k, v): (String, BTreeSet<u32>)| y.get(&k).map(|w| (k, &v & w));
    x.into_iter().filter_map(both).collect()
}

/// The bits of a target that a name or a constant select means.
fn bits_of(e: &Expr, targets: &BTreeMap<String, u32>) -> Option<(String, u32, u32)> {
    match e {
        Expr::Id(name) => targets.get(name).map(|w| (name.clone(), 0, *w)),
        Expr::Range(base, hi, lo) => match (&**base, &**hi, &**lo) {
            (Expr::Id(name), Expr::Num(hi), Expr::Num(lo)) => {
                targets.get(name).map(|_| (name.clone(), *lo as u32, (hi - lo + 1) as u32))
            }
            _ => None,
        },
        _ => None,
    }
}

/// Calls `f` on the expression and, while it returns true, on its parts.
fn visit(e: &Expr, f: &mut impl FnMut(&Expr) -> bool) {
    if !f(e) {
        return;
    }
    match e {
        Expr::Lit { .. } | Expr::Num(_) | Expr::Id(_) => {}
        Expr::Clog2(a) | Expr::Unary(_, a) | Expr::Signed(a) | Expr::Unsigned(a) => visit(a, f),
        Expr::Index(a, b) | Expr::Repeat(a, b) | Expr::Binary(_, a, b) | Expr::Resize(a, b) => {
            visit(a, f);
            visit(b, f);
        }
        Expr::Range(a, b, c) | Expr::Part(a, b, c) | Expr::Cond(a, b, c) => {
            visit(a, f);
            visit(b, f);
            visit(c, f);
        }
        Expr::Concat(parts) | Expr::Call(_, parts) => parts.iter().for_each(|p| visit(p, f)),
    }
}

/// Replaces parts of an expression, from the outside in.
fn replace(e: &mut Expr, f: &mut impl FnMut(&Expr) -> Option<Expr>) {
    if let Some(new) = f(e) {
        *e = new;
        return;
    }
    match e {
        Expr::Lit { .. } | Expr::Num(_) | Expr::Id(_) => {}
        Expr::Clog2(a) | Expr::Unary(_, a) | Expr::Signed(a) | Expr::Unsigned(a) => replace(a, f),
        Expr::Index(a, b) | Expr::Repeat(a, b) | Expr::Binary(_, a, b) | Expr::Resize(a, b) => {
            replace(a, f);
            replace(b, f);
        }
        Expr::Range(a, b, c) | Expr::Part(a, b, c) | Expr::Cond(a, b, c) => {
            replace(a, f);
            replace(b, f);
            replace(c, f);
        }
        Expr::Concat(parts) | Expr::Call(_, parts) => parts.iter_mut().for_each(|p| replace(p, f)),
    }
}

fn count(statements: &[Stmt], times: &mut BTreeMap<String, usize>) {
    for s in statements {
        match s {
            Stmt::Blocking(l, _) => visit(l, &mut |e| {
                if let Expr::Id(name) = e {
                    *times.entry(name.clone()).or_default() += 1;
                }
                true
            }),
            Stmt::If(_, a, b) => {
                count(a, times);
                count(b, times);
            }
            Stmt::Case(_, arms, default) => {
                arms.iter().for_each(|(_, body)| count(body, times));
                count(default, times);
            }
            _ => {}
        }
    }
}

type Hoisted = (String, u32, Expr);

/// Splits a leaf's statements into continuous assignments, named bit fields, and an `always_comb`.
///
/// What is assigned once, always, and from settled values only becomes an `assign`. Constant selects inside
/// `always_comb` get a name outside of it, because Icarus has no sensitivity to them.
pub(super) fn arrange(
    mut statements: Vec<Stmt>,
    targets: &BTreeMap<String, u32>,
) -> (Vec<(Expr, Expr)>, Vec<Hoisted>, Vec<Stmt>) {
    // A register that is always assigned needs no value to hold.
    let whole = |s: &Stmt| match s {
        Stmt::Blocking(Expr::Id(name), _) => Some(name.clone()),
        _ => None,
    };
    let mut seen = BTreeSet::new();
    let mut keep: Vec<bool> = vec![];
    for s in statements.iter().rev() {
        let name = whole(s).filter(|n| n.ends_with("_d"));
        keep.push(name.is_none_or(|n| seen.insert(n)));
    }
    let mut keep = keep.into_iter().rev();
    statements.retain(|_| keep.next().unwrap_or(true));

    let mut times = BTreeMap::new();
    count(&statements, &mut times);
    let mut settled: BTreeSet<String> = BTreeSet::new();
    let mut assigns = vec![];
    loop {
        let position = statements.iter().position(|s| match s {
            Stmt::Blocking(Expr::Id(name), r) if times[name] == 1 => {
                let mut ready = true;
                visit(r, &mut |e| {
                    if let Expr::Id(n) = e {
                        ready &= !targets.contains_key(n) || settled.contains(n);
                    }
                    true
                });
                ready
            }
            _ => false,
        });
        match position.map(|p| statements.remove(p)) {
            Some(Stmt::Blocking(l, r)) => {
                settled.extend(whole(&Stmt::Blocking(l.clone(), lit(1, 0))));
                assigns.push((l, r));
            }
            _ => break,
        }
    }
    let mut hoisted = BTreeMap::new();
    let inner = |name: &str| targets.contains_key(name) && !settled.contains(name);
    name_selects(&mut statements, &inner, &mut hoisted);
    let hoisted = hoisted.into_iter().map(|(name, (width, e))| (name, width, e)).collect();
    if statements.iter().all(|s| matches!(s, Stmt::Comment(_))) {
        statements.clear();
    }
    (assigns, hoisted, statements)
}

/// Names the constant selects of one expression.
fn name_fields(e: &mut Expr, inner: &impl Fn(&str) -> bool, hoisted: &mut BTreeMap<String, (u32, Expr)>) {
    replace(e, &mut |e| {
        let Expr::Range(base, hi, lo) = e else { return None };
        let (Expr::Id(name), Expr::Num(hi), Expr::Num(lo)) = (&**base, &**hi, &**lo) else { return None };
        let width = (hi - lo + 1) as u32;
        if inner(name) {
            let x = if *lo == 0 { id(name.clone()) } else { id(name.clone()) >> *lo };
            return Some(resize(width, x));
        }
        let field = match width {
            1 => format!("{name}_{lo}"),
            _ => format!("{name}_{hi}_{lo}"),
        };
        hoisted.insert(field.clone(), (width, e.clone()));
        Some(id(field))
    });
}

fn name_selects(
    statements: &mut [Stmt],
    inner: &impl Fn(&str) -> bool,
    hoisted: &mut BTreeMap<String, (u32, Expr)>,
) {
    for s in statements {
        match s {
            Stmt::Blocking(_, r) => name_fields(r, inner, hoisted),
            Stmt::If(c, a, b) => {
                name_fields(c, inner, hoisted);
                name_selects(a, inner, hoisted);
                name_selects(b, inner, hoisted);
            }
            Stmt::Case(e, arms, default) => {
                name_fields(e, inner, hoisted);
                arms.iter_mut().for_each(|(_, body)| name_selects(body, inner, hoisted));
                name_selects(default, inner, hoisted);
            }
            _ => {}
        }
    }
}
