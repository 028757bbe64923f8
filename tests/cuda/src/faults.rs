//! Calls that fail because a test asks for it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::result::Code;

/// Which calls of an entry point fail, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    entry: String,
    first: u64,
    last: u64,
    code: Code,
    device: Option<usize>,
}

/// Reads `cuLaunchKernel:3:719,cuMemAlloc_v2:5+:2@1,cuCtxSynchronize:*:700`: entry point, which call (counted from
/// 1; `5+` from the fifth on, `*` each) and result, on one device or on any.
pub(crate) fn parse_faults(text: &str) -> Result<Vec<Fault>, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(|item| parse_fault(item).ok_or_else(|| format!("LODE_CUDA_FAIL has {item:?}"))).collect()
}

fn parse_fault(item: &str) -> Option<Fault> {
    let (item, device) = match item.split_once('@') {
        Some((item, device)) => (item, Some(device.parse().ok()?)),
        None => (item, None),
    };
    let mut parts = item.split(':');
    let (entry, calls, code) = (parts.next()?, parts.next()?, parts.next()?);
    let (first, last) = if calls == "*" {
        (1, u64::MAX)
    } else if let Some(first) = calls.strip_suffix('+') {
        (first.parse().ok()?, u64::MAX)
    } else {
        let call = calls.parse().ok()?;
        (call, call)
    };
    let code = Code(code.parse().ok()?);
    let whole = parts.next().is_none() && entry.starts_with("cu") && first > 0 && code.0 > 0;
    whole.then(|| Fault { entry: entry.to_owned(), first, last, code, device })
}

/// Counts calls and says which fail.
#[derive(Debug)]
pub(crate) struct Faults {
    /// With the calls counted so far; those on other devices than a fault's are not counted for it.
    faults: Mutex<Vec<(Fault, u64)>>,
    entries: HashMap<String, ()>,
}

impl Faults {
    pub(crate) fn new(faults: &[Fault]) -> Self {
        let entries = faults.iter().map(|fault| (fault.entry.clone(), ())).collect();
        Self { faults: Mutex::new(faults.iter().map(|fault| (fault.clone(), 0)).collect()), entries }
    }

    /// Counts a call.
    ///
    /// # Errors
    /// It is one that is to fail.
    pub(crate) fn call(&self, entry: &str, device: Option<usize>) -> Result<(), Code> {
        if !self.entries.contains_key(entry) {
            return Ok(());
        }
        let mut result = Ok(());
        for (fault, calls) in self.faults.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            if fault.entry == entry && (fault.device.is_none() || fault.device == device) {
                *calls += 1;
                if (fault.first..=fault.last).contains(calls) {
                    result = result.and(Err(fault.code));
                }
            }
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_asked_calls_fail_and_no_others() {
        let faults = Faults::new(&parse_faults("cuA:2:719, cuB:3+:2@1,cuC:*:100").unwrap());
        let calls = |entry: &str, device| -> Vec<u32> {
            (0..4).map(|_| faults.call(entry, device).err().map_or(0, |code| code.0)).collect()
        };
        assert_eq!(calls("cuA", None), [0, 719, 0, 0]);
        assert_eq!(calls("cuB", Some(0)), [0, 0, 0, 0]);
        assert_eq!(calls("cuB", Some(1)), [0, 0, 2, 2]);
        assert_eq!(calls("cuC", Some(0)), [100, 100, 100, 100]);
        assert_eq!(calls("cuD", None), [0, 0, 0, 0]);
    }

    #[test]
    fn a_fault_that_is_not_understood_is_an_error() {
        for text in ["cuA", "cuA:1", "cuA:0:719", "cuA:x:719", "A:1:1", "cuA:1:0", "cuA:1:2:3", "cuA:1:2@x"] {
            assert!(parse_faults(text).is_err(), "{text}");
        }
    }
}
