//! Jobs: what a sponsor asks for and what is told of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AMOUNT_MAX, Amount, FieldError, Fields};
use crate::algorithm::Algorithm;
use crate::difficulty::{Target, Work};
use crate::header::{COINBASE_BYTES_MAX, EXTRANONCE_BYTES_MAX, MERKLE_BRANCH_MAX, PrevHash, Template};
use crate::hex;
use crate::ids::{AssetName, JobId, SponsorName};
use crate::ratecard::{Rate, RateCard};

/// Longest time a job may stay open.
pub const DEADLINE_S_MAX: u64 = 30 * 86_400;
/// Deadline where none is given.
pub const DEADLINE_S: u64 = 86_400;
/// Most characters of a job's name.
pub const JOB_NAME_CHARS_MAX: usize = 120;
/// Most work that a job may ask for.
pub const WORK_MAX: u128 = 1 << 96;

/// Kinds of work that a job may be of.
pub const KINDS: [&str; 2] = ["hash", "render"];

/// A sponsor's order, its envelope checked; `spec` is checked by its kind.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRequest {
    /// Kind of work, e.g. `hash`.
    pub kind: String,
    /// What the kind needs to know.
    pub spec: Value,
    /// What is put in escrow.
    pub budget: Amount,
    /// What the budget is counted in.
    pub asset: AssetName,
    /// Seconds until the job expires.
    pub deadline_s: u64,
    /// How the pot is divided; `prop` for now the one scheme.
    pub payout: String,
    /// What people see.
    pub name: String,
}

impl JobRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// Every field that is missing, unknown or wrong.
    pub fn from_json(body: Value) -> Result<JobRequest, Vec<FieldError>> {
        let mut fields = Fields::of(body, "")?;
        let kind = fields.text_with("kind", |kind| {
            let known = KINDS.contains(&kind).then(|| kind.to_owned());
            let found = || kind.chars().take(32).collect::<String>();
            known.ok_or_else(|| format!("{:?} is not a kind of work here; taken are {}", found(), KINDS.join(", ")))
        });
        let spec = fields.value("spec");
        let budget = fields.integer("budget", 1, AMOUNT_MAX);
        let asset = fields.text("asset");
        let deadline_s = fields.optional_integer("deadline_s", 1, u128::from(DEADLINE_S_MAX));
        let payout = fields.optional_text::<String>("payout");
        if let Some(Some(other)) = &payout
            && other != "prop"
        {
            fields.fault("payout", "taken is prop");
        }
        let name = fields.optional_text::<String>("name");
        if let Some(Some(text)) = &name
            && (text.chars().count() > JOB_NAME_CHARS_MAX || text.chars().any(char::is_control))
        {
            fields.fault("name", format_args!("must have at most {JOB_NAME_CHARS_MAX} printable characters"));
        }
        fields.finish()?;
        let read = || {
            let deadline_s = match deadline_s? {
                Some(seconds) => u64::try_from(seconds).ok()?,
                None => DEADLINE_S,
            };
            let name = name?.unwrap_or_default();
            let payout = payout?.unwrap_or_else(|| "prop".into());
            Some(JobRequest {
                kind: kind?,
                spec: spec?,
                budget: Amount(budget?),
                asset: asset?,
                deadline_s,
                payout,
                name,
            })
        };
        Ok(read().expect("finish has returned every fault"))
    }
}

/// What a `hash` spec is held against.
#[derive(Debug, Clone, Copy)]
pub struct HashRules<'a> {
    /// Extranonce bytes that each listener gives to a template.
    pub extranonce_bytes: usize,
    /// Algorithms that have a listener.
    pub algorithms: &'a [Algorithm],
    /// What hashes are worth.
    pub rate_card: RateCard,
}

impl HashRules<'_> {
    fn rate(&self, name: &str) -> Result<Rate, String> {
        let algorithm: Algorithm = name.parse().map_err(|error| format!("{error}"))?;
        if !self.algorithms.contains(&algorithm) {
            let names: Vec<&str> = self.algorithms.iter().map(|algorithm| algorithm.name()).collect();
            return Err(format!("this pool has no {algorithm} listener; configured are: {}", names.join(", ")));
        }
        let card = self.rate_card;
        card.rate(algorithm).ok_or_else(|| format!("{algorithm} is not on rate card {}", card.version()))
    }
}

/// What a `hash` job searches for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashSpec {
    /// Its algorithm, and what a hash of it is worth.
    pub rate: Rate,
    /// The header to complete.
    pub template: Template,
    /// What a solution must not exceed.
    pub target: Target,
    /// Extranonce bytes that the coinbase leaves open.
    pub extranonce_bytes: usize,
    /// Work that the budget buys; without it [`HashSpec::work_quoted`] chooses.
    pub max_work: Option<Work>,
}

impl HashSpec {
    /// Multiples of the expected work that a budget buys where `max_work` is not given: a job of
    /// five times its expected work ends solved in all but `e^-5`, 0.7 %, of cases.
    pub const WORK_MULTIPLE: u128 = 5;

    /// Most multiples of the expected work that `max_work` may ask for: beyond, no share could be
    /// small enough for a rig to ever find one.
    pub const WORK_MULTIPLE_MAX: u128 = 1024;

    /// Reads a `spec`.
    ///
    /// # Errors
    /// Every field that is missing, unknown or wrong.
    pub fn from_json(spec: Value, rules: &HashRules<'_>) -> Result<HashSpec, Vec<FieldError>> {
        let listener_extranonce_bytes = rules.extranonce_bytes;
        let mut fields = Fields::of(spec, "spec.")?;
        let rate = fields.text_with("algorithm", |name| rules.rate(name));
        let version = fields.text_with("version", hex::decode_u32_be);
        let prev_hash = fields.text_with("prev_hash", hex::decode_array::<32>);
        let coinbase1 = fields.text_with("coinbase1", |text| hex::decode(text, COINBASE_BYTES_MAX));
        let coinbase2 = fields.text_with("coinbase2", |text| hex::decode(text, COINBASE_BYTES_MAX));
        let merkle_branch = merkle_branch(&mut fields);
        let nbits = fields.text_with("nbits", hex::decode_u32_be);
        let ntime = fields.text_with("ntime", hex::decode_u32_be);
        let target = fields.text_with("target", Target::from_be_hex);
        let expected = rate.zip(target).map(|(rate, target)| work_expected(rate, target));
        if expected == Some(None) {
            let most = WORK_MAX / Self::WORK_MULTIPLE;
            fields.fault("target", format_args!("is out of reach: a solution would take more work than {most}"));
        }
        let expected = expected.flatten();
        let extranonce_bytes = fields.optional_integer("extranonce_bytes", 1, EXTRANONCE_BYTES_MAX as u128);
        let max_work = fields.optional_integer("max_work", 1, WORK_MAX);
        if let (Some(Some(most)), Some(expected)) = (max_work, expected)
            && most > expected.0.saturating_mul(Self::WORK_MULTIPLE_MAX)
        {
            let times = Self::WORK_MULTIPLE_MAX;
            fields.fault(
                "max_work",
                format_args!("must be at most {times} times the work of {expected} that a solution takes on average"),
            );
        }
        if extranonce_bytes.flatten().is_some_and(|bytes| bytes != listener_extranonce_bytes as u128) {
            let detail = format!("must be {listener_extranonce_bytes}, the sizes of extranonce1 and extranonce2 here");
            fields.fault("extranonce_bytes", detail);
        }
        let template = (|| {
            Some(Template {
                version: version?,
                prev_hash: PrevHash::from_stratum_bytes(prev_hash?),
                coinbase1: coinbase1?,
                coinbase2: coinbase2?,
                merkle_branch: merkle_branch?,
                nbits: nbits?,
                ntime: ntime?,
            })
        })();
        if let Some(template) = &template {
            check_coinbase(&mut fields, template, listener_extranonce_bytes);
        }
        fields.finish()?;
        Ok(HashSpec {
            rate: rate.expect("finish has returned every fault"),
            template: template.expect("finish has returned every fault"),
            target: target.expect("finish has returned every fault"),
            extranonce_bytes: listener_extranonce_bytes,
            max_work: max_work.flatten().map(Work),
        })
    }

    /// Work until a solution, on average.
    #[must_use]
    pub fn work_expected(&self) -> Work {
        work_expected(self.rate, self.target).expect("from_json refuses targets out of reach")
    }

    /// Work that the budget buys.
    #[must_use]
    pub fn work_quoted(&self) -> Work {
        self.max_work.unwrap_or(Work(self.work_expected().0 * Self::WORK_MULTIPLE))
    }
}

/// Work until a hash meets `target`, on average; `None` where no budget is meant to buy that much.
fn work_expected(rate: Rate, target: Target) -> Option<Work> {
    let work = rate.work(target.expected_hashes()?);
    (work.0 <= WORK_MAX / HashSpec::WORK_MULTIPLE).then_some(work)
}

fn merkle_branch(fields: &mut Fields) -> Option<Vec<[u8; 32]>> {
    let value = fields.value("merkle_branch")?;
    let branch: Option<Vec<[u8; 32]>> = value
        .as_array()
        .filter(|hashes| hashes.len() <= MERKLE_BRANCH_MAX)
        .and_then(|hashes| hashes.iter().map(|hash| hex::decode_array(hash.as_str()?).ok()).collect());
    if branch.is_none() {
        fields.fault(
            "merkle_branch",
            format_args!("must be an array of at most {MERKLE_BRANCH_MAX} hashes of 64 hex digits"),
        );
    }
    branch
}

fn check_coinbase(fields: &mut Fields, template: &Template, listener_extranonce_bytes: usize) {
    if template.coinbase1.len() + template.coinbase2.len() > COINBASE_BYTES_MAX {
        fields.fault("coinbase2", format_args!("both parts together must have at most {COINBASE_BYTES_MAX} bytes"));
        return;
    }
    let open = template.open_coinbase_bytes();
    if open.contains(&listener_extranonce_bytes) {
        return;
    }
    match open.first() {
        Some(bytes) => fields.fault(
            "coinbase1",
            format_args!(
                "the coinbase leaves {bytes} extranonce bytes open, this pool fills {listener_extranonce_bytes}"
            ),
        ),
        None => fields.fault(
            "coinbase1",
            "coinbase1 + extranonce + coinbase2 is no transaction of one input with the extranonce in its script",
        ),
    }
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// A price was named; nothing is in escrow.
    Quoted,
    /// In escrow, no share yet.
    Open,
    /// Shares have come in.
    Running,
    /// All work is done, the last of it is being checked.
    Auditing,
    /// Finished and paid.
    Done,
    /// Ended by its sponsor; proven work is paid.
    Cancelled,
    /// Ended by its deadline, or its work was used up; proven work is paid.
    Expired,
    /// Stopped because its input is at fault.
    Quarantined,
}

impl JobState {
    /// The state's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            JobState::Quoted => "quoted",
            JobState::Open => "open",
            JobState::Running => "running",
            JobState::Auditing => "auditing",
            JobState::Done => "done",
            JobState::Cancelled => "cancelled",
            JobState::Expired => "expired",
            JobState::Quarantined => "quarantined",
        }
    }
}

/// What a job would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// Kind of work.
    pub kind: String,
    /// Hash algorithm; null for a range job.
    pub algorithm: Option<Algorithm>,
    /// Work that the budget buys; the whole work for a range job.
    pub work: Work,
    /// Work until a solution, on average; the whole work for a range job.
    pub work_expected: Work,
    /// What is put in escrow.
    pub price: Amount,
    /// In which asset.
    pub asset: AssetName,
    /// Elements of a range job; null for a search.
    pub elements: Option<u64>,
    /// Whether a worker that is online can run it.
    pub runnable: bool,
    /// Why none can, or null.
    pub why_not: Option<String>,
    /// Seconds until a solution, or until a range job is done, at the present speed of the pool; null where nothing runs.
    pub eta_s: Option<u64>,
    /// The pool's fee in basis points.
    pub fee_bps: u16,
    /// What the kind has to say of the input, e.g. features of a scene that it leaves out.
    pub notes: Vec<String>,
}

/// Checks of a range job's results by the pool, counted in batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AuditsView {
    /// Batches in which every recomputed part was right.
    pub passed: u64,
    /// Batches that were thrown away for a wrong part.
    pub voided: u64,
}

/// A job, as anyone may see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// What people see.
    pub name: String,
    /// Kind of work.
    pub kind: String,
    /// Hash algorithm; null for a range job.
    pub algorithm: Option<Algorithm>,
    /// Where it is.
    pub state: JobState,
    /// Who pays.
    pub sponsor: SponsorName,
    /// In which asset.
    pub asset: AssetName,
    /// What was put in escrow.
    pub budget: Amount,
    /// What workers got: of a range job so far, of a search null while it runs.
    pub paid: Option<Amount>,
    /// The pool's part, likewise.
    pub fee: Option<Amount>,
    /// What went back to the sponsor, or null while it runs.
    pub refunded: Option<Amount>,
    /// The pool's fee in basis points, fixed when it opened.
    pub fee_bps: u16,
    /// How the pot is divided.
    pub payout: String,
    /// Work that the budget buys.
    pub work_quoted: Work,
    /// Work until a solution, on average; the whole work for a range job.
    pub work_expected: Work,
    /// Work proven so far; what was voided is not in it.
    pub work_proven: Work,
    /// Shares accepted so far; of a range job, units.
    pub shares: u64,
    /// Accounts that have proven work.
    pub accounts: u64,
    /// Digest of the spec, which stays private.
    pub spec_digest: String,
    /// When it opened.
    pub opened_at: String,
    /// When it expires if nothing ends it before.
    pub deadline_at: String,
    /// When a cancellation takes effect, or null.
    pub cancel_at: Option<String>,
    /// When it closed, or null.
    pub closed_at: Option<String>,
    /// Hash of the solution, or null.
    pub solution: Option<String>,
    /// Elements of a range job; null, as all that follow, for a search.
    pub elements: Option<u64>,
    /// How many of them were returned and not voided.
    pub elements_done: Option<u64>,
    /// How many of those are audited and paid.
    pub elements_matured: Option<u64>,
    /// How the audits went.
    pub audits: Option<AuditsView>,
    /// Path of a picture of what there is so far; null too where the kind has none, or nothing is done.
    pub preview: Option<String>,
    /// Path of the result; null until there is one.
    pub result: Option<String>,
}

/// A solved hash job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// What the header is hashed with.
    pub algorithm: Algorithm,
    /// 80 bytes, 160 hex digits.
    pub header: String,
    /// The header's hash, most significant byte first.
    pub hash: String,
    /// The pool's part of the coinbase.
    pub extranonce1: String,
    /// The miner's part of the coinbase.
    pub extranonce2: String,
    /// Header time, eight hex digits.
    pub ntime: String,
    /// Header nonce, eight hex digits.
    pub nonce: String,
    /// Header version, eight hex digits.
    pub version: String,
}

/// A line of a job's event stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum JobEvent {
    /// How far it is; sent at most once a second.
    Progress {
        /// The job as it is.
        job: Box<JobView>,
    },
    /// Units of a range job came in since the last event.
    Unit {
        /// How many.
        units: u64,
        /// Elements done now.
        elements_done: u64,
        /// Elements of the job.
        elements: u64,
    },
    /// Batches of a range job were audited since the last event.
    Audit {
        /// How many were right.
        passed: u64,
        /// How many were voided.
        voided: u64,
        /// Elements that are audited and paid now.
        elements_matured: u64,
    },
    /// It ended.
    Done {
        /// The job as it is.
        job: Box<JobView>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn order(kind: &str) -> Value {
        json!({"kind": kind, "spec": {}, "budget": 5, "asset": "CREDIT"})
    }

    #[test]
    fn kinds_are_taken_by_name() {
        for kind in KINDS {
            assert_eq!(JobRequest::from_json(order(kind)).unwrap().kind, kind);
        }
        let wrong = JobRequest::from_json(order("brew")).unwrap_err();
        assert_eq!(wrong.len(), 1);
        assert_eq!(wrong[0].detail, "\"brew\" is not a kind of work here; taken are hash, render");
    }

    #[test]
    fn events_are_tagged_by_name() {
        let unit = JobEvent::Unit { units: 2, elements_done: 5, elements: 9 };
        let text = serde_json::to_string(&unit).unwrap();
        assert_eq!(text, r#"{"event":"unit","units":2,"elements_done":5,"elements":9}"#);
        assert_eq!(serde_json::from_str::<JobEvent>(&text).unwrap(), unit);
    }
}
