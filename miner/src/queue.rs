//! Units that wait for a device or are with one: which device may have which, and what comes back.

use std::sync::Arc;

use lode_kinds::range::Task;
use lode_protocol::ids::UnitId;

use crate::unit::Unit;

/// A unit with the devices that may do it.
#[derive(Debug)]
struct Lot {
    unit: Arc<Unit>,
    able: Vec<usize>,
}

/// The queue. It is small: no more units than the rig has slots.
#[derive(Debug, Default)]
pub struct Queue {
    /// Oldest first.
    ready: Vec<Lot>,
    /// With the device that has it in hand; one a device.
    taken: Vec<(usize, Lot)>,
}

impl Queue {
    /// Puts a unit up for the devices `able`, of which there must be one.
    pub fn add(&mut self, unit: Arc<Unit>, able: Vec<usize>) {
        self.ready.push(Lot { unit, able });
    }

    /// How many units wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.ready.len()
    }

    /// Whether a unit waits that this device may do.
    #[must_use]
    pub fn has_for(&self, device: usize) -> bool {
        self.ready.iter().any(|lot| lot.able.contains(&device))
    }

    /// Gives a device a unit: one of the task that it has `loaded` if there is one, else the oldest.
    pub fn take(&mut self, device: usize, loaded: Option<&Arc<Task>>) -> Option<Arc<Unit>> {
        let of_loaded = |lot: &Lot| loaded.is_some_and(|task| Arc::ptr_eq(task, &lot.unit.task));
        let may = |lot: &Lot| lot.able.contains(&device);
        let place = self.ready.iter().position(|lot| may(lot) && of_loaded(lot));
        let place = place.or_else(|| self.ready.iter().position(may))?;
        let lot = self.ready.remove(place);
        let unit = Arc::clone(&lot.unit);
        self.taken.push((device, lot));
        Some(unit)
    }

    /// A device is done with the unit that it had in hand.
    pub fn done(&mut self, device: usize) {
        self.taken.retain(|(holder, _)| *holder != device);
    }

    /// A device could not do the unit that it had in hand: it goes to the head of the queue, for the others. Gives it
    /// back if there are none.
    pub fn put_back(&mut self, device: usize) -> Option<Arc<Unit>> {
        let place = self.taken.iter().position(|(holder, _)| *holder == device)?;
        let (_, mut lot) = self.taken.remove(place);
        lot.able.retain(|able| *able != device);
        if lot.able.is_empty() {
            return Some(lot.unit);
        }
        self.ready.insert(0, lot);
        None
    }

    /// A device does no more units of which `which` holds; gives those that nobody is left for.
    pub fn exclude(&mut self, device: usize, which: impl Fn(&Unit) -> bool) -> Vec<Arc<Unit>> {
        for lot in self.ready.iter_mut().filter(|lot| which(&lot.unit)) {
            lot.able.retain(|able| *able != device);
        }
        let (orphans, ready) = std::mem::take(&mut self.ready).into_iter().partition(|lot| lot.able.is_empty());
        self.ready = ready;
        orphans.into_iter().map(|lot: Lot| lot.unit).collect()
    }

    /// Takes a unit that still waits out of the queue.
    pub fn withdraw(&mut self, unit: &UnitId) {
        self.ready.retain(|lot| lot.unit.id != *unit);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use lode_kinds::Kind;
    use lode_protocol::Work;
    use lode_protocol::ids::JobId;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// A task of two black pixels' blocks: the smallest there is.
    pub(crate) fn task() -> Arc<Task> {
        use lode_kinds::render::{build, model::Model};
        let scene = build(&Model::default()).expect("an empty model is a scene");
        let spec = serde_json::json!({
            "width": 32, "height": 16, "samples": 1, "pass_samples": 1, "max_depth": 1, "seed": 0,
            "albedo": false, "normal": false, "depth": false,
        });
        Arc::new(Task::parse(Kind::Render, &spec, vec![scene]).expect("a task"))
    }

    pub(crate) fn unit(id: &str, task: &Arc<Task>) -> Arc<Unit> {
        Arc::new(Unit {
            id: id.parse().expect("a unit's id"),
            job: JobId(1),
            task: Arc::clone(task),
            elements: 0..2,
            work: Work(1),
            dropped: CancellationToken::new(),
        })
    }

    fn id(unit: Option<Arc<Unit>>) -> String {
        unit.map(|unit| unit.id.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_oldest_goes_first_unless_another_is_of_the_loaded_task() {
        let (one, two) = (task(), task());
        let mut queue = Queue::default();
        for (name, task) in [("a", &one), ("b", &one), ("c", &two), ("d", &two)] {
            queue.add(unit(name, task), vec![0, 1]);
        }
        assert_eq!(id(queue.take(0, Some(&two))), "c");
        assert_eq!(id(queue.take(1, None)), "a");
        queue.done(0);
        queue.withdraw(&"d".parse().unwrap());
        assert_eq!(id(queue.take(0, Some(&two))), "b");
        assert_eq!((id(queue.take(0, None)), queue.waiting()), (String::new(), 0));
    }

    #[test]
    fn what_a_device_could_not_do_goes_to_the_others_and_then_back() {
        let task = task();
        let mut queue = Queue::default();
        queue.add(unit("a", &task), vec![0, 2]);
        queue.add(unit("b", &task), vec![0, 1]);
        assert!(queue.has_for(1) && !queue.has_for(3));
        assert_eq!(id(queue.take(0, None)), "a");
        assert_eq!(id(queue.put_back(0)), "");
        assert_eq!(id(queue.take(0, None)), "b", "not the same again");
        assert_eq!(id(queue.take(2, None)), "a");
        assert_eq!(id(queue.put_back(2)), "a", "nobody is left");
        assert_eq!(id(queue.put_back(2)), "", "it has nothing in hand");
    }

    #[test]
    fn a_device_that_is_out_leaves_what_others_can_do() {
        let task = task();
        let mut queue = Queue::default();
        queue.add(unit("a", &task), vec![0]);
        queue.add(unit("b", &task), vec![0, 1]);
        assert!(queue.exclude(0, |_| false).is_empty());
        let orphans = queue.exclude(0, |unit| unit.kind() == Kind::Render);
        assert_eq!(orphans.iter().map(|unit| unit.id.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!((id(queue.take(0, None)), id(queue.take(1, None))), (String::new(), "b".to_owned()));
    }
}
