//! The parts of opcodes that touch memory or other lanes.

use super::{Access, Atomic, MemorySpace, Shuffle, Update, Vote};
use crate::ptx::syntax::Space;

/// The modifiers of `ld` and `st`, without what only concerns caches and the order of other threads.
pub(super) fn access(opcode: &str) -> Option<Access> {
    let mut access = Access {
        space: MemorySpace::State(Space::Generic),
        bytes: 0,
        count: 1,
        signed: false,
        double: false,
        half: false,
        wide: true,
        offset: 0,
    };
    for part in opcode.split('.').skip(1) {
        match part {
            "volatile" | "relaxed" | "acquire" | "release" | "weak" | "cta" | "gpu" | "sys" => {}
            "ca" | "cg" | "cs" | "lu" | "cv" | "wb" | "wt" | "nc" => {}
            "v2" => access.count = 2,
            "v4" => access.count = 4,
            _ => {
                if let Some(space) = space(part) {
                    access.space = MemorySpace::State(space);
                } else {
                    (access.bytes, access.signed) = element(part)?;
                }
            }
        }
    }
    (access.bytes > 0).then_some(access)
}

fn space(part: &str) -> Option<Space> {
    Some(match part {
        "global" => Space::Global,
        "const" => Space::Const,
        "shared" => Space::Shared,
        "local" => Space::Local,
        "param" => Space::Param,
        _ => return None,
    })
}

fn element(part: &str) -> Option<(u8, bool)> {
    Some(match part {
        "b8" | "u8" => (1, false),
        "s8" => (1, true),
        "b16" | "u16" | "f16" => (2, false),
        "s16" => (2, true),
        "b32" | "u32" | "f32" => (4, false),
        "s32" => (4, true),
        "b64" | "u64" | "f64" | "s64" => (8, false),
        _ => return None,
    })
}

/// `atom` and `red`; atomic sums of floats have no order and are not taken.
pub(super) fn atomic(opcode: &str) -> Option<Atomic> {
    let mut parts: Vec<&str> = opcode.split('.').collect();
    let kind = parts.pop()?;
    let update = parts.pop()?;
    let mut access = access(&format!("{}.{kind}", parts.join(".")))?;
    let update = match (update, kind) {
        (_, "f32" | "f64" | "f16") => return None,
        ("add", _) => Update::Add,
        ("exch", _) => Update::Exchange,
        ("cas", _) => Update::Compare,
        ("inc", "u32") => Update::Increment,
        ("dec", "u32") => Update::Decrement,
        ("min", "s32" | "s64") => Update::SignedMin,
        ("max", "s32" | "s64") => Update::SignedMax,
        ("min", _) => Update::Min,
        ("max", _) => Update::Max,
        ("and", _) => Update::And,
        ("or", _) => Update::Or,
        ("xor", _) => Update::Xor,
        _ => return None,
    };
    access.signed = false;
    access.double = access.bytes == 8;
    let known = access.bytes >= 4 && access.count == 1;
    known.then_some(Atomic { access, update, result: opcode.starts_with("atom") })
}

pub(super) fn shuffle(opcode: &str) -> Option<Shuffle> {
    Some(match opcode {
        "shfl.sync.up.b32" => Shuffle::Up,
        "shfl.sync.down.b32" => Shuffle::Down,
        "shfl.sync.bfly.b32" => Shuffle::Butterfly,
        "shfl.sync.idx.b32" => Shuffle::Index,
        _ => return None,
    })
}

pub(super) fn vote(opcode: &str) -> Option<Vote> {
    Some(match opcode {
        "vote.sync.all.pred" => Vote::All,
        "vote.sync.any.pred" => Vote::Any,
        "vote.sync.uni.pred" => Vote::Uniform,
        "vote.sync.ballot.b32" => Vote::Ballot,
        "activemask.b32" => Vote::Active,
        _ => return None,
    })
}
