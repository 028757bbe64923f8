//! `mining.notify [job, prev_hash, coinbase1, coinbase2, merkle_branch, version, nbits, ntime, clean]`

use serde_json::{Value, json};

use super::{ParamError, Params};
use crate::header::{COINBASE_BYTES_MAX, MERKLE_BRANCH_MAX, PrevHash, Template};
use crate::hex;

/// Most characters of a job's id on the wire.
pub const WIRE_JOB_CHARS_MAX: usize = 64;

/// New work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// What a submit names it by.
    pub job: String,
    /// Its fields.
    pub template: Template,
    /// Whether everything before is to be dropped at once.
    pub clean: bool,
}

impl Notify {
    /// The method's name.
    pub const METHOD: &str = "mining.notify";

    pub(super) fn from_params(params: &[Value]) -> Result<Notify, ParamError> {
        let params = Params::at_most(params, 9)?;
        let job = params.text(0, "job id")?;
        if job.len() > WIRE_JOB_CHARS_MAX {
            return Err(ParamError::Value { name: "job id", what: format!("over {WIRE_JOB_CHARS_MAX} characters") });
        }
        let array = |index, name| -> Result<[u8; 32], ParamError> {
            hex::decode_array(params.text(index, name)?).map_err(|source| ParamError::Hex { name, source })
        };
        let bytes = |index, name| -> Result<Vec<u8>, ParamError> {
            hex::decode(params.text(index, name)?, COINBASE_BYTES_MAX)
                .map_err(|source| ParamError::Hex { name, source })
        };
        let name = "merkle branch";
        let branch = params.get(4, name)?.as_array().ok_or(ParamError::Type { name, wanted: "an array" })?;
        if branch.len() > MERKLE_BRANCH_MAX {
            return Err(ParamError::TooMany { found: branch.len(), most: MERKLE_BRANCH_MAX });
        }
        let merkle_branch = branch
            .iter()
            .map(|hash| {
                let text = hash.as_str().ok_or(ParamError::Type { name, wanted: "an array of strings" })?;
                hex::decode_array(text).map_err(|source| ParamError::Hex { name, source })
            })
            .collect::<Result<_, _>>()?;
        let template = Template {
            prev_hash: PrevHash::from_stratum_bytes(array(1, "previous hash")?),
            coinbase1: bytes(2, "coinbase1")?,
            coinbase2: bytes(3, "coinbase2")?,
            merkle_branch,
            version: params.hex_u32(5, "version")?,
            nbits: params.hex_u32(6, "nbits")?,
            ntime: params.hex_u32(7, "ntime")?,
        };
        let clean = params.get(8, "clean jobs")?.as_bool();
        let clean = clean.ok_or(ParamError::Type { name: "clean jobs", wanted: "true or false" })?;
        Ok(Notify { job: job.to_owned(), template, clean })
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(&self) -> Value {
        let template = &self.template;
        let branch: Vec<String> = template.merkle_branch.iter().map(|hash| hex::encode(hash)).collect();
        json!([
            self.job,
            hex::encode(&template.prev_hash.to_stratum_bytes()),
            hex::encode(&template.coinbase1),
            hex::encode(&template.coinbase2),
            branch,
            format!("{:08x}", template.version),
            format!("{:08x}", template.nbits),
            format!("{:08x}", template.ntime),
            self.clean,
        ])
    }
}

/// A template's notify line, serialised once; only the job's id, its version and the last flag are
/// put in for each connection.
#[derive(Debug, Clone)]
pub struct NotifyParts {
    before_version: String,
    after_version: String,
}

impl NotifyParts {
    /// Serialises `template`.
    #[must_use]
    pub fn new(template: &Template) -> NotifyParts {
        let notify = Notify { job: String::new(), template: template.clone(), clean: false };
        let params = notify.to_params();
        let text = |range: std::ops::Range<usize>| {
            let parts: Vec<String> = range.map(|index| params[index].to_string()).collect();
            parts.join(",")
        };
        NotifyParts { before_version: text(1..5), after_version: text(6..8) }
    }

    /// The whole line for a job id, which must need no JSON escapes, and a block version.
    #[must_use]
    pub fn line(&self, job: &str, version: u32, clean: bool) -> String {
        debug_assert!(job.bytes().all(|byte| byte.is_ascii_alphanumeric()), "job ids are plain");
        let NotifyParts { before_version, after_version } = self;
        format!(
            r#"{{"id":null,"method":"{}","params":["{job}",{before_version},"{version:08x}",{after_version},{clean}]}}"#,
            Notify::METHOD
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::Message;

    #[test]
    fn parts_make_the_same_line_as_the_whole() {
        let template = Template {
            version: 0x2000_0000,
            prev_hash: PrevHash::from_stratum_bytes([7; 32]),
            coinbase1: vec![1, 2],
            coinbase2: vec![3],
            merkle_branch: vec![[9; 32], [8; 32]],
            nbits: 0x1d00_ffff,
            ntime: 1,
        };
        for clean in [false, true] {
            let line = NotifyParts::new(&template).line("1f0a", template.version, clean);
            let Ok(Message::Request(request)) = Message::parse(line.as_bytes()) else { panic!("{line}") };
            let notify = Notify::from_params(&request.params).unwrap();
            assert_eq!(notify, Notify { job: "1f0a".into(), template: template.clone(), clean });
        }
    }
}
