//! The examples of README.md are messages as the code reads them, and their signature is a real one, made by another program.

use lode_protocol::key::{PublicKey, SecretKey, statement};
use lode_protocol::method::{
    Assign, ClientCall, ConfigureReply, HttpAt, NonceForm, ProveReply, ServerCall, SubscribeReply,
};
use lode_protocol::rpc::{Message, Request, Response};
use lode_protocol::{Algorithm, Digest};

const README: &str = include_str!("../README.md");

fn lines(mark: &str) -> Vec<Message> {
    let lines = README.lines().filter_map(|line| line.strip_prefix(mark));
    lines.map(|line| Message::parse(line.as_bytes()).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn asked() -> Vec<ClientCall> {
    let read = |message| {
        let Message::Request(request) = message else { panic!("{message:?} is no request") };
        ClientCall::from_request(&request, Algorithm::Sha256d, NonceForm::Padded).expect("its parameters are right")
    };
    lines("> ").into_iter().map(read).collect()
}

fn told() -> Vec<Request> {
    let request = |message| if let Message::Request(request) = message { Some(request) } else { None };
    lines("< ").into_iter().filter_map(request).collect()
}

fn answers() -> Vec<Response> {
    let response = |message| if let Message::Response(response) = message { Some(response) } else { None };
    lines("< ").into_iter().filter_map(response).collect()
}

#[test]
fn every_line_is_a_message_of_its_side() {
    let asked = asked();
    assert_eq!(asked.len(), 9);
    assert!(!asked.iter().any(|call| matches!(call, ClientCall::Unknown(_))), "{asked:?}");
    let told: Vec<ServerCall> = told()
        .iter()
        .map(|request| ServerCall::from_request(request, Algorithm::Sha256d).expect("its parameters are right"))
        .collect();
    assert!(
        matches!(
            &told[..],
            [ServerCall::SetDifficulty(_), ServerCall::Notify(_), ServerCall::Assign(_), ServerCall::Revoke(_)]
        ),
        "{told:?}"
    );
    assert_eq!(answers().len(), asked.len(), "each request has its answer");
    assert!(answers().iter().all(|answer| answer.outcome.is_ok()));
}

#[test]
fn every_method_is_named() {
    for method in ["work.prove", "work.assign", "work.submit", "work.release", "work.revoke"] {
        assert!(
            README.contains(&format!("`{method}")) && README.contains(&format!("\"method\":\"{method}\"")),
            "{method}"
        );
    }
}

#[test]
fn the_proof_is_one_of_the_key_over_the_nonce() {
    let asked = asked();
    let key = asked.iter().find_map(|call| match call {
        ClientCall::Configure(configure) => configure.lode_work.as_ref().map(|work| work.key),
        _ => None,
    });
    let proof =
        asked.iter().find_map(|call| if let ClientCall::Prove(prove) = call { Some(prove.signature) } else { None });
    let results: Vec<_> = answers().into_iter().map(|answer| answer.outcome.expect("checked above")).collect();
    let granted =
        results.iter().find_map(|result| ConfigureReply::granted_lode_work(result).expect("it is well-formed"));
    let granted = granted.expect("it is granted");
    let statement = statement(&granted.pool, &granted.nonce);
    assert_eq!((statement.len(), granted.http), (61, HttpAt::Port(8080)));
    let key: PublicKey = key.expect("there is a key");
    assert_eq!(key.verify(&statement, &proof.expect("there is a proof")), Ok(()));
    let seed: Vec<u8> = (0..32).collect();
    let secret = SecretKey::from_bytes(&seed.try_into().expect("32 bytes"));
    assert_eq!((secret.public(), Some(secret.sign(&statement))), (key, proof));
    assert!(results.iter().any(|result| ProveReply::from_json(result).is_ok()), "there is a token");
    assert!(results.iter().any(|result| SubscribeReply::from_json(result).is_ok()), "there is a search space");
}

#[test]
fn the_bounds_are_those_of_the_code() {
    use lode_protocol::method::{assign, configure, prove, release};
    let bounds = [
        format!("at most {} bytes; a longer one", "16,384"),
        format!("1 to {} kinds", configure::KINDS_MAX),
        format!("1 to {}: units to hold", configure::SLOTS_MAX),
        format!("each 1 to {} of `a-z 0-9 -`", assign::KIND_CHARS_MAX),
        format!("at most {} characters |", configure::HTTP_CHARS_MAX),
        format!("at most {} blobs", assign::INPUTS_MAX),
        format!("The token, 1 to {}", prove::TOKEN_CHARS_MAX),
        format!("at most {} characters. The reasons", release::RELEASE_TEXT_CHARS_MAX),
    ];
    for bound in bounds {
        assert!(README.contains(&bound), "{bound}");
    }
    assert_eq!((lode_protocol::line::LINE_BYTES_MAX, assign::SPEC_BYTES_MAX), (16_384, 8_192));
    assert!(README.contains("8,192 bytes of JSON"));
    let assigned = told().into_iter().find(|request| request.method == Assign::METHOD).expect("there is a unit");
    assert!(assigned.params[0]["inputs"][0]["digest"].as_str().is_some_and(|text| text.parse::<Digest>().is_ok()));
}
