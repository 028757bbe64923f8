//! The `lode-miner` program: reads arguments and signals, and runs the library.

use std::convert::Infallible;
use std::io::{ErrorKind, IsTerminal as _, Write as _, stderr, stdout};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{CommandFactory as _, Parser as _};
use indicatif::{MultiProgress, ProgressDrawTarget};
use lode_kernels::{Discovery, OpenOptions, discover};
use lode_kinds::Shape;
use lode_miner::activity::{Activity, Surroundings, SystemActivity};
use lode_miner::args::{BenchArgs, Cli, Command, DevicesArgs, MineArgs};
use lode_miner::bench::bench;
use lode_miner::blobs::Cache;
use lode_miner::client::End;
use lode_miner::config::Config;
use lode_miner::dial::Network;
use lode_miner::health::SystemSensors;
use lode_miner::inventory::Inventory;
use lode_miner::key;
use lode_miner::log;
use lode_miner::nvidia::Nvidia;
use lode_miner::paths::Paths;
use lode_miner::render::render;
use lode_miner::run::{Options, run};
use lode_miner::screen::View;
use lode_miner::work::device_algorithm;
use lode_protocol::key::SecretKey;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Where Linux tells of devices.
const SYSFS: &str = "/sys";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Devices(args)) => devices(&args),
        Some(Command::Bench(args)) => measure(&args),
        Some(Command::Render(args)) => log_warnings().and_then(|()| say(&render(&args)?)),
        None => mine(cli.mine),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Ends the program with a complaint about its arguments, as clap words it.
fn usage(message: impl std::fmt::Display) -> ! {
    Cli::command().error(clap::error::ErrorKind::ValueValidation, message).exit()
}

fn json(value: &impl serde::Serialize) -> Result<String, String> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| error.to_string())
}

/// Writes to standard output. A reader that has seen enough and gone, as `head` does, is no failure.
fn say(text: &str) -> Result<(), String> {
    match stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("standard output: {error}")),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What the two commands that only look log: what is amiss, beside what they print.
fn log_warnings() -> Result<(), String> {
    let filter = std::env::var("LODE_LOG").unwrap_or_else(|_| "warn".to_owned());
    log::start(&filter, None, stderr().is_terminal()).map_err(|error| format!("LODE_LOG: {error}"))
}

fn devices(args: &DevicesArgs) -> Result<(), String> {
    log_warnings()?;
    let inventory = Inventory::take();
    say(&if args.json { json(&inventory)? } else { inventory.table() })
}

fn measure(args: &BenchArgs) -> Result<(), String> {
    log_warnings()?;
    let length = Duration::from_secs(args.seconds);
    let report = bench(args.kind, device_algorithm(args.algorithm), &args.devices, length)
        .unwrap_or_else(|error| usage(format!("--device: {error}")));
    say(&if args.json { json(&report.rows)? } else { report.table() })?;
    for reason in &report.failed {
        eprintln!("{reason}");
    }
    if report.rows.is_empty() { Err("no device could be measured".to_owned()) } else { Ok(()) }
}

fn mine(args: MineArgs) -> Result<(), String> {
    let config = Config::new(args).unwrap_or_else(|error| usage(error));
    let view = start_log()?;
    let paths = Paths::new(|name| std::env::var_os(name));
    let key = if config.kinds.iter().any(|kind| kind.shape() == Shape::Range) {
        Some(rig_key(config.key.as_deref(), paths.key.as_deref()).unwrap_or_else(|error| usage(error)))
    } else {
        None
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    // Before any driver is loaded: PoCL's compiler handles the same signals, gives way to whoever was there before it,
    // and kills the program if nobody was.
    let signals = runtime.block_on(async { Signals::new() }).map_err(|error| error.to_string())?;
    let monitor = config.status.map(|address| runtime.block_on(open_status(address))).transpose()?;
    let options = OpenOptions { tune: config.tune, memory_max: config.vram_bytes, ..OpenOptions::of_user() };
    let discovery = discover(&config.devices, device_algorithm(config.algorithm), &options)
        .unwrap_or_else(|error| usage(format!("--device: {error}")));
    introduce(&discovery);
    if discovery.devices.is_empty() {
        return Err("no device to mine with; `lode-miner devices` says why".to_owned());
    }
    let passed_over = discovery.passed_over.iter().map(|passed_over| passed_over.info.clone());
    let infos: Vec<_> = discovery.devices.iter().map(|device| device.info().clone()).chain(passed_over).collect();
    config.check_devices(&infos).unwrap_or_else(|error| usage(error));
    let options = Options {
        urls: config.urls,
        login: config.login,
        algorithm: config.algorithm,
        kinds: config.kinds,
        key,
        cache: cache(paths.blobs, config.cache_bytes),
        memory_max: config.vram_bytes,
        dial: Arc::new(Network::new(config.tls)),
        view,
        limits: config.limits,
        sensors: Some(Box::new(SystemSensors::new(Nvidia::default(), Path::new(SYSFS)))),
        activity: config.idle_after.map(activity),
        monitor,
    };
    let summary = runtime.block_on(async {
        let shutdown = CancellationToken::new();
        tokio::select! {
            summary = run(options, discovery.devices, shutdown.clone()) => summary,
            never = signals.obey(shutdown) => match never {},
        }
    });
    // A name's lookup may still be under way on a thread of the runtime; it is not waited for.
    runtime.shutdown_background();
    let summary = summary.map_err(|error| error.to_string())?;
    say(&summary.to_string())?;
    match summary.end {
        End::Stopped => Ok(()),
        End::NoDevices => Err("no device is left to mine with".to_owned()),
    }
}

/// The key in the file that is `named`, or else in the `usual` one. Where that one can be neither read nor made, as for a
/// rig without a home, a key of this run alone is as good for all but the pool's trust.
fn rig_key(named: Option<&Path>, usual: Option<&Path>) -> Result<SecretKey, String> {
    let fresh = rand::random();
    let secret = match (named, usual) {
        (Some(named), _) => key::load_or_make(named, fresh).map_err(|error| format!("--key: {error}"))?,
        (None, Some(usual)) => key::load_or_make(usual, fresh).or_else(|error| match error {
            key::KeyFileError::Content { .. } => Err(format!("{error}; or give --key FILE")),
            error => {
                warn!("{error}; this run has a key of its own, and pools do not know it again: give --key FILE");
                Ok(fresh)
            }
        })?,
        (None, None) => {
            warn!(
                "there is no place to keep a key, so this run has one of its own, and pools do not know it again: give --key FILE"
            );
            fresh
        }
    };
    let key = SecretKey::from_bytes(&secret);
    info!("this rig's key for range work: {}", key.public());
    Ok(key)
}

/// Where inputs of range work are kept, if there is a place and they are to be.
fn cache(directory: Option<PathBuf>, bytes: u64) -> Cache {
    match directory.filter(|_| bytes > 0) {
        Some(directory) => Cache::at(directory, bytes, SystemTime::now),
        None => Cache::none(),
    }
}

async fn open_status(address: SocketAddr) -> Result<TcpListener, String> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok::<_, std::io::Error>((listener, address))
    };
    let (listener, address) = bound.await.map_err(|error| format!("--status {address}: {error}"))?;
    info!("status at http://{address}/status");
    Ok(listener)
}

/// What sees others on this machine.
fn activity(idle_after: Duration) -> Box<dyn Activity> {
    let surroundings = Surroundings {
        display: std::env::var("DISPLAY").ok(),
        wayland: std::env::var_os("WAYLAND_DISPLAY").is_some(),
        bus: PathBuf::from("/run/dbus/system_bus_socket"),
        sysfs: PathBuf::from(SYSFS),
        proc: PathBuf::from("/proc"),
        own_pid: std::process::id(),
    };
    Box::new(SystemActivity::new(surroundings, Nvidia::default(), idle_after))
}

/// Begins to log, above the live view if there is one.
fn start_log() -> Result<View, String> {
    let (view, colour) = view();
    let live = match &view {
        View::Live { lines, .. } => Some(lines.clone()),
        View::Plain | View::Silent => None,
    };
    let filter = std::env::var("LODE_LOG").unwrap_or_else(|_| "info".to_owned());
    log::start(&filter, live, colour && stderr().is_terminal()).map_err(|error| format!("LODE_LOG: {error}"))?;
    Ok(view)
}

fn view() -> (View, bool) {
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if !stdout().is_terminal() {
        return (View::Plain, colour);
    }
    let lines = MultiProgress::with_draw_target(ProgressDrawTarget::stdout());
    (View::Live { lines, colour }, colour)
}

fn introduce(discovery: &Discovery) {
    for device in &discovery.devices {
        let info = device.info();
        info!("{}: {} ({})", info.id(), info.name, info.driver);
    }
    for passed_over in &discovery.passed_over {
        info!("{} is not used: {}", passed_over.info.id(), passed_over.reason);
    }
    for absent in &discovery.absent {
        info!("no {} device: {}", absent.backend, absent.reason);
    }
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Cancels `shutdown` at the first signal; the second ends the program at once.
    async fn obey(mut self, shutdown: CancellationToken) -> Infallible {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            if shutdown.is_cancelled() {
                warn!("stopped without waiting");
                std::process::exit(1);
            }
            info!("stopping");
            shutdown.cancel();
        }
    }
}
