//! Tasks that were made, for the units to come of the same section.

use std::sync::Arc;

use lode_kinds::Kind;
use lode_kinds::range::Task;
use lode_protocol::method::{Assign, ReleaseReason};
use serde_json::json;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::Back;
use crate::blobs::{Blobs, Place};
use crate::unit::Unit;

/// Tasks that are kept though no unit needs them now.
const SPARE_MAX: usize = 1;

/// What a task follows from: BLAKE3 over kind, spec and inputs' digests.
type Key = [u8; 32];

/// The tasks, the last used at the end.
#[derive(Debug, Default)]
pub(super) struct Shelf(Vec<(Key, Arc<Task>)>);

impl Shelf {
    fn get(&mut self, key: &Key) -> Option<Arc<Task>> {
        let place = self.0.iter().position(|(of, _)| of == key)?;
        let entry = self.0.remove(place);
        self.0.push(entry);
        self.0.last().map(|(_, task)| Arc::clone(task))
    }

    fn put(&mut self, key: Key, task: Arc<Task>) {
        self.0.push((key, task));
        self.trim();
    }

    /// Lets go of what nobody needs but the last few.
    fn trim(&mut self) {
        let mut spare = self.0.iter().filter(|(_, task)| Arc::strong_count(task) == 1).count();
        self.0.retain(|(_, task)| {
            let goes = Arc::strong_count(task) == 1 && spare > SPARE_MAX;
            spare -= usize::from(goes);
            !goes
        });
    }
}

fn key(assign: &Assign) -> Key {
    // JSON of known form, with the object's keys in order: no two sections write the same.
    *blake3::hash(json!([assign.kind, assign.spec, assign.inputs]).to_string().as_bytes()).as_bytes()
}

/// Has a unit's inputs come and makes its task, one after the other with all others: units of one section need both
/// only once, and downloads share one line anyway.
pub(super) async fn prepare(
    shelf: &tokio::sync::Mutex<Shelf>,
    blobs: &Blobs,
    place: &Place,
    kind: Kind,
    assign: Assign,
    dropped: CancellationToken,
) -> Result<Box<Unit>, Back> {
    let back = |reason, text| Back::new(assign.unit.clone(), reason, text);
    let key = key(&assign);
    let mut shelf = shelf.lock().await;
    shelf.trim();
    let task = match shelf.get(&key) {
        Some(task) => task,
        None => {
            let mut inputs = Vec::new();
            for input in &assign.inputs {
                let fetched = blobs.fetch(place, input.digest, input.bytes).await;
                let failed = |error| {
                    Back::after(assign.unit.clone(), &format!("input {} could not be had", input.digest), &error)
                };
                inputs.push(fetched.map_err(failed)?);
            }
            let spec = assign.spec.clone();
            let made = spawn_blocking(move || Task::parse(kind, &spec, inputs)).await;
            let made =
                made.map_err(|error| back(ReleaseReason::Failed, format!("making the task crashed: {error}")))?;
            let task = made.map_err(|error| back(ReleaseReason::Impossible, error.to_string()))?;
            let task = Arc::new(task);
            shelf.put(key, Arc::clone(&task));
            task
        }
    };
    drop(shelf);
    let Some(end) = assign.first.checked_add(u64::from(assign.count)) else {
        return Err(back(ReleaseReason::Impossible, "its elements have no numbers".to_owned()));
    };
    let Assign { unit: id, job, first, work, .. } = assign;
    Ok(Box::new(Unit { id, job, task, elements: first..end, work, dropped }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::tests::task;

    #[test]
    fn what_is_needed_stays_and_of_the_rest_the_last_used() {
        let (mut shelf, held) = (Shelf::default(), task());
        shelf.put([0; 32], Arc::clone(&held));
        for number in 1..4 {
            shelf.put([number; 32], task());
        }
        let here = |shelf: &mut Shelf| [0, 1, 2, 3].map(|number| shelf.get(&[number; 32]).is_some());
        assert_eq!(here(&mut shelf), [true, false, false, true]);
        drop(held);
        shelf.trim();
        assert_eq!(here(&mut shelf), [false, false, false, true], "used after the other");
    }
}
