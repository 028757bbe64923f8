//! Kernels run by the interpreter alone.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Fault, Launch, Wrong, run};
use crate::memory::{Blocks, DEVICE_BASE, Memory, Sort, View};
use crate::program::decode;
use crate::ptx::{Refusal, parse};

/// A kernel `k(u64 out, u32 n)` of a body, with registers of every sort and whatever stands before it.
fn text(before: &str, body: &str) -> String {
    format!(
        ".version 8.1\n.target sm_75\n.address_size 64\n{before}\n.visible .entry k(.param .u64 out, .param .u32 n) {{\n\
         .reg .pred %p<8>; .reg .b16 %rs<8>; .reg .b32 %r<32>; .reg .f32 %f<8>; .reg .b64 %rd<16>;\n\
         ld.param.u64 %rd0, [out]; ld.param.u32 %r0, [n]; mov.u32 %r1, %tid.x;\n\
         mul.wide.u32 %rd1, %r1, 4; add.u64 %rd1, %rd0, %rd1;\n{body}\nret;\n}}\n"
    )
}

/// Runs one block of threads on a buffer of words that begin as poison.
fn run_block(text: &str, threads: [u32; 3], n: u32, words: usize) -> Result<Vec<u32>, Fault> {
    let program = decode(&parse(text).unwrap(), &HashMap::new()).unwrap();
    let memory = Memory::new(1 << 20, DEVICE_BASE);
    let out = memory.allocate(4 * words, Sort::Device).unwrap();
    let mut params = out.base.to_le_bytes().to_vec();
    params.extend(n.to_le_bytes());
    let function = program.kernels["k"];
    let view = View { device: memory.blocks(), pinned: Blocks::default() };
    let program = Arc::new(program);
    run(Launch { program, function, blocks: [1; 3], threads, params, dynamic_shared: 64, view })?;
    let mut bytes = vec![0; 4 * words];
    out.read(0, &mut bytes);
    Ok(bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
}

fn run_line(before: &str, body: &str, threads: u32, n: u32) -> Vec<u32> {
    let words = threads as usize;
    run_block(&text(before, body), [threads, 1, 1], n, words).unwrap_or_else(|fault| panic!("{fault}"))
}

fn refusal(text: &str) -> Refusal {
    parse(text).and_then(|module| decode(&module, &HashMap::new()).map(drop)).unwrap_err()
}

#[test]
fn lanes_that_part_meet_again() {
    // Collatz steps: every lane leaves the loop at its own time, and takes another way in it.
    let body = "
        add.u32 %r2, %r1, 1; mov.u32 %r3, 0;
    $loop:
        setp.eq.u32 %p1, %r2, 1;
        @%p1 bra $done;
        and.b32 %r4, %r2, 1;
        setp.eq.u32 %p2, %r4, 1;
        @!%p2 bra $even;
        mad.lo.u32 %r2, %r2, 3, 1;
        bra.uni $next;
    $even:
        shr.u32 %r2, %r2, 1;
    $next:
        add.u32 %r3, %r3, 1;
        bra $loop;
    $done:
        @!%p1 st.global.u32 [%rd0], %r3;
        st.global.u32 [%rd1], %r3;";
    let next = |value: u32| if value % 2 == 1 { 3 * value + 1 } else { value / 2 };
    let way = |start: u32| std::iter::successors(Some(start), move |&value| (value != 1).then(|| next(value)));
    for threads in [1, 31, 32, 100, 1024] {
        let expected: Vec<u32> = (1..=threads).map(|start| u32::try_from(way(start).count() - 1).unwrap()).collect();
        assert_eq!(run_line("", body, threads, 0), expected);
    }
}

#[test]
fn functions_call_themselves_each_lane_as_deep_as_it_likes() {
    let before = "
    .func (.param .b32 result) sum(.param .b32 n) {
        .reg .pred %p<2>; .reg .b32 %r<6>;
        ld.param.u32 %r1, [n];
        mov.u32 %r2, 0;
        setp.eq.u32 %p1, %r1, 0;
        @%p1 bra $out;
        sub.u32 %r3, %r1, 1;
        {
        .param .b32 param0; st.param.b32 [param0+0], %r3;
        .param .b32 retval0;
        call.uni (retval0), sum, (param0);
        ld.param.b32 %r4, [retval0+0];
        }
        add.u32 %r2, %r4, %r1;
    $out:
        st.param.b32 [result+0], %r2;
        ret;
    }";
    let body = "
        {
        .param .b32 param0; st.param.b32 [param0+0], %r1;
        .param .b32 retval0;
        call (retval0), sum, (param0);
        ld.param.b32 %r2, [retval0+0];
        }
        st.global.u32 [%rd1], %r2;";
    assert_eq!(run_line(before, body, 70, 0), (0..70).map(|n| n * (n + 1) / 2).collect::<Vec<u32>>());
    let endless = before.replace("@%p1 bra $out;", "");
    let fault = run_block(&text(&endless, body), [1, 1, 1], 0, 1).unwrap_err();
    assert_eq!(fault.wrong, Wrong::Stack);
}

#[test]
fn local_memory_is_each_threads_own_and_poisoned() {
    let body = "
        .local .align 8 .b8 depot[32];
        mov.u64 %rd2, depot;
        cvta.local.u64 %rd3, %rd2;
        st.local.u32 [%rd2+8], %r1;
        ld.u32 %r2, [%rd3+8];
        ld.local.u32 %r3, [depot+12];
        setp.ne.u32 %p1, %r3, 0xc7c7c7c7;
        @%p1 add.u32 %r2, %r2, 1000;
        st.global.u32 [%rd1], %r2;";
    assert_eq!(run_line("", body, 64, 0), (0..64).collect::<Vec<u32>>());
}

#[test]
fn vectors_bytes_and_halves_are_moved_whole() {
    let body = "
        mul.wide.u32 %rd2, %r1, 16; add.u64 %rd2, %rd0, %rd2;
        mov.b64 %rd3, {%r1, %r0};
        st.global.v2.u32 [%rd2], {%r1, %r0};
        st.global.v2.b64 [%rd2], {%rd3, %rd3};
        ld.global.v4.u32 {%r2, %r3, %r4, _}, [%rd2];
        mov.b32 {%rs1, %rs2}, %r3;
        mov.b32 %r6, {%rs2, %rs1};
        st.global.u8 [%rd2+1], %r4;
        ld.global.s8 %r7, [%rd2+5];
        st.global.v4.u32 [%rd2], {%r2, %r6, %r7, %r4};";
    let out = run_block(&text("", body), [5, 1, 1], 0x00fe_8001, 20).unwrap();
    for (thread, words) in (0..).zip(out.chunks_exact(4)) {
        assert_eq!(words, [thread, 0x8001_00fe, 0xffff_ff80, thread]);
    }
}

#[test]
fn floats_go_through_stacks_and_vectors() {
    // Each thread picks one of four numbers by its own number, as a traversal picks from its stack.
    let body = "
        .local .align 16 .b8 depot[48];
        mov.u64 %rd2, depot;
        mul.wide.u32 %rd3, %r1, 16; add.u64 %rd3, %rd0, %rd3;
        cvt.rn.f32.u32 %f1, %r1;
        add.rn.f32 %f2, %f1, 0f3F000000;
        neg.f32 %f3, %f1;
        mul.rn.f32 %f4, %f1, 0f00000001;
        st.local.v4.f32 [%rd2+16], {%f1, %f2, %f3, %f4};
        mov.u16 %rs1, 3;
        cvt.u32.u16 %r2, %rs1;
        and.b32 %r2, %r1, %r2;
        mul.wide.u32 %rd4, %r2, 4; add.u64 %rd4, %rd2, %rd4;
        ld.local.f32 %f5, [%rd4+16];
        st.local.f32 [%rd4+32], %f5;
        st.global.v4.f32 [%rd3], {%f4, %f3, %f2, %f1};
        ld.local.f32 %f6, [%rd4+32];
        ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd3];
        st.global.f32 [%rd3+4], %f6;
        st.global.f32 [%rd3], %f4;";
    let out = run_block(&text("", body), [40, 1, 1], 0, 160).unwrap();
    for (thread, words) in (0_u16..).zip(out.chunks_exact(4)) {
        let number = f32::from(thread);
        let kept = [number, number + 0.5, -number, f32::from_bits(u32::from(thread))];
        let expected = [number, kept[usize::from(thread % 4)], number + 0.5, number];
        assert_eq!(words, expected.map(f32::to_bits), "thread {thread}");
    }
}

#[test]
fn vectors_and_stacks_have_ends() {
    let fault = |body: &str| run_block(&text("", body), [2, 1, 1], 0, 6).unwrap_err().wrong;
    // Six words hold one vector of four, and half of another.
    let past =
        fault("mul.wide.u32 %rd2, %r1, 16; add.u64 %rd2, %rd0, %rd2; ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd2];");
    assert_eq!(past, Wrong::Address(DEVICE_BASE + 16));
    assert_eq!(fault("ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1];"), Wrong::Alignment(DEVICE_BASE + 4));
    let depot = |access: &str| format!(".local .align 16 .b8 depot[32]; mov.u64 %rd2, depot; {access}");
    assert_eq!(fault(&depot("st.local.v4.f32 [%rd2+32], {%f1, %f2, %f3, %f4};")), Wrong::Address(32));
    assert_eq!(fault(&depot("ld.local.f32 %f1, [%rd2+-4];")), Wrong::Address(4_u64.wrapping_neg()));
}

#[test]
fn atomic_operations_count_every_lane() {
    let body = "
        .shared .align 4 .b8 tally[16];
        setp.ne.u32 %p1, %r1, 0;
        @%p1 bra $go;
        st.shared.u32 [tally], 0;
        st.shared.u32 [tally+4], 9;
        st.global.u32 [%rd0], 0;
        st.global.u32 [%rd0+4], 0;
        st.global.u32 [%rd0+8], 5;
        st.global.u32 [%rd0+12], 5;
    $go:
        bar.sync 0;
        atom.shared.add.u32 %r2, [tally], 2;
        atom.global.inc.u32 %r3, [%rd0+4], 9;
        atom.global.max.s32 %r4, [%rd0+8], %r1;
        atom.global.cas.b32 %r5, [%rd0+12], 5, %r1;
        red.shared.min.u32 [tally+4], %r1;
        bar.sync 0;
        ld.shared.u32 %r6, [tally];
        ld.shared.u32 %r7, [tally+4];
        add.u32 %r6, %r6, %r7;
        st.global.u32 [%rd0], %r6;";
    let out = run_block(&text("", body), [96, 1, 1], 0, 4).unwrap();
    assert_eq!(out, [192, 96 % 10, 95, 0]);
}

#[test]
fn dynamic_shared_memory_follows_the_static() {
    let before = ".extern .shared .align 16 .b8 more[];";
    let body = "
        .shared .align 4 .b8 few[20];
        mov.u64 %rd2, more;
        mov.u64 %rd3, few;
        sub.u64 %rd4, %rd2, %rd3;
        cvt.u32.u64 %r2, %rd4;
        ld.shared.u32 %r3, [more+60];
        setp.eq.u32 %p1, %r3, 0xb6b6b6b6;
        selp.u32 %r4, %r2, 0, %p1;
        st.global.u32 [%rd1], %r4;";
    assert_eq!(run_line(before, body, 2, 0), [32, 32]);
    let past = body.replace("more+60", "more+64");
    let fault = run_block(&text(before, &past), [1, 1, 1], 0, 1).unwrap_err();
    assert_eq!((fault.wrong, fault.code()), (Wrong::Address(96), 700));
}

#[test]
fn lanes_exchange_values() {
    let body = "
        shfl.sync.bfly.b32 %r2, %r1, 1, 31, -1;
        shfl.sync.idx.b32 %r3, %r1, 5, 31, -1;
        shfl.sync.up.b32 %r4|%p1, %r1, 2, 0, -1;
        shfl.sync.down.b32 %r5, %r1, 1, 0x1c1f, -1;
        setp.lt.u32 %p2, %r1, 3;
        vote.sync.ballot.b32 %r6, %p2, -1;
        mad.lo.u32 %r7, %r3, 100, %r2;
        mad.lo.u32 %r7, %r4, 10000, %r7;
        mad.lo.u32 %r7, %r5, 1000000, %r7;
        mad.lo.u32 %r7, %r6, 100000000, %r7;
        st.global.u32 [%rd1], %r7;";
    let up = |lane: u32| if lane >= 2 { lane - 2 } else { lane };
    let down = |lane: u32| if lane % 4 < 3 { lane + 1 } else { lane };
    let value = |lane: u32| (lane ^ 1) + 500 + up(lane) * 10000 + down(lane) * 1_000_000 + 700_000_000;
    assert_eq!(run_line("", body, 32, 0), (0..32).map(value).collect::<Vec<u32>>());
}

#[test]
fn a_table_of_targets_is_followed() {
    let body = "
        and.b32 %r2, %r1, 3;
    $table: .branchtargets $a, $b, $c;
        setp.eq.u32 %p1, %r2, 3;
        @%p1 bra $end;
        brx.idx %r2, $table;
    $a: mov.u32 %r3, 10; bra $end;
    $b: mov.u32 %r3, 20; bra $end;
    $c: mov.u32 %r3, 30;
    $end:
        @%p1 mov.u32 %r3, 40;
        st.global.u32 [%rd1], %r3;";
    assert_eq!(run_line("", body, 8, 0), [10, 20, 30, 40, 10, 20, 30, 40]);
    let past = body.replace("@%p1 bra $end;\n", "");
    assert_eq!(run_block(&text("", &past), [4, 1, 1], 0, 4).unwrap_err().wrong, Wrong::Index);
}

#[test]
fn comparisons_combine_and_split() {
    let body = "
        setp.gt.u32 %p1, %r1, 1;
        setp.lt.and.u32 %p2|%p3, %r1, 4, %p1;
        setp.eq.or.u32 %p4, %r1, 7, !%p1;
        selp.u32 %r2, 1, 0, %p2;
        selp.u32 %r3, 10, 0, %p3;
        selp.u32 %r4, 100, 0, %p4;
        add.u32 %r2, %r2, %r3; add.u32 %r2, %r2, %r4;
        st.global.u32 [%rd1], %r2;";
    assert_eq!(run_line("", body, 8, 0), [100, 100, 1, 1, 10, 10, 10, 110]);
}

#[test]
fn faults_name_thread_line_and_address() {
    let fault = |body: &str, threads| run_block(&text("", body), threads, 0, 8).unwrap_err();
    let past = fault("mul.wide.u32 %rd2, %tid.y, 32; add.u64 %rd2, %rd1, %rd2; st.global.u32 [%rd2], %r1;", [3, 3, 1]);
    assert_eq!((past.wrong, past.thread, past.line), (Wrong::Address(DEVICE_BASE + 32), [0, 1, 0], 9));
    let odd = fault("ld.global.v2.u32 {%r2, %r3}, [%rd1];", [2, 1, 1]);
    assert_eq!((odd.wrong, odd.thread, odd.code()), (Wrong::Alignment(DEVICE_BASE + 4), [1, 0, 0], 716));
    assert_eq!(odd.line, 9);
    let wild = fault("mov.u64 %rd2, 16; ld.u32 %r2, [%rd2];", [1, 1, 1]);
    assert_eq!((wild.wrong, wild.code()), (Wrong::Address(16), 700));
    let shared = fault(".shared .align 4 .b8 s[8]; ld.shared.u32 %r2, [s+80];", [1, 1, 1]);
    assert_eq!(shared.wrong, Wrong::Address(80));
    assert_eq!(fault("trap;", [1, 1, 1]).wrong, Wrong::Trap);
    let parted = fault("setp.eq.u32 %p1, %r1, 0; @%p1 bra $a; bar.sync 0; bra $b; $a: bar.sync 0; $b:", [2, 1, 1]);
    assert_eq!(parted.wrong, Wrong::Barrier);
    let ended = fault("setp.eq.u32 %p1, %r1, 40; @%p1 ret; bar.sync 0;", [64, 1, 1]);
    assert_eq!((ended.wrong, ended.code()), (Wrong::Barrier, 719));
}

#[test]
fn what_is_not_known_is_refused_with_its_line() {
    for (line, reason) in [
        ("frobnicate.u32 %r1, %r2;", "the opcode frobnicate.u32 is not known to this driver"),
        ("ex2.approx.ftz.f32 %f1, %f2;", "ex2.approx.ftz.f32: .approx is not the same on every device"),
        ("div.full.f32 %f1, %f2, %f3;", "div.full.f32: .full is not the same on every device"),
        ("mul.ftz.f32 %f1, %f2, %f3;", "mul.ftz.f32: .ftz is not the same on every device"),
        ("atom.global.add.f32 %f1, [%rd1], %f2;", "the opcode atom.global.add.f32 is not known to this driver"),
        ("add.u32 %r1, %r2, %rd1;", "an operand of another width than its opcode's"),
        ("add.u64 %r1, %rd2, %rd1;", "add.u64 into a register of another width"),
        ("bra $nowhere;", "there is no label $nowhere"),
        ("mov.u64 %rd2, nothing;", "nothing is not defined"),
        ("call.uni nothing;", "the function nothing is not defined in this module"),
        ("ld.global.u64 %r1, [%rd1];", "ld.global.u64 with registers that are too small"),
        ("bar.sync 0, 64;", "bar.sync with these operands is not known to this driver"),
        ("mov.u32 %r1, %smid;", "the register %smid is not known to this driver"),
    ] {
        assert_eq!(refusal(&text("", line)), Refusal { line: 9, reason: reason.to_owned() });
    }
    assert_eq!(refusal(".version 8.1\n.target sm_75\n.visible .entry k() {").reason, "a body without an end");
}
