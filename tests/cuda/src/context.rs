//! A context: a device's memory and streams, and the error that ends it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::driver::Driver;
use crate::exec::{Launch, run};
use crate::memory::{Block, Memory, Sort, View, find};
use crate::result::Code;
use crate::stream::{Sink, Source, Stream, Work};

/// What a program may write or read with copies.
const COPYABLE: [Sort; 3] = [Sort::Device, Sort::Variable, Sort::Constant];

/// A primary context.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) driver: &'static Driver,
    pub(crate) handle: usize,
    pub(crate) device: usize,
    pub(crate) memory: Memory,
    /// The first error that nothing but a new context cures; 0 for none.
    error: AtomicU32,
    /// Also keeps work for several streams in one order.
    streams: Mutex<Streams>,
}

#[derive(Debug)]
struct Streams {
    /// The default stream, and that of programs compiled for one a thread.
    legacy: Arc<Stream>,
    per_thread: Arc<Stream>,
    own: Vec<Arc<Stream>>,
}

impl Context {
    /// A context whose memory has addresses from `next_address` on.
    pub(crate) fn new(driver: &'static Driver, device: usize, next_address: u64) -> Arc<Self> {
        Arc::new_cyclic(|context: &Weak<Self>| {
            let stream = || start(context, true);
            Self {
                driver,
                handle: driver.fresh_handle(),
                device,
                memory: Memory::new(driver.config.memory, next_address),
                error: AtomicU32::new(0),
                streams: Mutex::new(Streams { legacy: stream(), per_thread: stream(), own: Vec::new() }),
            }
        })
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// The error that the context ended with.
    pub(crate) fn check(&self) -> Result<(), Code> {
        match self.error.load(SeqCst) {
            0 => Ok(()),
            code => Err(Code(code)),
        }
    }

    /// Ends the context with an error; the first one stays.
    pub(crate) fn fail(&self, code: Code) {
        // It had one before.
        self.error.compare_exchange(0, code.0, SeqCst, SeqCst).ok();
    }

    pub(crate) fn new_stream(self: &Arc<Self>, blocking: bool) -> Arc<Stream> {
        let stream = start(&Arc::downgrade(self), blocking);
        self.streams().own.push(Arc::clone(&stream));
        stream
    }

    /// The stream goes once its work is done.
    pub(crate) fn remove_stream(&self, stream: &Arc<Stream>) {
        self.streams().own.retain(|other| !Arc::ptr_eq(other, stream));
        stream.close();
    }

    pub(crate) fn legacy_stream(&self) -> Arc<Stream> {
        Arc::clone(&self.streams().legacy)
    }

    pub(crate) fn per_thread_stream(&self) -> Arc<Stream> {
        Arc::clone(&self.streams().per_thread)
    }

    /// Gives work to a stream. The default stream waits for the work of all blocking streams, and they for its.
    pub(crate) fn submit(&self, stream: &Arc<Stream>, work: Work) -> u64 {
        let streams = self.streams();
        if Arc::ptr_eq(stream, &streams.legacy) {
            let others = streams.own.iter().chain([&streams.per_thread]).filter(|other| other.blocking);
            others.for_each(|other| follow(stream, other));
        } else if stream.blocking {
            follow(stream, &streams.legacy);
        }
        stream.give(work)
    }

    /// Waits for all work given so far.
    pub(crate) fn synchronize(&self) -> Result<(), Code> {
        let waits: Vec<(Arc<Stream>, u64)> = {
            let streams = self.streams();
            let all = streams.own.iter().chain([&streams.legacy, &streams.per_thread]);
            all.map(|stream| (Arc::clone(stream), stream.last_ticket())).collect()
        };
        waits.iter().for_each(|(stream, ticket)| stream.wait(*ticket));
        self.check()
    }

    /// Waits for all work and ends the streams' threads.
    pub(crate) fn shut_down(&self) {
        // The error goes with the context.
        self.synchronize().ok();
        let streams = self.streams();
        streams.own.iter().chain([&streams.legacy, &streams.per_thread]).for_each(|stream| stream.close());
    }

    /// The block of device memory that holds `bytes` at an address.
    pub(crate) fn block(&self, address: u64, bytes: u64) -> Option<Arc<Block>> {
        let blocks = self.memory.blocks();
        find(&blocks, address, bytes).filter(|block| COPYABLE.contains(&block.sort)).cloned()
    }

    /// Copies out of device memory, after all that a stream was given.
    pub(crate) fn read(&self, stream: &Arc<Stream>, from: u64, bytes: u64) -> Result<Vec<u8>, Code> {
        let (sender, receiver) = channel();
        self.submit(stream, Work::CopyOut { from, bytes, to: Sink::Caller(sender) });
        match receiver.recv() {
            Ok(read) => Ok(read),
            Err(_) => Err(self.check().err().unwrap_or(Code::UNKNOWN)),
        }
    }

    /// Does one piece of a stream's work; after an error only what others wait for.
    fn perform(&self, work: Work) {
        let failed = self.check().is_err();
        match work {
            Work::Record(event, recording) => event.reach(recording),
            Work::Wait(event, recording) => event.wait(recording),
            Work::After(stream, ticket) => stream.wait(ticket),
            _ if failed => {}
            Work::Host(call) => call(),
            Work::Free(address) => {
                if self.memory.free(address, &[Sort::Device]).is_err() {
                    self.driver.report(&format!("cuMemFreeAsync of {address:#x}, which was freed before its turn"));
                }
            }
            Work::CopyIn { to, from } => self.copy_in(to, from),
            Work::CopyOut { from, bytes, to } => self.copy_out(from, bytes, to),
            Work::CopyWithin { from, to, bytes } => {
                if let (Some(source), Some(target)) = (self.still(from, bytes), self.still(to, bytes)) {
                    let read = contents(&source, from, bytes);
                    target.write(place(&target, to), &read);
                }
            }
            Work::Fill { at, pattern, count } => {
                let bytes = pattern.len() as u64 * count;
                if let Some(target) = self.still(at, bytes) {
                    let filled = pattern.repeat(usize::try_from(count).expect("it fits in a block"));
                    target.write(place(&target, at), &filled);
                }
            }
            Work::Launch(launch) => self.launch(*launch),
        }
    }

    fn copy_in(&self, to: u64, from: Source) {
        let read = match from {
            Source::Staged(bytes) => bytes,
            Source::Pinned { block, offset, bytes } => {
                self.expect_pinned(&block);
                let mut read = vec![0; bytes];
                block.read(offset, &mut read);
                read
            }
        };
        if let Some(target) = self.still(to, read.len() as u64) {
            target.write(place(&target, to), &read);
        }
    }

    fn copy_out(&self, from: u64, bytes: u64, to: Sink) {
        let Some(source) = self.still(from, bytes) else { return };
        let read = contents(&source, from, bytes);
        match to {
            // The caller waits as long as the sender lives.
            Sink::Caller(sender) => sender.send(read).expect("the caller waits"),
            Sink::Pinned { block, offset } => {
                self.expect_pinned(&block);
                block.write(offset, &read);
            }
        }
    }

    fn expect_pinned(&self, block: &Block) {
        if block.is_freed() {
            self.driver.report(&format!("pinned memory at {:#x} was freed before a copy that uses it", block.base));
        }
    }

    /// The block of work that was given while it existed.
    fn still(&self, address: u64, bytes: u64) -> Option<Arc<Block>> {
        let block = self.block(address, bytes);
        if block.is_none() {
            self.driver.report(&format!("{bytes} bytes at {address:#x} were freed before the work that uses them"));
            self.fail(Code::ILLEGAL_ADDRESS);
        }
        block
    }

    fn launch(&self, mut launch: Launch) {
        std::thread::sleep(self.driver.config.latency);
        launch.view = View { device: self.memory.blocks(), pinned: self.driver.pinned.blocks() };
        let name = launch.program.functions[launch.function].name.clone();
        if let Err(fault) = run(launch) {
            self.driver.report(&format!("kernel {name}: {fault}"));
            self.fail(Code(fault.code()));
        }
    }
}

fn start(context: &Weak<Context>, blocking: bool) -> Arc<Stream> {
    let context = Weak::clone(context);
    Stream::start(blocking, move |work| {
        // Contexts are shut down, their streams empty, before they are dropped.
        if let Some(context) = context.upgrade() {
            let what = format!("{work:?}");
            if catch_unwind(AssertUnwindSafe(|| context.perform(work))).is_err() {
                context.driver.report(&format!("{what}: the stand-in panicked"));
                context.fail(Code::LAUNCH_FAILED);
            }
        }
    })
}

/// Lets a stream wait for what another was given so far.
fn follow(stream: &Arc<Stream>, other: &Arc<Stream>) {
    let ticket = other.last_ticket();
    if !other.is_done(ticket) {
        stream.give(Work::After(Arc::clone(other), ticket));
    }
}

fn place(block: &Block, address: u64) -> usize {
    block.offset(address, 0).expect("the block was found by this address")
}

fn contents(block: &Block, address: u64, bytes: u64) -> Vec<u8> {
    let mut read = vec![0; usize::try_from(bytes).expect("it fits in a block")];
    block.read(place(block, address), &mut read);
    read
}
