//! The PTX that is checked in is what the sources give, and has no instruction that cards may round as they like.
//!
//! `scripts/ptx.sh` makes it anew: it fetches the pinned NVRTC and runs these tests with `LODE_WRITE_PTX=1`.

use std::path::{Path, PathBuf};
use std::process::Command;

use cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use lode_kernels::source::{Ptx, nvrtc_options};

const CHILD: &str = "LODE_TEST_PTX_CHILD";
const WRITE: &str = "LODE_WRITE_PTX";

/// The compiler that `scripts/ptx.sh` fetches.
const NVRTC_RELEASE: &str = "release 12.1, V12.1.105";

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// Where the pinned NVRTC is, if it was fetched.
fn nvrtc() -> Option<PathBuf> {
    let directory = workspace().join("target/nvidia/nvrtc/nvidia/cuda_nvrtc/lib");
    directory.join("libnvrtc.so.12").exists().then_some(directory)
}

/// Compiles in the child process, which has the pinned NVRTC on its library path; does nothing when the tests run.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    for ptx in Ptx::ALL {
        let text = compiled(ptx, ptx.source.text);
        if uses(ptx.source.text, &["FFMA"]) {
            let apart = ptx.source.text.replace(FUSED, "#define FFMA(a, b, c) ((a) * (b) + (c))\n");
            assert_ne!(apart, ptx.source.text, "FFMA is not what it was");
            let fused = |text: &str| opcodes(text).filter(|(_, opcode, _)| opcode.starts_with("fma.")).count();
            assert!(fused(&text) > 0, "{}", ptx.file);
            assert_eq!(fused(&compiled(ptx, &apart)), 0, "{}: fused though the source does not ask for it", ptx.file);
        }
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(workspace().join("kernels/ptx").join(ptx.file), &text).unwrap();
            println!("{}: written, {} bytes", ptx.file, text.len());
        } else {
            assert!(text == ptx.text, "{} is not what its source gives: run `make ptx`", ptx.file);
            println!("{}: as its source gives", ptx.file);
        }
    }
}

/// How the dialect fuses under CUDA. Without it nothing may be fused.
const FUSED: &str = "#define FFMA(a, b, c) __fmaf_rn((a), (b), (c))\n";

/// What the pinned NVRTC makes of a text, as it makes `ptx`.
fn compiled(ptx: &Ptx, text: &str) -> String {
    let options = nvrtc_options(Ptx::ARCHITECTURE, ptx.defines);
    let name = Some(ptx.source.entry.to_owned());
    let compiled = compile_ptx_with_opts(text, CompileOptions { options, name, ..Default::default() });
    let text = compiled.unwrap_or_else(|error| panic!("{}: {error}", ptx.file)).to_src();
    let text = format!("{}\n", text.trim());
    assert!(text.contains(NVRTC_RELEASE), "another NVRTC than the pinned one was found first: {text:.300}");
    text
}

#[test]
fn what_is_checked_in_is_what_the_sources_give() {
    let Some(directory) = nvrtc() else {
        println!("SKIPPED: the pinned NVRTC is not here; scripts/ptx.sh --fetch fetches it");
        return;
    };
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(CHILD, "1").env("LD_LIBRARY_PATH", directory);
    let output = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    print!("{stdout}");
}

/// Whether a kernel has one of these words, beyond the dialect's and those of comments.
fn uses(source: &str, words: &[&str]) -> bool {
    let own = source.strip_prefix(include_str!("../device/dialect.h")).unwrap_or(source);
    let code = own.lines().map(|line| line.split("//").next().unwrap_or_default());
    code.into_iter().any(|line| words.iter().any(|word| line.contains(word)))
}

/// The instructions of a PTX: number of the line, opcode, operands.
fn opcodes(ptx: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let statements = ptx.lines().enumerate().flat_map(|(at, line)| {
        let code = line.split("//").next().unwrap_or_default();
        code.split([';', '{', '}']).map(move |statement| (at + 1, statement))
    });
    statements.filter_map(|(line, statement)| {
        let guard = |word: &&str| word.starts_with('@') || word.ends_with(':');
        let opcode = statement.split_whitespace().find(|word| !guard(word))?;
        let operands = statement.split_once(opcode).map_or("", |(_, operands)| operands.trim());
        Some((line, opcode, operands))
    })
}

/// What of a PTX may not be there:
/// - what cards may round as they like;
/// - arithmetic that does not say how it is rounded, for only what says so is never fused by the driver's compiler;
/// - fused operations, unless the source asks for them (`FFMA`);
/// - `min` and `max` but with a constant above zero or, for `max`, zero: they take numbers that are none, and the sign of
///   zero, differently than the comparisons of the reference;
/// - any float at all in a kernel whose source has none, and of any other width than the source's.
fn forbidden(ptx: &str, source: &str) -> Vec<String> {
    let (single, double, half) = (uses(source, &["float", "FFMA"]), uses(source, &["double"]), uses(source, &["half"]));
    let fused = uses(source, &["FFMA"]);
    let mut found = Vec::new();
    for (line, opcode, operands) in opcodes(ptx) {
        let mut parts = opcode.split('.');
        let base = parts.next().unwrap_or_default();
        let modifiers: Vec<&str> = parts.collect();
        let any = |words: &[&str]| modifiers.iter().any(|modifier| words.contains(modifier));
        let float = any(&["f32", "f64"]);
        let rounds = float && ["add", "sub", "mul", "div", "fma", "mad", "rcp", "sqrt", "rsqrt"].contains(&base);
        let rounded_freely = any(&["approx", "full", "ftz"]) || rounds && !any(&["rn"]);
        let fused_unasked = base == "fma" && !fused || base == "mad" && float;
        let picks = float && (base == "min" || base == "max") && !is_plain(base, operands);
        let halves = any(&["f16", "f16x2", "bf16", "bf16x2"]);
        let float_unasked = any(&["f32"]) && !single || any(&["f64"]) && !double || halves && !half;
        if rounded_freely || fused_unasked || picks || float_unasked {
            found.push(format!("line {line}: {opcode} {operands}"));
        }
    }
    found
}

/// Whether the last operand of `min.f32` or `max.f32` is such a constant that the first may be anything.
fn is_plain(base: &str, operands: &str) -> bool {
    let last = operands.rsplit(',').next().unwrap_or_default().trim();
    let bits = last.strip_prefix("0f").and_then(|digits| u32::from_str_radix(digits, 16).ok());
    bits.map(f32::from_bits).is_some_and(|number| number > 0.0 || base == "max" && number.to_bits() == 0)
}

#[test]
fn no_ptx_has_a_forbidden_instruction() {
    for ptx in Ptx::ALL {
        assert!(ptx.text.contains(&format!(".visible .entry {}(", ptx.source.entry)), "{}", ptx.file);
        assert_eq!(forbidden(ptx.text, ptx.source.text), Vec::<String>::new(), "{}", ptx.file);
    }
}

#[test]
fn each_forbidden_form_is_seen() {
    let ptx = Ptx::ALL[0];
    let mutated = |instruction: &str| ptx.text.replacen("ret;", &format!("{instruction}\n\tret;"), 1);
    let float = "float x = FADD(a, b);";
    let fused = "float x = FFMA(a, b, c);";
    // Each with a source in which nothing else of it would be wrong.
    for (source, instruction) in [
        (float, "\tdiv.approx.f32 \t%f1, %f2, %f3;"),
        (float, "\tdiv.full.f32 \t%f1, %f2, %f3;"),
        (float, "\tadd.rn.ftz.f32 \t%f1, %f2, %f3;"),
        (float, "\t@%p1 ex2.approx.ftz.f32 \t%f1, %f2;"),
        (float, "\tfma.rn.f32 \t%f1, %f2, %f3, %f4;"),
        (fused, "\tmad.f32 \t%f1, %f2, %f3, %f4;"),
        (fused, "$L_0: sqrt.approx.f32 \t%f1, %f2;"),
        (ptx.source.text, "\tadd.rn.f32 \t%f1, %f2, %f3;"),
        (ptx.source.text, "\tcvt.rn.f64.u32 \t%fd1, %r1;"),
        ("// only talks of float and FFMA", "\tfma.rn.f32 \t%f1, %f2, %f3, %f4;"),
        (float, "\tmul.f32 \t%f1, %f2, %f3;"),
        (float, "\tadd.rz.f32 \t%f1, %f2, %f3;"),
        (float, "\tadd.rn.f64 \t%fd1, %fd2, %fd3;"),
        (float, "\tcvt.rn.f16.f32 \t%rs1, %f1;"),
        (float, "\tmax.f32 \t%f1, %f2, %f3;"),
        (float, "\tmax.f32 \t%f1, %f2, 0f80000000;"),
        (float, "\tmin.f32 \t%f1, %f2, 0f00000000;"),
        (float, "\tmin.f32 \t%f1, %f2, 0f7FC00000;"),
    ] {
        let text = mutated(instruction);
        assert_ne!(text, ptx.text);
        assert_eq!(forbidden(&text, source).len(), 1, "{instruction}");
    }
    for (source, instruction) in [
        (float, "\tdiv.rn.f32 \t%f1, %f2, %f3;"),
        (fused, "\tfma.rn.f32 \t%f1, %f2, %f3, %f4;"),
        (float, "\tmax.f32 \t%f1, %f2, 0f00000000;"),
        (float, "\tmin.f32 \t%f1, %f2, 0f3F800000;"),
        (float, "\tsetp.lt.f32 \t%p1, %f2, %f3;"),
        (ptx.source.text, "\tmad.lo.s32 \t%r1, %r2, %r3, %r4; // not div.approx.f32"),
    ] {
        assert_eq!(forbidden(&mutated(instruction), source), Vec::<String>::new(), "{instruction}");
    }
}
