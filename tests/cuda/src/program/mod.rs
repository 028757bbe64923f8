//! A module as it is executed: one array of instructions with register slots and resolved targets.

mod allocate;
mod decode;
mod draft;
mod opcode;

use std::collections::HashMap;
use std::fmt;

use crate::ptx::syntax::Space;
use crate::registers::{Run, Slots, Window};

pub(crate) use decode::decode;

/// The slot of no guard.
pub(crate) const UNGUARDED: u16 = u16::MAX;

/// A loaded module's code.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) code: Vec<Instruction>,
    /// The line of the text that each instruction comes from.
    pub(crate) lines: Vec<u32>,
    pub(crate) functions: Vec<Code>,
    pub(crate) calls: Vec<Call>,
    /// Targets of `brx.idx`.
    pub(crate) tables: Vec<Vec<u32>>,
    /// Values of the fixed slots.
    pub(crate) words: Vec<u32>,
    pub(crate) doubles: Vec<u64>,
    /// The kernels among the functions, by name.
    pub(crate) kernels: HashMap<String, usize>,
    /// PTX ISA version, as 81 for 8.1.
    pub(crate) version: u32,
}

/// A function's place and needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code {
    pub(crate) name: String,
    pub(crate) entry: u32,
    pub(crate) registers: Window,
    /// A kernel's parameters: offset and size of each.
    pub(crate) params: Vec<(usize, usize)>,
    pub(crate) param_bytes: usize,
    /// Bytes of local memory of its own, with its parameters and those of its calls where it is no kernel.
    pub(crate) frame: u64,
    /// Bytes of static shared memory.
    pub(crate) shared: u64,
    pub(crate) max_threads: Option<u32>,
    /// Whether it, or what it calls, has a barrier.
    pub(crate) barrier: bool,
    /// Bytes of local memory with all that it calls.
    pub(crate) stack: u64,
}

/// A call: whom, and what is copied between the frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) callee: usize,
    /// From the caller's frame, to the callee's frame, bytes.
    pub(crate) arguments: Vec<(u64, u64, u64)>,
    /// From the callee's frame, to the caller's frame, bytes.
    pub(crate) results: Vec<(u64, u64, u64)>,
}

/// One instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instruction {
    pub(crate) step: Step,
    pub(crate) slots: Slots,
    /// Predicate slot, or [`UNGUARDED`].
    pub(crate) guard: u16,
    /// The guard must be false.
    pub(crate) negated: bool,
}

/// What an instruction does.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Arithmetic(Run),
    Special(Special),
    /// The address, in local memory, of an offset in the frame.
    FrameAddress(u64),
    Load(Access),
    Store(Access),
    Atomic(Atomic),
    Branch(u32),
    /// `brx.idx` through a table.
    BranchIndex(u32),
    Call(u32),
    Return,
    Exit,
    Barrier(u32),
    /// The lanes of a warp wait for each other.
    WarpBarrier,
    Shuffle(Shuffle),
    Vote(Vote),
    Trap,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arithmetic(_) => f.write_str("Arithmetic"),
            Self::Load(access) => write!(f, "Load({access:?})"),
            Self::Store(access) => write!(f, "Store({access:?})"),
            Self::Branch(to) => write!(f, "Branch({to})"),
            _ => f.write_str("Step"),
        }
    }
}

/// Registers that the hardware fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    /// With the axis, 0 to 2.
    Thread(usize),
    Threads(usize),
    Block(usize),
    Blocks(usize),
    Lane,
    Warp,
    WarpSize,
    Clock,
    Clock64,
    /// The first address of the shared memory whose size the launch chose.
    DynamicShared,
}

/// A load or store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Access {
    pub(crate) space: MemorySpace,
    /// Bytes an element: 1, 2, 4 or 8.
    pub(crate) bytes: u8,
    /// Elements: 1, 2 or 4.
    pub(crate) count: u8,
    pub(crate) signed: bool,
    /// The data registers are 64 bits wide.
    pub(crate) double: bool,
    /// The data registers are 16 bits wide.
    pub(crate) half: bool,
    /// The address register is 64 bits wide.
    pub(crate) wide: bool,
    pub(crate) offset: i64,
}

/// Where an access goes: a state space, or the frame of the running function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemorySpace {
    State(Space),
    Frame,
}

/// An atomic operation on memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Atomic {
    pub(crate) access: Access,
    pub(crate) update: Update,
    /// Whether the old value is kept.
    pub(crate) result: bool,
}

/// What an atomic operation does to the old value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Update {
    Add,
    Exchange,
    Compare,
    Increment,
    Decrement,
    Min,
    Max,
    SignedMin,
    SignedMax,
    And,
    Or,
    Xor,
}

/// `shfl.sync` modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shuffle {
    Up,
    Down,
    Butterfly,
    Index,
}

/// `vote.sync` modes, and `activemask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    All,
    Any,
    Uniform,
    Ballot,
    Active,
}
