//! The API's document is held against the router's answers.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::order;
use crate::client::{Answer, Server, start};

async fn document(server: &Server) -> Value {
    server.get("/openapi.json").await.json()
}

/// What `path` says it takes, from the Allow header of a method that nothing takes.
async fn allowed(server: &Server, path: &str) -> BTreeSet<String> {
    let path = path.replace("{id}", "j1").replace("{account}", "alice").replace("{digest}", &"0".repeat(64));
    let answer = server.request("TRACE", &path).send().await;
    answer.problem(405);
    let methods = answer.header("allow").split(',').map(|method| method.trim().to_ascii_lowercase());
    methods.filter(|method| !method.is_empty()).collect()
}

#[tokio::test]
async fn it_lists_the_methods_that_are_taken() {
    let server = start().await;
    let document = document(&server).await;
    for (path, item) in document["paths"].as_object().expect("paths is an object") {
        let methods = item.as_object().expect("a path is an object").keys().filter(|key| *key != "parameters");
        let methods: BTreeSet<_> = methods.cloned().collect();
        let mut allowed = allowed(&server, path).await;
        // Where GET is taken HEAD is, and is described only where it tells more.
        if !methods.contains("head") {
            allowed.remove("head");
        }
        assert_eq!(methods, allowed, "{path}");
    }
}

#[tokio::test]
async fn its_references_lead_somewhere() {
    let document = document(&start().await).await;
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    let found = document.pointer(reference.trim_start_matches('#'));
                    assert!(found.is_some(), "{reference} leads nowhere");
                }
                open.extend(fields.values());
            }
            _ => {}
        }
    }
}

/// Panics unless `value` is as `schema` says; knows the words that the document uses.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(reference.trim_start_matches('#')).expect("references lead somewhere");
        return check(document, schema, value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let null = json!({"type": "null"});
        let rest = any.iter().find(|schema| **schema != null).expect("something but null");
        return if value.is_null() { assert!(any.contains(&null), "{at}") } else { check(document, rest, value, at) };
    }
    match schema["type"].as_str() {
        Some("object") => check_object(document, schema, value, at),
        Some("array") => {
            let items = value.as_array().unwrap_or_else(|| panic!("{at} is no array"));
            items.iter().for_each(|item| check(document, &schema["items"], item, at));
        }
        Some("string") => assert!(value.is_string(), "{at} is {value}"),
        Some("integer") => assert!(value.is_u64(), "{at} is {value}"),
        Some("number") => assert!(value.is_number(), "{at} is {value}"),
        Some("boolean") => assert!(value.is_boolean(), "{at} is {value}"),
        other => panic!("{at} has the type {other:?}"),
    }
    if let Some(names) = schema["enum"].as_array() {
        assert!(names.contains(value), "{at} is {value}");
    }
}

fn check_object(document: &Value, schema: &Value, value: &Value, at: &str) {
    let fields = value.as_object().unwrap_or_else(|| panic!("{at} is no object"));
    for required in schema["required"].as_array().into_iter().flatten() {
        assert!(fields.contains_key(required.as_str().expect("is a name")), "{at} lacks {required}");
    }
    for (name, field) in fields {
        let known = schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
        assert!(known.is_object(), "{at}.{name} is not in the document");
        check(document, known, field, &format!("{at}.{name}"));
    }
}

fn check_answer(document: &Value, path: &str, method: &str, answer: &Answer) {
    let described = &document["paths"][path][method]["responses"][answer.status.to_string()];
    let described = match described["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).expect("references lead somewhere"),
        None => described,
    };
    let kind = answer.header("content-type");
    let schema = &described["content"][kind]["schema"];
    assert!(schema.is_object(), "{method} {path}: {} {kind} is not in the document", answer.status);
    check(document, schema, &answer.json(), path);
}

#[tokio::test]
async fn answers_are_as_it_says() {
    let server = start().await;
    let document = document(&server).await;
    let public = ["/pool", "/leaderboard", "/ratecard", "/jobs", "/jobs/{id}"].map(|path| format!("/api/v1{path}"));
    check_answer(&document, "/api/v1/jobs/{id}", "get", &server.get("/api/v1/jobs/j6").await);
    let account = ["", "/earnings", "/payouts"].map(|path| format!("/api/v1/accounts/{{account}}{path}"));
    for path in public.iter().chain(&account) {
        let answer = server.get(&path.replace("{id}", "j1").replace("{account}", "alice")).await;
        check_answer(&document, path, "get", &answer);
        let missing = server.get(&path.replace("{id}", "j99").replace("{account}", "nobody")).await;
        check_answer(&document, path, "get", &missing);
    }
}

#[tokio::test]
async fn answers_to_sponsors_and_the_operator_are_as_it_says() {
    let server = start().await;
    let document = document(&server).await;
    let get = |path: &str| server.sponsor("GET", &path.replace("{id}", "j1")).send();
    for path in ["/api/v1/sponsor", "/api/v1/jobs/{id}/result"] {
        check_answer(&document, path, "get", &get(path).await);
    }
    for path in ["/api/v1/blobs", "/api/v1/blobs?expected=x"] {
        let answer = server.sponsor("POST", path).body(b"bytes").send().await;
        check_answer(&document, "/api/v1/blobs", "post", &answer);
    }
    for path in ["/api/v1/quotes", "/api/v1/jobs"] {
        for body in [order(5), order(u64::MAX), json!({})] {
            check_answer(&document, path, "post", &server.sponsor("POST", path).json(&body).send().await);
        }
    }
    let deposit = json!({"sponsor": "new", "asset": "CREDIT", "amount": 7, "reference": "wire 1"});
    for (path, body) in [("/api/v1/admin/sponsors", json!({"name": "new"})), ("/api/v1/admin/deposits", deposit)] {
        check_answer(&document, path, "post", &server.admin("POST", path).json(&body).send().await);
        check_answer(&document, path, "post", &server.request("POST", path).json(&body).send().await);
    }
}
