//! What the statements of a leaf assign and read, in order.

use crate::verilog::*;
use std::collections::{BTreeMap, BTreeSet};

/// Bits assigned so far, by target.
type Assigned = BTreeMap<String, BTreeSet<u32>>;

/// Finds latches, and reads of what is not assigned yet. Gives those of the `locals` that only some paths assign: no
/// other path reads them.
pub(super) fn check(
    statements: &[Stmt],
    targets: &BTreeMap<String, u32>,
    locals: &BTreeSet<String>,
    errors: &mut Vec<String>,
) -> BTreeSet<String> {
    let (mut somewhere, mut partial) = (BTreeSet::new(), BTreeSet::new());
    uses(statements, targets, &mut somewhere, &mut BTreeSet::new());
    let mut flow = Flow { targets, errors: BTreeSet::new() };
    let mut assigned = Assigned::new();
    flow.block(statements, &mut assigned);
    for (name, width) in targets {
        let bits = assigned.get(name).map_or(0, BTreeSet::len);
        if bits == 0 && locals.contains(name) && somewhere.contains(name) {
            partial.insert(name.clone());
        } else if bits != *width as usize {
            flow.errors.insert(match bits {
                0 => format!("`{name}` is not assigned on every path (or never)"),
                n => format!("`{name}`: only {n} of {width} bits are assigned on every path"),
            });
        }
    }
    errors.extend(flow.errors);
    partial
}

/// Says that each of `partial`, before the first statement that assigns it, may be anything.
pub(super) fn add_defaults(
    statements: &mut Vec<Stmt>,
    partial: &BTreeSet<String>,
    targets: &BTreeMap<String, u32>,
) {
    for name in partial.iter().rev() {
        let first = statements.iter().position(|s| {
            let mut assigned = BTreeSet::new();
            uses(std::slice::from_ref(s), targets, &mut assigned, &mut BTreeSet::new());
            assigned.contains(name)
        });
        let width = targets.get(name).copied().unwrap_or(1);
        statements.insert(first.unwrap_or(0), Stmt::Blocking(id(name.clone()), Expr::Unknown(width)));
    }
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
        Expr::Lit { .. } | Expr::Unknown(_) | Expr::Num(_) | Expr::Id(_) => {}
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
        Expr::Lit { .. } | Expr::Unknown(_) | Expr::Num(_) | Expr::Id(_) => {}
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

type Hoisted = (String, u32, Expr);

/// Splits off what registers take on at the clock's edge: a copy of the statements with nothing but their assignments,
/// non-blocking. A register that a path does not assign holds its value there.
///
/// `registers` are the targets `x_d` of registers `x_q`.
pub(super) fn split_clocked(statements: &mut Vec<Stmt>, registers: &BTreeSet<String>) -> Vec<Stmt> {
    let is_register = |l: &Expr| target(l).is_some_and(|name| registers.contains(name));
    let mut clocked = project(statements, &is_register);
    *statements = project(statements, &|l| !is_register(l));
    // The first value of each is the one that it holds.
    let holds = |s: &Stmt| match s {
        Stmt::Blocking(Expr::Id(d), Expr::Id(q)) => d.strip_suffix("_d") == q.strip_suffix("_q"),
        _ => false,
    };
    let first = clocked.iter().take_while(|s| holds(s)).count();
    clocked.drain(..first);
    let mut clocked = readers_first(clocked, registers);
    make_clocked(&mut clocked);
    clocked
}

/// Puts what reads a register before what assigns it, the last stage of a pipeline first, where no circle prevents it:
/// for hardware all the same, while a simulator need not keep two copies of the register.
fn readers_first(statements: Vec<Stmt>, registers: &BTreeSet<String>) -> Vec<Stmt> {
    let mut units: Vec<Vec<Stmt>> = Vec::new();
    let mut about = Vec::new();
    for s in statements {
        let comment = matches!(s, Stmt::Comment(_));
        about.push(s);
        if !comment {
            units.push(std::mem::take(&mut about));
        }
    }
    let targets = registers.iter().flat_map(|d| {
        let q = d.strip_suffix("_d").map(|stem| (format!("{stem}_q"), 1));
        [Some((d.clone(), 1)), q].into_iter().flatten()
    });
    let targets = targets.collect();
    let facts: Vec<(BTreeSet<String>, BTreeSet<String>)> = units
        .iter()
        .map(|unit| {
            let (mut assigned, mut read) = Default::default();
            uses(unit, &targets, &mut assigned, &mut read);
            // By the register's name.
            let stem = |names: BTreeSet<String>| names.iter().map(|n| n[..n.len() - 2].to_owned()).collect();
            (stem(assigned), stem(read))
        })
        .collect();
    let meet = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.intersection(b).next().is_some();
    let mut rest: Vec<usize> = (0..units.len()).collect();
    let mut order = Vec::new();
    while !rest.is_empty() {
        // Of several assignments to a register the last one counts.
        let must_wait = |n: usize| rest.iter().any(|&m| m < n && meet(&facts[m].0, &facts[n].0));
        let waits = |n: usize| rest.iter().any(|&m| m != n && meet(&facts[m].1, &facts[n].0));
        let free = rest.iter().position(|&n| !must_wait(n) && !waits(n));
        let next = free.or_else(|| rest.iter().position(|&n| !must_wait(n))).unwrap_or(0);
        order.push(rest.remove(next));
    }
    order.into_iter().flat_map(|n| std::mem::take(&mut units[n])).collect()
}

/// The name that an assignment's left side gives bits to.
fn target(l: &Expr) -> Option<&str> {
    match l {
        Expr::Id(name) => Some(name),
        Expr::Range(base, ..) | Expr::Index(base, _) => target(base),
        _ => None,
    }
}

/// The statements with only those assignments that `keep` takes.
fn project(statements: &[Stmt], keep: &impl Fn(&Expr) -> bool) -> Vec<Stmt> {
    let one = |s: &Stmt| match s {
        Stmt::Blocking(l, _) => keep(l).then(|| s.clone()),
        Stmt::If(c, a, b) => match (project(a, keep), project(b, keep)) {
            (a, b) if a.is_empty() && b.is_empty() => None,
            (a, b) if a.is_empty() => Some(Stmt::If(!c.clone(), b, a)),
            (a, b) => Some(Stmt::If(c.clone(), a, b)),
        },
        Stmt::Case(e, arms, default) => {
            let default = project(default, keep);
            let mut arms: Vec<_> =
                arms.iter().map(|(patterns, body)| (patterns.clone(), project(body, keep))).collect();
            if default.is_empty() {
                arms.retain(|(_, body)| !body.is_empty());
            }
            (!arms.is_empty() || !default.is_empty()).then(|| Stmt::Case(e.clone(), arms, default))
        }
        other => Some(other.clone()),
    };
    let mut kept: Vec<Stmt> = statements.iter().filter_map(one).collect();
    // A comment is about the statement after it.
    let about_nothing = |n: usize| {
        matches!(kept[n], Stmt::Comment(_))
            && !matches!(kept.get(n + 1), Some(s) if !matches!(s, Stmt::Comment(_)))
    };
    let mut stays = (0..kept.len()).map(about_nothing).map(|gone| !gone).collect::<Vec<_>>().into_iter();
    kept.retain(|_| stays.next() == Some(true));
    kept
}

fn make_clocked(statements: &mut [Stmt]) {
    let registered = |l: &mut Expr| {
        replace(l, &mut |e| match e {
            Expr::Id(d) => d.strip_suffix("_d").map(|stem| id(format!("{stem}_q"))),
            _ => None,
        });
    };
    for s in statements {
        match s {
            Stmt::Blocking(l, r) => {
                registered(l);
                cast_after(r);
                *s = set_nb(l.clone(), r.clone());
            }
            Stmt::If(c, a, b) => {
                cast_after(c);
                make_clocked(a);
                make_clocked(b);
            }
            Stmt::Case(e, arms, default) => {
                cast_after(e);
                arms.iter_mut().for_each(|(_, body)| make_clocked(body));
                make_clocked(default);
            }
            _ => {}
        }
    }
}

/// Yosys 0.23 takes no unary operator before a cast to one bit, and makes one bit of any cast that is reduced: of
/// `|4'(x)` it makes `x[0]`.
fn cast_after(e: &mut Expr) {
    replace(e, &mut |e| match e {
        Expr::Unary(op, cast) if matches!(&**cast, Expr::Resize(w, _) if **w == Expr::Num(1)) => {
            let cast = (**cast).clone();
            Some(match op {
                UnaryOp::Not | UnaryOp::LogicalNot => cast.eq_(lit(1, 0)),
                _ => cast,
            })
        }
        Expr::Unary(op @ (UnaryOp::Any | UnaryOp::All), cast) => match &**cast {
            Expr::Resize(w, _) => match **w {
                Expr::Num(w @ 2..=64) => {
                    let cast = (**cast).clone();
                    Some(match op {
                        UnaryOp::Any => cast.ne_(lit(w as u32, 0)),
                        _ => cast.eq_(lit(w as u32, u64::MAX >> (64 - w))),
                    })
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
}

/// Adds the targets that statements assign and read.
fn uses(
    statements: &[Stmt],
    targets: &BTreeMap<String, u32>,
    assigned: &mut BTreeSet<String>,
    read: &mut BTreeSet<String>,
) {
    let names = |e: &Expr, into: &mut BTreeSet<String>| {
        visit(e, &mut |e| {
            if let Expr::Id(name) = e
                && targets.contains_key(name)
            {
                into.insert(name.clone());
            }
            true
        });
    };
    for s in statements {
        match s {
            Stmt::Blocking(l, r) => {
                names(l, assigned);
                names(r, read);
            }
            Stmt::If(c, a, b) => {
                names(c, read);
                uses(a, targets, assigned, read);
                uses(b, targets, assigned, read);
            }
            Stmt::Case(e, arms, default) => {
                names(e, read);
                arms.iter().for_each(|(_, body)| uses(body, targets, assigned, read));
                uses(default, targets, assigned, read);
            }
            _ => {}
        }
    }
}

/// Splits a leaf's statements into the smallest pieces that hardware has: continuous assignments, and one
/// `always_comb` for what is decided together. Also names bit fields, see [`name_fields`].
///
/// Statements stay together if they assign the same target, if one reads what another changes later, or if their
/// targets depend on each other in a circle.
pub(super) fn arrange(statements: Vec<Stmt>, targets: &BTreeMap<String, u32>) -> (Vec<Item>, Vec<Hoisted>) {
    let facts: Vec<(BTreeSet<String>, BTreeSet<String>)> = statements
        .iter()
        .map(|s| {
            let mut fact = Default::default();
            let (assigned, read) = &mut fact;
            uses(std::slice::from_ref(s), targets, assigned, read);
            fact
        })
        .collect();
    let mut group: Vec<usize> = (0..statements.len()).collect();
    let join = |group: &mut Vec<usize>, a: usize, b: usize| {
        let (from, to) = (group[a].max(group[b]), group[a].min(group[b]));
        group.iter_mut().filter(|g| **g == from).for_each(|g| *g = to);
    };
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (n, (assigned, _)) in facts.iter().enumerate() {
        for t in assigned {
            if let Some(other) = last.insert(t, n) {
                join(&mut group, other, n);
            }
        }
    }
    for (n, s) in statements.iter().enumerate() {
        if matches!(s, Stmt::Comment(_)) && n + 1 < statements.len() {
            join(&mut group, n, n + 1);
        }
        for t in &facts[n].1 {
            if let Some(other) = last.get(t.as_str()).filter(|other| **other > n) {
                join(&mut group, *other, n);
            }
        }
    }
    while let Some((a, b)) = circle(&group, &facts, &last) {
        join(&mut group, a, b);
    }

    let mut hoisted = BTreeMap::new();
    let mut items = vec![];
    let mut members: Vec<usize> = vec![];
    for g in &group {
        if !members.contains(g) {
            members.push(*g);
        }
    }
    for g in members {
        let of_group = |n: &usize| group[*n] == g;
        let inner: BTreeSet<String> =
            (0..group.len()).filter(of_group).flat_map(|n| facts[n].0.iter().cloned()).collect();
        let mut body: Vec<Stmt> = (0..group.len()).filter(of_group).map(|n| statements[n].clone()).collect();
        match &mut body[..] {
            [Stmt::Blocking(l @ Expr::Id(_), r)] if !inner.is_empty() => {
                items.push(Item::Assign(l.clone(), r.clone()));
            }
            [Stmt::Comment(_)] => {}
            _ => {
                name_selects(&mut body, &|name| inner.contains(name), &mut hoisted);
                items.push(Item::Comb(body));
            }
        }
    }
    // Assignments first: what follows reads them.
    items.sort_by_key(|i| matches!(i, Item::Comb(_)));
    (items, hoisted.into_iter().map(|(name, (width, e))| (name, width, e)).collect())
}

/// Which bits of which names the items read.
pub(super) fn reads(
    items: &[Item],
    clocked: &[Stmt],
    hoisted: &[Hoisted],
    widths: &BTreeMap<String, u32>,
) -> BTreeMap<String, BTreeSet<u32>> {
    let mut used: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    let mut read = |e: &Expr| {
        visit(e, &mut |e| match bits_of(e, widths) {
            Some((name, lo, width)) => {
                used.entry(name).or_default().extend(lo..lo + width);
                false
            }
            None => true,
        });
    };
    hoisted.iter().for_each(|(_, _, e)| read(e));
    for item in items {
        match item {
            Item::Assign(_, r) => read(r),
            Item::Comb(body) => each_read(body, &mut read),
            _ => {}
        }
    }
    each_read(clocked, &mut read);
    used
}

fn each_read(statements: &[Stmt], read: &mut impl FnMut(&Expr)) {
    for s in statements {
        match s {
            Stmt::Blocking(_, r) | Stmt::NonBlocking(_, r) => read(r),
            Stmt::If(c, a, b) => {
                read(c);
                each_read(a, read);
                each_read(b, read);
            }
            Stmt::Case(e, arms, default) => {
                read(e);
                for (patterns, body) in arms {
                    patterns.iter().for_each(&mut *read);
                    each_read(body, read);
                }
                each_read(default, read);
            }
            _ => {}
        }
    }
}

/// Two groups whose targets depend on each other.
fn circle(
    group: &[usize],
    facts: &[(BTreeSet<String>, BTreeSet<String>)],
    last: &BTreeMap<&str, usize>,
) -> Option<(usize, usize)> {
    let mut needs: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (n, (_, read)) in facts.iter().enumerate() {
        let sources = read.iter().filter_map(|t| last.get(t.as_str())).map(|n| group[*n]);
        needs.entry(group[n]).or_default().extend(sources.filter(|g| *g != group[n]));
    }
    for start in needs.keys() {
        let (mut reached, mut open) = (BTreeSet::new(), vec![*start]);
        while let Some(g) = open.pop() {
            for next in needs.get(&g).into_iter().flatten() {
                if next == start {
                    return Some((*start, g));
                }
                if reached.insert(*next) {
                    open.push(*next);
                }
            }
        }
    }
    None
}

/// Names the constant selects of one expression, because Icarus has no sensitivity to them in `always_comb`.
///
/// Bits of what the same block assigns become shifts.
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
    cast_after(e);
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
