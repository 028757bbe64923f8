//! Small kernels, written by hand.

/// `data[i] = 2 * data[i] + 1` for i below a count.
pub(crate) const TWICE: &str = r"
.version 8.1
.target sm_75
.address_size 64
.visible .entry twice(.param .u64 data, .param .u32 count) {
    .reg .pred %p<2>;
    .reg .b32 %r<8>;
    .reg .b64 %rd<4>;
    ld.param.u64 %rd1, [data];
    ld.param.u32 %r1, [count];
    cvta.to.global.u64 %rd2, %rd1;
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra $end;
    mul.wide.u32 %rd3, %r5, 4;
    add.s64 %rd3, %rd2, %rd3;
    ld.global.u32 %r6, [%rd3];
    mad.lo.s32 %r7, %r6, 2, 1;
    st.global.u32 [%rd3], %r7;
$end:
    ret;
}
";

/// Each block reverses its numbers through shared memory.
pub(crate) const REVERSE: &str = r"
.version 8.1
.target sm_75
.address_size 64
.visible .entry reverse(.param .u64 data)
.maxntid 256, 1, 1
{
    .reg .b32 %r<10>;
    .reg .b64 %rd<10>;
    .shared .align 4 .b8 tile[1024];
    ld.param.u64 %rd1, [data];
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ntid.x;
    mov.u32 %r3, %ctaid.x;
    mad.lo.s32 %r4, %r3, %r2, %r1;
    mul.wide.u32 %rd2, %r4, 4;
    add.s64 %rd3, %rd1, %rd2;
    ld.global.u32 %r5, [%rd3];
    mov.u64 %rd4, tile;
    mul.wide.u32 %rd5, %r1, 4;
    add.s64 %rd6, %rd4, %rd5;
    st.shared.u32 [%rd6], %r5;
    bar.sync 0;
    sub.s32 %r6, %r2, %r1;
    mul.wide.u32 %rd7, %r6, 4;
    add.s64 %rd8, %rd4, %rd7;
    ld.shared.u32 %r7, [%rd8+-4];
    st.global.u32 [%rd3], %r7;
    ret;
}
";

/// Counts to a number, one step at a time.
pub(crate) const SLOW: &str = r"
.version 8.1
.target sm_75
.address_size 64
.visible .entry slow(.param .u64 out, .param .u32 rounds) {
    .reg .pred %p<2>;
    .reg .b32 %r<4>;
    .reg .b64 %rd<2>;
    ld.param.u64 %rd1, [out];
    ld.param.u32 %r1, [rounds];
    mov.u32 %r2, 0;
$again:
    add.u32 %r2, %r2, 1;
    setp.lt.u32 %p1, %r2, %r1;
    @%p1 bra $again;
    st.global.u32 [%rd1], %r2;
    ret;
}
";

/// The thread 67 of all writes a number at an offset.
pub(crate) const STRAY: &str = r"
.version 8.1
.target sm_75
.address_size 64
.visible .entry stray(.param .u64 data, .param .u64 offset) {
    .reg .pred %p<2>;
    .reg .b32 %r<5>;
    .reg .b64 %rd<4>;
    ld.param.u64 %rd1, [data];
    ld.param.u64 %rd2, [offset];
    mad.lo.u32 %r1, %ctaid.x, %ntid.x, %tid.x;
    setp.ne.u32 %p1, %r1, 67;
    @%p1 bra $end;
    add.u64 %rd3, %rd1, %rd2;
    st.global.u32 [%rd3], %r1;
$end:
    ret;
}
";

/// A barrier that only the threads below a limit reach.
pub(crate) const GUARDED: &str = r"
.version 8.1
.target sm_75
.address_size 64
.visible .entry guarded(.param .u32 limit) {
    .reg .pred %p<2>;
    .reg .b32 %r<3>;
    ld.param.u32 %r1, [limit];
    mov.u32 %r2, %tid.x;
    setp.ge.u32 %p1, %r2, %r1;
    @%p1 bra $end;
    bar.sync 0;
$end:
    ret;
}
";

/// A constant, a variable that points into it, and a kernel that reads both.
pub(crate) const NOTES: &str = r"
.version 8.1
.target sm_75
.address_size 64
.const .align 4 .u32 scale[3] = {60, 62, 64};
.global .align 8 .u64 third = scale+8;
.global .align 4 .b8 notes[16] = {101};
.visible .entry play(.param .u64 out) {
    .reg .pred %p<2>;
    .reg .b32 %r<9>;
    .reg .b64 %rd<9>;
    ld.param.u64 %rd1, [out];
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd2, %r1, 4;
    add.u64 %rd3, %rd1, %rd2;
    setp.eq.u32 %p1, %r1, 3;
    @%p1 bra $last;
    mov.u64 %rd4, scale;
    add.u64 %rd5, %rd4, %rd2;
    ld.const.u32 %r2, [%rd5];
    bra.uni $end;
$last:
    ld.global.u64 %rd6, [third];
    ld.u32 %r3, [%rd6];
    ld.global.u32 %r4, [notes];
    add.u32 %r2, %r3, %r4;
$end:
    st.global.u32 [%rd3], %r2;
    ret;
}
";
