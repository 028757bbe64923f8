//! The sample sponsor: created and funded by the operator's token, its key kept beside the pool's
//! data so that the next run finds it.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use lode_tests::sponsor::{Answer, Api};
use serde_json::{Value, json};

use crate::Failure;

/// The sponsor and the operator.
#[derive(Debug)]
pub(crate) struct Treasury {
    pub(crate) name: String,
    pub(crate) api: Api,
    admin: Api,
}

fn refused(answer: &Answer) -> Failure {
    format!("the pool answered {}: {}", answer.status, answer.body)
}

/// A number that no earlier run has used.
fn stamp() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

impl Treasury {
    /// The sponsor of an earlier run, or a new one.
    pub(crate) fn open(data: &Path, anyone: &Api) -> Result<Treasury, Failure> {
        let token = data.join("admin.token");
        let token = fs::read_to_string(&token).map_err(|error| format!("{}: {error}", token.display()))?;
        let admin = anyone.with_key(token.trim());
        let path = data.join("demo-sponsor.json");
        let kept = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str::<Value>(&text).ok());
        let sponsor = match kept {
            Some(kept) => kept,
            None => {
                let answer = admin.post("/admin/sponsors", &json!({"name": format!("demo-{}", stamp())}));
                if answer.status != 201 {
                    return Err(refused(&answer));
                }
                let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
                let written = file.and_then(|mut file| file.write_all(answer.body.to_string().as_bytes()));
                written.map_err(|error| format!("{}: {error}", path.display()))?;
                answer.body
            }
        };
        let text =
            |name: &str| sponsor[name].as_str().map(str::to_owned).ok_or(format!("{} has no {name}", path.display()));
        Ok(Treasury { name: text("name")?, api: anyone.with_key(&text("key")?), admin })
    }

    /// Deposits `amount` for it.
    pub(crate) fn fund(&self, amount: u64) -> Result<(), Failure> {
        let reference = format!("sample {}", stamp());
        let deposit = json!({"sponsor": self.name, "asset": "CREDIT", "amount": amount, "reference": reference});
        let answer = self.admin.post("/admin/deposits", &deposit);
        if (200..300).contains(&answer.status) { Ok(()) } else { Err(refused(&answer)) }
    }

    /// Uploads a file; gives its digest.
    pub(crate) fn upload(&self, file: &[u8]) -> Result<String, Failure> {
        let answer = self.api.upload("POST", "/blobs", &[], file);
        let digest = answer.body["digest"].as_str().map(str::to_owned);
        digest.ok_or_else(|| refused(&answer))
    }

    /// Submits a job; gives the answer.
    pub(crate) fn submit(&self, job: &Value) -> Result<Value, Failure> {
        let answer = self.api.post_once("/jobs", &format!("sample-{}", stamp()), job);
        if answer.status == 201 { Ok(answer.body) } else { Err(refused(&answer)) }
    }
}
