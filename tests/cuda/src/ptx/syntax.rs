//! The syntax tree of a PTX module: names are resolved to registers and scoped names made unique, and
//! nothing else is decided yet.

/// State spaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    Generic,
    Global,
    Const,
    Shared,
    Local,
    Param,
}

/// How a register is kept: predicates as one bit a lane, all up to 32 bits in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Predicate,
    Half,
    Word,
    Double,
}

/// A module.
#[derive(Debug, Default)]
pub(crate) struct Module {
    /// PTX ISA version, as 81 for 8.1.
    pub(crate) version: u32,
    /// The `XX` of `.target sm_XX`.
    pub(crate) target: u32,
    pub(crate) variables: Vec<Variable>,
    pub(crate) functions: Vec<Function>,
}

/// A variable of the module or of a function.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) space: Space,
    pub(crate) align: u64,
    pub(crate) size: u64,
    /// Initial bytes; zeros up to `size` follow.
    pub(crate) initial: Vec<u8>,
    /// Addresses to write into the initial bytes: offset, name and addend.
    pub(crate) addresses: Vec<(usize, String, i64)>,
    /// `.extern .shared name[]`: as large as the launch says.
    pub(crate) dynamic: bool,
}

/// A kernel or a device function.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) entry: bool,
    /// A declaration has no body.
    pub(crate) defined: bool,
    pub(crate) returns: Vec<Variable>,
    pub(crate) params: Vec<Variable>,
    /// Product of `.maxntid` or `.reqntid`.
    pub(crate) max_threads: Option<u32>,
    /// The widths of its registers, by number.
    pub(crate) registers: Vec<Width>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) body: Vec<Statement>,
}

/// A line of a body.
#[derive(Debug)]
pub(crate) enum Statement {
    Label(String),
    /// A label's list of targets, for `brx.idx`.
    Targets(String, Vec<String>),
    Instruction(Instruction),
}

/// One instruction.
#[derive(Debug)]
pub(crate) struct Instruction {
    pub(crate) line: u32,
    /// A predicate register; true where it must be false.
    pub(crate) guard: Option<(u32, bool)>,
    pub(crate) opcode: String,
    pub(crate) operands: Vec<Operand>,
}

/// An operand.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operand {
    Register(u32),
    /// `!%p`.
    Negated(u32),
    /// `%tid.x` and its like.
    Special(String),
    Integer(i64),
    /// Bits of an `0f` literal.
    Float(u32),
    /// Bits of an `0d` literal.
    Double(u64),
    /// A variable, parameter, function or label, and an addend.
    Symbol(String, i64),
    /// `[base+offset]`.
    Address(Box<Operand>, i64),
    /// `{a, b}` or `(a, b)`.
    List(Vec<Operand>),
    /// `a|b`.
    Pair(Box<Operand>, Box<Operand>),
    /// `_`.
    Sink,
}
