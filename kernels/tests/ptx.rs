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
        let options = nvrtc_options(Ptx::ARCHITECTURE, ptx.defines);
        let name = Some(ptx.source.entry.to_owned());
        let compiled = compile_ptx_with_opts(ptx.source.text, CompileOptions { options, name, ..Default::default() });
        let text = compiled.unwrap_or_else(|error| panic!("{}: {error}", ptx.file)).to_src();
        let text = format!("{}\n", text.trim());
        assert!(text.contains(NVRTC_RELEASE), "another NVRTC than the pinned one was found first: {text:.300}");
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(workspace().join("kernels/ptx").join(ptx.file), &text).unwrap();
            println!("{}: written, {} bytes", ptx.file, text.len());
        } else {
            assert!(text == ptx.text, "{} is not what its source gives: run `make ptx`", ptx.file);
            println!("{}: as its source gives", ptx.file);
        }
    }
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

/// What of a PTX may not be there: what cards may round as they like, fused operations unless the source asks for them
/// (`FFMA`), and any float at all in a kernel whose source has none.
fn forbidden(ptx: &str, source: &str) -> Vec<String> {
    // The dialect has words for floats that an integer kernel does not use.
    let source = source.strip_prefix(include_str!("../device/dialect.h")).unwrap_or(source);
    let source: Vec<&str> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let has = |words: &[&str]| source.iter().any(|line| words.iter().any(|word| line.contains(word)));
    let (float, fused) = (has(&["float", "FADD", "FMUL", "FFMA", "double", "half"]), has(&["FFMA"]));
    let mut found = Vec::new();
    for (number, line) in ptx.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for statement in code.split([';', '{', '}']) {
            let guard = |word: &&str| word.starts_with('@') || word.ends_with(':');
            let Some(opcode) = statement.split_whitespace().find(|word| !guard(word)) else { continue };
            let mut parts = opcode.split('.');
            let base = parts.next().unwrap_or_default();
            let modifiers: Vec<&str> = parts.collect();
            let any = |bad: &[&str]| modifiers.iter().any(|modifier| bad.contains(modifier));
            let rounded_freely = any(&["approx", "full", "ftz"]);
            let fused_unasked = base == "fma" && !fused || base == "mad" && any(&["f32", "f64"]);
            let float_unasked = !float && any(&["f16", "f16x2", "bf16", "bf16x2", "f32", "f64"]);
            if rounded_freely || fused_unasked || float_unasked {
                found.push(format!("line {}: {}", number + 1, statement.trim()));
            }
        }
    }
    found
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
    ] {
        let text = mutated(instruction);
        assert_ne!(text, ptx.text);
        assert_eq!(forbidden(&text, source).len(), 1, "{instruction}");
    }
    for (source, instruction) in [
        (float, "\tdiv.rn.f32 \t%f1, %f2, %f3;"),
        (fused, "\tfma.rn.f32 \t%f1, %f2, %f3, %f4;"),
        (ptx.source.text, "\tmad.lo.s32 \t%r1, %r2, %r3, %r4; // not div.approx.f32"),
    ] {
        assert_eq!(forbidden(&mutated(instruction), source), Vec::<String>::new(), "{instruction}");
    }
}
