//! What the command line means, checked once before anything starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lode_kernels::{DeviceInfo, Selector};
use lode_kinds::Kind;
use lode_protocol::ids::NAME_CHARS_MAX;
use lode_protocol::method::PasswordOptions;
use lode_protocol::method::authorize::PASSWORD_CHARS_MAX;
use lode_protocol::{Algorithm, UserName, difficulty::DifficultyError, ids::NameError};
use tokio_rustls::TlsConnector;

use crate::args::MineArgs;
use crate::fleet::DEVICES_MAX;
use crate::limits::{Celsius, Intensity, Limits, TempLimit};
use crate::per_device::{PerDevice, Setting};
use crate::pools::URLS_MAX;
use crate::session::Login;
use crate::tls::{self, TlsError};
use crate::url::PoolUrl;

/// A run, as it will be.
#[derive(Clone)]
pub struct Config {
    /// The pools, best first; at least one.
    pub urls: Vec<PoolUrl>,
    /// Who logs in.
    pub login: Login,
    /// What the pools' shares are hashed with.
    pub algorithm: Algorithm,
    /// How TLS is spoken.
    pub tls: TlsConnector,
    /// Which devices; none means all.
    pub devices: Vec<Selector>,
    /// Which kinds of work, each once.
    pub kinds: Vec<Kind>,
    /// The file of the rig's key, where it is named.
    pub key: Option<PathBuf>,
    /// Most bytes of inputs that are kept.
    pub cache_bytes: u64,
    /// What devices are held to.
    pub limits: Limits,
    /// Most of a card's memory to use, in bytes.
    pub vram_bytes: Option<u64>,
    /// Whether devices are tuned anew.
    pub tune: bool,
    /// How long the user must have been away, if devices give way to others at all.
    pub idle_after: Option<Duration>,
    /// Where the rig's figures are told.
    pub status: Option<SocketAddr>,
}

/// An option with a value that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// `--url` too often.
    #[error("--url is given {0} times; taken are 1 to {URLS_MAX}")]
    Urls(usize),
    /// `--user`
    #[error("--user: {0}; write ACCOUNT or ACCOUNT.WORKER, each 1 to {NAME_CHARS_MAX} of A-Z a-z 0-9 _ -")]
    User(#[from] NameError),
    /// `--password` too long.
    #[error("--password has {0} bytes; taken are at most {PASSWORD_CHARS_MAX}")]
    PasswordLength(usize),
    /// `--password` with a bad `d=`.
    #[error("--password: {0}; d= takes a number above zero, as in d=0.01")]
    PasswordDifficulty(#[from] DifficultyError),
    /// `--tls-ca`
    #[error("--tls-ca: {0}")]
    Tls(#[from] TlsError),
    /// `--device` too often.
    #[error("--device is given {0} times; taken are at most {DEVICES_MAX}")]
    Devices(usize),
    /// An option with a value a device, too often.
    #[error("{option} is given {count} times; taken are at most {DEVICES_MAX}")]
    Settings {
        /// The option.
        option: &'static str,
        /// How often.
        count: usize,
    },
    /// `--temp-resume` not below a device's limit.
    #[error("--temp-resume {resume} is not below the limit of {device}, {limit} C; give it at most {}", limit - 1)]
    TempResume {
        /// The device.
        device: String,
        /// What was given.
        resume: i32,
        /// The limit.
        limit: i32,
    },
    /// `--status` for others.
    #[error(
        "--status {0} can be reached from other machines; give a loopback address, as 127.0.0.1, or --status-public"
    )]
    StatusPublic(SocketAddr),
    /// A value for devices of which there are none.
    #[error("{option}: there is no device {selector} to use; there are {}", used.join(", "))]
    Unmatched {
        /// The option.
        option: &'static str,
        /// Its selector.
        selector: Selector,
        /// The ids of those there are.
        used: Vec<String>,
    },
}

impl Config {
    /// Checks what was written.
    ///
    /// # Errors
    /// The first option that cannot be used.
    pub fn new(args: MineArgs) -> Result<Config, ConfigError> {
        if args.urls.is_empty() || args.urls.len() > URLS_MAX {
            return Err(ConfigError::Urls(args.urls.len()));
        }
        if args.devices.len() > DEVICES_MAX {
            return Err(ConfigError::Devices(args.devices.len()));
        }
        if let Some(status) = args.status.filter(|status| !status.ip().is_loopback() && !args.status_public) {
            return Err(ConfigError::StatusPublic(status));
        }
        let limits = limits(args.intensities, args.temp_limits, args.temp_resume)?;
        let login = login(args.user.unwrap_or_default(), args.password, args.algorithm)?;
        let tls = tls::connector(args.tls_ca.as_deref())?;
        let wanted = |kind: &Kind| args.kinds.is_empty() || args.kinds.contains(kind);
        let kinds = Kind::ALL.iter().copied().filter(wanted).collect();
        Ok(Config {
            urls: args.urls,
            login,
            algorithm: args.algorithm,
            tls,
            devices: args.devices,
            kinds,
            key: args.key,
            cache_bytes: args.cache_bytes,
            limits,
            tune: args.tune,
            vram_bytes: args.vram_mib.map(|mebibytes| mebibytes << 20),
            idle_after: args.idle_only.map(Duration::from_secs),
            status: args.status,
        })
    }

    /// Checks what can only be checked with the devices at hand.
    ///
    /// # Errors
    /// The first option with a value for none of them, or for one that it does not suit.
    pub fn check_devices(&self, devices: &[DeviceInfo]) -> Result<(), ConfigError> {
        for (option, unmatched) in [
            ("--intensity", self.limits.intensity.unmatched(devices)),
            ("--temp-limit", self.limits.temp_limit.unmatched(devices)),
        ] {
            if let Some(selector) = unmatched {
                let used = devices.iter().map(DeviceInfo::id).collect();
                return Err(ConfigError::Unmatched { option, selector, used });
            }
        }
        for device in devices {
            if let Some(heat) = self.limits.heat(device).filter(|heat| heat.resume_at >= heat.pause_at) {
                let (resume, limit) = (heat.resume_at, heat.pause_at);
                return Err(ConfigError::TempResume { device: device.id(), resume, limit });
            }
        }
        Ok(())
    }
}

fn limits(
    intensities: Vec<Setting<Intensity>>,
    temp_limits: Vec<Setting<TempLimit>>,
    temp_resume: Option<Celsius>,
) -> Result<Limits, ConfigError> {
    for (option, count) in [("--intensity", intensities.len()), ("--temp-limit", temp_limits.len())] {
        if count > DEVICES_MAX {
            return Err(ConfigError::Settings { option, count });
        }
    }
    let (intensity, temp_limit) = (PerDevice::new(intensities), PerDevice::new(temp_limits));
    Ok(Limits { intensity, temp_limit, temp_resume })
}

fn login(user: String, password: String, algorithm: Algorithm) -> Result<Login, ConfigError> {
    user.parse::<UserName>()?;
    if password.len() > PASSWORD_CHARS_MAX {
        return Err(ConfigError::PasswordLength(password.len()));
    }
    PasswordOptions::parse(&password, algorithm)?;
    Ok(Login { user, password })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use lode_kernels::Backend::{Cpu, OpenCl};

    use super::*;
    use crate::args::Cli;
    use crate::fleet::tests::info;

    fn config(user: &str, password: &str, urls: usize) -> Result<Config, ConfigError> {
        let mut args = written("");
        args.urls = vec!["stratum+tcp://a:1".parse().unwrap(); urls];
        (args.user, args.password) = (Some(user.to_owned()), password.to_owned());
        Config::new(args)
    }

    fn written(options: &str) -> MineArgs {
        let line = format!("lode-miner --url stratum+tcp://a:1 --user al {options}");
        Cli::try_parse_from(line.split_whitespace()).unwrap().mine
    }

    #[test]
    fn limits_and_the_status_port_are_checked() {
        let many = "--intensity 50 ".repeat(65);
        for (options, parts) in [
            ("--status 0.0.0.0:4068", &["--status 0.0.0.0:4068", "127.0.0.1", "--status-public"][..]),
            (&many, &["--intensity", "65 times", "at most 64"]),
        ] {
            let error = Config::new(written(options)).err().unwrap().to_string();
            for part in parts {
                assert!(error.contains(part), "{options}: {error}");
            }
        }
        let config = Config::new(written("--temp-limit 80 --temp-resume 60 --vram 512 --idle-only=9")).unwrap();
        assert_eq!((config.vram_bytes, config.idle_after), (Some(512 << 20), Some(Duration::from_secs(9))));
        for status in ["127.0.0.1:0", "[::1]:4068", "0.0.0.0:1 --status-public"] {
            assert!(Config::new(written(&format!("--status {status}"))).unwrap().status.is_some());
        }
    }

    #[test]
    fn values_that_suit_no_device_are_refused() {
        let devices = [info(OpenCl, 0), info(Cpu, 0)];
        let check = |options| Config::new(written(options)).unwrap().check_devices(&devices);
        check("--intensity 50 --intensity cpu=20 --temp-limit opencl:0=80").unwrap();
        for option in ["--intensity cuda=50", "--temp-limit opencl:1=80"] {
            let error = check(option).unwrap_err().to_string();
            assert!(error.starts_with(&option[..8]) && error.ends_with("there are opencl:0, cpu:0"), "{error}");
        }
        check("--temp-limit 100 --temp-limit cpu=96 --temp-resume 95").unwrap();
        for (options, device) in [
            ("--temp-resume 90", "opencl:0, 90 C; give it at most 89"),
            ("--temp-limit cpu=70 --temp-resume 75", "cpu:0, 70 C; give it at most 69"),
        ] {
            let error = check(options).unwrap_err().to_string();
            assert!(error.starts_with("--temp-resume") && error.ends_with(device), "{error}");
        }
    }

    #[test]
    fn a_user_name_is_sent_as_it_was_written() {
        let config = config("alice", "x", 1).unwrap();
        assert_eq!((config.login.user.as_str(), &config.kinds[..]), ("alice", Kind::ALL));
        assert!(!format!("{:?}", config.login).contains("password"), "passwords stay out of logs");
    }

    #[test]
    fn each_option_is_named_with_what_it_takes() {
        let long = "x".repeat(257);
        for (user, password, urls, parts) in [
            ("a b", "x", 1, &["--user", "ACCOUNT.WORKER", "A-Z a-z 0-9 _ -"][..]),
            ("", "x", 1, &["--user", "1 to 64"]),
            ("a", &long, 1, &["--password", "257", "256"]),
            ("a", "d=much", 1, &["--password", "d=0.01"]),
            ("a", "x", 0, &["--url", "1 to 16"]),
            ("a", "x", 17, &["--url", "17", "1 to 16"]),
        ] {
            let error = config(user, password, urls).err().unwrap().to_string();
            for part in parts {
                assert!(error.contains(part), "{error}");
            }
        }
    }
}
