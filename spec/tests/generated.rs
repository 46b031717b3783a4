//! The generated files are what is committed, and their readers take them.

use std::path::{Path, PathBuf};
use std::process::Command;

use spec::isa::{FORMS, Instruction};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A directory for one test's files.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Runs a command that must succeed without a word on stderr, and gives its output.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A generated header, as it is generated now.
fn header(name: &str, dir: &Path) {
    let files = spec::docs::generated();
    let (_, text) = files.iter().find(|(path, _)| path.ends_with(name)).unwrap();
    std::fs::write(dir.join(name), text).unwrap();
}

#[test]
fn generated_files_are_up_to_date() {
    let bless = std::env::var_os("KOCH_BLESS").is_some();
    for (path, text) in spec::docs::generated() {
        let file = root().join(path);
        if bless {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, text).unwrap();
        } else {
            let committed = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(committed == text, "{path} is out of date: run `make bless` and look at the difference");
        }
    }
}

/// C that prints each form twice, with every field at its greatest and at another value, and what it must print.
/// Values just outside of a field's limits must be refused on the way.
fn two_of_each_form() -> (String, String) {
    let (mut code, mut expected) = (String::new(), String::new());
    for form in FORMS {
        for greatest in [true, false] {
            let mut text = form.name.to_owned();
            code += &format!("    koch_clear(i, KOCH_OP_{});\n", form.name.to_uppercase());
            for field in form.fields {
                let other = if field.min() < 0 { field.min() } else { field.max() / 3 };
                let value = if greatest { field.max() } else { other };
                text += &format!(" {}={value}", field.name);
                let (form, name) = (form.name.to_uppercase(), field.name.to_uppercase());
                code += &format!("    bad |= KOCH_PUT(i, {form}, {name}, {value});\n");
                for outside in [field.min() - 1, field.max() + 1] {
                    code += &format!("    bad |= !KOCH_PUT(i, {form}, {name}, {outside});\n");
                }
            }
            code += "    print(i);\n";
            let bytes = text.parse::<Instruction>().unwrap().encode().unwrap();
            expected += &bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
            expected.push('\n');
        }
    }
    (code, expected)
}

#[test]
fn c_encodes_what_rust_does() {
    let dir = scratch("c");
    header("koch.h", &dir);
    let (code, expected) = two_of_each_form();
    let source = format!(
        "#include \"koch.h\"\n#include <stdio.h>\n\n\
         static void print(const uint8_t *i)\n{{\n    int k;\n\n\
         \x20   for (k = 0; k < KOCH_INSTRUCTION_BYTES; k++)\n        printf(\"%02x\", i[k]);\n    putchar('\\n');\n}}\n\n\
         int main(void)\n{{\n    uint8_t i[KOCH_INSTRUCTION_BYTES];\n    int bad = 0;\n\n{code}    return bad;\n}}\n"
    );
    std::fs::write(dir.join("forms.c"), source).unwrap();
    std::fs::write(dir.join("alone.c"), "#include \"koch.h\"\n#include \"koch.h\"\nint koch_dummy;\n")
        .unwrap();
    let gcc = || {
        let mut command = Command::new("gcc");
        command.args(["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]).current_dir(&dir);
        command
    };
    run(gcc().args(["-fsyntax-only", "alone.c"]));
    run(gcc().args(["-Wconversion", "-o", "forms", "forms.c"]));
    assert_eq!(run(&mut Command::new(dir.join("forms"))), expected);
}

#[test]
fn verilog_takes_the_header() {
    let dir = scratch("verilog");
    header("koch_spec.svh", &dir);
    let source = "`include \"koch_spec.svh\"\n`include \"koch_spec.svh\"\n\
        module nx (input logic [8*`KOCH_INSTRUCTION_BYTES-1:0] word_i, output logic [15:0] nx_o);\n  \
        assign nx_o = word_i[`KOCH_RECT_NX_LSB +: `KOCH_RECT_NX_WIDTH];\nendmodule\n\
        module top;\n  logic [8*`KOCH_INSTRUCTION_BYTES-1:0] word;\n  logic [15:0] nx;\n  \
        nx u_nx (.word_i(word), .nx_o(nx));\n  initial begin\n    word = '0;\n    \
        word[`KOCH_RECT_NX_LSB +: `KOCH_RECT_NX_WIDTH] = 16'd56;\n    \
        #1 $display(\"%0d %h %0d\", nx, `KOCH_ID, `KOCH_OP_RECT);\n  end\nendmodule\n";
    std::fs::write(dir.join("top.sv"), source).unwrap();
    run(Command::new("iverilog")
        .args(["-g2012", "-Wall", "-Wno-timescale", "-o", "top", "top.sv"])
        .current_dir(&dir));
    assert_eq!(run(Command::new("vvp").arg("top").current_dir(&dir)), "56 4b4f4348 4\n");
}
