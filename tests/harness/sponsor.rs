//! The HTTP side: an operator, a sponsor with its key, and anyone else.

use serde_json::{Value, json};
use ureq::Agent;

use crate::pool::Pool;
use crate::wait_for;

/// An answer: status and JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Its content type.
    pub content_type: String,
    /// The body, null where it is not JSON.
    pub body: Value,
}

impl Answer {
    /// The body of a success.
    ///
    /// # Panics
    /// It is none.
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {}", self.status, self.body);
        self.body
    }
}

/// An answer of any bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Download {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub bytes: Vec<u8>,
}

/// Most bytes of a body that a test reads.
const DOWNLOAD_BYTES_MAX: u64 = 1 << 30;

/// A client of the API, with or without a key.
#[derive(Debug, Clone)]
pub struct Api {
    agent: Agent,
    base: String,
    key: Option<String>,
}

impl Api {
    /// Someone without a key.
    #[must_use]
    pub fn anyone(pool: &Pool) -> Api {
        Api::anyone_at(&pool.http.to_string())
    }

    /// Someone without a key, at a pool of this host and port.
    #[must_use]
    pub fn anyone_at(address: &str) -> Api {
        // A connection a request: one that the pool is about to close is never used again.
        let config = Agent::config_builder().http_status_as_error(false).max_idle_connections(0).build();
        let agent = Agent::new_with_config(config);
        Api { agent, base: format!("http://{address}"), key: None }
    }

    /// The operator.
    #[must_use]
    pub fn admin(pool: &Pool) -> Api {
        Api::anyone(pool).with_key(&pool.admin)
    }

    /// The same with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Api {
        Api { key: Some(key.to_owned()), ..self.clone() }
    }

    /// The same at a pool that was started anew.
    #[must_use]
    pub fn at(&self, pool: &Pool) -> Api {
        Api { base: format!("http://{}", pool.http), ..self.clone() }
    }

    /// Sends a request with these extra headers; a string body goes as it is.
    ///
    /// # Panics
    /// There is no answer.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let bytes = match body {
            None => Vec::new(),
            Some(Value::String(raw)) => raw.clone().into_bytes(),
            Some(json) => json.to_string().into_bytes(),
        };
        answer(self.exchange(method, path, headers, bytes))
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> ureq::http::Response<ureq::Body> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).expect("a request of a test is well-formed");
        self.agent.run(request).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// Sends bytes to a path under `/api/v1`.
    pub fn upload(&self, method: &str, path: &str, headers: &[(&str, &str)], bytes: &[u8]) -> Answer {
        answer(self.exchange(method, &format!("/api/v1{path}"), headers, bytes.to_vec()))
    }

    /// GET of bytes from a path under `/api/v1`.
    ///
    /// # Panics
    /// The body ends early.
    #[must_use]
    pub fn download(&self, path: &str, headers: &[(&str, &str)]) -> Download {
        let mut response = self.exchange("GET", &format!("/api/v1{path}"), headers, Vec::new());
        let reader = response.body_mut().with_config().limit(DOWNLOAD_BYTES_MAX);
        let bytes = reader.read_to_vec().expect("the body is whole");
        Download { status: response.status().as_u16(), bytes }
    }

    /// HEAD of a path under `/api/v1`: its status, and how much of an upload has arrived.
    #[must_use]
    pub fn download_head(&self, path: &str) -> (u16, Option<u64>) {
        let response = self.exchange("HEAD", &format!("/api/v1{path}"), &[], Vec::new());
        let arrived = response.headers().get("upload-offset").and_then(|value| value.to_str().ok()?.parse().ok());
        (response.status().as_u16(), arrived)
    }

    /// GET of a path under `/api/v1`.
    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", &format!("/api/v1{path}"), &[], None)
    }

    /// POST of JSON to a path under `/api/v1`.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", &format!("/api/v1{path}"), &[("content-type", "application/json")], Some(body))
    }

    /// POST of JSON with an idempotency key.
    pub fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        self.send("POST", &format!("/api/v1{path}"), &headers, Some(body))
    }

    /// DELETE of a path under `/api/v1`.
    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", &format!("/api/v1{path}"), &[], None)
    }

    /// Creates a sponsor with money and gives its client.
    pub fn funded_sponsor(&self, name: &str, amount: u64) -> Api {
        let created = self.post("/admin/sponsors", &json!({"name": name})).ok();
        let reference = format!("first of {name}");
        let deposit = json!({"sponsor": name, "asset": "CREDIT", "amount": amount, "reference": reference});
        self.post("/admin/deposits", &deposit).ok();
        self.with_key(created["key"].as_str().expect("a key"))
    }

    /// Submits a job and gives its id.
    ///
    /// # Panics
    /// It is not taken.
    pub fn submit(&self, job: &Value) -> String {
        let answer = self.post("/jobs", job);
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.body["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until a job is in this state; gives the job.
    pub fn wait_for_state(&self, job: &str, state: &str) -> Value {
        wait_for(&format!("{job} to be {state}"), || {
            let view = self.get(&format!("/jobs/{job}")).ok();
            (view["state"] == state).then_some(view)
        })
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let text = response.body_mut().read_to_string().unwrap_or_default();
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Answer { status: response.status().as_u16(), content_type, body }
}
