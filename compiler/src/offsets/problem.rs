//! Buffers and their lifetimes.

use std::collections::HashSet;

use crate::CompileError;

/// Buffers of the largest problem.
pub const MAX_BUFFERS: usize = 65_536;
/// Largest sum of the sizes and the alignments of all buffers, so that no offset overflows.
pub const MAX_BYTES: u64 = 1 << 62;

/// Some bytes that are needed for some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Name, different from all others.
    pub id: String,
    /// First step in which the buffer is live.
    pub lower: u64,
    /// One past the last step in which the buffer is live.
    pub upper: u64,
    /// Bytes.
    pub size: u64,
    /// The offset is a multiple of so many bytes; 1 if it may be any.
    pub align: u64,
}

impl Buffer {
    /// A buffer that may have any offset.
    pub fn new(id: impl Into<String>, lower: u64, upper: u64, size: u64) -> Self {
        Self { id: id.into(), lower, upper, size, align: 1 }
    }

    fn check(&self) -> Result<(), CompileError> {
        let error = |text: String| Err(CompileError::new(format!("buffer `{}`: {text}", self.id)));
        if self.lower >= self.upper {
            return error(format!(
                "live from step {} until before step {}, which is no step; let it end after {}",
                self.lower, self.upper, self.lower
            ));
        }
        if self.size == 0 {
            return error("size is 0 bytes, at least 1 is wanted; leave out empty buffers".into());
        }
        if self.align == 0 {
            return error("alignment is 0 bytes, at least 1 is wanted; write 1 for none".into());
        }
        Ok(())
    }
}

/// Buffers that share one memory. All planners rely on what [`Problem::new`] checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    buffers: Vec<Buffer>,
}

impl Problem {
    /// Checks each buffer, that no two have the same name, and the limits [`MAX_BUFFERS`] and [`MAX_BYTES`].
    pub fn new(buffers: Vec<Buffer>) -> Result<Self, CompileError> {
        if buffers.len() > MAX_BUFFERS {
            return Err(CompileError::new(format!(
                "{} buffers, at most {MAX_BUFFERS} can be planned; merge some, or plan parts that are live at \
                 different times one by one",
                buffers.len()
            )));
        }
        let mut ids = HashSet::new();
        let mut bytes = 0u64;
        for buffer in &buffers {
            buffer.check()?;
            if !ids.insert(buffer.id.as_str()) {
                return Err(CompileError::new(format!(
                    "two buffers are named `{}`; rename one of them",
                    buffer.id
                )));
            }
            bytes = bytes.saturating_add(buffer.size).saturating_add(buffer.align);
            if bytes > MAX_BYTES {
                return Err(CompileError::new(format!(
                    "buffer `{}`: sizes and alignments up to here are more than {MAX_BYTES} bytes in sum; give \
                     them in a larger unit",
                    buffer.id
                )));
            }
        }
        Ok(Self { buffers })
    }

    /// The buffers, in the order in which they were given.
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }

    /// Bytes without sharing: what the buffers need one behind the other, in the order given.
    pub fn naive(&self) -> u64 {
        self.buffers.iter().fold(0, |end: u64, b| end.next_multiple_of(b.align) + b.size)
    }

    /// The problem of some of its buffers, given by their indices.
    pub(super) fn part(&self, members: &[usize]) -> Self {
        Self { buffers: members.iter().map(|&i| self.buffers[i].clone()).collect() }
    }

    /// Makes one buffer of each group, for operators that write their output over their input. A group is live from its
    /// first member's first step to its last member's last, without a break, and each offset suits all members. A buffer
    /// in no group stays as it is. A group has the name of its first member.
    ///
    /// Errors: a member that does not exist or is in two groups, an empty group, a shift that is no multiple of the
    /// member's alignment, and what [`Problem::new`] refuses.
    pub fn merge(&self, groups: &[Vec<Member>]) -> Result<Merged, CompileError> {
        let mut places: Vec<Option<(usize, u64)>> = vec![None; self.buffers.len()];
        let mut merged = Vec::new();
        for group in groups {
            let mut whole: Option<Buffer> = None;
            for member in group {
                let part = self.shifted(*member)?;
                let place = &mut places[member.buffer];
                if place.is_some() {
                    return Err(CompileError::new(format!(
                        "buffer `{}` is merged twice; name it in one group only",
                        part.id
                    )));
                }
                *place = Some((merged.len(), member.shift));
                whole = Some(match whole {
                    Some(whole) => join(whole, &part)?,
                    None => part,
                });
            }
            merged.push(whole.ok_or_else(|| {
                CompileError::new("a group of 0 buffers to merge, at least 1 is wanted; leave it out".into())
            })?);
        }
        for (buffer, place) in self.buffers.iter().zip(&mut places) {
            if place.is_none() {
                *place = Some((merged.len(), 0));
                merged.push(buffer.clone());
            }
        }
        Ok(Merged { problem: Self::new(merged)?, places: places.into_iter().flatten().collect() })
    }

    /// The member's buffer with the bytes before it.
    fn shifted(&self, member: Member) -> Result<Buffer, CompileError> {
        let Some(buffer) = self.buffers.get(member.buffer) else {
            return Err(CompileError::new(format!(
                "buffer number {} is to be merged, but there are {}; numbers start at 0",
                member.buffer,
                self.buffers.len()
            )));
        };
        if !member.shift.is_multiple_of(buffer.align) {
            return Err(CompileError::new(format!(
                "buffer `{}`: shifted by {} bytes, but aligned to {}; shift it by a multiple",
                buffer.id, member.shift, buffer.align
            )));
        }
        Ok(Buffer { size: buffer.size.saturating_add(member.shift), ..buffer.clone() })
    }
}

/// The smallest buffer that holds both.
fn join(whole: Buffer, part: &Buffer) -> Result<Buffer, CompileError> {
    let common = whole.align / gcd(whole.align, part.align);
    let align = common.checked_mul(part.align).ok_or_else(|| {
        CompileError::new(format!(
            "buffers `{}` and `{}`: alignments {} and {} have no common multiple below 2^64; use powers of two",
            whole.id, part.id, whole.align, part.align
        ))
    })?;
    Ok(Buffer {
        lower: whole.lower.min(part.lower),
        upper: whole.upper.max(part.upper),
        size: whole.size.max(part.size),
        align,
        id: whole.id,
    })
}

/// Greatest common divisor.
pub fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// A buffer in a group of [`Problem::merge`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its index among [`Problem::buffers`].
    pub buffer: usize,
    /// Bytes from the group's first byte to the buffer's.
    pub shift: u64,
}

/// A problem with groups of buffers merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The groups in the order given, and then the other buffers.
    pub problem: Problem,
    /// Of each buffer before merging: its index after it, and its shift there.
    places: Vec<(usize, u64)>,
}

impl Merged {
    /// Offsets of the buffers before merging, from those of [`Merged::problem`]'s buffers. None if these are too few.
    pub fn offsets(&self, merged: &[u64]) -> Option<Vec<u64>> {
        self.places.iter().map(|&(whole, shift)| merged.get(whole)?.checked_add(shift)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: std::fmt::Debug>(result: Result<T, CompileError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn errors_name_buffer_limit_and_remedy() {
        let buffer = Buffer::new("a", 3, 5, 8);
        let new = |b: Buffer| message(Problem::new(vec![b]));
        assert!(
            new(Buffer { upper: 3, ..buffer.clone() }).contains("`a`: live from step 3 until before step 3")
        );
        assert!(new(Buffer { size: 0, ..buffer.clone() }).contains("`a`: size is 0"));
        assert!(new(Buffer { align: 0, ..buffer.clone() }).contains("`a`: alignment is 0"));
        assert!(new(Buffer { size: u64::MAX, ..buffer.clone() }).contains(&MAX_BYTES.to_string()));
        assert!(message(Problem::new(vec![buffer.clone(), buffer])).contains("two buffers are named `a`"));
        let many = (0..=MAX_BUFFERS).map(|i| Buffer::new(i.to_string(), 0, 1, 1)).collect();
        assert!(message(Problem::new(many)).contains("65537 buffers, at most 65536"));
    }

    #[test]
    fn a_group_holds_all_its_members() {
        let aligned = Buffer { align: 6, ..Buffer::new("b", 3, 9, 10) };
        let problem = Problem::new(vec![
            Buffer::new("x", 0, 9, 1),
            Buffer { align: 4, ..Buffer::new("a", 2, 4, 7) },
            aligned,
        ])
        .unwrap();
        let members = [(1, 4), (2, 0)].map(|(buffer, shift)| Member { buffer, shift });
        let merged = problem.merge(&[members.to_vec()]).unwrap();
        let whole = Buffer { align: 12, ..Buffer::new("a", 2, 9, 11) };
        assert_eq!(merged.problem.buffers(), [whole, Buffer::new("x", 0, 9, 1)]);
        assert_eq!(merged.offsets(&[24, 0]), Some(vec![0, 28, 24]));
        assert_eq!(merged.offsets(&[24]), None);

        let merge = |groups: &[&[(usize, u64)]]| {
            let group = |g: &&[(usize, u64)]| {
                g.iter().map(|&(buffer, shift)| Member { buffer, shift }).collect::<Vec<_>>()
            };
            message(problem.merge(&groups.iter().map(group).collect::<Vec<_>>()))
        };
        assert!(merge(&[&[(3, 0)]]).contains("buffer number 3"));
        assert!(merge(&[&[(1, 2)]]).contains("shifted by 2 bytes, but aligned to 4"));
        assert!(merge(&[&[(0, 0)], &[(0, 0)]]).contains("`x` is merged twice"));
        assert!(merge(&[&[]]).contains("0 buffers"));
        assert!(merge(&[&[(0, u64::MAX)]]).contains(&MAX_BYTES.to_string()));
    }
}
