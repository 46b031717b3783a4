//! Problems as CSV files, in the format of MiniMalloc (<https://github.com/google/minimalloc>).
//!
//! Columns are found by their names: `id lower upper size`, and, where they are there, `alignment` and `offset`. A
//! buffer is live in steps `lower..upper`. As in MiniMalloc, `buffer` and `buffer_id` also stand for `id`, `begin` and
//! `start` for `lower`, and a column `end` gives the last step, one before `upper`. Gaps in lifetimes are refused; any other
//! column is not read.

use super::{Buffer, Problem};
use crate::CompileError;

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The buffers.
    pub problem: Problem,
    /// Their offsets, if there is such a column.
    pub offsets: Option<Vec<u64>>,
}

/// Columns by what they mean.
struct Columns {
    id: usize,
    lower: usize,
    upper: usize,
    /// Whether the column of the upper step names the last one.
    inclusive: bool,
    size: usize,
    align: Option<usize>,
    offset: Option<usize>,
    gaps: Option<usize>,
}

impl Columns {
    fn new(head: &csv::StringRecord) -> Result<Self, CompileError> {
        let find = |names: &[&str]| {
            let mut found = head.iter().enumerate().filter(|(_, name)| names.contains(name)).map(|(i, _)| i);
            match (found.next(), found.next()) {
                (first, None) => Ok(first),
                _ => Err(CompileError::new(format!(
                    "line 1: two columns for `{}`, at most 1 is wanted; remove one",
                    names[0]
                ))),
            }
        };
        let need = |names: &[&str]| {
            find(names)?.ok_or_else(|| {
                CompileError::new(format!(
                    "line 1: no column `{}`: a table of buffers has columns id, lower, upper, size; add it",
                    names[0]
                ))
            })
        };
        let upper = need(&["upper", "end"])?;
        Ok(Self {
            id: need(&["id", "buffer", "buffer_id"])?,
            lower: need(&["lower", "begin", "start"])?,
            upper,
            inclusive: head.get(upper) == Some("end"),
            size: need(&["size"])?,
            align: find(&["alignment"])?,
            offset: find(&["offset"])?,
            gaps: find(&["gaps"])?,
        })
    }
}

/// Reads the text of a file.
///
/// Errors name the line: a column that is missing or there twice, a cell that is no number, a gap, and what
/// [`Problem::new`] refuses.
pub fn parse(text: &str) -> Result<Table, CompileError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let syntax = |e: csv::Error| CompileError::new(format!("{e}; correct the table"));
    let head = reader.headers().map_err(syntax)?.clone();
    let columns = Columns::new(&head)?;
    let mut buffers = Vec::new();
    let mut offsets = columns.offset.map(|_| Vec::new());
    for cells in reader.records() {
        let cells = cells.map_err(syntax)?;
        let line = cells.position().map_or(0, csv::Position::line);
        let number = |column: usize| {
            let cell = cells.get(column).unwrap_or_default();
            cell.parse::<u64>().map_err(|_| {
                CompileError::new(format!(
                    "line {line}: {} is `{cell}`: a whole number below 2^64 is wanted; correct it",
                    &head[column]
                ))
            })
        };
        if let Some(gaps) = columns.gaps.and_then(|column| cells.get(column)).filter(|gaps| !gaps.is_empty())
        {
            return Err(CompileError::new(format!(
                "line {line}: gaps are `{gaps}`, but a buffer is live without a break; leave the cell empty"
            )));
        }
        let upper = number(columns.upper)?;
        buffers.push(Buffer {
            id: cells.get(columns.id).unwrap_or_default().to_owned(),
            lower: number(columns.lower)?,
            upper: upper.checked_add(columns.inclusive.into()).ok_or_else(|| {
                CompileError::new(format!(
                    "line {line}: end is {upper}, at most {} is possible; use smaller steps",
                    u64::MAX - 1
                ))
            })?,
            size: number(columns.size)?,
            align: columns.align.map_or(Ok(1), number)?,
        });
        if let (Some(offsets), Some(column)) = (&mut offsets, columns.offset) {
            offsets.push(number(column)?);
        }
    }
    Ok(Table { problem: Problem::new(buffers)?, offsets })
}

impl Table {
    /// The text of a file: columns `id,lower,upper,size`, `alignment` if any is not 1, and `offset` if there are any.
    /// Errors: not one offset for each buffer.
    pub fn text(&self) -> Result<String, CompileError> {
        let buffers = self.problem.buffers();
        if let Some(offsets) = &self.offsets
            && offsets.len() != buffers.len()
        {
            return Err(CompileError::new(format!(
                "{} offsets for {} buffers; give one for each",
                offsets.len(),
                buffers.len()
            )));
        }
        let aligned = buffers.iter().any(|b| b.align != 1);
        let optional = [aligned.then_some("alignment"), self.offsets.is_some().then_some("offset")];
        let mut writer = csv::Writer::from_writer(Vec::new());
        let failed = |e: &dyn std::fmt::Display| CompileError::new(e.to_string());
        let head = ["id", "lower", "upper", "size"].into_iter().chain(optional.into_iter().flatten());
        writer.write_record(head).map_err(|e| failed(&e))?;
        for (i, b) in buffers.iter().enumerate() {
            let numbers = [Some(b.lower), Some(b.upper), Some(b.size), aligned.then_some(b.align)];
            let offset = self.offsets.as_ref().map(|offsets| offsets[i]);
            let cells = numbers.into_iter().chain([offset]).flatten().map(|n| n.to_string());
            writer.write_record([b.id.clone()].into_iter().chain(cells)).map_err(|e| failed(&e))?;
        }
        let bytes = writer.into_inner().map_err(|e| failed(&e))?;
        String::from_utf8(bytes).map_err(|e| failed(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_come_back_as_they_were_written() {
        for text in [
            "id,lower,upper,size\nb1,0,3,4\nb2,3,9,4\n",
            "id,lower,upper,size,alignment\nb1,0,3,4,1\nb2,3,9,4,8\n",
            "id,lower,upper,size,offset\n\"b,1\",0,3,4,0\nb2,3,9,4,4\n",
        ] {
            assert_eq!(parse(text).unwrap().text().unwrap(), text);
        }
        let other = parse("size,end,hint,gaps,begin,buffer\n4,2,-1,,0,b1\n").unwrap();
        assert_eq!(other.problem.buffers(), [Buffer::new("b1", 0, 3, 4)]);
        let short = Table { offsets: Some(vec![]), ..other };
        assert!(short.text().unwrap_err().to_string().contains("0 offsets for 1 buffers"));
    }

    #[test]
    fn errors_name_line_value_and_remedy() {
        for (text, part) in [
            ("", "no column `upper`"),
            ("id,lower,upper\n", "no column `size`"),
            ("id,lower,upper,end,size\n", "two columns for `upper`"),
            ("id,lower,upper,size\na,0,1,x\n", "line 2: size is `x`: a whole number"),
            ("id,lower,upper,size\na,0,1,1\nb,-1,1,1\n", "line 3: lower is `-1`"),
            ("id,lower,upper,size\na,0,1\n", "correct the table"),
            ("id,lower,upper,size,gaps\na,0,9,1,2-3\n", "line 2: gaps are `2-3`"),
            ("id,lower,end,size\na,0,18446744073709551615,1\n", "line 2: end is 18446744073709551615"),
            ("id,lower,upper,size,alignment\na,0,1,1,0\n", "`a`: alignment is 0"),
            ("id,lower,upper,size\na,0,1,4611686018427387904\n", "more than 4611686018427387904 bytes"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
