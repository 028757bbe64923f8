//! The command line, as it is written. [`crate::config`] says what it means.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use lode_kernels::Selector;
use lode_kinds::Kind;
use lode_protocol::Algorithm;

use crate::url::PoolUrl;

/// Lends this machine's devices to a pool.
#[derive(Debug, Parser)]
#[command(name = "lode-miner", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Cli {
    /// What to do instead of mining.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to mine.
    #[command(flatten)]
    pub mine: MineArgs,
}

/// What there is to do besides mining.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List every device of this machine, and say whether it computes rightly
    Devices(DevicesArgs),
    /// Measure how fast devices are
    Bench(BenchArgs),
}

/// How to mine.
#[derive(Debug, Args)]
pub struct MineArgs {
    /// The pool: stratum+tcp://HOST:PORT or stratum+ssl://HOST:PORT. Give it again for each pool to fall back to
    #[arg(long = "url", value_name = "URL", required = true)]
    pub urls: Vec<PoolUrl>,
    /// Who is paid, and this rig's name: ACCOUNT or ACCOUNT.WORKER
    #[arg(long, value_name = "ACCOUNT[.WORKER]", required = true)]
    pub user: Option<String>,
    /// What the pool's shares are hashed with: sha256d or scrypt
    #[arg(long, default_value_t = Algorithm::Sha256d)]
    pub algorithm: Algorithm,
    /// Options for the pool, e.g. d=0.01 for the lowest difficulty wanted
    #[arg(long, default_value = "x")]
    pub password: String,
    /// Certificates (PEM) to trust besides the usual ones, for stratum+ssl: an authority's, or the pool's own
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Which devices: all, cuda, opencl, cpu, or one as in opencl:0. May be given more than once [default: all]
    #[arg(long = "device", value_name = "SEL")]
    pub devices: Vec<Selector>,
    /// Which kinds of work to take, separated by commas [default: all that this miner has]
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub kinds: Vec<Kind>,
}

/// How to list devices.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// How to measure.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Which kind of work [default: all that this miner has]
    #[arg(long)]
    pub kind: Option<Kind>,
    /// Which devices, as for mining [default: every device, one after the other]
    #[arg(long = "device", value_name = "SEL")]
    pub devices: Vec<Selector>,
    /// How long to measure each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    pub seconds: u64,
    /// As JSON rows
    #[arg(long)]
    pub json: bool,
}

/// Longest measurement of one device.
const SECONDS_MAX: u64 = 3600;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once("lode-miner").chain(line.split_whitespace()))
    }

    #[test]
    fn the_documented_forms() {
        let cli =
            parse("--url stratum+tcp://a:1 --url stratum+tcp://b:2 --user al.rig --device cpu --kinds hash").unwrap();
        assert_eq!((cli.mine.urls.len(), cli.mine.kinds.len(), cli.mine.password.as_str()), (2, 1, "x"));
        assert!(matches!(parse("devices --json").unwrap().command, Some(Command::Devices(DevicesArgs { json: true }))));
        let cli = parse("bench --kind hash --device opencl:0 --seconds 2 --json").unwrap();
        assert!(matches!(cli.command, Some(Command::Bench(BenchArgs { seconds: 2, json: true, .. }))));
    }

    #[test]
    fn bad_usage_names_the_option_and_what_it_takes() {
        for (line, parts) in [
            ("", &["--url", "--user"][..]),
            ("--user a", &["--url"]),
            ("--url http://x --user a", &["--url", "stratum+tcp://HOST:PORT"]),
            ("--url stratum+tcp://a:1 --user a --device gpu", &["--device", "all, cuda, opencl, cpu"]),
            ("--url stratum+tcp://a:1 --user a --kinds cook", &["--kinds", "hash"]),
            ("--url stratum+tcp://a:1 --user a --algorithm x11", &["--algorithm", "sha256d and scrypt"]),
            ("bench --seconds 0", &["--seconds", "1..=3600"]),
            ("bench --kind cook", &["--kind", "hash"]),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            for part in parts {
                assert!(error.to_string().contains(part), "{line}: {error}");
            }
        }
    }
}
