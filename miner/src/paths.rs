//! Where the user's files are, by the variables that the system names for it.

use std::ffi::OsString;
use std::path::PathBuf;

/// The directories; none where nothing tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The rig's key.
    pub key: Option<PathBuf>,
    /// Blobs that can be had again.
    pub blobs: Option<PathBuf>,
}

impl Paths {
    /// By what `variable` gives: `XDG_CONFIG_HOME`, `LODE_CACHE_DIR`, `XDG_CACHE_HOME`, `HOME`.
    #[must_use]
    pub fn new(variable: impl Fn(&str) -> Option<OsString>) -> Paths {
        let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = |below: &str| Some(absolute("HOME")?.join(below));
        let config = absolute("XDG_CONFIG_HOME").or_else(|| home(".config"));
        let shared = || Some(absolute("XDG_CACHE_HOME").or_else(|| home(".cache"))?.join("lode"));
        let cache = absolute("LODE_CACHE_DIR").or_else(shared);
        Paths { key: config.map(|config| config.join("lode/key")), blobs: cache.map(|cache| cache.join("blobs")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_variable_holds() {
        let paths = |set: &[(&str, &str)]| {
            let set: Vec<(String, OsString)> = set.iter().map(|(name, to)| ((*name).into(), (*to).into())).collect();
            Paths::new(move |name| set.iter().find(|(of, _)| of == name).map(|(_, to)| to.clone()))
        };
        let told = |key: &str, blobs: &str| Paths { key: Some(key.into()), blobs: Some(blobs.into()) };
        let home = ("HOME", "/h");
        assert_eq!(paths(&[home]), told("/h/.config/lode/key", "/h/.cache/lode/blobs"));
        let xdg = [home, ("XDG_CONFIG_HOME", "/c"), ("XDG_CACHE_HOME", "/k")];
        assert_eq!(paths(&xdg), told("/c/lode/key", "/k/lode/blobs"));
        assert_eq!(paths(&[home, ("LODE_CACHE_DIR", "/l"), xdg[2]]), told("/h/.config/lode/key", "/l/blobs"));
        assert_eq!(paths(&[("HOME", "not/absolute")]), Paths { key: None, blobs: None });
    }
}
