//! What the rig's owner sees: on a terminal a live view below the log, elsewhere a line now and then.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::fleet::Member;
use crate::gauge::DeviceState;
use crate::link::now;
use crate::rate::{Rate, WINDOWS};
use crate::status::{Phase, Status};
use crate::units;

/// How often rates are sampled and the live view is drawn.
const DRAW_EVERY: Duration = Duration::from_secs(1);
/// How many samples lie between two plain lines.
const PLAIN_EVERY: u32 = 30;
/// Characters of a device's name.
const NAME_CHARS: usize = 28;

/// How a run is shown.
#[derive(Debug, Clone, Default)]
pub enum View {
    /// Not at all.
    #[default]
    Silent,
    /// A line of figures every half minute on standard output.
    Plain,
    /// A live view, drawn by this.
    Live {
        /// The terminal's lower lines.
        lines: MultiProgress,
        /// Whether it has colours.
        colour: bool,
    },
}

/// The view with its own samples of the devices' figures.
pub struct Screen {
    view: View,
    user: String,
    members: Vec<Member>,
    rates: Vec<Rate>,
    status: watch::Receiver<Status>,
    began: Instant,
    bars: Vec<ProgressBar>,
    drawn: u32,
}

impl Screen {
    /// A view of these devices.
    #[must_use]
    pub fn new(
        view: View,
        user: String,
        members: Vec<Member>,
        status: watch::Receiver<Status>,
        began: Instant,
    ) -> Screen {
        let rates = vec![Rate::new(began); members.len()];
        Screen { view, user, members, rates, status, began, bars: Vec::new(), drawn: 0 }
    }

    /// Keeps the view up to date until dropped.
    pub async fn keep_up(&mut self) -> Infallible {
        let mut tick = interval(DRAW_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.sample(now());
            self.draw(now());
        }
    }

    /// Takes the live view away, so that what is printed next stands alone.
    pub fn close(&mut self) {
        for bar in self.bars.drain(..) {
            bar.finish_and_clear();
        }
    }

    fn sample(&mut self, now: Instant) {
        for (rate, member) in self.rates.iter_mut().zip(&self.members) {
            rate.record(now, member.gauge.hashes.get());
        }
    }

    fn draw(&mut self, now: Instant) {
        match self.view.clone() {
            View::Silent => {}
            View::Plain => {
                if self.drawn % PLAIN_EVERY == PLAIN_EVERY - 1 {
                    println!("{}", self.plain_line(now));
                }
                self.drawn = self.drawn.wrapping_add(1);
            }
            View::Live { lines, colour } => self.show(&lines, &self.page(now, &Paint(colour))),
        }
    }

    fn show(&mut self, lines: &MultiProgress, page: &[String]) {
        let style = ProgressStyle::with_template("{wide_msg}").expect("the template is one known field");
        while self.bars.len() < page.len() {
            self.bars.push(lines.add(ProgressBar::new_spinner().with_style(style.clone())));
        }
        for (bar, line) in self.bars.iter().zip(page) {
            bar.set_message(line.clone());
            bar.tick();
        }
    }

    /// All devices' rate over a window.
    fn total(&self, window: Duration) -> f64 {
        self.rates.iter().map(|rate| rate.over(window)).sum()
    }

    fn sum(&self, of: impl Fn(&Member) -> u64) -> u64 {
        self.members.iter().map(of).sum()
    }

    fn plain_line(&self, now: Instant) -> String {
        let status = self.status.borrow();
        let [short, long, _] = WINDOWS.map(|window| units::rate(self.total(window)));
        let accepted = self.sum(|member| member.gauge.accepted.get());
        let rejected = self.sum(|member| member.gauge.rejected.get());
        let up = units::time(now.saturating_duration_since(self.began));
        let pool = connection(&status);
        format!("up {up}, {short} (10 s), {long} (1 min), {accepted} accepted, {rejected} rejected, {pool}")
    }

    /// The live view's lines: always the same number.
    fn page(&self, now: Instant, paint: &Paint) -> Vec<String> {
        let mut page = self.header(now, paint);
        page.push(paint.dim(&columns(["DEVICE", "NAME", "10 s", "1 min", "15 min", "accepted", "rejected", "hw err"])));
        for (member, rate) in self.members.iter().zip(&self.rates) {
            page.push(device_line(member, rate, paint));
        }
        if self.members.len() > 1 {
            let [a, b, c] = WINDOWS.map(|window| units::rate(self.total(window)));
            let accepted = self.sum(|member| member.gauge.accepted.get()).to_string();
            let rejected = self.sum(|member| member.gauge.rejected.get()).to_string();
            let errors = self.sum(|member| member.gauge.hardware_errors.get()).to_string();
            page.push(paint.bold(&columns(["total", "", &a, &b, &c, &accepted, &rejected, &errors])));
        }
        page
    }

    fn header(&self, now: Instant, paint: &Paint) -> Vec<String> {
        let status = self.status.borrow();
        let up = units::time(now.saturating_duration_since(self.began));
        let connection = connection(&status);
        let connection =
            if status.phase == Phase::Connected { paint.green(&connection) } else { paint.yellow(&connection) };
        let work = match (&status.difficulty, &status.job) {
            (Some((difficulty, algorithm)), Some((job, since))) => {
                let age = now.saturating_duration_since(*since).as_secs();
                format!(
                    "difficulty {}   job {} ({age} s)",
                    units::difficulty(*difficulty, *algorithm),
                    units::short(job, 16)
                )
            }
            _ if status.phase == Phase::Connected => "the pool has no work for us yet".to_owned(),
            _ => "no work".to_owned(),
        };
        let message = status.message.as_ref().map(|text| format!("   pool says: {text}")).unwrap_or_default();
        vec![
            String::new(),
            format!("{}   {connection}", paint.bold(&format!("lode-miner {}", env!("CARGO_PKG_VERSION")))),
            format!("user {}   {work}   up {up}{}", self.user, paint.dim(&message)),
        ]
    }
}

fn connection(status: &Status) -> String {
    let (place, pools) = status.place;
    let which = if pools > 1 { format!(" (pool {place} of {pools})") } else { String::new() };
    let pool = &status.pool;
    match status.phase {
        Phase::Connecting => format!("connecting to {pool}{which}"),
        Phase::Pausing => format!("not connected; trying again soon{which}"),
        Phase::Connected => format!("connected to {pool}{which}"),
        Phase::Stopping => format!("stopping; last answers of {pool}"),
    }
}

fn device_line(member: &Member, rate: &Rate, paint: &Paint) -> String {
    let gauge = &member.gauge;
    let id = member.info.id();
    let name = units::short(&member.info.name, NAME_CHARS);
    match gauge.state() {
        DeviceState::Failed(reason) => return paint.red(&format!("{id:<10} {name:<NAME_CHARS$} set aside: {reason}")),
        DeviceState::Testing => return paint.yellow(&format!("{id:<10} {name:<NAME_CHARS$} self-test")),
        DeviceState::Idle | DeviceState::Mining | DeviceState::Stopped => {}
    }
    let [a, b, c] = WINDOWS.map(|window| units::rate(rate.over(window)));
    let [accepted, rejected, errors] =
        [&gauge.accepted, &gauge.rejected, &gauge.hardware_errors].map(|count| count.get());
    let cells = [accepted, rejected, errors].map(|count| count.to_string());
    let line = columns([&id, &name, &a, &b, &c, &cells[0], &cells[1], &cells[2]]);
    if errors > 0 { paint.yellow(&line) } else { line }
}

fn columns([device, name, a, b, c, accepted, rejected, errors]: [&str; 8]) -> String {
    format!("{device:<10} {name:<NAME_CHARS$} {a:>12} {b:>12} {c:>12} {accepted:>9} {rejected:>9} {errors:>7}")
}

/// Colours, on a terminal that has them.
struct Paint(bool);

impl Paint {
    fn wrap(&self, code: &str, text: &str) -> String {
        if self.0 && !text.is_empty() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.wrap("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn green(&self, text: &str) -> String {
        self.wrap("32", text)
    }

    fn yellow(&self, text: &str) -> String {
        self.wrap("33", text)
    }

    fn red(&self, text: &str) -> String {
        self.wrap("31", text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lode_kernels::{Backend, DeviceInfo};
    use lode_protocol::{Algorithm, Difficulty};

    use super::*;
    use crate::gauge::Gauge;

    fn member(index: u32) -> Member {
        let (backend, name, driver) =
            (Backend::OpenCl, format!("GPU number {index} with a name that is very long"), String::new());
        let info = DeviceInfo { backend, index, name, memory_bytes: None, compute_units: 1, driver, is_cpu: false };
        Member { info, gauge: Arc::new(Gauge::default()) }
    }

    fn screen(began: Instant, status: Status) -> Screen {
        let members = vec![member(0), member(1)];
        Screen::new(View::Silent, "al.rig".into(), members, watch::channel(status).1, began)
    }

    #[test]
    fn a_working_rig() {
        let began = Instant::now();
        let mut status = Status::new("stratum+tcp://p:1".into(), 2);
        status.phase = Phase::Connected;
        (status.difficulty, status.job) =
            (Some((Difficulty::one(Algorithm::Scrypt), Algorithm::Scrypt)), Some(("5f".into(), began)));
        let mut screen = screen(began, status);
        for (member, hashes) in screen.members.iter().zip([20_000_000, 40_000_000]) {
            member.gauge.hashes.add(hashes);
            member.gauge.accepted.add(3);
            member.gauge.set_state(DeviceState::Mining);
        }
        let now = began + Duration::from_secs(10);
        screen.sample(now);
        let page = screen.page(now, &Paint(false));
        assert!(page[1].ends_with("connected to stratum+tcp://p:1 (pool 1 of 2)"), "{}", page[1]);
        assert_eq!(page[2], "user al.rig   difficulty 1   job 5f (10 s)   up 00:00:10");
        assert!(page[4].contains("opencl:0   GPU number 0 with a name th…    2.00 MH/s"), "{}", page[4]);
        assert!(
            page[6].starts_with("total") && page[6].contains("6.00 MH/s") && page[6].contains(" 6 "),
            "{}",
            page[6]
        );
        let widths: Vec<usize> = page[3..].iter().map(|line| line.chars().count()).collect();
        assert_eq!(widths, [widths[0]; 4], "columns stand below each other");
        let plain = "up 00:00:10, 6.00 MH/s (10 s), 6.00 MH/s (1 min), 6 accepted, 0 rejected, connected to";
        assert!(screen.plain_line(now).starts_with(plain), "{}", screen.plain_line(now));
    }

    #[test]
    fn trouble_is_said_and_only_colour_has_escapes() {
        let now = Instant::now();
        let screen = screen(now, Status::new("stratum+tcp://p:1".into(), 1));
        screen.members[0].gauge.set_state(DeviceState::Failed("fell off the bus".into()));
        let page = screen.page(now, &Paint(false)).join("\n");
        assert!(page.contains("set aside: fell off the bus") && page.contains("connecting to stratum+tcp://p:1"));
        assert!(page.contains("self-test") && page.contains("no work") && !page.contains('\u{1b}'));
        assert!(screen.page(now, &Paint(true)).join("\n").contains("\u{1b}[31m"));
    }
}
