//! The results of a job, element by element.

use std::sync::Arc;

use super::audit::Auditor;
use super::files::{Claim, Done, FileFault, JobFiles};

/// Reads results element by element; consecutive ones of a unit cost one reading.
#[derive(Debug)]
pub struct Results {
    files: Arc<JobFiles>,
    auditor: Auditor,
    done: Done,
    last: Option<(Claim, Vec<u8>)>,
}

impl Results {
    /// The results of `done`.
    #[must_use]
    pub fn new(files: Arc<JobFiles>, auditor: Auditor, done: Done) -> Results {
        Results { files, auditor, done, last: None }
    }

    /// The bytes of an element; `None` while there are none.
    ///
    /// # Errors
    /// A result that should be there cannot be read.
    pub fn element(&mut self, element: u64) -> Result<Option<Vec<u8>>, FileFault> {
        let found = self.done.range(..=element).next_back().map(|(_, claim)| *claim);
        let Some(claim) = found.filter(|claim| claim.elements().contains(&element)) else { return Ok(None) };
        if self.last.as_ref().is_none_or(|(last, _)| *last != claim) {
            let whole = self.auditor.result(&self.files, &claim, 0..claim.count * self.files.element_bytes)?;
            self.last = Some((claim, whole));
        }
        let (_, bytes) = self.last.as_ref().expect("it has just been read");
        let size = usize::try_from(self.files.element_bytes).expect("an element fits into memory");
        let place = usize::try_from(element - claim.first).expect("a result fits into memory");
        Ok(Some(bytes[place * size..(place + 1) * size].to_vec()))
    }
}
