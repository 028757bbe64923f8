//! Modules and their kernels.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::config::Config;
use crate::device::{
    BLOCKS_PER_MULTIPROCESSOR, REGISTERS_PER_MULTIPROCESSOR, SHARED_PER_BLOCK, SHARED_PER_MULTIPROCESSOR,
    SHARED_RESERVED, THREADS_PER_BLOCK, THREADS_PER_MULTIPROCESSOR,
};
use crate::memory::{Block, Memory, MemoryError, Sort};
use crate::program::{Code as FunctionCode, Program, decode};
use crate::ptx::parse;
use crate::ptx::syntax::{Module as Syntax, Space};
use crate::result::Code;

/// A loaded module.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) program: Arc<Program>,
    /// Its `.global` and `.const` variables.
    pub(crate) variables: HashMap<String, Arc<Block>>,
}

/// A kernel of a module.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) program: Arc<Program>,
    pub(crate) number: usize,
    /// The largest shared memory of a launch's choice.
    pub(crate) dynamic_shared_max: AtomicU32,
}

impl Module {
    /// Loads a PTX text into a context's memory.
    ///
    /// # Errors
    /// The code that the driver gives, and what to tell the user.
    pub(crate) fn load(text: &str, memory: &Memory, config: &Config) -> Result<Self, (Code, String)> {
        let refused = |refusal: crate::ptx::Refusal| (Code::INVALID_PTX, refusal.to_string());
        let syntax = parse(text).map_err(refused)?;
        if syntax.version == 0 || syntax.target == 0 {
            return Err((Code::INVALID_PTX, "no .version or no .target".to_owned()));
        }
        if syntax.version > newest_ptx(config.version) {
            let reason = format!("PTX ISA {} is newer than this driver", syntax.version);
            return Err((Code::UNSUPPORTED_PTX_VERSION, reason));
        }
        if syntax.target > config.capability {
            let reason = format!("target sm_{} on a device of sm_{}", syntax.target, config.capability);
            return Err((Code::NO_BINARY_FOR_GPU, reason));
        }
        let variables = place(&syntax, memory).map_err(|_| (Code::OUT_OF_MEMORY, "module variables".to_owned()))?;
        let addresses = variables.iter().map(|(name, block)| (name.clone(), block.base)).collect();
        let loaded = decode(&syntax, &addresses).map_err(refused).and_then(|program| {
            initialise(&syntax, &variables).map_err(|reason| (Code::INVALID_PTX, reason))?;
            Ok(program)
        });
        match loaded {
            Ok(program) => Ok(Self { program: Arc::new(program), variables }),
            Err(reason) => {
                release(&variables, memory);
                Err(reason)
            }
        }
    }

    /// Frees the variables.
    pub(crate) fn unload(&self, memory: &Memory) {
        release(&self.variables, memory);
    }
}

fn release(variables: &HashMap<String, Arc<Block>>, memory: &Memory) {
    for block in variables.values() {
        memory.free(block.base, &[Sort::Variable, Sort::Constant]).expect("a module's variables are freed once");
    }
}

fn place(syntax: &Syntax, memory: &Memory) -> Result<HashMap<String, Arc<Block>>, MemoryError> {
    let mut blocks = HashMap::new();
    for variable in &syntax.variables {
        let sort = match variable.space {
            Space::Global => Sort::Variable,
            Space::Const => Sort::Constant,
            _ => continue,
        };
        let bytes = usize::try_from(variable.size).map_err(|_| MemoryError::Full)?;
        let block = memory.allocate(bytes.max(1), sort).inspect_err(|_| release(&blocks, memory))?;
        if let Some(same_name) = blocks.insert(variable.name.clone(), block) {
            memory.free(same_name.base, &[Sort::Variable, Sort::Constant])?;
        }
    }
    Ok(blocks)
}

fn initialise(syntax: &Syntax, blocks: &HashMap<String, Arc<Block>>) -> Result<(), String> {
    for variable in syntax.variables.iter().filter(|variable| blocks.contains_key(&variable.name)) {
        let mut bytes = variable.initial.clone();
        for (at, name, addend) in &variable.addresses {
            let block = blocks.get(name).ok_or_else(|| format!("{} points to {name}, unknown", variable.name))?;
            bytes[*at..at + 8].copy_from_slice(&block.base.wrapping_add_signed(*addend).to_le_bytes());
        }
        blocks[&variable.name].write(0, &bytes);
    }
    Ok(())
}

/// The PTX ISA of a driver, as 81 for 8.1; one more a minor version, but for 12.6's.
fn newest_ptx(version: i32) -> u32 {
    let (major, minor) = (version / 1000, version % 1000 / 10);
    let newest = match (major, minor) {
        (..=11, _) => 70 + minor.min(8),
        (12, ..=5) => 80 + minor,
        (12, 6) => 85,
        (12, _) => 79 + minor.min(9),
        _ => (major - 4) * 10 + minor,
    };
    newest.unsigned_abs()
}

impl Function {
    pub(crate) fn new(module: &Module, number: usize) -> Self {
        let code = &module.program.functions[number];
        let room = SHARED_PER_BLOCK.saturating_sub(code.shared);
        Self {
            program: Arc::clone(&module.program),
            number,
            dynamic_shared_max: AtomicU32::new(u32::try_from(room).expect("at most 48 KiB")),
        }
    }

    pub(crate) fn code(&self) -> &FunctionCode {
        &self.program.functions[self.number]
    }

    /// Threads that a block may have.
    pub(crate) fn threads_max(&self) -> u32 {
        self.code().max_threads.unwrap_or(THREADS_PER_BLOCK).min(THREADS_PER_BLOCK)
    }

    /// A guess of what the hardware's compiler would need: as many as are alive at once.
    pub(crate) fn registers(&self) -> u32 {
        let slots = self.code().registers;
        u32::try_from(slots.words + 2 * slots.doubles).unwrap_or(255).clamp(16, 255).next_multiple_of(8)
    }

    /// Blocks that a multiprocessor holds at once.
    pub(crate) fn blocks_per_multiprocessor(&self, threads: u32, dynamic_shared: u64) -> u32 {
        if threads == 0 || threads > self.threads_max() {
            return 0;
        }
        let warps = threads.div_ceil(32);
        let by_threads = THREADS_PER_MULTIPROCESSOR / (warps * 32);
        let by_registers = REGISTERS_PER_MULTIPROCESSOR / (self.registers() * 32 * warps);
        let by_shared = SHARED_PER_MULTIPROCESSOR / (self.code().shared + dynamic_shared + SHARED_RESERVED);
        let by_shared = u32::try_from(by_shared).unwrap_or(u32::MAX);
        BLOCKS_PER_MULTIPROCESSOR.min(by_threads).min(by_registers).min(by_shared)
    }

    /// The block size that keeps most threads on a multiprocessor, and how many such blocks it holds.
    pub(crate) fn best_block(&self, limit: u32, dynamic_shared: impl Fn(u32) -> u64) -> (u32, u32) {
        let limit = if limit == 0 { self.threads_max() } else { limit.min(self.threads_max()) };
        let sizes = (1..=limit / 32).map(|warps| warps * 32).chain((limit < 32).then_some(limit));
        let held = sizes.map(|threads| (threads, self.blocks_per_multiprocessor(threads, dynamic_shared(threads))));
        held.max_by_key(|&(threads, blocks)| (threads * blocks, threads)).unwrap_or((0, 0))
    }

    /// A function attribute by its number.
    pub(crate) fn attribute(&self, number: i32, config: &Config) -> Option<i32> {
        let code = self.code();
        let value = match number {
            0 => u64::from(self.threads_max()),
            1 => code.shared,
            2 => 0,
            3 => code.stack,
            4 => u64::from(self.registers()),
            5 => u64::from(self.program.version),
            6 => u64::from(config.capability),
            7 => 0,
            8 => u64::from(self.dynamic_shared_max.load(Relaxed)),
            9 => return Some(-1),
            _ => return None,
        };
        i32::try_from(value).ok()
    }
}
