//! Generates what others read of the contract: reference pages, the C header and the Verilog constants.

use std::fmt::Write as _;

use crate::config::{LOAD_WINDOW, PARAM_BYTES, QUEUE_DEPTH, WORD};
use crate::isa::{self, CHECKS, FORMS, Field, Form, Kind, OPCODE};
use crate::regs::{self, Access, Counters, REGISTERS, Status};

/// Path from the root of the repository, and text, of every generated file.
pub fn generated() -> Vec<(&'static str, String)> {
    vec![
        ("docs/isa.md", isa_page()),
        ("docs/registers.md", registers_page()),
        ("include/koch.h", c_header()),
        ("include/koch_spec.svh", verilog_header()),
    ]
}

const NOTICE: &str = "Generated from spec/src, do not edit: `make bless`.";

/// Constants that are neither register, opcode nor field.
const CONSTANTS: [(&str, u32, &str); 9] = [
    ("INSTRUCTION_BYTES", isa::INSTRUCTION_BYTES as u32, "Bytes of an instruction."),
    ("PROGRAM_ALIGN", isa::PROGRAM_ALIGN, "A program starts at a multiple of this many bytes."),
    ("OFFSET_BITS", isa::OFFSET_BITS, "Bits of an offset in an activation buffer; the buffer is above them."),
    ("WORD", WORD, "Operands of a word of an activation buffer."),
    ("QUEUE_DEPTH", QUEUE_DEPTH, "Instructions that an engine's queue holds."),
    ("LOAD_WINDOW", LOAD_WINDOW, "Load instructions between requester and writer."),
    ("PARAM_BYTES", PARAM_BYTES, "Bytes of a channel's parameters: bias (int32), multiplier (binary32)."),
    ("COUNTERS_OFFSET", regs::COUNTERS_OFFSET, "Byte offset of the first counter."),
    ("COUNTER_BITS", regs::COUNTER_BITS, "Width of a counter."),
];

/// A page: title, notice, and the `//!` comment of the module that declares what it shows.
fn page(title: &str, source: &str) -> String {
    let comment = source.lines().map_while(|l| l.strip_prefix("//!")).map(str::trim_start);
    let text = comment.collect::<Vec<_>>().join("\n").replace("[`", "`").replace("`]", "`");
    format!("# {title}\n\n<!-- {NOTICE} -->\n\n{text}\n")
}

fn table<const N: usize>(out: &mut String, head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) {
    let mut row = |cells: &[String]| {
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    };
    row(&head.map(str::to_owned));
    row(&head.map(|_| "---".to_owned()));
    for cells in rows {
        row(&cells.map(|c| c.trim().to_owned()));
    }
}

fn bits(field: &Field) -> String {
    match field.width {
        1 => field.lsb.to_string(),
        _ => format!("{}:{}", field.lsb + field.width - 1, field.lsb),
    }
}

fn field_row(field: &Field) -> [String; 5] {
    let kind = match field.kind {
        Kind::Unsigned => "unsigned",
        Kind::Signed => "signed",
        Kind::Flag => "flag",
    };
    let limits = format!("{} to {}", field.min(), field.max());
    [bits(field), format!("`{}`", field.name), kind.into(), limits, field.doc.into()]
}

fn isa_page() -> String {
    let mut out = page("Instruction set", include_str!("isa.rs"));
    out += "\n## Constants\n\n";
    let constants = CONSTANTS.map(|(name, value, doc)| [format!("`{name}`"), value.to_string(), doc.into()]);
    table(&mut out, ["name", "value", "meaning"], constants);

    out += "\n## Assembly\n\n\
        One instruction a line: the mnemonic, then `field=value` in decimal in any order. What is left out is zero. \
        The disassembler prints the fields that are not zero, in the order of the tables below. Bits that belong to \
        no field are ignored; encoders write them as zero.\n";

    out += "\n## Instructions\n\n";
    let forms = FORMS.iter().map(|f| {
        [f.opcode.to_string(), format!("[`{0}`](#{0})", f.name), format!("{:?}", f.engine).to_lowercase()]
    });
    table(&mut out, ["opcode", "instruction", "engine"], forms);
    for form in FORMS {
        let _ = write!(out, "\n### {}\n\n{}\n\n", form.name, form.doc.trim());
        let fields = std::iter::once(&OPCODE).chain(form.fields).map(field_row);
        table(&mut out, ["bits", "field", "kind", "limits", "meaning"], fields);
    }

    out += "\n## Checks\n\n\
        The fetch engine makes these checks when it hands an instruction on, from top to bottom; the first that \
        applies ends the run with its status. Any other opcode is `illegal_instruction`, a program that does not \
        start at a multiple of `PROGRAM_ALIGN` is `misaligned`, one without `end` is `truncated`. The other codes \
        are in the [register map](registers.md#status-codes).\n\n";
    let checks =
        CHECKS.iter().map(|c| [format!("[`{0}`](#{0})", c.form), c.doc.into(), format!("`{}`", c.status)]);
    table(&mut out, ["instruction", "refused when", "status"], checks);
    out
}

fn registers_page() -> String {
    let mut out = page("Register map", include_str!("regs.rs"));
    out += "\nRegisters are 32 bits wide and written whole, whatever the strobes. What is not listed ignores writes.\n";
    out += "\n## Registers\n\n";
    let registers = REGISTERS.iter().map(|r| {
        let access = match r.access {
            Access::Read => "read",
            Access::ReadWrite => "read, write",
            Access::Write => "write",
        };
        [format!("{:#04x}", r.offset), format!("`{}`", r.name), access.into(), r.doc.into()]
    });
    table(&mut out, ["offset", "register", "access", "meaning"], registers);

    let _ = write!(
        out,
        "\n## Counters\n\n\
         Read only, {} bits: the low word at the offset, the rest at the offset + 4. They hold the figures of the \
         run under way or of the last one. `busy` and the `idle_` counters sum to `cycles`.\n\n",
        regs::COUNTER_BITS
    );
    let counters = Counters::ALL.iter().enumerate().map(|(i, (name, doc))| {
        [format!("{:#04x}", counter_offset(i)), i.to_string(), format!("`{name}`"), (*doc).into()]
    });
    table(&mut out, ["offset", "index", "counter", "meaning"], counters);

    out += "\n## Status codes\n\n";
    let codes = Status::ALL
        .iter()
        .map(|(status, name, doc)| [(*status as u32).to_string(), format!("`{name}`"), (*doc).into()]);
    table(&mut out, ["code", "status", "meaning"], codes);
    out
}

fn counter_offset(index: usize) -> usize {
    regs::COUNTERS_OFFSET as usize + 8 * index
}

/// Every constant of the headers, in groups: a title, then names and values.
fn constants() -> Vec<(String, Vec<(String, Value)>)> {
    let upper = |prefix: &str, name: &str| format!("KOCH_{prefix}{}", name.to_uppercase());
    let field = |form: &Form, f: &Field| {
        let name = upper(&format!("{}_", form.name.to_uppercase()), f.name);
        [
            (format!("{name}_LSB"), Value::Decimal(f.lsb)),
            (format!("{name}_WIDTH"), Value::Decimal(f.width)),
            (format!("{name}_SIGNED"), Value::Decimal(u32::from(f.kind == Kind::Signed))),
        ]
    };
    let mut groups = vec![
        (
            "Constants.".to_owned(),
            CONSTANTS.map(|(name, value, _)| (upper("", name), Value::Decimal(value))).to_vec(),
        ),
        (
            "What the id register reads, and byte offsets of registers.".to_owned(),
            std::iter::once((upper("", "id"), Value::Hex(regs::ID)))
                .chain(REGISTERS.iter().map(|r| (upper("REG_", r.name), Value::Hex(r.offset))))
                .collect(),
        ),
        (
            "Indices of counters.".to_owned(),
            (0..).zip(Counters::ALL).map(|(i, (n, _))| (upper("COUNTER_", n), Value::Decimal(i))).collect(),
        ),
        (
            "Status codes.".to_owned(),
            Status::ALL.iter().map(|(s, n, _)| (upper("STATUS_", n), Value::Decimal(*s as u32))).collect(),
        ),
        (
            "Opcodes, and where they are.".to_owned(),
            FORMS
                .iter()
                .map(|f| (upper("OP_", f.name), Value::Decimal(f.opcode)))
                .chain([
                    (upper("OPCODE_", "lsb"), Value::Decimal(OPCODE.lsb)),
                    (upper("OPCODE_", "width"), Value::Decimal(OPCODE.width)),
                ])
                .collect(),
        ),
    ];
    for form in FORMS.iter().filter(|f| !f.fields.is_empty()) {
        groups.push((
            format!("Fields of {}.", form.name),
            form.fields.iter().flat_map(|f| field(form, f)).collect(),
        ));
    }
    groups
}

#[derive(Clone, Copy)]
enum Value {
    Decimal(u32),
    Hex(u32),
}

fn c_header() -> String {
    let mut out = format!("/* {NOTICE} */\n#ifndef KOCH_H\n#define KOCH_H\n\n#include <stdint.h>\n");
    for (title, list) in constants() {
        let _ = write!(out, "\n/* {title} */\n");
        for (name, value) in list {
            let _ = match value {
                Value::Decimal(n) => writeln!(out, "#define {name} {n}"),
                Value::Hex(n) => writeln!(out, "#define {name} {n:#04x}"),
            };
        }
    }
    out + C_HELPERS
}

const C_HELPERS: &str = r"
/* Byte offset of the low word of a counter; the rest is 4 further. */
#define KOCH_COUNTER_OFFSET(index) (KOCH_COUNTERS_OFFSET + 8 * (index))

/* Writes `value` into `width` bits (fewer than 64) from bit `lsb` on.
 * Returns 0, or -1 if the value does not fit; then nothing is written. */
static inline int koch_put(uint8_t instruction[KOCH_INSTRUCTION_BYTES], unsigned lsb, unsigned width,
                           int is_signed, int64_t value)
{
    int64_t span = (int64_t)1 << (is_signed ? width - 1 : width);
    unsigned bit;

    if (value >= span || value < (is_signed ? -span : 0))
        return -1;
    for (bit = 0; bit < width; bit++) {
        unsigned at = lsb + bit;
        unsigned mask = 1u << (at % 8);
        unsigned one = (unsigned)((uint64_t)value >> bit & 1);

        instruction[at / 8] = (uint8_t)((instruction[at / 8] & ~mask) | one << (at % 8));
    }
    return 0;
}

/* Makes an instruction all of whose fields are zero. */
static inline void koch_clear(uint8_t instruction[KOCH_INSTRUCTION_BYTES], unsigned opcode)
{
    unsigned at;

    for (at = 0; at < KOCH_INSTRUCTION_BYTES; at++)
        instruction[at] = 0;
    koch_put(instruction, KOCH_OPCODE_LSB, KOCH_OPCODE_WIDTH, 0, (int64_t)opcode);
}

/* koch_put by name: KOCH_PUT(bytes, RECT, NX, 7). */
#define KOCH_PUT(instruction, form, field, value) \
    koch_put(instruction, KOCH_##form##_##field##_LSB, KOCH_##form##_##field##_WIDTH, \
             KOCH_##form##_##field##_SIGNED, value)

#endif
";

fn verilog_header() -> String {
    let mut out = format!(
        "// {NOTICE}\n// A field is word[`KOCH_RECT_NX_LSB +: `KOCH_RECT_NX_WIDTH].\n\
         `ifndef KOCH_SPEC_SVH\n`define KOCH_SPEC_SVH\n"
    );
    for (title, list) in constants() {
        let _ = write!(out, "\n// {title}\n");
        for (name, value) in list {
            let _ = match value {
                Value::Decimal(n) => writeln!(out, "`define {name} {n}"),
                Value::Hex(n) => writeln!(out, "`define {name} 32'h{n:02x}"),
            };
        }
    }
    out + "\n`endif\n"
}
