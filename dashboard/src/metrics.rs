//! Every metric of a pool: its name, its unit and what it counts. Accounts and workers are never labels.

use std::sync::OnceLock;

use metrics::Unit;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Shares accepted, by kind of work.
pub const SHARES_ACCEPTED: &str = "lode_shares_accepted_total";
/// Shares rejected, by kind of work and reason.
pub const SHARES_REJECTED: &str = "lode_shares_rejected_total";
/// Hash-equivalents proven, by kind of work.
pub const WORK_PROVEN: &str = "lode_work_proven_total";
/// Stratum connections open now.
pub const CONNECTIONS: &str = "lode_connections";
/// Jobs open or running, by kind of work.
pub const JOBS_OPEN: &str = "lode_jobs_open";
/// Units that workers hold now.
pub const UNITS_LEASED: &str = "lode_units_leased";
/// Audits finished, by kind of work and outcome.
pub const AUDITS: &str = "lode_audits_total";
/// Entries in the ledger.
pub const LEDGER_ENTRIES: &str = "lode_ledger_entries";
/// Time that one flush of the ledger's journal took.
pub const LEDGER_FLUSH: &str = "lode_ledger_flush_seconds";
/// Time from a share's arrival to its answer.
pub const SHARE_LATENCY: &str = "lode_share_latency_seconds";
/// Time from a new search job to its notify line on every connection.
pub const NOTIFY_FANOUT: &str = "lode_notify_fanout_seconds";
/// Audits that wait.
pub const AUDIT_QUEUE: &str = "lode_audit_queue";
/// Payouts made, by asset.
pub const PAYOUTS: &str = "lode_payouts_total";

/// Bounds of the histograms' buckets, in seconds: from a journal's flush on a fast disk to a client gone slow.
pub const SECONDS_BUCKETS: [f64; 14] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];

/// What a metric does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts durations by size.
    Histogram,
}

/// One metric.
#[derive(Debug, Clone)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub form: Form,
    /// What it is counted in.
    pub unit: Unit,
    /// What it tells, for people.
    pub help: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
}

macro_rules! metric {
    ($name:ident, $form:ident, $unit:ident, $help:literal, [$($label:literal),*]) => {
        Metric { name: $name, form: Form::$form, unit: Unit::$unit, help: $help, labels: &[$($label),*] }
    };
}

/// All of them.
pub const ALL: [Metric; 13] = [
    metric!(SHARES_ACCEPTED, Counter, Count, "Shares accepted.", ["kind"]),
    metric!(SHARES_REJECTED, Counter, Count, "Shares rejected.", ["kind", "reason"]),
    metric!(WORK_PROVEN, Counter, Count, "Hash-equivalents proven; 2^32 are difficulty 1 of sha256d.", ["kind"]),
    metric!(CONNECTIONS, Gauge, Count, "Stratum connections open now.", []),
    metric!(JOBS_OPEN, Gauge, Count, "Jobs open or running.", ["kind"]),
    metric!(UNITS_LEASED, Gauge, Count, "Units that workers hold now.", []),
    metric!(AUDITS, Counter, Count, "Audits finished.", ["kind", "outcome"]),
    metric!(LEDGER_ENTRIES, Gauge, Count, "Entries in the ledger.", []),
    metric!(LEDGER_FLUSH, Histogram, Seconds, "Time of one flush of the ledger's journal.", []),
    metric!(SHARE_LATENCY, Histogram, Seconds, "Time from a share's arrival to its answer.", []),
    metric!(NOTIFY_FANOUT, Histogram, Seconds, "Time from a new search job to its line on every connection.", []),
    metric!(AUDIT_QUEUE, Gauge, Count, "Audits that wait.", []),
    metric!(PAYOUTS, Counter, Count, "Payouts made.", ["asset"]),
];

/// Tells the installed recorder what each metric is.
pub fn describe() {
    for Metric { name, form, unit, help, .. } in ALL {
        match form {
            Form::Counter => metrics::describe_counter!(name, unit, help),
            Form::Gauge => metrics::describe_gauge!(name, unit, help),
            Form::Histogram => metrics::describe_histogram!(name, unit, help),
        }
    }
}

/// Installs the process's recorder, once, and describes every metric to it. The handle goes into
/// [`crate::HttpOptions::metrics`]; a second call answers the same handle.
///
/// # Errors
/// The process has another recorder already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let handle = builder()?.install_recorder()?;
    describe();
    Ok(HANDLE.get_or_init(|| handle).clone())
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS_BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_form() {
        for metric in &ALL {
            assert!(metric.name.starts_with("lode_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.form == Form::Counter, "{}", metric.name);
            assert_eq!(metric.name.ends_with("_seconds"), metric.unit == Unit::Seconds, "{}", metric.name);
            assert!(metric.help.ends_with('.'));
        }
    }

    #[test]
    fn a_recorder_renders_names_help_and_buckets() {
        let recorder = builder().expect("has buckets").build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            metrics::counter!(SHARES_ACCEPTED, "kind" => "hash").increment(3);
            metrics::histogram!(SHARE_LATENCY).record(0.004);
        });
        let text = handle.render();
        assert!(text.contains("# HELP lode_shares_accepted_total Shares accepted."), "{text}");
        assert!(text.contains("lode_shares_accepted_total{kind=\"hash\"} 3"), "{text}");
        assert!(text.contains("lode_share_latency_seconds_bucket{le=\"0.005\"} 1"), "{text}");
    }
}
