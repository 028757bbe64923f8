//! The recorded shares and blocks, as jobs of a sponsor.

use lode_protocol::{Algorithm, Difficulty, Target};
use serde_json::{Value, json};

/// One recorded share.
#[derive(Debug, Clone)]
pub struct Vector(Value);

/// All of them.
///
/// # Panics
/// The file is damaged.
#[must_use]
pub fn all() -> Vec<Vector> {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../../protocol/vectors/stratum.json")).expect("JSON");
    vectors.into_iter().map(Vector).collect()
}

/// The one whose name begins so.
///
/// # Panics
/// There is none.
#[must_use]
pub fn named(prefix: &str) -> Vector {
    all().into_iter().find(|vector| vector.text("id").starts_with(prefix)).expect("a vector of this name")
}

impl Vector {
    /// A field.
    ///
    /// # Panics
    /// It is not a text.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_else(|| panic!("{name} is not text"))
    }

    /// The file's record.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }

    /// Bytes of extranonce1 and extranonce2.
    #[must_use]
    pub fn extranonce_bytes(&self) -> (usize, usize) {
        (self.text("en1").len() / 2, self.text("en2").len() / 2)
    }

    /// A job with this template and target.
    #[must_use]
    pub fn job(&self, target: &str, budget: u64) -> Value {
        let ntime = self.0["notify_ntime"].as_str().unwrap_or_else(|| self.text("ntime"));
        let (one, two) = self.extranonce_bytes();
        json!({
            "kind": "hash", "budget": budget, "asset": "CREDIT", "name": self.text("id"),
            "spec": {
                "algorithm": "sha256d", "version": self.text("job_ver"), "prev_hash": self.text("prev"),
                "coinbase1": self.text("c1"), "coinbase2": self.text("c2"), "merkle_branch": self.0["branch"],
                "nbits": self.text("nbits"), "ntime": ntime, "target": target, "extranonce_bytes": one + two,
            }
        })
    }

    /// A job on the template with three merkle branches and 4 + 4 extranonce bytes, to be solved at
    /// about this difficulty.
    ///
    /// # Panics
    /// It is no difficulty.
    #[must_use]
    pub fn job_of_difficulty(difficulty: f64, budget: u64) -> Value {
        let difficulty = Difficulty::from_f64(difficulty, Algorithm::Sha256d).expect("a difficulty");
        named("V2").job(&Target::from_difficulty(difficulty).to_string(), budget)
    }

    /// The same for scrypt miners, to be solved at about this difficulty as they write it.
    ///
    /// # Panics
    /// It is no difficulty.
    #[must_use]
    pub fn scrypt_job_of_difficulty(difficulty: f64, budget: u64) -> Value {
        let difficulty = Difficulty::from_f64(difficulty, Algorithm::Scrypt).expect("a difficulty");
        let mut job = named("V2").job(&Target::from_difficulty(difficulty).to_string(), budget);
        job["spec"]["algorithm"] = json!("scrypt");
        job
    }

    /// A job that nothing solves, whose budget buys this much work.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn endless_job(max_work: u64, budget: u64) -> Value {
        let mut job = Vector::job_of_difficulty(1e9, budget);
        job["spec"]["max_work"] = json!(max_work);
        job
    }
}
