//! Whether logind takes the machine for idle: its manager's `IdleHint`, over all sessions. Desktops set theirs with the
//! screen saver; a terminal's counts as idle five minutes after its last input.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tracing::debug;

use super::Presence;
use super::bus::{Bus, Property};

const IDLE_HINT: Property = Property {
    service: "org.freedesktop.login1",
    path: "/org/freedesktop/login1",
    interface: "org.freedesktop.login1.Manager",
    name: "IdleHint",
};
/// How long a bus that failed is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// logind, over the system's bus.
#[derive(Debug)]
pub(super) struct Logind {
    socket: PathBuf,
    bus: Option<Bus>,
    failed: Option<Instant>,
}

impl Logind {
    /// Asked over the bus at `socket`, which need not be there.
    pub(super) fn new(socket: &Path) -> Logind {
        Logind { socket: socket.to_owned(), bus: None, failed: None }
    }

    /// What logind says now.
    pub(super) fn look(&mut self, now: Instant) -> Presence {
        if self.failed.is_some_and(|failed| now.saturating_duration_since(failed) < RETRY_AFTER) {
            return Presence::Unknown;
        }
        match self.ask() {
            Ok(true) => Presence::Absent,
            Ok(false) => Presence::Active,
            Err(error) => {
                debug!("logind does not tell: {error}");
                (self.bus, self.failed) = (None, Some(now));
                Presence::Unknown
            }
        }
    }

    fn ask(&mut self) -> std::io::Result<bool> {
        let bus = match self.bus.take() {
            Some(bus) => bus,
            None => Bus::connect(&self.socket)?,
        };
        self.bus.insert(bus).boolean(IDLE_HINT)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::thread::{self, JoinHandle};

    use lode_protocol::hex;
    use tempfile::TempDir;

    use super::*;

    /// What is written to a bus and what dbus-daemon 1.14.10 answered, recorded with a logind that says no, then yes.
    const LOG_IN: [(&str, &str); 3] = [
        ("00415554482045585445524e414c0d0a", "444154410d0a"),
        ("444154410d0a", "4f4b2066643363613361623139363061663462666538323433663136623033613934650d0a"),
        (HELLO, WELCOME),
    ];
    const HELLO: &str = "424547494e0d0a\
        6c01020100000000010000006d00000001016f00150000002f6f72672f667265656465736b746f702f4442757300000002017300140000006f\
        72672e667265656465736b746f702e4442757300000000030173000500000048656c6c6f00000006017300140000006f72672e667265656465\
        736b746f702e4442757300000000";
    /// With the signal NameAcquired after the answer, which nobody asked for.
    const WELCOME: &str = "6c02010109000000010000003d00000006017300040000003a312e310000000005017500010000000801670001730000\
        07017300140000006f72672e667265656465736b746f702e4442757300000000040000003a312e3100\
        6c04010109000000020000008d00000001016f00150000002f6f72672f667265656465736b746f702f4442757300000002017300140000006f\
        72672e667265656465736b746f702e4442757300000000030173000c0000004e616d6541637175697265640000000006017300040000003a31\
        2e3100000000080167000173000007017300140000006f72672e667265656465736b746f702e4442757300000000040000003a312e3100";
    const NO: &str = "6c02010108000000030000002d00000006017300040000003a312e310000000005017500020000000801670001760000\
        07017300040000003a312e30000000000162000000000000";
    const YES: &str = "6c02010108000000040000002d00000006017300040000003a312e310000000005017500030000000801670001760000\
        07017300040000003a312e30000000000162000001000000";
    /// That nobody has the name that was asked, to the second call.
    const NOBODY: &str = "6c03010125000000030000007500000006017300040000003a312e320000000004017300290000006f72672e667265\
        656465736b746f702e444275732e4572726f722e4e616d654861734e6f4f776e65720000000000000005017500020000000801670001730000\
        07017300140000006f72672e667265656465736b746f702e4442757300000000200000004e616d6520226f72672e6e6f626f64792220646f65\
        73206e6f7420657869737400";

    fn question(serial: u8) -> String {
        format!(
            "6c01020131000000{serial:02x}0000008000000001016f00170000002f6f72672f667265656465736b746f702f6c6f67696e31000201\
             73001f0000006f72672e667265656465736b746f702e444275732e50726f7065727469657300030173000300000047657400000000000601\
             7300160000006f72672e667265656465736b746f702e6c6f67696e31000008016700027373001e0000006f72672e667265656465736b746f\
             702e6c6f67696e312e4d616e6167657200000800000049646c6548696e7400"
        )
    }

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex, 1 << 20).unwrap()
    }

    /// A bus that expects and answers these, then holds the connection until its other end hangs up.
    fn play(mut stream: UnixStream, script: &[(String, String)]) {
        for (expected, answer) in script {
            let expected = bytes(expected);
            let mut heard = vec![0; expected.len()];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(heard, expected);
            stream.write_all(&bytes(answer)).unwrap();
        }
        let mut rest = Vec::new();
        // Closing with unread answers resets the connection, which is an end as good as any.
        stream.read_to_end(&mut rest).unwrap_or_default();
    }

    /// A bus with a script for each connection, in their order.
    fn bus(scripts: Vec<Vec<(String, String)>>) -> (TempDir, Logind, JoinHandle<()>) {
        let directory = TempDir::new().unwrap();
        let socket = directory.path().join("bus");
        let listener = UnixListener::bind(&socket).unwrap();
        let playing = thread::spawn(move || {
            for script in scripts {
                play(listener.accept().unwrap().0, &script);
            }
        });
        (directory, Logind::new(&socket), playing)
    }

    fn script(answers: &[&str]) -> Vec<(String, String)> {
        let log_in = LOG_IN.map(|(heard, answer)| (heard.to_owned(), answer.to_owned()));
        let asked = answers.iter().zip(2..).map(|(answer, serial)| (question(serial), (*answer).to_owned()));
        log_in.into_iter().chain(asked).collect()
    }

    #[test]
    fn what_logind_says_is_heard_over_one_connection() {
        let (_directory, mut logind, playing) = bus(vec![script(&[NO, YES])]);
        let now = Instant::now();
        assert_eq!([logind.look(now), logind.look(now)], [Presence::Active, Presence::Absent]);
        drop(logind);
        playing.join().unwrap();
    }

    #[test]
    fn a_bus_that_does_not_tell_is_left_alone_for_a_while() {
        let signals = WELCOME.repeat(20);
        let text = NO.replace("0162000000000000", "0173000000000000");
        let neither = NO.replace("0162000000000000", "0162000002000000");
        let long = NO.replacen("08000000", "000000ff", 1);
        for answer in [NOBODY, "", &signals, &text, &neither, &long, &"00".repeat(64)] {
            let (_directory, mut logind, playing) = bus(vec![script(&[answer]), script(&[NO])]);
            let (now, begin) = (Instant::now(), Instant::now());
            assert_eq!(logind.look(now), Presence::Unknown, "{answer}");
            assert!(begin.elapsed() < Duration::from_secs(5), "bounded, however silent the bus is");
            assert_eq!(logind.look(now + RETRY_AFTER / 2), Presence::Unknown, "not asked again yet");
            assert_eq!(logind.look(now + RETRY_AFTER), Presence::Active, "asked again, and told");
            drop(logind);
            playing.join().unwrap();
        }
    }

    #[test]
    fn without_a_bus_nothing_is_known() {
        let mut logind = Logind::new(Path::new("/nonexistent/bus"));
        assert_eq!(logind.look(Instant::now()), Presence::Unknown);
    }
}
