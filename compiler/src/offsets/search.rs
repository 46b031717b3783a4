//! Whether buffers fit a memory of a given size, by depth-first search.
//!
//! As in MiniMalloc (Moffitt, ASPLOS 2023), offsets are fixed from below, only plans are considered in which no buffer
//! could lie lower, and parts without a common step are solved apart. The branching is that of schedules (Le Pape,
//! Couronné, Vergamini and Gosselin, 1994, "setting times"): a buffer below whose least offset no other one fits any more
//! lies there, or is postponed until another one pushes it up. This holds for any such buffer, not just for the lowest, so
//! the search can go on where it last failed (Lecoutre, Saïs, Tabary and Vidal, 2009, "last conflict").
//!
//! Each section of time is a machine and each buffer a job with a head, its least offset; the buffers of a section,
//! stacked in the order of their heads, must end within the memory (Jackson's rule).

use std::cmp::Reverse;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::ControlFlow;

use super::Problem;
use super::order::sections;
use super::problem::gcd;

/// States known to have no plan, at most.
const MAX_DEAD: usize = 1 << 21;

/// How the next buffer is chosen.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Whether the section that failed last goes first until another one fails, or just until a buffer is placed.
    pub sticky: bool,
    /// Whether, of buffers with the same head, that in the fullest section goes first.
    pub fullest: bool,
}

/// What a search ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Offsets within the capacity.
    Fits(Vec<u64>),
    /// There are none.
    Never,
    /// The caller stopped the search.
    Stopped,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    /// Sections in which it is live.
    first: usize,
    last: usize,
    size: u64,
    /// Size up to the next offset that another buffer may have.
    step: u64,
    align: u64,
}

impl Item {
    fn meets(&self, other: &Self) -> bool {
        self.first < other.last && other.first < self.last
    }
}

/// A buffer to be placed, as an index into the search's items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Open {
    /// Its least offset above all that are placed.
    offset: u64,
    item: u32,
    /// Whether it will be pushed up by another one before it is placed.
    late: bool,
}

/// Open buffers that share no step with any others.
struct Part {
    open: Vec<Open>,
    /// The next one to place, by its position.
    chosen: usize,
}

/// A part in search.
struct Frame {
    part: Part,
    /// Whether the chosen buffer is placed; if not, it is yet to be tried.
    placed: bool,
    /// Parts left by the chosen buffer's placement, still to be solved.
    pending: Vec<Part>,
    fingerprint: u128,
}

/// Fingerprints are random as they are.
#[derive(Default)]
struct Low(u64);

impl Hasher for Low {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.0 = self.0.rotate_left(8) ^ u64::from(b));
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }
}

/// The search for one problem in one order.
pub struct Search {
    items: Vec<Item>,
    /// Buffer of each item.
    order: Vec<usize>,
    choice: Choice,
    capacity: u64,
    /// Capacity up to the next offset that a buffer may have.
    room: u64,
    /// Offsets of the items placed.
    offsets: Vec<u64>,
    /// The section that failed last.
    failed: Option<usize>,
    dead: HashSet<u128, BuildHasherDefault<Low>>,
    /// Where the stack of each section ends.
    tops: Vec<u64>,
    /// Least offset, item and position of each open buffer, by offset.
    heads: Vec<(u64, u32, usize)>,
    /// Parts that end at each section.
    parts: Vec<i32>,
    spare: Vec<Vec<Open>>,
}

impl Search {
    /// Looks for offsets below `capacity`; of buffers equal otherwise, the first in `order` is tried first.
    pub fn new(problem: &Problem, order: &[usize], choice: Choice, capacity: u64) -> Self {
        let ranges = sections(problem);
        let count = ranges.iter().map(|range| range.1 as usize).max().unwrap_or(0);
        let buffers = problem.buffers();
        let grain = buffers.iter().map(|b| b.align).fold(0, gcd).max(1);
        let item = |&i: &usize| Item {
            first: ranges[i].0 as usize,
            last: ranges[i].1 as usize,
            size: buffers[i].size,
            step: buffers[i].size.next_multiple_of(grain),
            align: buffers[i].align,
        };
        Self {
            items: order.iter().map(item).collect(),
            order: order.to_vec(),
            choice,
            capacity,
            room: capacity.next_multiple_of(grain),
            offsets: vec![0; buffers.len()],
            failed: None,
            dead: HashSet::default(),
            tops: vec![0; count],
            heads: Vec::new(),
            parts: vec![0; count + 1],
            spare: Vec::new(),
        }
    }

    /// Searches. `node` is called for each placement, and stops the search if it breaks.
    pub fn run(mut self, node: &mut dyn FnMut() -> ControlFlow<()>) -> Outcome {
        if self.items.iter().any(|item| item.size > self.capacity) {
            return Outcome::Never;
        }
        let all = (0..self.items.len() as u32).map(|item| Open { offset: 0, item, late: false }).collect();
        let Some(pending) = self.divide(all) else { return Outcome::Never };
        let none = Part { open: Vec::new(), chosen: 0 };
        let mut frames = vec![Frame { part: none, placed: true, pending, fingerprint: 0 }];
        let mut solved = true;
        while let Some(mut frame) = frames.pop() {
            if solved {
                // Parts solved stay as they are: no choice in them helps the others.
                let Some(part) = frame.pending.pop() else {
                    self.spare.push(frame.part.open);
                    continue;
                };
                solved = false;
                frames.push(frame);
                let fingerprint = fingerprint(&part.open);
                if self.dead.contains(&fingerprint) {
                    self.spare.push(part.open);
                } else {
                    frames.push(Frame { part, placed: false, pending: Vec::new(), fingerprint });
                }
                continue;
            }
            self.spare.extend(frame.pending.drain(..).map(|part| part.open));
            let fails = frame.placed && !self.postpone(&mut frame.part);
            if fails {
                if frames.is_empty() {
                    return Outcome::Never;
                }
                if self.dead.len() < MAX_DEAD {
                    self.dead.insert(frame.fingerprint);
                }
                self.spare.push(frame.part.open);
                continue;
            }
            if node().is_break() {
                return Outcome::Stopped;
            }
            frame.placed = true;
            if let Some(open) = self.place(&frame.part)
                && let Some(parts) = self.divide(open)
            {
                if !self.choice.sticky {
                    self.failed = None;
                }
                frame.pending = parts;
                solved = true;
            }
            frames.push(frame);
        }
        let mut offsets = vec![0; self.offsets.len()];
        for (&i, &offset) in self.order.iter().zip(&self.offsets) {
            offsets[i] = offset;
        }
        Outcome::Fits(offsets)
    }

    /// Postpones the chosen buffer and chooses another one. False if none can be placed then.
    fn postpone(&mut self, part: &mut Part) -> bool {
        let Some(open) = part.open.get_mut(part.chosen) else { return false };
        open.late = true;
        match self.choose(&part.open) {
            Some(chosen) => part.chosen = chosen,
            None => return false,
        }
        true
    }

    /// Places the chosen buffer; returns the others, or none if one no longer fits.
    fn place(&mut self, part: &Part) -> Option<Vec<Open>> {
        let chosen = part.open[part.chosen];
        let item = self.items[chosen.item as usize];
        self.offsets[chosen.item as usize] = chosen.offset;
        let top = chosen.offset + item.step;
        let mut rest = self.spare.pop().unwrap_or_default();
        rest.clear();
        for open in part.open.iter().filter(|open| open.item != chosen.item) {
            let other = &self.items[open.item as usize];
            if open.offset >= top || !other.meets(&item) {
                rest.push(*open);
                continue;
            }
            let offset = top.next_multiple_of(other.align);
            if offset + other.size > self.capacity {
                self.spare.push(rest);
                return None;
            }
            rest.push(Open { offset, item: open.item, late: false });
        }
        rest.sort_unstable();
        Some(rest)
    }

    /// Parts of the open buffers that share no step, the largest first. A buffer on its own is placed. None if a part is
    /// found to have no plan.
    fn divide(&mut self, open: Vec<Open>) -> Option<Vec<Part>> {
        let spans = || open.iter().map(|open| &self.items[open.item as usize]);
        let lo = spans().map(|item| item.first).min().unwrap_or(0);
        let hi = spans().map(|item| item.last).max().unwrap_or(0);
        // First how many buffers more are live than in the section before, then the number of the part.
        for item in open.iter().map(|open| &self.items[open.item as usize]) {
            self.parts[item.first] += 1;
            self.parts[item.last] -= 1;
        }
        let (mut live, mut count) = (0, 0);
        for part in &mut self.parts[lo..=hi] {
            live += *part;
            *part = count;
            count += i32::from(live == 0);
        }
        let mut lists: Vec<Vec<Open>> = Vec::new();
        if count == 1 {
            lists.push(open);
        } else {
            for _ in 0..count {
                let mut list = self.spare.pop().unwrap_or_default();
                list.clear();
                lists.push(list);
            }
            for one in &open {
                let part = self.parts[self.items[one.item as usize].first];
                lists[part as usize].push(*one);
            }
            self.spare.push(open);
        }
        self.parts[lo..=hi].fill(0);
        let mut parts = Vec::new();
        let mut fits = true;
        for open in lists {
            match open[..] {
                [Open { offset, item, .. }] => self.offsets[item as usize] = offset,
                _ if fits && !open.is_empty() => match self.choose(&open) {
                    Some(chosen) => {
                        parts.push(Part { open, chosen });
                        continue;
                    }
                    None => fits = false,
                },
                _ => {}
            }
            self.spare.push(open);
        }
        if !fits {
            self.spare.extend(parts.into_iter().map(|part| part.open));
            return None;
        }
        // The last one is solved first, and small parts fail fast.
        parts.sort_by_key(|part| Reverse(part.open.len()));
        Some(parts)
    }

    /// The buffer to place next, by its position: none of the others fits below it. None if there is no plan.
    fn choose(&mut self, open: &[Open]) -> Option<usize> {
        if let Err(failed) = self.set_heads(open).and_then(|()| self.stack()) {
            self.failed = Some(failed);
            return None;
        }
        let Self { items, heads, tops, .. } = &*self;
        let item = |at: usize| &items[heads[at].1 as usize];
        let late = |at: usize| open[heads[at].2].late;
        let focus = self
            .failed
            .and_then(|s| (0..heads.len()).find(|&at| (item(at).first..item(at).last).contains(&s)));
        let mut at = match focus {
            Some(at) => at,
            None if self.choice.fullest => {
                let least = (0..heads.len()).find(|&at| !late(at))?;
                let equals = (least..heads.len()).take_while(|&at| heads[at].0 == heads[least].0);
                let fullness = |at: usize| tops[item(at).first..item(at).last].iter().copied().max();
                // Of equals the first.
                equals.filter(|&at| !late(at)).max_by_key(|&at| (fullness(at), Reverse(at)))?
            }
            None => (0..heads.len()).find(|&at| !late(at))?,
        };
        // Down to one that lies on placed buffers, whatever comes. Heads get less with each step, so there is an end.
        loop {
            let (head, _, position) = heads[at];
            let below = |&k: &usize| k != at && item(k).meets(item(at));
            let next = if late(at) {
                let end = open[position].offset + item(at).size;
                Some((0..at).filter(below).find(|&k| heads[k].0 < end)?)
            } else {
                (0..at).filter(below).find(|&k| heads[k].0 + item(k).step <= head)
            };
            match next {
                Some(next) => at = next,
                None => return Some(position),
            }
        }
    }

    /// Finds the least offset of each open buffer: a late one lies on another one that starts below its end. The error
    /// is a section in which that is impossible.
    fn set_heads(&mut self, open: &[Open]) -> Result<(), usize> {
        let Self { items, heads, capacity, .. } = self;
        let head = |(at, o): (usize, &Open)| (if o.late { u64::MAX } else { o.offset }, o.item, at);
        heads.clear();
        heads.extend(open.iter().enumerate().map(head));
        let late: Vec<usize> = (0..open.len()).filter(|&at| open[at].late).collect();
        if late.is_empty() {
            return Ok(());
        }
        // Late buffers may lie on late ones.
        let mut changed = true;
        while changed {
            changed = false;
            for &at in &late {
                let item = items[open[at].item as usize];
                let end = open[at].offset + item.size;
                let pushes = |&&(head, i, other): &&(u64, u32, usize)| {
                    head < end && other != at && items[i as usize].meets(&item)
                };
                let least =
                    heads.iter().filter(pushes).map(|&(head, i, _)| head + items[i as usize].step).min();
                if let Some(least) = least.map(|least| least.next_multiple_of(item.align))
                    && least < heads[at].0
                {
                    heads[at].0 = least;
                    changed = true;
                }
            }
        }
        for &at in &late {
            let item = items[open[at].item as usize];
            if heads[at].0 == u64::MAX || heads[at].0 + item.size > *capacity {
                return Err(item.first);
            }
        }
        heads.sort_unstable();
        Ok(())
    }

    /// Stacks the buffers of each section in the order of their heads. The error is a section that ends too high.
    fn stack(&mut self) -> Result<(), usize> {
        let Self { items, heads, tops, room, .. } = self;
        for &(_, i, _) in heads.iter() {
            let item = items[i as usize];
            tops[item.first..item.last].fill(0);
        }
        for &(head, i, _) in heads.iter() {
            let item = items[i as usize];
            for (section, top) in tops[item.first..item.last].iter_mut().enumerate() {
                *top = (*top).max(head) + item.step;
                if *top > *room {
                    return Err(item.first + section);
                }
            }
        }
        Ok(())
    }
}

/// A number that tells a set of open buffers from any other. Of n sets, two have the same one with a probability of
/// about n² ÷ 2^129: below 2^-80 for all that are kept.
fn fingerprint(open: &[Open]) -> u128 {
    let mix = |mut z: u64| {
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let (mut high, mut low) = (0u64, 0u64);
    for one in open {
        let item = u64::from(one.item) << 1 | u64::from(one.late);
        let a = mix(mix(one.offset.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ item);
        let b = mix(mix(one.offset ^ 0x5851_f42d_4c95_7f2d).wrapping_add(item));
        high = high.wrapping_add(a);
        low = low.wrapping_add(b);
    }
    u128::from(high) << 64 | u128::from(low)
}
