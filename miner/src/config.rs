//! What the command line means, checked once before anything starts.

use lode_kernels::Selector;
use lode_kinds::Kind;
use lode_protocol::ids::NAME_CHARS_MAX;
use lode_protocol::method::PasswordOptions;
use lode_protocol::method::authorize::PASSWORD_CHARS_MAX;
use lode_protocol::{Algorithm, UserName, difficulty::DifficultyError, ids::NameError};
use tokio_rustls::TlsConnector;

use crate::args::MineArgs;
use crate::fleet::DEVICES_MAX;
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
    /// Which kinds of work.
    pub kinds: Vec<Kind>,
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
        let login = login(args.user.unwrap_or_default(), args.password, args.algorithm)?;
        let tls = tls::connector(args.tls_ca.as_deref())?;
        let kinds = if args.kinds.is_empty() { Kind::ALL.to_vec() } else { args.kinds };
        Ok(Config { urls: args.urls, login, algorithm: args.algorithm, tls, devices: args.devices, kinds })
    }
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
    use super::*;

    fn config(user: &str, password: &str, urls: usize) -> Result<Config, ConfigError> {
        let urls = vec!["stratum+tcp://a:1".parse().unwrap(); urls];
        let (user, password) = (Some(user.to_owned()), password.to_owned());
        let (algorithm, devices, kinds) = (Algorithm::Sha256d, Vec::new(), Vec::new());
        Config::new(MineArgs { urls, user, algorithm, password, tls_ca: None, devices, kinds })
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
