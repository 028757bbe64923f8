//! A warp: 32 threads that share their instructions.

use super::Wrong;
use super::access::Reach;
use super::lanes::{lane_number, shuffle, special_register, vote};
use crate::memory::POISON_LOCAL;
use crate::program::{Instruction, Program, Step, UNGUARDED};
use crate::registers::{LANES, Lanes, Registers, Window};

/// Where a function was called.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Frame {
    /// The instruction to go on with.
    back: u32,
    call: u32,
    function: usize,
    window: Window,
    local: u64,
}

/// Lanes that are at the same place.
#[derive(Clone, Debug, Default)]
struct Group {
    at: u32,
    mask: u32,
    /// The functions that called, outermost first.
    frames: Vec<Frame>,
    /// The function that runs, its registers and the first byte of its frame.
    function: usize,
    window: Window,
    local: u64,
    /// The lanes were waited for at the instruction they are at.
    gathered: bool,
}

impl Group {
    /// Deeper calls first, then what is further behind.
    fn rank(&self) -> (std::cmp::Reverse<usize>, u32) {
        (std::cmp::Reverse(self.frames.len()), self.at)
    }

    fn is_with(&self, other: &Self) -> bool {
        self.at == other.at && self.function == other.function && self.frames == other.frames
    }
}

/// What a warp cannot know by itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) block: [u32; 3],
    pub(super) blocks: [u32; 3],
    pub(super) threads: [u32; 3],
    pub(super) dynamic_shared: u64,
}

/// Which lane went wrong at which instruction, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) wrong: Wrong,
    pub(super) lane: usize,
    pub(super) at: u32,
}

/// A warp between two barriers.
#[derive(Debug)]
pub(super) struct Warp {
    pub(super) registers: Registers,
    current: Group,
    waiting: Vec<Group>,
    /// At a barrier of the block.
    parked: Vec<(Group, u32)>,
    /// Waiting for the other lanes of the warp.
    gathering: Vec<Group>,
    /// Lanes that have not ended.
    alive: u32,
    /// Lanes that have begun.
    begun: u32,
    local: Vec<u8>,
    /// Bytes of local memory a lane.
    stack: u64,
    first_thread: u32,
    function: usize,
}

impl Warp {
    pub(super) fn new(program: &Program, function: usize) -> Self {
        let code = &program.functions[function];
        Self {
            registers: Registers::new(&program.words, &program.doubles, code.registers),
            current: Group::default(),
            waiting: Vec::new(),
            parked: Vec::new(),
            gathering: Vec::new(),
            alive: 0,
            begun: 0,
            local: vec![0; usize::try_from(code.stack).expect("a stack is small") * LANES],
            stack: code.stack,
            first_thread: 0,
            function,
        }
    }

    /// Sets the warp to the beginning of the kernel, for threads of which `count` remain.
    pub(super) fn start(&mut self, program: &Program, number: u32, threads: u32) {
        self.first_thread = number * 32;
        let count = (threads - self.first_thread).min(32);
        self.alive = u32::MAX >> (32 - count);
        self.begun = self.alive;
        self.local.fill(POISON_LOCAL);
        self.waiting.clear();
        self.parked.clear();
        self.gathering.clear();
        let entry = program.functions[self.function].entry;
        self.current = Group { at: entry, mask: self.alive, function: self.function, ..Group::default() };
    }

    /// Whether all of its threads have ended.
    pub(super) fn ended(&self) -> bool {
        self.alive == 0
    }

    /// The number in the block of a lane's thread.
    pub(super) fn thread(&self, lane: usize) -> u32 {
        self.first_thread + lane_number(lane)
    }

    /// The barrier that all of the warp's threads are at, with its place.
    pub(super) fn barrier(&self) -> Option<(u32, u32)> {
        match &self.parked[..] {
            [(group, number)] if group.mask == self.alive => Some((*number, group.at)),
            _ => None,
        }
    }

    /// Whether none of its threads has ended.
    pub(super) fn is_complete(&self) -> bool {
        self.alive == self.begun
    }

    /// A lane that waits at a barrier and the instruction after it.
    pub(super) fn parked_lane(&self) -> Option<(usize, u32)> {
        let (group, _) = self.parked.first()?;
        Some((group.mask.trailing_zeros() as usize, group.at - 1))
    }

    /// Goes on after a barrier.
    pub(super) fn release(&mut self) {
        self.waiting.extend(self.parked.drain(..).map(|(group, _)| group));
    }

    /// Takes the group to run next, with all that is at the same place.
    fn next_group(&mut self, program: &Program) -> bool {
        if self.waiting.is_empty() {
            for group in &mut self.gathering {
                group.gathered = true;
            }
            std::mem::swap(&mut self.waiting, &mut self.gathering);
        }
        let Some(best) = (0..self.waiting.len()).min_by_key(|&at| self.waiting[at].rank()) else { return false };
        self.current = self.waiting.swap_remove(best);
        let current = &mut self.current;
        self.waiting.retain(|other| {
            let same = current.is_with(other);
            if same {
                current.mask |= other.mask;
                current.gathered &= other.gathered;
            }
            !same
        });
        self.registers.enter(self.current.window, program.functions[self.current.function].registers);
        true
    }

    /// Runs until every lane has ended or is at a barrier.
    pub(super) fn run(&mut self, program: &Program, reach: &mut Reach<'_>, place: &Place) -> Result<(), Failure> {
        if self.current.mask != 0 {
            self.waiting.push(std::mem::take(&mut self.current));
        }
        while self.next_group(program) {
            let result = self.run_group(program, reach, place);
            if let Err((wrong, lane)) = result {
                return Err(Failure { wrong, lane, at: self.current.at.saturating_sub(1) });
            }
        }
        self.current.mask = 0;
        Ok(())
    }

    /// Runs the current group until it ends, parts, waits, or comes to where others wait.
    fn run_group(&mut self, program: &Program, reach: &mut Reach<'_>, place: &Place) -> Result<(), (Wrong, usize)> {
        let limit = self.limit();
        let code = &program.code[..];
        self.registers.active = self.current.mask;
        self.registers.whole = self.current.mask == self.alive;
        loop {
            if self.current.at >= limit {
                self.waiting.push(std::mem::take(&mut self.current));
                return Ok(());
            }
            let instruction = &code[self.current.at as usize];
            self.current.at += 1;
            let guard = instruction.guard;
            if guard == UNGUARDED {
                match instruction.step {
                    Step::Arithmetic(run) => {
                        run(&mut self.registers, &instruction.slots);
                        continue;
                    }
                    _ => {
                        if self.step(program, instruction, reach, place)? {
                            return Ok(());
                        }
                    }
                }
                continue;
            }
            let predicate = self.registers.predicate(guard);
            let taken = self.current.mask & if instruction.negated { !predicate } else { predicate };
            if let Step::Branch(target) = instruction.step {
                if self.branch(taken, target) {
                    return Ok(());
                }
            } else if taken != 0 {
                self.registers.active = taken;
                self.registers.whole = taken == self.alive;
                // Steps that end or wait have their guards on a branch around them.
                self.step(program, instruction, reach, place)?;
                self.registers.active = self.current.mask;
                self.registers.whole = self.current.mask == self.alive;
            }
        }
    }

    /// Where the next lanes wait that the current group would meet.
    fn limit(&self) -> u32 {
        let depth = self.current.frames.len();
        let beside = self.waiting.iter().filter(|group| group.frames.len() == depth);
        beside.map(|group| group.at).min().unwrap_or(u32::MAX)
    }

    /// Sends the taken lanes to a target; true where the order of the groups has to be looked at again.
    fn branch(&mut self, taken: u32, target: u32) -> bool {
        if taken == 0 {
            return false;
        }
        if taken == self.current.mask {
            self.current.at = target;
            if self.waiting.is_empty() {
                return false;
            }
        } else {
            let others = Group { mask: self.current.mask & !taken, ..self.current.clone() };
            self.waiting.push(others);
            self.current.mask = taken;
            self.current.at = target;
        }
        self.waiting.push(std::mem::take(&mut self.current));
        true
    }

    /// Anything but plain arithmetic; true where the current group is no longer the one to run.
    fn step(
        &mut self,
        program: &Program,
        instruction: &Instruction,
        reach: &mut Reach<'_>,
        place: &Place,
    ) -> Result<bool, (Wrong, usize)> {
        let slots = &instruction.slots;
        match instruction.step {
            Step::Arithmetic(run) => run(&mut self.registers, slots),
            Step::Special(special) => {
                special_register(&mut self.registers, special, slots.to[0], self.first_thread, place)
            }
            Step::FrameAddress(offset) => {
                let address = self.current.local + offset;
                self.registers.put_doubles(slots.to[0], |_| address);
            }
            Step::Load(access) => {
                let (at, frame) = (self.current.at, self.current.local);
                reach.load(&mut self.registers, &mut self.local, self.stack, frame, &access, slots, at)?;
            }
            Step::Store(access) => {
                let (at, frame) = (self.current.at, self.current.local);
                reach.store(&mut self.registers, &mut self.local, self.stack, frame, &access, slots, at)?;
            }
            Step::Atomic(atomic) => reach.atomic(&mut self.registers, &atomic, slots, self.current.at)?,
            Step::Branch(target) => return Ok(self.branch(self.current.mask, target)),
            Step::BranchIndex(table) => {
                self.branch_index(&program.tables[table as usize], slots.from[0])?;
                return Ok(true);
            }
            Step::Call(call) => {
                self.call(program, call)?;
                return Ok(true);
            }
            Step::Return => {
                self.leave(program);
                return Ok(true);
            }
            Step::Exit => {
                self.alive &= !self.current.mask;
                self.current = Group::default();
                return Ok(true);
            }
            Step::Barrier(number) => {
                let group = std::mem::take(&mut self.current);
                match self.parked.iter_mut().find(|(other, own)| *own == number && other.is_with(&group)) {
                    Some((other, _)) => other.mask |= group.mask,
                    None => self.parked.push((group, number)),
                }
                return Ok(true);
            }
            Step::WarpBarrier | Step::Shuffle(_) | Step::Vote(_) if self.must_gather() => return Ok(true),
            Step::WarpBarrier => {}
            Step::Shuffle(mode) => shuffle(&mut self.registers, mode, slots),
            Step::Vote(mode) => vote(&mut self.registers, mode, slots),
            Step::Trap => return Err((Wrong::Trap, self.current.mask.trailing_zeros() as usize)),
        }
        Ok(false)
    }

    /// Lets lanes wait, at the instruction they are at, for those that still come.
    fn must_gather(&mut self) -> bool {
        let others = !self.waiting.is_empty() || !self.gathering.is_empty();
        if !others || std::mem::take(&mut self.current.gathered) {
            return false;
        }
        let mut group = std::mem::take(&mut self.current);
        group.at -= 1;
        self.gathering.push(group);
        true
    }

    fn branch_index(&mut self, targets: &[u32], slot: u16) -> Result<(), (Wrong, usize)> {
        let index = *self.registers.words(slot);
        let group = std::mem::take(&mut self.current);
        for lane in Lanes(group.mask) {
            let &at = targets.get(index[lane] as usize).ok_or((Wrong::Index, lane))?;
            self.waiting.push(Group { at, mask: 1 << lane, ..group.clone() });
        }
        Ok(())
    }

    fn call(&mut self, program: &Program, number: u32) -> Result<(), (Wrong, usize)> {
        let call = &program.calls[number as usize];
        let caller = &program.functions[self.current.function];
        let callee = &program.functions[call.callee];
        let local = self.current.local + caller.frame;
        if local + callee.frame > self.stack {
            return Err((Wrong::Stack, self.current.mask.trailing_zeros() as usize));
        }
        self.copy_frames(&call.arguments, self.current.local, local);
        let window = self.current.window;
        self.current.frames.push(Frame {
            back: self.current.at,
            call: number,
            function: self.current.function,
            window,
            local: self.current.local,
        });
        self.current.window = Window {
            words: window.words + caller.registers.words,
            doubles: window.doubles + caller.registers.doubles,
            predicates: window.predicates + caller.registers.predicates,
        };
        self.current.function = call.callee;
        self.current.local = local;
        self.current.at = callee.entry;
        self.waiting.push(std::mem::take(&mut self.current));
        Ok(())
    }

    fn leave(&mut self, program: &Program) {
        let frame = self.current.frames.pop().expect("only functions that are called return");
        let call = &program.calls[frame.call as usize];
        self.copy_frames(&call.results, self.current.local, frame.local);
        self.current.at = frame.back;
        self.current.function = frame.function;
        self.current.window = frame.window;
        self.current.local = frame.local;
        self.waiting.push(std::mem::take(&mut self.current));
    }

    fn copy_frames(&mut self, parts: &[(u64, u64, u64)], from: u64, to: u64) {
        let size = |bytes: u64| usize::try_from(bytes).expect("a stack is small");
        for lane in Lanes(self.current.mask) {
            let base = lane * size(self.stack);
            for &(source, target, bytes) in parts {
                let source = base + size(from + source);
                self.local.copy_within(source..source + size(bytes), base + size(to + target));
            }
        }
    }
}
