//! What the rig's owner sees: on a terminal a live view below the log, elsewhere a line now and then.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::time::{MissedTickBehavior, interval};

use crate::fleet::Member;
use crate::gauge::DeviceState;
use crate::health::Health;
use crate::link::now;
use crate::rig::Rig;
use crate::status::{Phase, Status};
use crate::units;

/// How often the live view is drawn.
const DRAW_EVERY: Duration = Duration::from_secs(1);
/// How many such times lie between two plain lines.
const PLAIN_EVERY: u32 = 30;
/// Characters of a device's name.
const NAME_CHARS: usize = 28;
/// Characters of three rates, where a paused device has its reason and one with a unit its progress.
const RATES_CHARS: usize = 38;

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

/// The view.
pub struct Screen {
    view: View,
    rig: Rig,
    bars: Vec<ProgressBar>,
    drawn: u32,
}

impl Screen {
    /// A view of this rig.
    #[must_use]
    pub fn new(view: View, rig: Rig) -> Screen {
        Screen { view, rig, bars: Vec::new(), drawn: 0 }
    }

    /// Keeps the view up to date until dropped.
    pub async fn keep_up(&mut self) -> Infallible {
        let mut tick = interval(DRAW_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.rig.meter.sample(now());
            self.draw(now());
        }
    }

    /// Takes the live view away, so that what is printed next stands alone.
    pub fn close(&mut self) {
        for bar in self.bars.drain(..) {
            bar.finish_and_clear();
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

    fn sum(&self, of: impl Fn(&Member) -> u64) -> u64 {
        self.rig.members.iter().map(of).sum()
    }

    fn plain_line(&self, now: Instant) -> String {
        let status = self.rig.status.borrow();
        let [short, long, _] = self.rig.meter.total().map(units::rate);
        let accepted = self.sum(|member| member.gauge.accepted.get());
        let rejected = self.sum(|member| member.gauge.rejected.get());
        let up = units::time(now.saturating_duration_since(self.rig.began));
        let pool = connection(&status);
        let mut line =
            format!("up {up}, {short} (10 s), {long} (1 min), {accepted} accepted, {rejected} rejected, {pool}");
        let units = self.sum(|member| member.gauge.units.get());
        if units > 0 || status.units > 0 {
            line.push_str(&format!(", {units} units done, {} held", status.units));
        }
        for member in &self.rig.members {
            if let Some(pause) = member.pause() {
                line.push_str(&format!(", {} {pause}", member.info.id()));
            }
        }
        line
    }

    /// The live view's lines: always the same number.
    fn page(&self, now: Instant, paint: &Paint) -> Vec<String> {
        let mut page = self.header(now, paint);
        page.push(paint.dim(&columns(["DEVICE", "NAME", "10 s", "1 min", "15 min", "accepted", "rejected", "hw err"])));
        for (place, member) in self.rig.members.iter().enumerate() {
            page.push(device_line(member, self.rig.meter.device(place), paint));
        }
        if self.rig.members.len() > 1 {
            let [a, b, c] = self.rig.meter.total().map(units::rate);
            let accepted = self.sum(|member| member.gauge.accepted.get()).to_string();
            let rejected = self.sum(|member| member.gauge.rejected.get()).to_string();
            let errors = self.sum(|member| member.gauge.hardware_errors.get()).to_string();
            page.push(paint.bold(&columns(["total", "", &a, &b, &c, &accepted, &rejected, &errors])));
        }
        page
    }

    fn header(&self, now: Instant, paint: &Paint) -> Vec<String> {
        let status = self.rig.status.borrow();
        let up = units::time(now.saturating_duration_since(self.rig.began));
        let connection = connection(&status);
        let connection =
            if status.phase() == Phase::Connected { paint.green(&connection) } else { paint.yellow(&connection) };
        let work = match (&status.difficulty, &status.job) {
            (Some((difficulty, algorithm)), Some((job, since))) => {
                let age = now.saturating_duration_since(*since).as_secs();
                format!(
                    "difficulty {}   job {} ({age} s)",
                    units::difficulty(*difficulty, *algorithm),
                    units::short(job, 16)
                )
            }
            _ if status.units > 0 => "no hash job".to_owned(),
            _ if status.phase() == Phase::Connected => "the pool has no work for us yet".to_owned(),
            _ => "no work".to_owned(),
        };
        let work = if status.units > 0 { format!("{work}   {} units", status.units) } else { work };
        let message = status.message.as_ref().map(|text| format!("   pool says: {text}")).unwrap_or_default();
        vec![
            String::new(),
            format!("{}   {connection}", paint.bold(&format!("lode-miner {}", env!("CARGO_PKG_VERSION")))),
            format!("user {}   {work}   up {up}{}", self.rig.user, paint.dim(&message)),
        ]
    }
}

fn connection(status: &Status) -> String {
    let (place, pools) = status.place;
    let which = if pools > 1 { format!(" (pool {place} of {pools})") } else { String::new() };
    let pool = &status.pool;
    match status.phase() {
        Phase::Connecting => format!("connecting to {pool}{which}"),
        Phase::Pausing => format!("not connected; trying again soon{which}"),
        Phase::Connected => format!("connected to {pool}{which}"),
        Phase::Stopping => format!("stopping; last answers of {pool}"),
    }
}

fn device_line(member: &Member, rates: [f64; 3], paint: &Paint) -> String {
    let gauge = &member.gauge;
    let id = member.info.id();
    let name = units::short(&member.info.name, NAME_CHARS);
    match gauge.state() {
        DeviceState::Failed(reason) => return paint.red(&format!("{id:<10} {name:<NAME_CHARS$} set aside: {reason}")),
        DeviceState::Testing => return paint.yellow(&format!("{id:<10} {name:<NAME_CHARS$} self-test")),
        DeviceState::Idle | DeviceState::Mining | DeviceState::Stopped => {}
    }
    let rates = rates.map(units::rate);
    let [accepted, rejected, errors] =
        [&gauge.accepted, &gauge.rejected, &gauge.hardware_errors].map(|count| count.get());
    let cells = [accepted, rejected, errors].map(|count| count.to_string());
    let pause = member.pause().map(|pause| pause.to_string());
    let instead = pause.clone().or_else(|| gauge.progress().map(|progress| progress.to_string()));
    let line = row([&id, &name], &middle(&rates, instead.as_deref()), [&cells[0], &cells[1], &cells[2]]);
    let line = format!("{line}{}", health(gauge.health()));
    if errors > 0 || pause.is_some() { paint.yellow(&line) } else { line }
}

fn columns([device, name, a, b, c, accepted, rejected, errors]: [&str; 8]) -> String {
    row([device, name], &middle(&[a, b, c], None), [accepted, rejected, errors])
}

fn row([device, name]: [&str; 2], middle: &str, [accepted, rejected, errors]: [&str; 3]) -> String {
    format!("{device:<10} {name:<NAME_CHARS$} {middle:<RATES_CHARS$} {accepted:>9} {rejected:>9} {errors:>7}")
}

/// The rates, or what there is instead.
fn middle(rates: &[impl AsRef<str>; 3], instead: Option<&str>) -> String {
    let [a, b, c] = rates.each_ref().map(AsRef::as_ref);
    instead.map_or_else(|| format!("{a:>12} {b:>12} {c:>12}"), |instead| units::short(instead, RATES_CHARS))
}

/// What is known of a device's health, after its line.
fn health(health: Health) -> String {
    let temperature = health.temperature_c.map(|degrees| format!("  {degrees} C"));
    let power = health.power_mw.map(|milliwatts| format!("  {} W", milliwatts / 1000));
    let fan = health.fan_percent.map(|percent| format!("  fan {percent} %"));
    [temperature, power, fan].into_iter().flatten().collect()
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
    use tokio::sync::watch;

    use super::*;
    use crate::gate::Pause;
    use crate::meter::Meter;
    use crate::unit::Progress;

    fn member(index: u32) -> Member {
        let (backend, name, driver) =
            (Backend::OpenCl, format!("GPU number {index} with a name that is very long"), String::new());
        let info =
            DeviceInfo { backend, index, name, memory_bytes: None, compute_units: 1, driver, is_cpu: false, pci: None };
        Member::new(info)
    }

    fn screen(began: Instant, status: Status) -> Screen {
        let members = vec![member(0), member(1)];
        let meter = Arc::new(Meter::new(members.clone(), began));
        let rig = Rig { user: "al.rig".into(), members, meter, status: watch::channel(status).1, began };
        Screen::new(View::Silent, rig)
    }

    #[test]
    fn a_working_rig() {
        let began = Instant::now();
        let mut status = Status::new("stratum+tcp://p:1".into(), 2, began);
        status.enter(Phase::Connected, began);
        (status.difficulty, status.job) =
            (Some((Difficulty::one(Algorithm::Scrypt), Algorithm::Scrypt)), Some(("5f".into(), began)));
        let screen = screen(began, status);
        for (member, hashes) in screen.rig.members.iter().zip([20_000_000, 40_000_000]) {
            member.gauge.hashes.add(hashes);
            member.gauge.accepted.add(3);
            member.gauge.set_state(DeviceState::Mining);
        }
        let now = began + Duration::from_secs(10);
        screen.rig.meter.sample(now);
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
        let screen = screen(now, Status::new("stratum+tcp://p:1".into(), 1, now));
        screen.rig.members[0].gauge.set_state(DeviceState::Failed("fell off the bus".into()));
        let page = screen.page(now, &Paint(false)).join("\n");
        assert!(page.contains("set aside: fell off the bus") && page.contains("connecting to stratum+tcp://p:1"));
        assert!(page.contains("self-test") && page.contains("no work") && !page.contains('\u{1b}'));
        assert!(screen.page(now, &Paint(true)).join("\n").contains("\u{1b}[31m"));
    }

    #[test]
    fn units_are_shown_where_they_are() {
        let now = Instant::now();
        let mut status = Status::new("stratum+tcp://p:1".into(), 1, now);
        status.units = 2;
        let screen = screen(now, status);
        let gauge = &screen.rig.members[0].gauge;
        gauge.set_state(DeviceState::Mining);
        gauge.count_unit(lode_protocol::Work(5));
        let (unit, job) = ("u7".parse().unwrap(), "j12".parse().unwrap());
        let progress = Progress { unit, job, kind: lode_kinds::Kind::Render, done: 40, count: 120 };
        gauge.set_progress(Some(progress));
        let page = screen.page(now, &Paint(false));
        assert!(page[2].contains("no hash job   2 units"), "{}", page[2]);
        assert!(page[4].contains(" j12 render: 40 of 120 elements  "), "{}", page[4]);
        assert!(screen.plain_line(now).ends_with(", 1 units done, 2 held"), "{}", screen.plain_line(now));
    }

    #[test]
    fn a_paused_device_says_why_and_a_read_one_how_it_does() {
        let now = Instant::now();
        let screen = screen(now, Status::new("stratum+tcp://p:1".into(), 1, now));
        for member in &screen.rig.members {
            member.gauge.set_state(DeviceState::Mining);
            member.gauge.accepted.add(9);
        }
        screen.rig.members[0].gate.set(Some(Pause::CardBusy("a program with a name without end".into())));
        let health =
            Health { temperature_c: Some(86), power_mw: Some(203_900), fan_percent: Some(50), ..Health::default() };
        screen.rig.members[1].gauge.set_health(health);
        let page = screen.page(now, &Paint(false));
        assert!(page[4].contains(" paused: card busy (a program with a n…         9 "), "{}", page[4]);
        assert!(page[5].ends_with("       0  86 C  203 W  fan 50 %"), "{}", page[5]);
        assert_eq!(page[4].chars().count(), page[6].chars().count(), "columns stand below each other");
        screen.rig.members[0].gate.set(Some(Pause::Hot(86)));
        assert!(screen.plain_line(now).ends_with(", opencl:0 hot, paused at 86 C"), "{}", screen.plain_line(now));
    }
}
