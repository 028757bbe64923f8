//! A block of threads: its warps, its shared memory, its barriers.

use super::access::Reach;
use super::grid::Launch;
use super::warp::{Failure, Place, Warp};
use super::{Fault, Wrong};
use crate::memory::POISON_SHARED;

/// Runs blocks of one launch, one after the other.
#[derive(Debug)]
pub(super) struct Executor<'a> {
    launch: &'a Launch,
    reach: Reach<'a>,
    /// One for each warp of a block, or one for all where none waits for another.
    warps: Vec<Warp>,
    count: u32,
    threads: u32,
}

impl<'a> Executor<'a> {
    pub(super) fn new(launch: &'a Launch) -> Self {
        let program = &*launch.program;
        let code = &program.functions[launch.function];
        let threads = launch.threads.iter().product::<u32>();
        let count = threads.div_ceil(32);
        let states = if code.barrier { count } else { 1 };
        let shared = usize::try_from(launch.dynamic_base() + launch.dynamic_shared).expect("checked at the launch");
        Self {
            launch,
            reach: Reach::new(&launch.view, &launch.params, shared, program.code.len()),
            warps: (0..states).map(|_| Warp::new(program, launch.function)).collect(),
            count,
            threads,
        }
    }

    /// Runs the block of a number.
    pub(super) fn run(&mut self, number: u64) -> Result<(), Fault> {
        let [x, y, _] = self.launch.blocks.map(u64::from);
        let axis = |value: u64| u32::try_from(value).expect("below the grid's size");
        let block = [axis(number % x), axis(number / x % y), axis(number / x / y)];
        let place = Place {
            block,
            blocks: self.launch.blocks,
            threads: self.launch.threads,
            dynamic_shared: self.launch.dynamic_base(),
        };
        self.reach.shared.fill(POISON_SHARED);
        let program = &*self.launch.program;
        if program.functions[self.launch.function].barrier {
            return self.run_together(&place);
        }
        for number in 0..self.count {
            let warp = &mut self.warps[0];
            warp.start(program, number, self.threads);
            let result = warp.run(program, &mut self.reach, &place);
            result.map_err(|failure| self.fault(&place, 0, failure))?;
        }
        Ok(())
    }

    fn run_together(&mut self, place: &Place) -> Result<(), Fault> {
        let program = &*self.launch.program;
        for (number, warp) in (0..).zip(&mut self.warps) {
            warp.start(program, number, self.threads);
        }
        loop {
            for at in 0..self.warps.len() {
                if let Err(failure) = self.warps[at].run(program, &mut self.reach, place) {
                    return Err(self.fault(place, at, failure));
                }
            }
            if self.warps.iter().all(Warp::ended) {
                return Ok(());
            }
            self.pass_barrier(place)?;
            self.warps.iter_mut().for_each(Warp::release);
        }
    }

    /// Every thread of the block is at one and the same barrier.
    fn pass_barrier(&self, place: &Place) -> Result<(), Fault> {
        let first = self.warps[0].barrier();
        if first.is_some() && self.warps.iter().all(|warp| warp.barrier() == first && warp.is_complete()) {
            return Ok(());
        }
        let parked = self.warps.iter().enumerate().find_map(|(at, warp)| Some((at, warp.parked_lane()?)));
        let (at, (lane, instruction)) = parked.expect("a thread that has not ended waits at a barrier");
        Err(self.fault(place, at, Failure { wrong: Wrong::Barrier, lane, at: instruction }))
    }

    fn fault(&self, place: &Place, warp: usize, failure: Failure) -> Fault {
        let [x, y, _] = self.launch.threads;
        let thread = self.warps[warp].thread(failure.lane);
        let detail = match failure.wrong {
            Wrong::Address(address) => self.launch.view.describe(address),
            _ => String::new(),
        };
        Fault {
            wrong: failure.wrong,
            block: place.block,
            thread: [thread % x, thread / x % y, thread / x / y],
            line: self.launch.program.lines.get(failure.at as usize).copied().unwrap_or(0),
            detail,
        }
    }
}
