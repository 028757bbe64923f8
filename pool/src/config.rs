//! The configuration: one table of options, what was written in a file, and what it means.
//!
//! Each option is one row: its name, its bound and meaning for people, and how its value is read. A
//! key that is no option refuses to start and names the nearest one.

use std::net::SocketAddr;
use std::time::Duration;

use lode_protocol::header::EXTRANONCE_BYTES_MAX;
use lode_protocol::ids::SponsorName;
use lode_protocol::method::configure::HTTP_CHARS_MAX;
use lode_protocol::{Algorithm, Difficulty, Hashes, hex};
use toml::{Table, Value};

use crate::blobs;
use crate::desk;
use crate::stratum::accept::Limits;
use crate::stratum::bans;
use crate::vardiff;

/// Everything that can be set, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The pool's name.
    pub name: String,
    /// The fee of jobs to come.
    pub fee_bps: u16,
    /// How long a cancellation takes to take effect.
    pub cancel_notice: Duration,
    /// The sponsor whose jobs only fill the time between others.
    pub house_sponsor: Option<SponsorName>,
    /// Where sha256d miners connect.
    pub stratum: SocketAddr,
    /// Where scrypt miners connect, if anywhere.
    pub scrypt: Option<SocketAddr>,
    /// Bytes of the pool's part of the extranonce.
    pub extranonce1_bytes: usize,
    /// Bytes of the miner's part.
    pub extranonce2_bytes: usize,
    /// Where extranonce1 starts; random where not given.
    pub extranonce1_start: Option<Vec<u8>>,
    /// Version bits that miners may roll.
    pub version_mask: u32,
    /// Limits of connections.
    pub limits: Limits,
    /// Bans.
    pub bans: bans::Options,
    /// Variable difficulty of sha256d.
    pub vardiff: vardiff::Options,
    /// Variable difficulty of scrypt.
    pub scrypt_vardiff: vardiff::Options,
    /// How range work is cut: sizes of units in the difficulty that their work is worth.
    pub range: vardiff::Options,
    /// How range work is checked.
    pub audit: desk::Options,
    /// Where the pages and the API are.
    pub http: SocketAddr,
    /// Where miners of range work find this pool's HTTP side; its port on the host that they know where `None`.
    pub public_url: Option<String>,
    /// Whether anyone may see the pictures of running jobs.
    pub public_previews: bool,
    /// Whether a proxy in front encrypts, so that keys are taken from other machines.
    pub tls_proxy: bool,
    /// Most bytes of a request's body.
    pub body_bytes: usize,
    /// What blobs may take.
    pub blobs: blobs::Limits,
    /// How long a group of ledger entries may gather.
    pub group: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            name: "Lode".into(),
            fee_bps: 100,
            cancel_notice: Duration::from_secs(10),
            house_sponsor: None,
            stratum: SocketAddr::from(([0, 0, 0, 0], 3333)),
            scrypt: None,
            extranonce1_bytes: 4,
            extranonce2_bytes: 4,
            extranonce1_start: None,
            version_mask: 0x1fff_e000,
            limits: Limits {
                connections: 20_000,
                connections_per_address: 1_000,
                login: Duration::from_secs(60),
                idle: Duration::from_secs(900),
            },
            bans: bans::Options { limit: 50, ban_ms: 600_000, forgive_ms: 30_000, loopback: false },
            vardiff: vardiff::Options {
                interval_ms: 5_000,
                start: Difficulty::from_hashes(Hashes(1 << 26)),
                least: Difficulty::MIN,
                most: Difficulty::MAX,
            },
            // A thread of a CPU makes some 2^14 scrypt hashes a second, and judging a share takes the pool one: so
            // it starts at 2^16 and is never asked to judge more than one for each 2^8 that a miner makes.
            scrypt_vardiff: vardiff::Options {
                interval_ms: 5_000,
                start: Difficulty::from_hashes(Hashes(1 << 16)),
                least: Difficulty::from_hashes(Hashes(1 << 8)),
                most: Difficulty::MAX,
            },
            range: vardiff::Options {
                interval_ms: 10_000,
                start: Difficulty::from_hashes(Hashes(1 << 20)),
                least: Difficulty::MIN,
                most: Difficulty::MAX,
            },
            audit: desk::Options::default(),
            http: SocketAddr::from(([0, 0, 0, 0], 8080)),
            public_url: None,
            public_previews: true,
            tls_proxy: false,
            body_bytes: 1 << 20,
            blobs: blobs::Limits {
                blob_bytes: 512 << 20,
                sponsor_bytes: 4 << 30,
                total_bytes: 8 << 30,
                uploads: 32,
                uploads_per_sponsor: 8,
                result_uploads: 64,
            },
            group: Duration::from_millis(5),
        }
    }
}

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It is not TOML.
    #[error("the configuration is not TOML: {0}")]
    Syntax(String),
    /// A key that is no option.
    #[error("{found} is not an option; the nearest is {nearest}")]
    Unknown {
        /// What was written.
        found: String,
        /// The option whose name is nearest.
        nearest: &'static str,
    },
    /// A value that is not what its option takes.
    #[error("{name} takes {takes}; {found} is not that")]
    Value {
        /// The option.
        name: &'static str,
        /// What it takes.
        takes: &'static str,
        /// What was written.
        found: String,
    },
    /// Options that contradict one another.
    #[error("{0}")]
    Together(String),
}

/// One option.
struct Row {
    name: &'static str,
    takes: &'static str,
    meaning: &'static str,
    read: fn(&mut Config, &Value) -> Option<()>,
    show: fn(&Config) -> Value,
}

fn integer(value: &Value, low: u64, high: u64) -> Option<u64> {
    u64::try_from(value.as_integer()?).ok().filter(|found| (low..=high).contains(found))
}

fn size(value: &Value, low: u64, high: u64) -> Option<usize> {
    usize::try_from(integer(value, low, high)?).ok()
}

fn count_of(value: &Value, low: u64, high: u64) -> Option<u32> {
    u32::try_from(integer(value, low, high)?).ok()
}

fn seconds(value: &Value, high: u64) -> Option<Duration> {
    integer(value, 1, high).map(Duration::from_secs)
}

fn difficulty(value: &Value, algorithm: Algorithm) -> Option<Difficulty> {
    #[expect(clippy::cast_precision_loss, reason = "difficulties of this size are not exact integers anyway")]
    let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))?;
    Difficulty::from_f64(number, algorithm).ok()
}

fn whole(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn count(value: usize) -> Value {
    whole(value as u64)
}

#[expect(clippy::needless_pass_by_value, reason = "the rows of the table read better without ampersands")]
fn text(value: impl ToString) -> Value {
    Value::String(value.to_string())
}

/// All options, in the order in which they are shown.
const ROWS: &[Row] = &[
    Row {
        name: "pool.name",
        takes: "1 to 40 characters",
        meaning: "what people see at the top of the pages",
        read: |c, v| v.as_str().filter(|s| (1..=40).contains(&s.chars().count())).map(|s| c.name = s.into()),
        show: |c| text(&c.name),
    },
    Row {
        name: "pool.fee_bps",
        takes: "an integer from 0 to 10000",
        meaning: "the pool's fee in basis points of what a job earns, for jobs to come",
        read: |c, v| integer(v, 0, 10_000).and_then(|n| u16::try_from(n).ok()).map(|n| c.fee_bps = n),
        show: |c| whole(c.fee_bps.into()),
    },
    Row {
        name: "pool.cancel_notice_s",
        takes: "an integer from 1 to 3600",
        meaning: "seconds until a sponsor's cancellation takes effect",
        read: |c, v| seconds(v, 3600).map(|s| c.cancel_notice = s),
        show: |c| whole(c.cancel_notice.as_secs()),
    },
    Row {
        name: "pool.house_sponsor",
        takes: "a sponsor's name, or \"\"",
        meaning: "the sponsor whose jobs are served only while no other search job is open",
        read: |c, v| {
            let name = v.as_str()?;
            c.house_sponsor = if name.is_empty() { None } else { Some(name.parse().ok()?) };
            Some(())
        },
        show: |c| text(c.house_sponsor.as_ref().map_or("", SponsorName::as_str)),
    },
    Row {
        name: "stratum.address",
        takes: "an IP address and a port such as \"0.0.0.0:3333\"",
        meaning: "where miners connect (sha256d); port 0 takes any that is free",
        read: |c, v| v.as_str()?.parse().ok().map(|address| c.stratum = address),
        show: |c| text(c.stratum),
    },
    Row {
        name: "stratum.scrypt_address",
        takes: "an IP address and a port such as \"0.0.0.0:3334\", or \"\"",
        meaning: "where scrypt miners connect; port 0 takes any that is free, and without it no scrypt job is taken",
        read: |c, v| {
            let address = v.as_str()?;
            c.scrypt = if address.is_empty() { None } else { Some(address.parse().ok()?) };
            Some(())
        },
        show: |c| text(c.scrypt.map(|address| address.to_string()).unwrap_or_default()),
    },
    Row {
        name: "stratum.extranonce1_bytes",
        takes: "an integer from 2 to 32",
        meaning: "bytes of the pool's part of the extranonce",
        read: |c, v| size(v, 2, 32).map(|n| c.extranonce1_bytes = n),
        show: |c| count(c.extranonce1_bytes),
    },
    Row {
        name: "stratum.extranonce2_bytes",
        takes: "an integer from 2 to 32",
        meaning: "bytes of the miner's part of the extranonce",
        read: |c, v| size(v, 2, 32).map(|n| c.extranonce2_bytes = n),
        show: |c| count(c.extranonce2_bytes),
    },
    Row {
        name: "stratum.extranonce1_start",
        takes: "hex digits of extranonce1_bytes bytes, or \"\"",
        meaning: "the first connection's extranonce1; random where empty",
        read: |c, v| {
            let digits = v.as_str()?;
            let bytes = hex::decode(digits, EXTRANONCE_BYTES_MAX).ok()?;
            c.extranonce1_start = (!bytes.is_empty()).then_some(bytes);
            Some(())
        },
        show: |c| text(c.extranonce1_start.as_deref().map(hex::encode).unwrap_or_default()),
    },
    Row {
        name: "stratum.version_mask",
        takes: "eight hex digits",
        meaning: "version bits that miners may roll (BIP 320 has 1fffe000)",
        read: |c, v| hex::decode_u32_be(v.as_str()?).ok().map(|mask| c.version_mask = mask),
        show: |c| text(format!("{:08x}", c.version_mask)),
    },
    Row {
        name: "stratum.connections_max",
        takes: "an integer from 1 to 1000000",
        meaning: "connections in all",
        read: |c, v| size(v, 1, 1_000_000).map(|n| c.limits.connections = n),
        show: |c| count(c.limits.connections),
    },
    Row {
        name: "stratum.connections_per_address_max",
        takes: "an integer from 1 to 1000000",
        meaning: "connections from one address; this machine's own are not counted",
        read: |c, v| size(v, 1, 1_000_000).map(|n| c.limits.connections_per_address = n),
        show: |c| count(c.limits.connections_per_address),
    },
    Row {
        name: "stratum.login_s",
        takes: "an integer from 1 to 3600",
        meaning: "seconds within which a worker must have logged in",
        read: |c, v| seconds(v, 3600).map(|s| c.limits.login = s),
        show: |c| whole(c.limits.login.as_secs()),
    },
    Row {
        name: "stratum.idle_s",
        takes: "an integer from 1 to 86400",
        meaning: "seconds without a line, while there is work, after which a connection is closed",
        read: |c, v| seconds(v, 86_400).map(|s| c.limits.idle = s),
        show: |c| whole(c.limits.idle.as_secs()),
    },
    Row {
        name: "stratum.ban_points",
        takes: "an integer from 0 to 1000000",
        meaning: "points (malformed line 10, wrong parameters 5, worthless share 2) at which an address is banned; 0 never bans",
        read: |c, v| integer(v, 0, 1_000_000).map(|n| c.bans.limit = n),
        show: |c| whole(c.bans.limit),
    },
    Row {
        name: "stratum.ban_s",
        takes: "an integer from 1 to 604800",
        meaning: "seconds that a ban lasts",
        read: |c, v| integer(v, 1, 604_800).map(|n| c.bans.ban_ms = n * 1000),
        show: |c| whole(c.bans.ban_ms / 1000),
    },
    Row {
        name: "stratum.ban_loopback",
        takes: "true or false",
        meaning: "whether addresses of this machine are banned too",
        read: |c, v| v.as_bool().map(|on| c.bans.loopback = on),
        show: |c| Value::Boolean(c.bans.loopback),
    },
    Row {
        name: "vardiff.share_interval_ms",
        takes: "an integer from 100 to 600000",
        meaning: "wanted milliseconds between two shares of a worker",
        read: |c, v| integer(v, 100, 600_000).map(|n| (c.vardiff.interval_ms, c.scrypt_vardiff.interval_ms) = (n, n)),
        show: |c| whole(c.vardiff.interval_ms),
    },
    Row {
        name: "vardiff.start",
        takes: "a number above 0",
        meaning: "difficulty that a connection starts with",
        read: |c, v| difficulty(v, Algorithm::Sha256d).map(|d| c.vardiff.start = d),
        show: |c| Value::Float(c.vardiff.start.to_f64(Algorithm::Sha256d)),
    },
    Row {
        name: "vardiff.least",
        takes: "a number above 0",
        meaning: "lowest difficulty (2^-32 is one hash a share)",
        read: |c, v| difficulty(v, Algorithm::Sha256d).map(|d| c.vardiff.least = d),
        show: |c| Value::Float(c.vardiff.least.to_f64(Algorithm::Sha256d)),
    },
    Row {
        name: "vardiff.most",
        takes: "a number above 0",
        meaning: "highest difficulty",
        read: |c, v| difficulty(v, Algorithm::Sha256d).map(|d| c.vardiff.most = d),
        show: |c| Value::Float(c.vardiff.most.to_f64(Algorithm::Sha256d)),
    },
    Row {
        name: "vardiff.scrypt_start",
        takes: "a number above 0",
        meaning: "difficulty that a scrypt connection starts with, as scrypt miners write it: 1 is 65536 hashes",
        read: |c, v| difficulty(v, Algorithm::Scrypt).map(|d| c.scrypt_vardiff.start = d),
        show: |c| Value::Float(c.scrypt_vardiff.start.to_f64(Algorithm::Scrypt)),
    },
    Row {
        name: "vardiff.scrypt_least",
        takes: "a number above 0",
        meaning: "lowest difficulty of scrypt (2^-16 is one hash a share)",
        read: |c, v| difficulty(v, Algorithm::Scrypt).map(|d| c.scrypt_vardiff.least = d),
        show: |c| Value::Float(c.scrypt_vardiff.least.to_f64(Algorithm::Scrypt)),
    },
    Row {
        name: "vardiff.scrypt_most",
        takes: "a number above 0",
        meaning: "highest difficulty of scrypt",
        read: |c, v| difficulty(v, Algorithm::Scrypt).map(|d| c.scrypt_vardiff.most = d),
        show: |c| Value::Float(c.scrypt_vardiff.most.to_f64(Algorithm::Scrypt)),
    },
    Row {
        name: "range.share_s",
        takes: "an integer from 1 to 3600",
        meaning: "wanted seconds between two units of a worker",
        read: |c, v| integer(v, 1, 3600).map(|n| c.range.interval_ms = n * 1000),
        show: |c| whole(c.range.interval_ms / 1000),
    },
    Row {
        name: "range.start",
        takes: "a number above 0",
        meaning: "difficulty that a connection's units are worth at first (1 is the work of 2^32 sha256d hashes)",
        read: |c, v| difficulty(v, Algorithm::Sha256d).map(|d| c.range.start = d),
        show: |c| Value::Float(c.range.start.to_f64(Algorithm::Sha256d)),
    },
    Row {
        name: "range.least",
        takes: "a number above 0",
        meaning: "lowest difficulty of a unit; one element is the least in any case",
        read: |c, v| difficulty(v, Algorithm::Sha256d).map(|d| c.range.least = d),
        show: |c| Value::Float(c.range.least.to_f64(Algorithm::Sha256d)),
    },
    Row {
        name: "range.most",
        takes: "a number above 0",
        meaning: "highest difficulty of a unit",
        read: |c, v| difficulty(v, Algorithm::Sha256d).map(|d| c.range.most = d),
        show: |c| Value::Float(c.range.most.to_f64(Algorithm::Sha256d)),
    },
    Row {
        name: "audit.units",
        takes: "an integer from 1 to 1024",
        meaning: "units of a batch that are drawn and recomputed in part; all of a key whose trust is not earned",
        read: |c, v| count_of(v, 1, 1024).map(|n| c.audit.units = n),
        show: |c| whole(c.audit.units.into()),
    },
    Row {
        name: "audit.batch_units",
        takes: "an integer from 1 to 1024",
        meaning: "units of one key and job that close a batch",
        read: |c, v| count_of(v, 1, 1024).map(|n| c.audit.batch_units = n),
        show: |c| whole(c.audit.batch_units.into()),
    },
    Row {
        name: "audit.batch_s",
        takes: "an integer from 1 to 86400",
        meaning: "seconds after its first unit that close a batch",
        read: |c, v| integer(v, 1, 86_400).map(|n| c.audit.batch_ms = n * 1000),
        show: |c| whole(c.audit.batch_ms / 1000),
    },
    Row {
        name: "audit.clean_batches",
        takes: "an integer from 0 to 1000000",
        meaning: "clean batches that earn a key the trust to have units drawn and not all taken",
        read: |c, v| count_of(v, 0, 1_000_000).map(|n| c.audit.clean_batches = n),
        show: |c| whole(c.audit.clean_batches.into()),
    },
    Row {
        name: "audit.canary",
        takes: "an integer from 0 to 1000000",
        meaning: "one in so many units issued is one that is done already, to compare; 0 for none",
        read: |c, v| count_of(v, 0, 1_000_000).map(|n| c.audit.canary = n),
        show: |c| whole(c.audit.canary.into()),
    },
    Row {
        name: "audit.secret_period_s",
        takes: "an integer from 1 to 31536000",
        meaning: "seconds that a secret is drawn with before the next is committed",
        read: |c, v| integer(v, 1, 31_536_000).map(|n| c.audit.secret_period_ms = n * 1000),
        show: |c| whole(c.audit.secret_period_ms / 1000),
    },
    Row {
        name: "http.address",
        takes: "an IP address and a port such as \"0.0.0.0:8080\"",
        meaning: "where the pages, the JSON API and the metrics are; port 0 takes any that is free",
        read: |c, v| v.as_str()?.parse().ok().map(|address| c.http = address),
        show: |c| text(c.http),
    },
    Row {
        name: "http.public_url",
        takes: "a URL such as \"https://pool.example\", or \"\"",
        meaning: "where miners reach this port for inputs and results; \"\" is this port of the host that they mine at",
        read: |c, v| {
            let url = v.as_str()?.trim_end_matches('/');
            let plain = url.bytes().all(|byte| byte.is_ascii_graphic()) && url.len() <= HTTP_CHARS_MAX;
            let known = url.is_empty() || url.starts_with("http://") || url.starts_with("https://");
            c.public_url = if url.is_empty() { None } else { Some(url.to_owned()) };
            (plain && known).then_some(())
        },
        show: |c| text(c.public_url.as_deref().unwrap_or_default()),
    },
    Row {
        name: "http.public_previews",
        takes: "true or false",
        meaning: "whether anyone may see the pictures of range jobs as they fill, or their sponsors only",
        read: |c, v| v.as_bool().map(|on| c.public_previews = on),
        show: |c| Value::Boolean(c.public_previews),
    },
    Row {
        name: "http.tls_proxy",
        takes: "true or false",
        meaning: "whether a proxy in front of this port encrypts; if not, keys are taken from this machine only",
        read: |c, v| v.as_bool().map(|on| c.tls_proxy = on),
        show: |c| Value::Boolean(c.tls_proxy),
    },
    Row {
        name: "http.body_bytes_max",
        takes: "an integer from 1024 to 67108864",
        meaning: "most bytes of a request's body; blobs have bounds of their own",
        read: |c, v| size(v, 1024, 64 << 20).map(|n| c.body_bytes = n),
        show: |c| count(c.body_bytes),
    },
    Row {
        name: "blobs.bytes_max",
        takes: "an integer from 1024 to 1099511627776",
        meaning: "most bytes of one blob (a scene, a model, inputs)",
        read: |c, v| integer(v, 1024, 1 << 40).map(|n| c.blobs.blob_bytes = n),
        show: |c| whole(c.blobs.blob_bytes),
    },
    Row {
        name: "blobs.sponsor_bytes_max",
        takes: "an integer from 1024 to 1125899906842624",
        meaning: "most bytes of one sponsor's blobs; each counts for at least 16384",
        read: |c, v| integer(v, 1024, 1 << 50).map(|n| c.blobs.sponsor_bytes = n),
        show: |c| whole(c.blobs.sponsor_bytes),
    },
    Row {
        name: "blobs.total_bytes_max",
        takes: "an integer from 1024 to 1125899906842624",
        meaning: "most bytes of all blobs; leave the ledger the room that it needs on the same disk",
        read: |c, v| integer(v, 1024, 1 << 50).map(|n| c.blobs.total_bytes = n),
        show: |c| whole(c.blobs.total_bytes),
    },
    Row {
        name: "blobs.uploads_max",
        takes: "an integer from 1 to 1000",
        meaning: "uploads of sponsors at a time",
        read: |c, v| size(v, 1, 1000).map(|n| c.blobs.uploads = n),
        show: |c| count(c.blobs.uploads),
    },
    Row {
        name: "blobs.uploads_per_sponsor_max",
        takes: "an integer from 1 to 1000",
        meaning: "uploads of one sponsor at a time",
        read: |c, v| size(v, 1, 1000).map(|n| c.blobs.uploads_per_sponsor = n),
        show: |c| count(c.blobs.uploads_per_sponsor),
    },
    Row {
        name: "blobs.result_uploads_max",
        takes: "an integer from 1 to 10000",
        meaning: "uploads of units' results at a time, beside those of sponsors",
        read: |c, v| size(v, 1, 10_000).map(|n| c.blobs.result_uploads = n),
        show: |c| count(c.blobs.result_uploads),
    },
    Row {
        name: "ledger.group_ms",
        takes: "an integer from 0 to 1000",
        meaning: "milliseconds that entries gather before they are written and synced together",
        read: |c, v| integer(v, 0, 1000).map(|n| c.group = Duration::from_millis(n)),
        show: |c| whole(u64::try_from(c.group.as_millis()).unwrap_or(u64::MAX)),
    },
];

impl Config {
    /// Reads a file's text.
    ///
    /// # Errors
    /// Not TOML, a key that is no option, a value out of bounds, or options at odds.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax(error.to_string()))?;
        let mut config = Config::default();
        for (name, value) in flatten(&table) {
            let Some(row) = ROWS.iter().find(|row| row.name == name) else {
                return Err(ConfigError::Unknown { nearest: nearest(&name), found: name });
            };
            (row.read)(&mut config, value).ok_or_else(|| ConfigError::Value {
                name: row.name,
                takes: row.takes,
                found: value.to_string(),
            })?;
        }
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let fail = |text: String| Err(ConfigError::Together(text));
        if let Some(start) = &self.extranonce1_start
            && start.len() != self.extranonce1_bytes
        {
            let (has, wants) = (start.len(), self.extranonce1_bytes);
            return fail(format!("stratum.extranonce1_start has {has} bytes and extranonce1_bytes is {wants}"));
        }
        if self.vardiff.least > self.vardiff.most {
            return fail("vardiff.least is above vardiff.most".into());
        }
        if self.scrypt_vardiff.least > self.scrypt_vardiff.most {
            return fail("vardiff.scrypt_least is above vardiff.scrypt_most".into());
        }
        if self.audit.units > self.audit.batch_units {
            return fail("audit.units is above audit.batch_units".into());
        }
        if self.range.least > self.range.most {
            return fail("range.least is above range.most".into());
        }
        let spaces = 1u64.checked_shl(8 * u32::try_from(self.extranonce1_bytes).unwrap_or(u32::MAX));
        if spaces.is_some_and(|spaces| (self.limits.connections as u64) > spaces / 2) {
            let text = "stratum.extranonce1_bytes is too few for stratum.connections_max: half as many connections \
                        as there are values are taken";
            return fail(text.into());
        }
        Ok(())
    }

    /// Every option with its default, bound and meaning, as a file that [`Config::parse`] reads.
    #[must_use]
    pub fn documented() -> String {
        let config = Config::default();
        let mut out = String::from("# Every option of lode-pool with its default. Unknown keys refuse to start.\n");
        let mut section = "";
        for row in ROWS {
            let (of, key) = row.name.split_once('.').expect("names have a section");
            if of != section {
                section = of;
                out.push_str(&format!("\n[{section}]\n"));
            }
            out.push_str(&format!("# {}; takes {}\n{key} = {}\n", row.meaning, row.takes, (row.show)(&config)));
        }
        out
    }
}

/// Keys with their sections, `section.key`.
fn flatten(table: &Table) -> Vec<(String, &Value)> {
    let mut rows = Vec::new();
    for (section, value) in table {
        match value {
            Value::Table(inner) => rows.extend(inner.iter().map(|(key, value)| (format!("{section}.{key}"), value))),
            other => rows.push((section.clone(), other)),
        }
    }
    rows
}

/// The option whose name is nearest, by edit distance (Levenshtein).
fn nearest(found: &str) -> &'static str {
    let key = |name: &'static str| {
        let bare = name.split_once('.').map_or(name, |(_, key)| key);
        distance(found, name).min(distance(found, bare))
    };
    ROWS.iter().map(|row| row.name).min_by_key(|name| key(name)).expect("there are options")
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(100).enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = cost.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_file_is_the_default() {
        assert_eq!(Config::parse(&Config::documented()), Ok(Config::default()));
        assert_eq!(Config::parse(""), Ok(Config::default()));
    }

    #[test]
    fn each_option_refuses_what_it_does_not_take() {
        for row in ROWS {
            let (section, key) = row.name.split_once('.').unwrap();
            let text = format!("[{section}]\n{key} = [1, 2]\n");
            match Config::parse(&text) {
                Err(ConfigError::Value { name, .. }) => assert_eq!(name, row.name),
                other => panic!("{}: {other:?}", row.name),
            }
        }
    }

    #[test]
    fn unknown_keys_name_the_nearest() {
        let nearest = |text: &str| match Config::parse(text) {
            Err(ConfigError::Unknown { nearest, .. }) => nearest,
            other => panic!("{other:?}"),
        };
        assert_eq!(nearest("[pool]\nfee_bp = 5"), "pool.fee_bps");
        assert_eq!(nearest("[stratum]\nadress = \"x\""), "stratum.address");
        assert_eq!(nearest("fee_bps = 5"), "pool.fee_bps");
    }

    #[test]
    fn each_algorithm_writes_its_difficulties_in_its_own_way() {
        let config = Config::parse("[stratum]\nscrypt_address = \"[::1]:0\"\n[vardiff]\nstart = 2\nscrypt_start = 2");
        let config = config.unwrap();
        assert_eq!(
            (config.vardiff.start.hashes(), config.scrypt_vardiff.start.hashes()),
            (Hashes(2 << 32), Hashes(2 << 16))
        );
        assert_eq!(config.scrypt, "[::1]:0".parse().ok());
        assert!(Config::parse("[stratum]\nscrypt_address = \"3334\"").is_err());
    }

    #[test]
    fn options_at_odds_are_refused() {
        assert!(matches!(Config::parse("[stratum]\nextranonce1_start = \"00\""), Err(ConfigError::Together(_))));
        assert!(matches!(Config::parse("[vardiff]\nleast = 5\nmost = 1"), Err(ConfigError::Together(_))));
        assert!(matches!(Config::parse("[vardiff]\nscrypt_least = 5\nscrypt_most = 1"), Err(ConfigError::Together(_))));
        let few = "[stratum]\nextranonce1_bytes = 2\nconnections_max = 40000";
        assert!(matches!(Config::parse(few), Err(ConfigError::Together(_))));
    }
}
