//! The `lode-miner` program: reads arguments and signals, and runs the library.

use std::convert::Infallible;
use std::io::{IsTerminal as _, stderr, stdout};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use indicatif::{MultiProgress, ProgressDrawTarget};
use lode_kernels::{Discovery, discover};
use lode_miner::args::{BenchArgs, Cli, Command, DevicesArgs, MineArgs};
use lode_miner::bench::bench;
use lode_miner::client::End;
use lode_miner::config::Config;
use lode_miner::dial::Network;
use lode_miner::inventory::Inventory;
use lode_miner::log;
use lode_miner::run::{Options, run};
use lode_miner::screen::View;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Some(Command::Devices(args)) => devices(&args),
        Some(Command::Bench(args)) => measure(&args),
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
    serde_json::to_string_pretty(value).map_err(|error| error.to_string())
}

fn devices(args: &DevicesArgs) -> Result<(), String> {
    let inventory = Inventory::take();
    if args.json {
        println!("{}", json(&inventory)?)
    } else {
        print!("{}", inventory.table())
    }
    Ok(())
}

fn measure(args: &BenchArgs) -> Result<(), String> {
    let length = Duration::from_secs(args.seconds);
    let report = bench(args.kind, &args.devices, length).unwrap_or_else(|error| usage(format!("--device: {error}")));
    if args.json {
        println!("{}", json(&report.rows)?)
    } else {
        print!("{}", report.table())
    }
    for reason in &report.failed {
        eprintln!("{reason}");
    }
    if report.rows.is_empty() { Err("no device could be measured".to_owned()) } else { Ok(()) }
}

fn mine(args: MineArgs) -> Result<(), String> {
    let config = Config::new(args).unwrap_or_else(|error| usage(error));
    let view = start_log()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    // Before any driver is loaded: PoCL's compiler handles the same signals, gives way to whoever was there before it,
    // and kills the program if nobody was.
    let signals = runtime.block_on(async { Signals::new() }).map_err(|error| error.to_string())?;
    let discovery = discover(&config.devices).unwrap_or_else(|error| usage(format!("--device: {error}")));
    introduce(&discovery);
    if discovery.devices.is_empty() {
        return Err("no device to mine with; `lode-miner devices` says why".to_owned());
    }
    let options = Options {
        urls: config.urls,
        login: config.login,
        algorithm: config.algorithm,
        dial: Arc::new(Network::new(config.tls)),
        view,
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
    print!("{summary}");
    match summary.end {
        End::Stopped => Ok(()),
        End::NoDevices => Err("no device is left to mine with".to_owned()),
    }
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
