//! The syntax tree to a program: chooses what each opcode does, places variables, resolves names.

use std::collections::HashMap;

use super::allocate::allocate;
use super::draft::{Body, Fixed, Value};
use super::{Call, Code, Program, Step};
use crate::ptx::Refusal;
use crate::ptx::syntax::{Function, Instruction, Module, Operand, Space, Statement, Variable, Width};

mod instruction;
mod memory;
mod moves;

/// Local memory of a thread whose functions call themselves, in bytes.
const RECURSION_STACK: u64 = 16 << 10;

/// Where the variables of a function's frame are: offset and size.
type Frame = HashMap<String, (u64, u64)>;

/// Makes a program of a module whose `.global` and `.const` variables are at `addresses`.
///
/// # Errors
/// The first instruction that this driver does not know, or refuses.
pub(crate) fn decode(module: &Module, addresses: &HashMap<String, u64>) -> Result<Program, Refusal> {
    let mut shared = HashMap::new();
    let mut common = 0;
    let of_module = module.variables.iter().filter(|variable| variable.space == Space::Shared);
    let device_functions = module.functions.iter().filter(|function| !function.entry);
    let of_functions = device_functions.flat_map(|function| &function.variables);
    for variable in of_module.chain(of_functions.filter(|variable| variable.space == Space::Shared)) {
        place(variable, &mut common, &mut shared);
    }

    let dynamic: Vec<&str> =
        module.variables.iter().filter(|variable| variable.dynamic).map(|variable| variable.name.as_str()).collect();
    let defined: Vec<&Function> = module.functions.iter().filter(|function| function.defined).collect();
    let layouts: Vec<(Frame, u64)> = defined.iter().map(|function| frame(function)).collect();
    let numbers = defined.iter().enumerate().map(|(number, function)| (function.name.as_str(), number)).collect();
    let mut program = Program { version: module.version, ..Program::default() };
    let mut fixed = Fixed::default();
    let mut bodies = Vec::new();
    for (number, &function) in defined.iter().enumerate() {
        let mut own_shared = shared.clone();
        let mut shared_bytes = common;
        if function.entry {
            for variable in function.variables.iter().filter(|variable| variable.space == Space::Shared) {
                place(variable, &mut shared_bytes, &mut own_shared);
            }
        }
        let (params, param_names, param_bytes) = entry_params(function);
        let mut decoder = Decoder {
            function,
            addresses,
            dynamic: &dynamic,
            shared: &own_shared,
            params: &param_names,
            frame: &layouts[number].0,
            layouts: &layouts,
            functions: &defined,
            numbers: &numbers,
            fixed: &mut fixed,
            calls: &mut program.calls,
            constants: constants(function),
            body: Body { widths: function.registers.clone(), ..Body::default() },
            labels: HashMap::new(),
            jumps: Vec::new(),
            line: function.line,
        };
        decoder.body()?;
        bodies.push(decoder.body);
        program.functions.push(Code {
            name: function.name.clone(),
            params,
            param_bytes,
            frame: layouts[number].1,
            shared: shared_bytes,
            max_threads: function.max_threads,
            ..Code::default()
        });
        if function.entry {
            program.kernels.insert(function.name.clone(), number);
        }
    }
    for (number, body) in bodies.iter().enumerate() {
        append(&mut program, number, body, &fixed)?;
    }
    program.words = fixed.words;
    program.doubles = fixed.doubles;
    close_over_calls(&mut program, &bodies);
    Ok(program)
}

fn place(variable: &Variable, end: &mut u64, offsets: &mut HashMap<String, u64>) {
    if !variable.dynamic {
        let offset = end.next_multiple_of(variable.align.max(1));
        offsets.insert(variable.name.clone(), offset);
        *end = offset + variable.size;
    }
}

/// What a function keeps in local memory: its own variables, what it passes to others and, unless it is a
/// kernel, what it was passed.
fn frame(function: &Function) -> (Frame, u64) {
    let mut places = Frame::new();
    let mut end = 0_u64;
    let passed = function.returns.iter().chain(&function.params).filter(|_| !function.entry);
    let own = function.variables.iter().filter(|variable| variable.space != Space::Shared);
    for variable in passed.chain(own) {
        let offset = end.next_multiple_of(variable.align.max(1));
        places.insert(variable.name.clone(), (offset, variable.size));
        end = offset + variable.size;
    }
    (places, end.next_multiple_of(16))
}

type Params = (Vec<(usize, usize)>, HashMap<String, u64>, usize);

fn entry_params(function: &Function) -> Params {
    let mut offsets = HashMap::new();
    let mut places = Vec::new();
    let mut end = 0_u64;
    for param in function.params.iter().filter(|_| function.entry) {
        let offset = end.next_multiple_of(param.align.max(1));
        offsets.insert(param.name.clone(), offset);
        let bytes = |size: u64| usize::try_from(size).expect("a variable is below 2^30 bytes");
        places.push((bytes(offset), bytes(param.size)));
        end = offset + param.size;
    }
    (places, offsets, usize::try_from(end).expect("parameters are below 2^30 bytes"))
}

/// Registers that are written once, with a literal.
fn constants(function: &Function) -> HashMap<u32, Operand> {
    let mut writes: HashMap<u32, u32> = HashMap::new();
    let mut literals = HashMap::new();
    for statement in &function.body {
        let Statement::Instruction(instruction) = statement else { continue };
        let Some(first) = instruction.operands.first() else { continue };
        count_writes(first, &mut writes);
        if let (Operand::Register(register), None, Some(literal)) =
            (first, instruction.guard, instruction.operands.get(1))
            && instruction.opcode.starts_with("mov.")
            && matches!(literal, Operand::Integer(_) | Operand::Float(_) | Operand::Double(_))
            && function.registers[*register as usize] != Width::Predicate
        {
            literals.insert(*register, literal.clone());
        }
    }
    literals.retain(|register, _| writes[register] == 1);
    literals
}

fn count_writes(operand: &Operand, writes: &mut HashMap<u32, u32>) {
    match operand {
        Operand::Register(register) => *writes.entry(*register).or_default() += 1,
        Operand::List(items) => items.iter().for_each(|item| count_writes(item, writes)),
        Operand::Pair(first, second) => {
            count_writes(first, writes);
            count_writes(second, writes);
        }
        _ => {}
    }
}

/// Adds a function's instructions to the program.
fn append(program: &mut Program, number: usize, body: &Body, fixed: &Fixed) -> Result<(), Refusal> {
    let too_long = |_| Refusal::new(0, "a module of more than 2^32 instructions");
    let base = u32::try_from(program.code.len()).map_err(too_long)?;
    let tables = u32::try_from(program.tables.len()).map_err(too_long)?;
    let (code, registers) = allocate(body, (fixed.words.len(), fixed.doubles.len()))?;
    program.code.extend(code.into_iter().map(|mut instruction| {
        match &mut instruction.step {
            Step::Branch(target) => *target += base,
            Step::BranchIndex(table) => *table += tables,
            _ => {}
        }
        instruction
    }));
    program.lines.extend(body.drafts.iter().map(|draft| draft.line));
    let moved = body.tables.iter().map(|targets| targets.iter().map(|target| target + base).collect());
    program.tables.extend(moved);
    program.functions[number].entry = base;
    program.functions[number].registers = registers;
    Ok(())
}

/// Finds how much local memory each function needs with its callees, and which meet a barrier.
fn close_over_calls(program: &mut Program, bodies: &[Body]) {
    let callees: Vec<Vec<usize>> = bodies
        .iter()
        .map(|body| {
            let called = body.drafts.iter().filter_map(|draft| match draft.step {
                Step::Call(call) => Some(program.calls[call as usize].callee),
                _ => None,
            });
            called.collect()
        })
        .collect();
    let has_barrier = |body: &Body| body.drafts.iter().any(|draft| matches!(draft.step, Step::Barrier(_)));
    for number in 0..bodies.len() {
        let mut reached = vec![false; bodies.len()];
        let stack = deepest(number, &callees, program, &mut vec![false; bodies.len()], &mut reached);
        program.functions[number].stack = stack.unwrap_or(RECURSION_STACK).max(program.functions[number].frame);
        program.functions[number].barrier = (0..bodies.len()).any(|at| reached[at] && has_barrier(&bodies[at]));
    }
}

/// Bytes of the deepest chain of frames; none where a function calls itself.
fn deepest(
    number: usize,
    callees: &[Vec<usize>],
    program: &Program,
    open: &mut [bool],
    reached: &mut [bool],
) -> Option<u64> {
    if open[number] {
        return None;
    }
    open[number] = true;
    reached[number] = true;
    let mut below = Some(0);
    for &callee in &callees[number] {
        let depth = deepest(callee, callees, program, open, reached);
        below = below.zip(depth).map(|(most, depth)| most.max(depth));
    }
    open[number] = false;
    below.map(|below| below + program.functions[number].frame)
}

/// One function being decoded.
struct Decoder<'a> {
    function: &'a Function,
    addresses: &'a HashMap<String, u64>,
    shared: &'a HashMap<String, u64>,
    /// Names of shared memory whose size the launch chooses.
    dynamic: &'a [&'a str],
    /// A kernel's parameters.
    params: &'a HashMap<String, u64>,
    frame: &'a Frame,
    layouts: &'a [(Frame, u64)],
    functions: &'a [&'a Function],
    numbers: &'a HashMap<&'a str, usize>,
    fixed: &'a mut Fixed,
    calls: &'a mut Vec<Call>,
    constants: HashMap<u32, Operand>,
    body: Body,
    labels: HashMap<&'a str, u32>,
    /// Instructions and the labels that they go to.
    jumps: Vec<(usize, &'a str)>,
    line: u32,
}

impl<'a> Decoder<'a> {
    fn refuse<T>(&self, reason: impl Into<String>) -> Result<T, Refusal> {
        Err(Refusal::new(self.line, reason))
    }

    /// The number of the next instruction.
    fn here(&self) -> u32 {
        u32::try_from(self.body.drafts.len()).expect("a text of less than 2^32 instructions")
    }

    fn body(&mut self) -> Result<(), Refusal> {
        let function = self.function;
        let mut indexed: Vec<&'a [String]> = Vec::new();
        let mut tables: HashMap<&'a str, u32> = HashMap::new();
        for statement in &function.body {
            if let Statement::Targets(name, targets) = statement {
                let number = u32::try_from(indexed.len()).expect("a text of less than 2^32 tables");
                tables.insert(name, number);
                indexed.push(targets);
            }
        }
        for statement in &function.body {
            match statement {
                Statement::Label(name) => {
                    self.labels.insert(name, self.here());
                }
                Statement::Targets(..) => {}
                Statement::Instruction(instruction) => {
                    self.line = instruction.line;
                    self.instruction(instruction, &tables)?;
                }
            }
        }
        let end = if function.entry { Step::Exit } else { Step::Return };
        self.emit(end, None, Vec::new(), Vec::new());
        for targets in indexed {
            let targets = targets.iter().map(|target| self.label(target)).collect::<Result<_, _>>()?;
            self.body.tables.push(targets);
        }
        for (at, label) in std::mem::take(&mut self.jumps) {
            self.line = self.body.drafts[at].line;
            self.body.drafts[at].step = Step::Branch(self.label(label)?);
        }
        Ok(())
    }

    fn label(&self, name: &str) -> Result<u32, Refusal> {
        self.labels.get(name).copied().ok_or_else(|| Refusal::new(self.line, format!("there is no label {name}")))
    }

    fn emit(&mut self, step: Step, guard: Option<(u32, bool)>, to: Vec<u32>, from: Vec<Value>) {
        self.body.drafts.push(super::draft::Draft { step, guard, to, from, line: self.line });
    }

    /// A register of the decoder's own.
    fn temporary(&mut self, width: Width) -> u32 {
        let number = u32::try_from(self.body.widths.len()).expect("less than 2^32 registers");
        self.body.widths.push(width);
        number
    }

    fn instruction(&mut self, instruction: &'a Instruction, tables: &HashMap<&'a str, u32>) -> Result<(), Refusal> {
        let opcode = instruction.opcode.as_str();
        if let Some(part) = opcode.split('.').find(|part| matches!(*part, "approx" | "full" | "ftz")) {
            return self.refuse(format!("{opcode}: .{part} is not the same on every device"));
        }
        let guard = instruction.guard;
        let operands = &instruction.operands[..];
        match opcode.split('.').next().unwrap_or(opcode) {
            "ld" | "ldu" => self.load(opcode, guard, operands),
            "st" => self.store(opcode, guard, operands),
            "atom" | "red" => self.atomic(opcode, guard, operands),
            "mov" => self.move_value(opcode, guard, operands),
            "cvta" => self.convert_address(opcode, guard, operands),
            "setp" => self.compare(opcode, guard, operands),
            "membar" | "fence" | "nanosleep" => Ok(()),
            "bra" => {
                let [Operand::Symbol(label, 0)] = operands else { return self.refuse("bra without a label") };
                self.jumps.push((self.body.drafts.len(), label));
                self.emit(Step::Branch(0), guard, Vec::new(), Vec::new());
                Ok(())
            }
            "ret" | "exit" | "trap" | "bar" | "barrier" | "call" | "brx" | "shfl" | "vote" | "activemask" => {
                let over = guard.map(|(register, negated)| {
                    self.emit(Step::Branch(0), Some((register, !negated)), Vec::new(), Vec::new());
                    self.body.drafts.len() - 1
                });
                self.control(opcode, operands, tables)?;
                if let Some(over) = over {
                    self.body.drafts[over].step = Step::Branch(self.here());
                }
                Ok(())
            }
            _ => self.arithmetic(opcode, guard, operands),
        }
    }
}
