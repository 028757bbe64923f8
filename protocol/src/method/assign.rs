//! `work.assign [unit]`: the pool leases consecutive elements of a job to a miner.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ParamError, Params};
use crate::difficulty::Work;
use crate::digest::Digest;
use crate::ids::{JobId, UnitId};

/// Most characters of a kind's name.
pub const KIND_CHARS_MAX: usize = 32;
/// Most bytes of a task's spec as JSON; with every other field at its bound, the line stays within the codec's.
pub const SPEC_BYTES_MAX: usize = 8 * 1024;
/// Most inputs of a task.
pub const INPUTS_MAX: usize = 32;
/// Bound of every count and position on the wire: what all JSON readers hold exactly.
pub const NUMBER_MAX: u64 = 1 << 53;
/// Longest lease.
pub const TTL_S_MAX: u64 = 7 * 86_400;

/// Whether a text names a kind: 1 to 32 of `a-z 0-9 -`.
pub(super) fn is_kind(text: &str) -> bool {
    (1..=KIND_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// A blob that a task reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignInput {
    /// What it is named by.
    pub digest: Digest,
    /// How many bytes it has.
    pub bytes: u64,
}

/// A unit: elements `first .. first + count` of a section, and what computing them takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assign {
    /// What a submit, a release or a revocation names it by.
    pub unit: UnitId,
    /// The job, for people.
    pub job: JobId,
    /// Which section of the job; units of one section share spec and inputs.
    pub section: u64,
    /// Kind of work.
    pub kind: String,
    /// The section's task, as its kind reads it.
    pub spec: Value,
    /// The blobs that the task reads, in its order.
    pub inputs: Vec<AssignInput>,
    /// The first element, counted from 0 within the section.
    pub first: u64,
    /// How many elements, at least one.
    pub count: u32,
    /// What the unit is worth.
    pub work: Work,
    /// Seconds until the pool may give it to others.
    pub ttl_s: u64,
}

impl Assign {
    /// The method's name.
    pub const METHOD: &str = "work.assign";

    pub(super) fn from_params(params: &[Value]) -> Result<Assign, ParamError> {
        let params = Params::at_most(params, 1)?;
        let name = "unit";
        let assign = Assign::deserialize(params.get(0, name)?).map_err(|error| {
            let what = error.to_string().chars().take(200).collect();
            ParamError::Value { name, what }
        })?;
        match assign.fault() {
            None => Ok(assign),
            Some(what) => Err(ParamError::Value { name, what }),
        }
    }

    /// What is out of bounds, if anything. A pool sends no unit with a fault, since no miner would take it.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let input_bytes = self.inputs.iter().map(|input| input.bytes).max().unwrap_or(0);
        for (name, value, least, most) in [
            ("section", self.section, 0, NUMBER_MAX),
            ("first", self.first, 0, NUMBER_MAX),
            ("count", u64::from(self.count), 1, u64::from(u32::MAX)),
            ("ttl_s", self.ttl_s, 1, TTL_S_MAX),
            ("inputs", self.inputs.len() as u64, 0, INPUTS_MAX as u64),
            ("bytes of an input", input_bytes, 0, NUMBER_MAX),
            ("bytes of spec", self.spec.to_string().len() as u64, 0, SPEC_BYTES_MAX as u64),
        ] {
            if !(least..=most).contains(&value) {
                return Some(format!("{name}: {value} where {least} to {most} are taken"));
            }
        }
        (!is_kind(&self.kind)).then(|| format!("kind: takes 1 to {KIND_CHARS_MAX} of a-z 0-9 -"))
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(&self) -> Value {
        json!([self])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::LINE_BYTES_MAX;
    use crate::rpc::notification_line;

    fn unit() -> Assign {
        Assign {
            unit: "j12-5".parse().unwrap(),
            job: JobId(12),
            section: 3,
            kind: "render".into(),
            spec: json!({"seed": 7}),
            inputs: vec![AssignInput { digest: Digest([0xab; 32]), bytes: 1_048_576 }],
            first: 640,
            count: 32,
            work: Work(1 << 90),
            ttl_s: 30,
        }
    }

    #[test]
    fn round_trip() {
        assert_eq!(Assign::from_params(unit().to_params().as_array().unwrap()), Ok(unit()));
        let mut newer = unit().to_params();
        newer[0]["hint"] = json!("of a later pool");
        assert_eq!(Assign::from_params(newer.as_array().unwrap()), Ok(unit()), "what is not known is left alone");
    }

    #[test]
    fn each_bound_is_reached_and_kept() {
        let largest = Assign {
            unit: "u".repeat(64).parse().unwrap(),
            job: JobId(u64::MAX),
            section: NUMBER_MAX,
            kind: "k".repeat(KIND_CHARS_MAX),
            spec: json!("s".repeat(SPEC_BYTES_MAX - 2)),
            inputs: vec![AssignInput { digest: Digest([0xff; 32]), bytes: NUMBER_MAX }; INPUTS_MAX],
            first: NUMBER_MAX,
            count: u32::MAX,
            work: Work(u128::MAX),
            ttl_s: TTL_S_MAX,
        };
        let line = notification_line(Assign::METHOD, &largest.to_params());
        assert!(line.len() <= LINE_BYTES_MAX, "{} bytes", line.len());
        assert_eq!(Assign::from_params(largest.to_params().as_array().unwrap()), Ok(largest.clone()));
        let over: [fn(&mut Assign); 8] = [
            |unit| unit.section += 1,
            |unit| unit.first += 1,
            |unit| unit.count = 0,
            |unit| unit.ttl_s += 1,
            |unit| unit.inputs.push(unit.inputs[0]),
            |unit| unit.inputs[3].bytes += 1,
            |unit| unit.spec = json!("s".repeat(SPEC_BYTES_MAX - 1)),
            |unit| unit.kind.push('k'),
        ];
        for (index, change) in over.into_iter().enumerate() {
            let mut unit = largest.clone();
            change(&mut unit);
            assert!(Assign::from_params(unit.to_params().as_array().unwrap()).is_err(), "change {index} was taken");
        }
    }

    #[test]
    fn a_missing_field_is_named() {
        for name in ["unit", "job", "section", "kind", "spec", "inputs", "first", "count", "work", "ttl_s"] {
            let mut params = unit().to_params();
            params[0].as_object_mut().unwrap().remove(name);
            let error = Assign::from_params(params.as_array().unwrap()).map(|_| ()).unwrap_err();
            assert!(error.to_string().contains(name), "{name}: {error}");
        }
    }
}
