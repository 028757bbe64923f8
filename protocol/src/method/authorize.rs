//! `mining.authorize [user, password]`: logs a worker in. The password carries options.

use serde_json::{Value, json};

use super::{ParamError, Params};
use crate::algorithm::Algorithm;
use crate::difficulty::{Difficulty, DifficultyError};
use crate::ids::UserName;

/// Most characters of a password.
pub const PASSWORD_CHARS_MAX: usize = 256;

/// A worker logs in.
#[derive(Debug, Clone, PartialEq)]
pub struct Authorize {
    /// `ACCOUNT` or `ACCOUNT.WORKER`.
    pub user: UserName,
    /// Anything; see [`PasswordOptions`].
    pub password: String,
}

impl Authorize {
    /// The method's name.
    pub const METHOD: &str = "mining.authorize";

    pub(super) fn from_params(params: &[Value]) -> Result<Authorize, ParamError> {
        let params = Params::at_most(params, 8)?;
        let user = params.text(0, "user name")?;
        let user = user.parse().map_err(|error| ParamError::Value { name: "user name", what: format!("{error}") })?;
        let password = params.optional_text(1, "password")?.unwrap_or_default();
        if password.len() > PASSWORD_CHARS_MAX {
            let what = format!("{} bytes where at most {PASSWORD_CHARS_MAX} are taken", password.len());
            return Err(ParamError::Value { name: "password", what });
        }
        Ok(Authorize { user, password: password.to_owned() })
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(&self) -> Value {
        json!([self.user.to_string(), self.password])
    }
}

/// What a password asks for: `d=DIFFICULTY` among parts divided by `,` or `;`. Unknown parts are
/// ignored, since miners put anything there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PasswordOptions {
    /// The lowest difficulty this worker wants.
    pub difficulty_floor: Option<Difficulty>,
}

impl PasswordOptions {
    /// Reads the options of `password`, on a connection of `algorithm`.
    ///
    /// # Errors
    /// `d=` is there and is not a positive number.
    pub fn parse(password: &str, algorithm: Algorithm) -> Result<PasswordOptions, DifficultyError> {
        let mut options = PasswordOptions::default();
        for part in password.split([',', ';']) {
            if let Some(text) = part.trim().strip_prefix("d=") {
                options.difficulty_floor = Some(Difficulty::parse(text, algorithm)?);
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_options() {
        let floor = |text| PasswordOptions::parse(text, Algorithm::Sha256d).map(|options| options.difficulty_floor);
        assert_eq!(floor("x"), Ok(None));
        assert_eq!(floor("x;d=0.5"), Ok(Some(Difficulty::parse("0.5", Algorithm::Sha256d).unwrap())));
        assert_eq!(floor("d=512,m=solo"), Ok(Some(Difficulty::parse("512", Algorithm::Sha256d).unwrap())));
        assert!(floor("d=-1").is_err());
        assert!(floor("d=much").is_err());
    }
}
