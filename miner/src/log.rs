//! Log lines on standard error, above the live view where there is one.

use std::io::{self, Write};

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Writes whole lines to standard error while the live view steps aside.
#[derive(Debug, Clone)]
struct Above(Option<MultiProgress>);

impl Write for Above {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let write = || io::stderr().write_all(line);
        match &self.0 {
            Some(live) => live.suspend(write)?,
            None => write()?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Above {
    type Writer = Above;

    fn make_writer(&'a self) -> Above {
        self.clone()
    }
}

/// UTC to the second.
struct Seconds;

impl FormatTime for Seconds {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{}", jiff::Timestamp::now().strftime("%FT%TZ"))
    }
}

/// Begins to log what `filter` lets through, e.g. `info` or `lode_miner=debug`.
///
/// # Errors
/// The filter's own complaint.
pub fn start(filter: &str, live: Option<MultiProgress>, colour: bool) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_timer(Seconds);
    log.with_ansi(colour).with_writer(Above(live)).try_init().map_err(|error| error.to_string())
}
