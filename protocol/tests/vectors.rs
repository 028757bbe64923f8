//! Recorded real shares and blocks, and near misses of each: every byte must come out as recorded.

use lode_protocol::Algorithm::{Scrypt, Sha256d};
use lode_protocol::header::{HeaderHash, PrevHash, Roll, Template, roll_version, sha256d};
use lode_protocol::{Difficulty, Hashes, Target, hex};
use serde_json::Value;

struct Vector {
    json: Value,
    template: Template,
    extranonce1: Vec<u8>,
    extranonce2: Vec<u8>,
    ntime: u32,
    nonce: u32,
    version: u32,
}

impl Vector {
    fn text(&self, name: &str) -> &str {
        self.json[name].as_str().unwrap_or_else(|| panic!("{name} is not text"))
    }

    fn header(&self, extranonce2: &[u8], ntime: u32, nonce: u32, version: u32) -> [u8; 80] {
        let (extranonce1, version) = (&self.extranonce1[..], version);
        self.template.header(&Roll { extranonce1, extranonce2, ntime, nonce, version })
    }
}

fn vectors() -> Vec<Vector> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../vectors/stratum.json")).unwrap();
    assert_eq!(all.len(), 7);
    all.into_iter().map(vector).collect()
}

fn vector(json: Value) -> Vector {
    let text = |name: &str| json[name].as_str().unwrap();
    let number = |name: &str| hex::decode_u32_be(text(name)).unwrap();
    let bytes = |name: &str| hex::decode(text(name), 1 << 16).unwrap();
    let ntime = json["notify_ntime"].as_str().map_or(number("ntime"), |text| hex::decode_u32_be(text).unwrap());
    let template = Template {
        version: number("job_ver"),
        prev_hash: PrevHash::from_stratum_bytes(hex::decode_array(text("prev")).unwrap()),
        coinbase1: bytes("c1"),
        coinbase2: bytes("c2"),
        merkle_branch: json["branch"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hash| hex::decode_array(hash.as_str().unwrap()).unwrap())
            .collect(),
        nbits: number("nbits"),
        ntime,
    };
    let version = match json["version_bits"].as_str() {
        None => template.version,
        Some(bits) => {
            let mask = hex::decode_u32_be(text("mask")).unwrap();
            roll_version(template.version, hex::decode_u32_be(bits).unwrap(), mask).unwrap()
        }
    };
    let (extranonce1, extranonce2) = (bytes("en1"), bytes("en2"));
    let (ntime, nonce) = (number("ntime"), number("nonce"));
    Vector { template, extranonce1, extranonce2, ntime, nonce, version, json }
}

#[test]
fn coinbase_root_header_hash_and_difficulty_are_as_recorded() {
    for v in vectors() {
        let coinbase = v.template.coinbase(&v.extranonce1, &v.extranonce2);
        assert_eq!(hex::encode(&coinbase), v.text("coinbase"));
        let mut txid = sha256d(&coinbase);
        txid.reverse();
        assert_eq!(hex::encode(&txid), v.text("coinbase_txid"));
        let root = v.template.merkle_root(&v.extranonce1, &v.extranonce2);
        assert_eq!(hex::encode(&root), v.text("merkle_root_header_order"));
        let header = v.header(&v.extranonce2, v.ntime, v.nonce, v.version);
        assert_eq!(hex::encode(&header), v.text("header"));
        let hash = HeaderHash::sha256d(&header);
        assert_eq!(hash.to_string(), v.text("hash"));

        let recorded = v.json["difficulty"].as_f64().unwrap();
        let difficulty = Difficulty::of_hash(&hash);
        // Rounded down to a multiple of 2^-32.
        let below = recorded - difficulty.to_f64(Sha256d);
        assert!((0.0..2f64.powi(-32) + recorded * 1e-12).contains(&below));
        let network = Target::from_compact(v.template.nbits).unwrap();
        assert_eq!(network.is_met_by(&hash), v.json["is_block"].as_bool().unwrap());
        assert!(v.template.allows_ntime(v.ntime));
    }
}

/// Litecoin's first block; its figures were made with Python's integers.
#[test]
fn a_scrypt_block_has_the_difficulty_that_its_miners_know_it_by() {
    let hash = hex::decode_array("0000050c34a64b415b6b15b37f2216634b5b1669cb9a2e38d76f7213b0671e00").unwrap();
    let hash = HeaderHash::from_be_bytes(hash);
    let difficulty = Difficulty::of_hash(&hash);
    assert_eq!(difficulty.hashes(), Hashes(3_323_698));
    assert_eq!(difficulty.to_f64(Scrypt), 50.715606689453125);
    assert_eq!(difficulty.to_f64(Sha256d) * 65_536.0, 50.715606689453125);
    let network = Target::from_compact(0x1e0f_fff0).unwrap();
    assert!(network.is_met_by(&hash));
    assert_eq!(network.expected_hashes(), Some(Hashes(1_048_592)));
}

#[test]
fn near_misses_hash_to_what_was_recorded() {
    let mut seen = 0;
    for v in vectors() {
        for (name, value) in v.json["negatives"].as_object().unwrap() {
            let changed = value[0].as_str().unwrap_or_default();
            let number = || hex::decode_u32_be(changed).unwrap();
            let (header, hash) = match name.as_str() {
                "nonce_plus_1" => (v.header(&v.extranonce2, v.ntime, number(), v.version), &value[1]),
                "ntime_plus_1" => (v.header(&v.extranonce2, number(), v.nonce, v.version), &value[1]),
                "en2_changed" => (v.header(&hex::decode(changed, 64).unwrap(), v.ntime, v.nonce, v.version), &value[1]),
                "without_version_bits" => (v.header(&v.extranonce2, v.ntime, v.nonce, v.template.version), value),
                other => panic!("no such negative: {other}"),
            };
            assert_eq!(HeaderHash::sha256d(&header).to_string(), hash.as_str().unwrap(), "{name}");
            seen += 1;
        }
    }
    assert!(seen >= 21, "only {seen} negatives were seen");
}

#[test]
fn each_coinbase_leaves_exactly_its_extranonce_open() {
    for v in vectors() {
        assert_eq!(v.template.open_coinbase_bytes(), [v.extranonce1.len() + v.extranonce2.len()]);
    }
}
