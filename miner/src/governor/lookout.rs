//! A thread that looks at something again and again, and the newest of what it saw.
//!
//! It is never waited for: a look may hang in a driver. It ends after the look during which its handle was dropped.

use std::future::pending;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::KNOWN_FOR;

/// The handle.
#[derive(Debug)]
pub(super) struct Lookout<T>(watch::Receiver<Option<(Instant, T)>>);

impl<T: Clone + Send + Sync + 'static> Lookout<T> {
    /// Starts a thread that looks, with pauses of `every`.
    pub(super) fn start(name: &str, every: Duration, mut look: impl FnMut() -> T + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = watch::channel(None);
        let watching = move || {
            while !sender.is_closed() {
                let seen = look();
                sender.send_replace(Some((Instant::now(), seen)));
                thread::sleep(every);
            }
        };
        // Detached: see above.
        drop(thread::Builder::new().name(name.to_owned()).spawn(watching)?);
        Ok(Lookout(receiver))
    }

    /// What was seen last, unless that is too long ago.
    pub(super) fn latest(&self, now: Instant) -> Option<T> {
        let latest = self.0.borrow();
        let (at, seen) = latest.as_ref()?;
        (now.saturating_duration_since(*at) <= KNOWN_FOR).then(|| seen.clone())
    }

    /// Returns when something new was seen; never, where nobody looks.
    pub(super) async fn news(lookout: &mut Option<Self>) {
        let heard = match lookout {
            Some(lookout) => lookout.0.changed().await,
            None => pending().await,
        };
        if heard.is_err() {
            // The thread crashed, which it said itself; what it saw ages from now on.
            pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const OFTEN: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn the_newest_is_told_until_it_is_too_old() {
        let mut number = 0;
        let mut lookout = Some(
            Lookout::start("counter", OFTEN, move || {
                number += 1;
                number
            })
            .unwrap(),
        );
        Lookout::news(&mut lookout).await;
        let first = lookout.as_ref().unwrap().latest(Instant::now()).unwrap();
        Lookout::news(&mut lookout).await;
        let lookout = lookout.unwrap();
        assert!(lookout.latest(Instant::now()).unwrap() > first);
        assert_eq!(lookout.latest(Instant::now() + 2 * KNOWN_FOR), None);
    }

    #[tokio::test]
    async fn one_that_hangs_or_crashed_holds_nobody_up() {
        let (hold, held) = mpsc::channel::<()>();
        let mut hung = Some(Lookout::start("hung", OFTEN, move || held.recv().is_ok()).unwrap());
        let mut crashed = Some(Lookout::<u8>::start("crashed", OFTEN, || panic!("on purpose")).unwrap());
        for _ in 0..2 {
            tokio::select! {
                () = Lookout::news(&mut hung) => panic!("nothing was seen"),
                () = Lookout::news(&mut crashed) => panic!("nothing was seen"),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
        assert_eq!((hung.unwrap().latest(Instant::now()), crashed.unwrap().latest(Instant::now())), (None, None));
        drop(hold);
    }

    #[tokio::test]
    async fn it_ends_with_its_handle() {
        let (alive, watch) = mpsc::channel();
        let lookout = Lookout::start("mortal", OFTEN, move || alive.send(()).is_ok()).unwrap();
        watch.recv().unwrap();
        drop(lookout);
        while watch.recv().is_ok() {}
    }
}
