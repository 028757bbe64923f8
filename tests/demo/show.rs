//! What the demonstration prints.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use lode_tests::sponsor::Api;
use serde_json::Value;

/// Between two progress lines where the output is not a terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// A decimal string as a number.
pub(crate) fn number(value: &Value) -> u128 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// One step that is done.
pub(crate) fn step(text: &str) {
    println!("{text}");
}

/// A count of hashes with three digits and a prefix.
#[expect(clippy::cast_precision_loss, reason = "three digits for people")]
pub(crate) fn hashes(count: u128) -> String {
    let mut value = count as f64;
    for unit in ["H", "kH", "MH", "GH", "TH", "PH"] {
        if value < 1000.0 {
            return format!("{value:.digits$} {unit}", digits = if value < 10.0 { 2 } else { 1 });
        }
        value /= 1000.0;
    }
    format!("{value:.1} EH")
}

/// A progress line that is drawn over on a terminal and repeated now and then elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    began: Instant,
    drawn: Option<Instant>,
}

impl Progress {
    /// A job that begins now.
    pub(crate) fn begin() -> Progress {
        Progress { began: Instant::now(), drawn: None }
    }

    /// Draws the job's state.
    pub(crate) fn draw(&mut self, job: &Value) {
        let state = job["state"].as_str().unwrap_or_default();
        let proven = number(&job["work_proven"]);
        let expected = number(&job["work_expected"]).max(1);
        let rate = hashes(proven * 1000 / self.began.elapsed().as_millis().max(1));
        let text = if let Some(elements) = job["elements"].as_u64() {
            format!(
                "{state} {:>4} shares  {:>5} of {elements} elements done, {:>5} audited, {rate}/s",
                job["shares"], job["elements_done"], job["elements_matured"]
            )
        } else {
            let (proven, percent) = (hashes(proven), proven * 100 / expected);
            format!("{state} {:>4} shares  {proven:>9} proven, {percent:>3} % of the average, {rate}/s", job["shares"])
        };
        if std::io::stdout().is_terminal() {
            print!("\r\x1b[K          {text}");
            std::io::stdout().flush().ok();
            self.drawn = Some(Instant::now());
        } else if self.drawn.is_none_or(|drawn| drawn.elapsed() >= PLAIN_EVERY) {
            println!("          {text}");
            self.drawn = Some(Instant::now());
        }
    }

    /// Leaves the last line as it stands.
    pub(crate) fn end(&self) {
        if std::io::stdout().is_terminal() && self.drawn.is_some() {
            println!();
        }
    }
}

/// Who earned what with a job that has ended.
pub(crate) fn earnings(api: &Api, job: &Value) {
    let text = |value: &Value| value.as_str().unwrap_or("0").to_owned();
    println!(
        "paid      {} CREDIT to workers, {} fee, {} refunded",
        text(&job["paid"]),
        text(&job["fee"]),
        text(&job["refunded"])
    );
    let leaders = api.get("/leaderboard").ok();
    for leader in leaders["items"].as_array().into_iter().flatten() {
        let account = text(&leader["account"]);
        let earned = api.get(&format!("/accounts/{account}/earnings")).ok();
        let rows = earned["items"].as_array().cloned().unwrap_or_default();
        for row in rows.iter().filter(|row| row["job"] == job["id"]) {
            println!(
                "          {account:<20} {:>10} CREDIT for {} of proven work",
                text(&row["amount"]),
                hashes(number(&row["work"]))
            );
        }
    }
}
