//! Whether a plan is valid. Nothing here is shared with the planners.

use std::collections::BTreeMap;
use std::fmt;

use super::Problem;

/// What is wrong with a plan. Buffers are meant by their indices in [`Problem::buffers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Not one offset for each buffer.
    Count {
        /// Number of buffers.
        buffers: usize,
        /// Number of offsets.
        offsets: usize,
    },
    /// An offset is no multiple of the buffer's alignment.
    Misaligned {
        /// The buffer.
        buffer: usize,
    },
    /// A buffer ends behind the memory.
    Capacity {
        /// The buffer.
        buffer: usize,
    },
    /// Two buffers hold the same byte in the same step.
    Overlap {
        /// The buffer live in earlier steps.
        first: usize,
        /// The buffer that gets live while the first is.
        second: usize,
        /// The first such step.
        step: u64,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { buffers, offsets } => write!(f, "{offsets} offsets for {buffers} buffers"),
            Self::Misaligned { buffer } => write!(f, "buffer {buffer} is not aligned"),
            Self::Capacity { buffer } => write!(f, "buffer {buffer} ends behind the memory"),
            Self::Overlap { first, second, step } => {
                write!(f, "buffers {first} and {second} share bytes in step {step}")
            }
        }
    }
}

impl std::error::Error for Violation {}

/// Checks that every offset is aligned, that every buffer ends within `capacity` bytes, and that no two buffers live in
/// the same step share a byte. Any offsets are allowed as input.
pub fn check(problem: &Problem, offsets: &[u64], capacity: u64) -> Result<(), Violation> {
    let buffers = problem.buffers();
    if buffers.len() != offsets.len() {
        return Err(Violation::Count { buffers: buffers.len(), offsets: offsets.len() });
    }
    let mut events = Vec::new();
    for (buffer, (b, &offset)) in buffers.iter().zip(offsets).enumerate() {
        if offset % b.align != 0 {
            return Err(Violation::Misaligned { buffer });
        }
        if offset.checked_add(b.size).is_none_or(|end| end > capacity) {
            return Err(Violation::Capacity { buffer });
        }
        events.push((b.lower, true, buffer));
        events.push((b.upper, false, buffer));
    }
    // Bytes are given back before others are taken in the same step.
    events.sort_unstable();
    let mut live: BTreeMap<u64, usize> = BTreeMap::new();
    for (step, starts, buffer) in events {
        let offset = offsets[buffer];
        if !starts {
            live.remove(&offset);
            continue;
        }
        let end = offset + buffers[buffer].size;
        // Live buffers are disjoint, so the last one that starts below the end is the one that reaches furthest.
        if let Some((&start, &first)) = live.range(..end).next_back()
            && start + buffers[first].size > offset
        {
            return Err(Violation::Overlap { first, second: buffer, step });
        }
        live.insert(offset, buffer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::Buffer;

    #[test]
    fn violations_are_told_apart() {
        let problem = Problem::new(vec![
            Buffer::new("a", 0, 4, 10),
            Buffer { align: 4, ..Buffer::new("b", 2, 6, 3) },
            Buffer::new("c", 4, 5, 12),
        ])
        .unwrap();
        let check = |offsets: &[u64]| check(&problem, offsets, 15);
        assert_eq!(check(&[0, 12, 0]), Ok(()));
        assert_eq!(check(&[0, 12]), Err(Violation::Count { buffers: 3, offsets: 2 }));
        assert_eq!(check(&[0, 13, 0]), Err(Violation::Misaligned { buffer: 1 }));
        assert_eq!(check(&[6, 12, 0]), Err(Violation::Capacity { buffer: 0 }));
        assert_eq!(check(&[u64::MAX, 12, 0]), Err(Violation::Capacity { buffer: 0 }));
        assert_eq!(check(&[0, 8, 0]), Err(Violation::Overlap { first: 0, second: 1, step: 2 }));
        assert_eq!(check(&[4, 0, 2]), Err(Violation::Overlap { first: 1, second: 2, step: 4 }));
        assert_eq!(check(&[0, 12, 1]), Err(Violation::Overlap { first: 1, second: 2, step: 4 }));
    }
}
