//! The command line, as it is written. [`crate::config`] says what it means.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use lode_kernels::Selector;
use lode_kinds::Kind;
use lode_protocol::Algorithm;

use crate::limits::{Celsius, Intensity, TempLimit};
use crate::per_device::Setting;
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
    /// Render a picture of a glTF scene on a device of this machine, without a pool
    Render(RenderArgs),
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
    /// The rig's key for range work: 32 secret bytes, raw or in hex. Made where there is none
    /// [default: lode/key in $XDG_CONFIG_HOME or ~/.config]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Most bytes of the inputs of range work that are kept for later, in lode/blobs in $XDG_CACHE_HOME or ~/.cache; 0
    /// keeps none
    #[arg(long, value_name = "BYTES", default_value_t = CACHE_BYTES)]
    pub cache_bytes: u64,
    /// Part of the time that devices work, in percent: 1 to 100. SEL=PERCENT, as in opencl:0=50, for some of them; may be
    /// given more than once, and the closest fit holds [default: 100]
    #[arg(long = "intensity", value_name = "[SEL=]PERCENT")]
    pub intensities: Vec<Setting<Intensity>>,
    /// Temperature at which a device pauses, in degrees Celsius: 30 to 110, or off. SEL=C, as in cpu=95, for some of
    /// them; may be given more than once [default: 90 for GPUs, off for CPUs]
    #[arg(long = "temp-limit", value_name = "[SEL=]C")]
    pub temp_limits: Vec<Setting<TempLimit>>,
    /// Temperature at which a paused device goes on [default: 10 below its limit]
    #[arg(long, value_name = "C")]
    pub temp_resume: Option<Celsius>,
    /// Most of a card's memory to use, in MiB [default: what the work needs]
    #[arg(long = "vram", value_name = "MIB", value_parser = clap::value_parser!(u64).range(VRAM_MIB_MIN..=VRAM_MIB_MAX))]
    pub vram_mib: Option<u64>,
    /// Try anew which way of launching kernels is the fastest on each device, and keep it for later runs
    #[arg(long)]
    pub tune: bool,
    /// Work only while nobody uses the machine (no input for so many seconds, where the X server tells; else as logind
    /// says), no other program keeps the card busy, and it does not run on its battery
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60",
        value_parser = clap::value_parser!(u64).range(1..=IDLE_SECONDS_MAX)
    )]
    pub idle_only: Option<u64>,
    /// Tell this rig's figures by HTTP at IP:PORT, as in 127.0.0.1:4068: JSON at /status, Prometheus's form at /metrics
    #[arg(long, value_name = "ADDR", value_parser = address)]
    pub status: Option<SocketAddr>,
    /// Let --status be an address that other machines reach. It has no password
    #[arg(long, requires = "status")]
    pub status_public: bool,
}

/// `--cache-bytes` where it is not given: 8 GiB.
const CACHE_BYTES: u64 = 8 << 30;
/// Least and most of `--vram`.
const VRAM_MIB_MIN: u64 = 64;
const VRAM_MIB_MAX: u64 = 1 << 20;
/// Most of `--idle-only`.
const IDLE_SECONDS_MAX: u64 = 86_400;

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "taken is IP:PORT, as in 127.0.0.1:4068 or [::1]:4068; port 0 means any")
}

/// What to render.
#[derive(Debug, Args)]
pub struct RenderArgs {
    /// The scene: binary glTF 2.0 (.glb)
    #[arg(value_name = "SCENE.glb")]
    pub scene: PathBuf,
    /// The picture to write: PNG, or OpenEXR where the name ends in .exr
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// Columns
    #[arg(long, default_value_t = 640)]
    pub width: u32,
    /// Rows
    #[arg(long, default_value_t = 480)]
    pub height: u32,
    /// Samples of each pixel
    #[arg(long, default_value_t = 64)]
    pub samples: u32,
    /// Most surfaces that a path meets
    #[arg(long, default_value_t = 8)]
    pub max_depth: u32,
    /// Another seed gives other noise
    #[arg(long, default_value_t = 0)]
    pub seed: u32,
    /// What surrounds the scene: an equirectangular picture, OpenEXR or Radiance HDR
    #[arg(long, value_name = "FILE")]
    pub environment: Option<PathBuf>,
    /// Smooth the noise away
    #[arg(long)]
    pub denoise: bool,
    /// On which device: cpu, opencl, or one as in opencl:0 [default: the first OpenCL device, else the CPU]
    #[arg(long, value_name = "SEL")]
    pub device: Option<Selector>,
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
    /// Which hash algorithm: sha256d or scrypt
    #[arg(long, default_value_t = Algorithm::Sha256d)]
    pub algorithm: Algorithm,
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
        let cli = parse("--url stratum+tcp://a:1 --user al --kinds hash,render --key k --cache-bytes 0").unwrap();
        assert_eq!((cli.mine.kinds.len(), cli.mine.key, cli.mine.cache_bytes), (2, Some("k".into()), 0));
        assert!(matches!(parse("devices --json").unwrap().command, Some(Command::Devices(DevicesArgs { json: true }))));
        let cli = parse("bench --kind hash --device opencl:0 --seconds 2 --json").unwrap();
        assert!(matches!(cli.command, Some(Command::Bench(BenchArgs { seconds: 2, json: true, .. }))));
    }

    #[test]
    fn the_documented_forms_of_limits() {
        let mine = |line: &str| parse(&format!("--url stratum+tcp://a:1 --user al {line}")).unwrap().mine;
        let args = mine("--intensity 80 --intensity opencl:0=50 --temp-limit cpu=off --temp-resume 70 --vram 4096");
        assert_eq!((args.intensities.len(), args.temp_limits.len(), args.vram_mib), (2, 1, Some(4096)));
        assert_eq!(args.temp_resume, "70".parse().ok());
        assert_eq!(mine("").idle_only, None);
        assert_eq!(mine("--idle-only").idle_only, Some(60));
        assert_eq!(mine("--idle-only=300 --kinds hash").idle_only, Some(300));
        let args = mine("--status [::1]:0 --status-public");
        assert_eq!((args.status, args.status_public), ("[::1]:0".parse().ok(), true));
    }

    #[test]
    fn bad_usage_names_the_option_and_what_it_takes() {
        for (line, parts) in [
            ("", &["--url", "--user"][..]),
            ("--user a", &["--url"]),
            ("--url http://x --user a", &["--url", "stratum+tcp://HOST:PORT"]),
            ("--url stratum+tcp://a:1 --user a --device gpu", &["--device", "all, cuda, opencl, cpu"]),
            ("--url stratum+tcp://a:1 --user a --kinds cook", &["--kinds", "hash"]),
            ("--url stratum+tcp://a:1 --user a --cache-bytes 1G", &["--cache-bytes", "1G"]),
            ("--url stratum+tcp://a:1 --user a --intensity 0", &["--intensity", "1 to 100", "opencl:0=50"]),
            ("--url stratum+tcp://a:1 --user a --intensity gpu=50", &["--intensity", "all, cuda, opencl, cpu"]),
            ("--url stratum+tcp://a:1 --user a --temp-limit 200", &["--temp-limit", "30 to 110", "off", "cuda:0=80"]),
            ("--url stratum+tcp://a:1 --user a --temp-resume off", &["--temp-resume", "30 to 110"]),
            ("--url stratum+tcp://a:1 --user a --vram 1", &["--vram", "64..=1048576"]),
            ("--url stratum+tcp://a:1 --user a --idle-only=0", &["--idle-only", "1..=86400"]),
            ("--url stratum+tcp://a:1 --user a --status 4068", &["--status", "IP:PORT", "127.0.0.1:4068"]),
            ("--url stratum+tcp://a:1 --user a --status-public", &["--status <ADDR>"]),
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
