//! `lode-pool`: parses its arguments, builds the pool, runs it.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use lode_pool::bench;
use lode_pool::clock::Clock;
use lode_pool::config::Config;
use lode_pool::ledger::check::{Report, audit};
use lode_pool::serve::{Pool, Start};
use lode_protocol::Algorithm;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Turns many people's GPUs into one pool: takes jobs, hands out work, pays for proven shares.
#[derive(Parser)]
#[command(name = "lode-pool", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the pool.
    Serve {
        /// Configuration file; `lode-pool config` prints one.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Directory for everything that is kept.
        #[arg(long, default_value = "lode-data")]
        data: PathBuf,
        /// Where miners connect, e.g. 0.0.0.0:3333; port 0 takes any that is free.
        #[arg(long, value_name = "ADDR")]
        stratum: Option<SocketAddr>,
        /// Where scrypt miners connect, e.g. 0.0.0.0:3334; without it the pool takes no scrypt jobs.
        #[arg(long, value_name = "ADDR")]
        scrypt: Option<SocketAddr>,
        /// Where the pages, the JSON API and the metrics are, e.g. 0.0.0.0:8080.
        #[arg(long, value_name = "ADDR")]
        http: Option<SocketAddr>,
    },
    /// Replay the ledger offline and check every figure.
    Audit {
        /// The pool's data directory.
        #[arg(long)]
        data: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Put load on any stratum V1 server and measure its answers.
    Bench {
        /// The server, stratum+tcp://HOST:PORT.
        #[arg(long)]
        url: String,
        /// What the server's shares are hashed with: sha256d or scrypt.
        #[arg(long, default_value_t = Algorithm::Sha256d)]
        algorithm: Algorithm,
        /// Connections, 1 to 50000.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=bench::CONNECTIONS_MAX as u64))]
        connections: u64,
        /// Seconds of submitting, 1 to 3600.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: u64,
        /// Shares a second, over all connections, 1 to 1000000.
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        rate: u32,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print every option with its default, bound and meaning, as a configuration file.
    Config,
}

/// Bad usage or configuration.
const BAD_USAGE: u8 = 2;

/// A message for the operator and the exit code that goes with it.
struct Failure(String, u8);

#[expect(clippy::needless_pass_by_value, reason = "map_err hands errors over by value")]
fn failed(error: impl ToString) -> Failure {
    Failure(error.to_string(), 1)
}

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match args.command {
        Command::Serve { config, data, stratum, scrypt, http } => {
            serve(config.as_deref(), data, &Addresses { stratum, scrypt, http })
        }
        Command::Audit { data, json } => run_audit(&data, json),
        Command::Bench { url, algorithm, connections, seconds, rate, json } => {
            let connections = usize::try_from(connections).unwrap_or(bench::CONNECTIONS_MAX);
            let duration = Duration::from_secs(seconds);
            let options = bench::Options { server: String::new(), algorithm, connections, duration, rate: rate.into() };
            run_bench(&url, &options, json)
        }
        Command::Config => print(&Config::documented()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message, code)) => {
            eprintln!("lode-pool: {message}");
            ExitCode::from(code)
        }
    }
}

/// Prints to standard output; a reader that has gone is no failure of ours.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(failed(error)),
        _ => Ok(()),
    }
}

fn read_config(path: Option<&Path>) -> Result<Config, Failure> {
    let Some(path) = path else { return Ok(Config::default()) };
    let bad = |what: String| Failure(format!("--config {}: {what}", path.display()), BAD_USAGE);
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    Config::parse(&text).map_err(|error| bad(error.to_string()))
}

fn system_clock() -> Clock {
    Clock::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

/// Addresses that stand before those of the configuration.
struct Addresses {
    stratum: Option<SocketAddr>,
    scrypt: Option<SocketAddr>,
    http: Option<SocketAddr>,
}

fn serve(config: Option<&Path>, data: PathBuf, addresses: &Addresses) -> Result<(), Failure> {
    let mut config = read_config(config)?;
    config.stratum = addresses.stratum.unwrap_or(config.stratum);
    config.scrypt = addresses.scrypt.or(config.scrypt);
    config.http = addresses.http.unwrap_or(config.http);
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colour = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour).with_writer(std::io::stderr).init();
    let metrics = lode_dashboard::metrics::install().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let stratum = bind("--stratum", config.stratum).await?;
        let scrypt = match config.scrypt {
            Some(address) => Some(bind("--scrypt", address).await?),
            None => None,
        };
        let http = bind("--http", config.http).await?;
        let mut bound = serde_json::Map::new();
        for (name, listener) in [("stratum", Some(&stratum)), ("scrypt", scrypt.as_ref()), ("http", Some(&http))] {
            if let Some(listener) = listener {
                bound.insert(name.into(), listener.local_addr().map_err(failed)?.to_string().into());
            }
        }
        let bound = serde_json::Value::Object(bound).to_string();
        let start = Start { config, data, stratum, scrypt, http, clock: system_clock(), metrics: Some(metrics) };
        let pool = tokio::task::block_in_place(|| Pool::open(start)).map_err(failed)?;
        let shutdown = stop_on_signal()?;
        print(&format!("{bound}\n"))?;
        tracing::info!(addresses = bound, "serving");
        pool.serve(shutdown).await;
        Ok(())
    })
}

async fn bind(option: &str, address: SocketAddr) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| failed(format!("{option} {address}: {error}; give another address, or port 0 for any")))
}

fn stop_on_signal() -> Result<CancellationToken, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let token = CancellationToken::new();
    let stop = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: answering what is owed, then closing the ledger");
        stop.cancel();
    });
    Ok(token)
}

fn run_audit(data: &Path, json: bool) -> Result<(), Failure> {
    let report = audit(data).map_err(failed)?;
    let text = if json { serde_json::to_string_pretty(&report).map_err(failed)? + "\n" } else { describe(&report) };
    print(&text)?;
    match report.fault {
        None => Ok(()),
        Some(fault) => Err(failed(fault)),
    }
}

/// Runs `options` against the server that `url` names.
fn run_bench(url: &str, options: &bench::Options, json: bool) -> Result<(), Failure> {
    let server = url.strip_prefix("stratum+tcp://").filter(|rest| rest.contains(':'));
    let server =
        server.ok_or_else(|| Failure(format!("--url takes stratum+tcp://HOST:PORT, not {url:?}"), BAD_USAGE))?;
    let options = bench::Options { server: server.trim_end_matches('/').to_owned(), ..options.clone() };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let report = runtime.block_on(bench::run(&options)).map_err(|error| failed(format!("{url}: {error}")))?;
    if json {
        return print(&(serde_json::to_string_pretty(&report).map_err(failed)? + "\n"));
    }
    let times = |of: bench::Times| format!("p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", of.p50_ms, of.p99_ms, of.max_ms);
    print(&format!(
        "connections {} of {} logged in, {} lost\nshares      {} submitted, {} accepted ({:.0}/s), rejected by code {:?}\n\
         answers     {}\nfan-out     {}\n",
        report.logged_in,
        report.connections,
        report.lost,
        report.submitted,
        report.accepted,
        report.accepted_per_s,
        report.rejected,
        times(report.answer),
        times(report.fan_out),
    ))
}

fn describe(report: &Report) -> String {
    let mut out = format!(
        "entries {}, head {}\nshares  {}, of which {} had their header computed again\njobs    {}, of which {} are settled\n",
        report.entries, report.head, report.shares, report.shares_recomputed, report.jobs, report.jobs_settled,
    );
    if report.units > 0 {
        out.push_str(&format!(
            "units   {} in {} batches, of which {} matured and {} are void; of these {} were computed and {} drawn again\n",
            report.units,
            report.batches,
            report.batches_matured,
            report.batches_voided,
            report.voids_recomputed,
            report.draws_recomputed,
        ));
    }
    if report.unfinished_group {
        out.push_str("an unfinished group stands at the end; the next start cuts it, nothing in it was acknowledged\n");
    }
    for (asset, sums) in &report.assets {
        out.push_str(&format!(
            "{asset}: deposited {} = sponsors {} + escrow {} + accounts {} + fees {}\n",
            sums.deposited, sums.sponsors, sums.escrow, sums.matured, sums.fees
        ));
    }
    for (account, sums) in &report.accounts {
        let matured: Vec<String> = sums.matured.iter().map(|(asset, amount)| format!("{amount} {asset}")).collect();
        out.push_str(&format!(
            "{account}: work {}, shares {}, payable {}\n",
            sums.work,
            sums.shares,
            matured.join(", ")
        ));
    }
    out.push_str(if report.ok { "everything holds\n" } else { "NOT in order\n" });
    out
}
