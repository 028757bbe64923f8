//! The desk with a whole pool around it, but for its sockets and its miners: what a miner would deliver is computed and
//! entered here.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use lode_dashboard::port::{Port, PortError, Reading as _, ResultOf};
use lode_kinds::Kind;
use lode_kinds::range::{self, Prepared, Task};
use lode_protocol::Digest;
use lode_protocol::api::{Amount, JobRequest, JobState};
use lode_protocol::ids::{AccountName, JobId, SponsorName};
use serde_json::{Value, json};

use super::Options;
use crate::blobs::Owner;
use crate::config::Config;
use crate::face::Face;
use crate::face::tests::{House, funded, system_clock, until};
use crate::ledger::batch::{Cause, Verdict};
use crate::ledger::fold::Job;
use crate::ledger::plan::{Command, Done, Refusal, UnitClaim};
use crate::ledger::writer::LedgerError;

const WIDTH: u32 = 64;
const HEIGHT: u32 = 48;
pub(crate) const ELEMENTS: u64 = 12;
const BUDGET: u128 = 50;

/// A binary glTF of two triangles that shine and one that does not.
fn scene() -> Vec<u8> {
    let corners: [[f32; 3]; 7] = [
        [-1.0, -1.0, 0.0],
        [1.0, -1.0, 0.0],
        [1.0, 1.0, 0.0],
        [-1.0, 1.0, 0.0],
        [-0.5, -0.5, 0.5],
        [0.7, -0.4, 0.4],
        [0.1, 0.6, 0.6],
    ];
    let mut binary: Vec<u8> = corners.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
    let indices: [u16; 9] = [0, 1, 2, 0, 2, 3, 4, 5, 6];
    binary.extend(indices.iter().flat_map(|index| index.to_le_bytes()));
    let used = binary.len();
    binary.resize(used.next_multiple_of(4), 0);
    let mesh = |accessor: u32, material: u32| json!({"primitives": [{"attributes": {"POSITION": 0}, "indices": accessor, "material": material}]});
    let document = json!({
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0, 1]}],
        "nodes": [{"mesh": 0}, {"mesh": 1}], "meshes": [mesh(1, 0), mesh(2, 1)],
        "materials": [
            {"emissiveFactor": [0.9, 0.5, 0.2], "doubleSided": true},
            {"pbrMetallicRoughness": {"baseColorFactor": [0.2, 0.6, 0.9, 1.0]}, "doubleSided": true},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 7, "type": "VEC3", "min": [-1.0, -1.0, 0.0], "max": [1.0, 1.0, 0.6]},
            {"bufferView": 1, "componentType": 5123, "count": 6, "type": "SCALAR"},
            {"bufferView": 1, "byteOffset": 12, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [{"buffer": 0, "byteLength": 84}, {"buffer": 0, "byteOffset": 84, "byteLength": 18}],
        "buffers": [{"byteLength": used}],
    });
    let mut text = document.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(4), b' ');
    let word = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let mut file = [b"glTF".as_slice(), &word(2), &word(28 + text.len() + binary.len())].concat();
    for (kind, chunk) in [(b"JSON", &text), (b"BIN\0", &binary)] {
        file.extend([&word(chunk.len()), kind.as_slice(), chunk].concat());
    }
    file
}

fn spec(scene: &Digest) -> Value {
    json!({"scene": scene.to_string(), "width": WIDTH, "height": HEIGHT, "samples": 2, "max_depth": 3})
}

fn request(scene: &Digest, deadline_s: u64) -> JobRequest {
    let budget = u64::try_from(BUDGET).unwrap();
    let spec = spec(scene);
    let body = json!({"kind": "render", "spec": spec, "budget": budget, "asset": "C", "deadline_s": deadline_s});
    JobRequest::from_json(body).unwrap()
}

/// Batches wait for the job's end, and every unit is checked.
pub(crate) fn config() -> Config {
    Config { audit: Options { batch_ms: 3_600_000, ..Options::default() }, ..Config::default() }
}

pub(crate) fn open(data: &Path, config: &Config) -> House {
    House::open(data, Duration::ZERO, config.clone(), &system_clock())
}

/// Inputs in memory.
struct Inputs(HashMap<[u8; 32], Vec<u8>>);

impl range::Store for Inputs {
    fn open(&mut self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(digest).cloned())
    }
    fn keep(&mut self, bytes: Vec<u8>) -> Result<[u8; 32], String> {
        let digest = *blake3::hash(&bytes).as_bytes();
        self.0.insert(digest, bytes);
        Ok(digest)
    }
}

/// What a job comes to without any pool.
pub(crate) struct Reference {
    pub(crate) scene: Vec<u8>,
    pub(crate) digest: Digest,
    task: Task,
    prepared: Prepared,
    file: Vec<u8>,
}

impl Reference {
    pub(crate) fn new() -> Reference {
        let scene = scene();
        let digest = Digest(*blake3::hash(&scene).as_bytes());
        let mut inputs = Inputs(HashMap::from([(digest.0, scene.clone())]));
        let spec = spec(&digest);
        let prepared = range::prepare(Kind::Render, &spec, &mut inputs).unwrap();
        let [section] = prepared.sections.as_slice() else { panic!("a picture is one section") };
        let read = section.inputs.iter().map(|input| inputs.0[&input.digest].clone()).collect();
        let task = Task::parse(Kind::Render, &section.spec, read).unwrap();
        let mut file = Cursor::new(Vec::new());
        let mut element = |element| Ok(Some(task.element(element)));
        range::assemble(Kind::Render, &spec, &mut element, &mut file).unwrap();
        Reference { scene, digest, task, file: file.into_inner(), prepared }
    }

    /// The result of a unit; a wrong one differs in every byte.
    fn result(&self, first: u64, count: u64, wrong: bool) -> Vec<u8> {
        let bytes = (first..first + count).flat_map(|element| self.task.element(element));
        bytes.map(|byte| if wrong { !byte } else { byte }).collect()
    }

    /// Gives a sponsor money and the scene.
    pub(crate) async fn sponsor(&self, face: &Face) -> SponsorName {
        let sponsor = funded(face).await;
        face.blobs.put(&Owner::Sponsor(sponsor.clone()), &self.scene).unwrap();
        sponsor
    }

    pub(crate) async fn submit(&self, face: &Face, sponsor: &SponsorName) -> JobId {
        let submitted = face.submit(sponsor, request(&self.digest, 1000), None).await.unwrap();
        assert!(submitted.created);
        submitted.job.id
    }

    /// Delivers a unit as a connection would: the result first, then the claim.
    pub(crate) async fn deliver(&self, face: &Face, job: JobId, unit: Unit) -> Result<Done, LedgerError> {
        let Unit { key, first, count, wrong, duplicate } = unit;
        let bytes = self.result(first, count, wrong);
        let guest = face.blobs.guest();
        let digest = face.blobs.put(&guest.owner(), &bytes).unwrap().digest;
        face.blobs.claim(job, &digest).unwrap();
        let digest = digest.0;
        let user = format!("miner{key}.rig").parse().unwrap();
        let count = u32::try_from(count).unwrap();
        let claim = UnitClaim { job, user, key: [key; 32], first, count, digest, duplicate };
        face.shared.ledger.enter(Command::Unit(Box::new(claim))).await
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Unit {
    key: u8,
    first: u64,
    count: u64,
    wrong: bool,
    duplicate: bool,
}

pub(crate) fn right(key: u8, first: u64, count: u64) -> Unit {
    Unit { key, first, count, wrong: false, duplicate: false }
}

pub(crate) fn wrong(key: u8, first: u64, count: u64) -> Unit {
    Unit { wrong: true, ..right(key, first, count) }
}

pub(crate) fn record(face: &Face, job: JobId) -> Job {
    face.shared.ledger.store().job(job).unwrap().unwrap()
}

pub(crate) async fn closed(face: &Face, job: JobId) {
    until("the job's end", || record(face, job).closed.is_some()).await;
}

async fn file_of(face: &Face, sponsor: &SponsorName, job: JobId) -> Vec<u8> {
    let ResultOf::File(mut file) = face.result(sponsor, job).await.unwrap() else { panic!("a range job has a file") };
    assert_eq!(file.media_type, "image/png");
    let mut bytes = Vec::new();
    while let Some(piece) = file.reading.next_bytes().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!((file.bytes, file.digest.0), (bytes.len() as u64, *blake3::hash(&bytes).as_bytes()));
    bytes
}

fn earned(face: &Face, account: &str) -> u128 {
    let account: AccountName = account.parse().unwrap();
    face.account(&account).map_or(0, |view| view.balances.values().map(|balance| balance.matured.0).sum())
}

/// The job is done, its file is the reference's, its money is spent to the last unit, and nothing else of it is kept.
pub(crate) async fn assert_done(reference: &Reference, face: &Face, sponsor: &SponsorName, job: JobId) {
    let view = face.job(job).unwrap();
    assert_eq!((view.state, view.elements_matured), (JobState::Done, Some(ELEMENTS)));
    let all = view.paid.unwrap().0 + view.fee.unwrap().0;
    assert_eq!((all, view.refunded.unwrap().0), (BUDGET, 0));
    assert!(file_of(face, sponsor, job).await == reference.file, "the file is another than the reference's");
    let kept = || face.blobs.blobs_of(&Owner::Job(job));
    until("what it needed to be given up", || kept().len() == 1).await;
    assert_eq!(kept()[0].0, *blake3::hash(&reference.file).as_bytes());
}

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_comes_to_what_its_reference_is() {
    let reference = Reference::new();
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path(), &config());
    let face = &house.face;
    let sponsor = reference.sponsor(face).await;
    let quote = face.quote(&sponsor, &request(&reference.digest, 1000)).await.unwrap();
    assert_eq!((quote.elements, quote.algorithm, quote.price), (Some(ELEMENTS), None, Amount(BUDGET)));
    assert_eq!(quote.why_not.as_deref(), Some("no worker that does render is connected"));
    let job = reference.submit(face, &sponsor).await;
    let terms = record(face, job).terms;
    let range = terms.range().unwrap();
    assert_eq!((terms.work_quoted, range.cost.total()), (quote.work.0, quote.work.0));
    assert_eq!(range.policy, config().audit.policy(reference.prepared.audit_parts));
    let view = face.job(job).unwrap();
    assert_eq!((view.state, view.preview, view.elements_done), (JobState::Open, None, Some(0)));
    assert_eq!(face.preview(None, job).await.unwrap(), None);
    let result = face.result(&sponsor, job).await;
    assert!(matches!(result, Err(PortError::Conflict(_))), "{result:?}");

    reference.deliver(face, job, right(1, 0, 4)).await.unwrap();
    until("a picture", || face.job(job).unwrap().preview.is_some()).await;
    let again = reference.deliver(face, job, right(2, 0, 4)).await;
    assert_eq!(again, Err(LedgerError::Refused(Refusal::Duplicate)));
    reference.deliver(face, job, right(2, 4, 4)).await.unwrap();
    // The one before was of nothing, and is kept for a while.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let picture = face.preview(None, job).await.unwrap().expect("a picture of two thirds");
    assert!(picture.starts_with(PNG));
    reference.deliver(face, job, right(1, 8, 4)).await.unwrap();
    closed(face, job).await;
    assert_done(&reference, face, &sponsor, job).await;
    let picture = face.preview(None, job).await.unwrap().expect("the last picture");
    assert!(picture.starts_with(PNG));
    assert_eq!(face.job(job).unwrap().audits.unwrap().passed, 2);
    assert_eq!(earned(face, "miner1") + earned(face, "miner2"), face.job(job).unwrap().paid.unwrap().0);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_result_is_void_and_its_elements_are_done_again() {
    let reference = Reference::new();
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path(), &config());
    let face = &house.face;
    let sponsor = reference.sponsor(face).await;
    let job = reference.submit(face, &sponsor).await;
    reference.deliver(face, job, right(1, 0, 4)).await.unwrap();
    reference.deliver(face, job, right(2, 4, 2)).await.unwrap();
    reference.deliver(face, job, wrong(2, 6, 2)).await.unwrap();
    reference.deliver(face, job, right(1, 8, 4)).await.unwrap();
    until("the verdict", || record(face, job).voids == 1).await;
    // Its right unit goes with it.
    until("the other's verdict", || record(face, job).elements_matured == 8).await;
    assert_eq!((record(face, job).elements_done, record(face, job).closed), (8, None));
    let has = |unit: (u64, u64, bool)| {
        let bytes = reference.result(unit.0, unit.1, unit.2);
        face.blobs.owns(&Owner::Job(job), &Digest(*blake3::hash(&bytes).as_bytes()))
    };
    until("the void results to go", || !has((4, 2, false)) && !has((6, 2, true))).await;
    assert!(has((0, 4, false)) && has((8, 4, false)));
    let banned = reference.deliver(face, job, right(2, 4, 4)).await;
    assert_eq!(banned, Err(LedgerError::Refused(Refusal::Banned)));
    reference.deliver(face, job, right(3, 4, 4)).await.unwrap();
    closed(face, job).await;
    assert_done(&reference, face, &sponsor, job).await;
    assert_eq!(earned(face, "miner2"), 0);
    let audits = face.job(job).unwrap().audits.unwrap();
    assert_eq!((audits.passed, audits.voided), (2, 1));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_the_disk_lost_is_computed_again() {
    let reference = Reference::new();
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path(), &config());
    let face = &house.face;
    let sponsor = reference.sponsor(face).await;
    let job = reference.submit(face, &sponsor).await;
    reference.deliver(face, job, right(1, 0, 6)).await.unwrap();
    let digest = Digest(*blake3::hash(&reference.result(0, 6, false)).as_bytes());
    let path = face.blobs.path(&digest);
    house.stop().await;
    std::fs::write(&path, b"not what it was").unwrap();
    let house = open(dir.path(), &config());
    let face = &house.face;
    reference.deliver(face, job, right(1, 6, 6)).await.unwrap();
    closed(face, job).await;
    assert_done(&reference, face, &sponsor, job).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_results_that_differ_are_judged_at_once() {
    let reference = Reference::new();
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path(), &config());
    let face = &house.face;
    let sponsor = reference.sponsor(face).await;
    let job = reference.submit(face, &sponsor).await;
    // The first is the liar; the second was issued the same elements by the pool.
    reference.deliver(face, job, wrong(1, 0, 4)).await.unwrap();
    reference.deliver(face, job, Unit { duplicate: true, ..right(2, 0, 4) }).await.unwrap();
    until("the verdict", || record(face, job).voids == 1).await;
    let [batch] = face.shared.ledger.store().voids_before(job, u64::MAX, 9).unwrap().try_into().unwrap();
    let Verdict::Voided { void, .. } = batch.verdict else { panic!("{batch:?}") };
    assert_eq!((void.cause, void.first, void.count), (Cause::Mismatch, 0, 4));
    // The honest one's elements are done by what it delivered.
    assert_eq!(record(face, job).elements_done, 4);
    reference.deliver(face, job, right(2, 4, 8)).await.unwrap();
    closed(face, job).await;
    assert_done(&reference, face, &sponsor, job).await;
    assert_eq!((earned(face, "miner1"), earned(face, "miner2")), (0, face.job(job).unwrap().paid.unwrap().0));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_at_any_step_changes_nothing() {
    let reference = Reference::new();
    let units = [right(1, 0, 3), right(2, 3, 3), wrong(3, 6, 3), right(1, 9, 3), right(2, 6, 3)];
    let dir = tempfile::tempdir().unwrap();
    let mut house = open(dir.path(), &config());
    let sponsor = reference.sponsor(&house.face).await;
    let job = reference.submit(&house.face, &sponsor).await;
    for unit in units {
        house.stop().await;
        house = open(dir.path(), &config());
        let face = &house.face;
        until("the job to be offered", || face.shared.hall.is_open(job)).await;
        if unit.first == 6 && !unit.wrong {
            // All was done before the last stop; what was wrong of it is found out in this life.
            until("the verdict", || record(face, job).voids == 1).await;
        }
        reference.deliver(face, job, unit).await.unwrap();
    }
    // As fast as may be after the last, in the midst of audits, assembly, and clearing.
    for pause_ms in [0, 20, 100] {
        house.stop().await;
        house = open(dir.path(), &config());
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
    }
    closed(&house.face, job).await;
    assert_done(&reference, &house.face, &sponsor, job).await;
    house.stop().await;
    // It stays so, and what is kept is not cleared away with the rest.
    house = open(dir.path(), &config());
    assert_done(&reference, &house.face, &sponsor, job).await;
    let face = &house.face;
    assert_eq!(earned(face, "miner3"), 0);
    assert_eq!(earned(face, "miner1") + earned(face, "miner2"), face.job(job).unwrap().paid.unwrap().0);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_that_were_not_kept_are_made_again() {
    let reference = Reference::new();
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path(), &config());
    let sponsor = reference.sponsor(&house.face).await;
    let job = reference.submit(&house.face, &sponsor).await;
    house.stop().await;
    std::fs::remove_dir_all(dir.path().join("blobs/jobs").join(job.to_string())).unwrap();
    let house = open(dir.path(), &config());
    let face = &house.face;
    until("the job to be offered", || face.shared.hall.is_open(job)).await;
    let input = Digest(reference.prepared.sections[0].inputs[0].digest);
    assert!(face.blobs.owns(&Owner::Job(job), &input) && face.shared.hall.may_read(&input));
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_files_are_gone_gives_its_escrow_back_at_its_deadline() {
    let reference = Reference::new();
    for units in [0, 4] {
        let dir = tempfile::tempdir().unwrap();
        let house = open(dir.path(), &config());
        let sponsor = reference.sponsor(&house.face).await;
        let job = house.face.submit(&sponsor, request(&reference.digest, 4), None).await.unwrap().job.id;
        if units > 0 {
            reference.deliver(&house.face, job, right(1, 0, units)).await.unwrap();
        }
        house.stop().await;
        std::fs::remove_dir_all(dir.path().join("specs")).unwrap();
        let house = open(dir.path(), &config());
        let face = &house.face;
        closed(face, job).await;
        assert!(!face.shared.hall.is_open(job));
        let money = face.sponsor(&sponsor).unwrap().assets[&"C".parse().unwrap()];
        assert_eq!((money.balance, money.escrow), (Amount(100), Amount(0)));
        // With units that nobody can check any more, it is no ordinary end.
        let state = if units > 0 { JobState::Quarantined } else { JobState::Expired };
        assert_eq!(face.job(job).unwrap().state, state);
        house.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_pays_what_is_checked_and_refunds_the_rest() {
    let reference = Reference::new();
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path(), &Config { cancel_notice: Duration::from_millis(100), ..config() });
    let face = &house.face;
    let sponsor = reference.sponsor(face).await;
    let job = reference.submit(face, &sponsor).await;
    reference.deliver(face, job, right(1, 0, 6)).await.unwrap();
    face.cancel(&sponsor, job).await.unwrap();
    closed(face, job).await;
    let view = face.job(job).unwrap();
    assert_eq!((view.state, view.elements_matured), (JobState::Cancelled, Some(6)));
    let range = record(face, job).terms;
    let matured = range.range().unwrap().cost.work(0, 6);
    let gross = BUDGET * matured / range.work_quoted;
    assert_eq!(view.paid.unwrap().0 + view.fee.unwrap().0, gross);
    assert_eq!(view.refunded.unwrap().0, BUDGET - gross);
    // The last picture stays; nothing else does.
    until("the last picture", || dir.path().join(format!("results/{job}.png")).exists()).await;
    assert!(face.preview(None, job).await.unwrap().unwrap().starts_with(PNG));
    until("what it needed to be given up", || face.blobs.blobs_of(&Owner::Job(job)).is_empty()).await;
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_published_once_nothing_is_drawn_with_them() {
    let reference = Reference::new();
    let dir = tempfile::tempdir().unwrap();
    let audit = Options { secret_period_ms: 300, ..config().audit };
    let config = Config { audit, ..config() };
    let house = open(dir.path(), &config);
    let face = &house.face;
    let sponsor = reference.sponsor(face).await;
    let job = reference.submit(face, &sponsor).await;
    reference.deliver(face, job, wrong(1, 0, 12)).await.unwrap();
    until("the verdict", || record(face, job).voids == 1).await;
    let [batch] = face.shared.ledger.store().voids_before(job, u64::MAX, 9).unwrap().try_into().unwrap();
    let secrets = || face.shared.ledger.store().secrets_before(u64::MAX, 100).unwrap();
    let published = |number: u64| secrets().iter().any(|secret| secret.number == number && secret.revealed.is_some());
    until("the secret that it was drawn with", || published(batch.secret)).await;
    house.stop().await;
    // Those that are not published are here, each in a file of its own, and no other.
    let house = open(dir.path(), &config);
    let secrets = house.face.shared.ledger.store().secrets_before(u64::MAX, 100).unwrap();
    let hidden = secrets.iter().filter(|secret| secret.revealed.is_none()).count();
    let files = std::fs::read_dir(dir.path().join("audit")).unwrap().count();
    assert!((1..=2).contains(&hidden) && files >= hidden, "{hidden} secrets are hidden in {files} files");
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spec_that_cannot_be_prepared_names_what_is_wrong() {
    let reference = Reference::new();
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path(), &config());
    let face = &house.face;
    let sponsor = reference.sponsor(face).await;
    let fields = async |spec: Value| {
        let body = json!({"kind": "render", "spec": spec, "budget": 1, "asset": "C"});
        match face.quote(&sponsor, &JobRequest::from_json(body).unwrap()).await {
            Err(PortError::Fields(fields)) => fields.iter().map(|fault| fault.field.clone()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    let unknown = Digest([7; 32]);
    assert_eq!(fields(spec(&unknown)).await, ["spec.scene"]);
    let mut zero = spec(&reference.digest);
    zero["width"] = 0.into();
    assert_eq!(fields(zero).await, ["spec.width"]);
    // Another sponsor's blob is not there.
    let other: SponsorName = "other".parse().unwrap();
    let quoted = face.quote(&other, &request(&reference.digest, 9)).await;
    assert!(matches!(quoted, Err(PortError::Fields(_))), "{quoted:?}");
    // Nothing of what was made is left but what is remembered for a submission.
    assert_eq!(face.blobs.jobs(), []);
    house.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_room_for_its_results_is_not_opened() {
    let reference = Reference::new();
    let bytes = 2 * ELEMENTS * reference.prepared.element_bytes;
    let with_room = |total_bytes| {
        let config = config();
        Config { blobs: crate::blobs::Limits { total_bytes, ..config.blobs }, ..config }
    };
    let idempotency = || lode_dashboard::port::Idempotency { key: "once".into(), body: [1; 32] };
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path(), &with_room(bytes - 1));
    let sponsor = reference.sponsor(&house.face).await;
    let never = house.face.submit(&sponsor, request(&reference.digest, 1000), None).await;
    assert!(matches!(never, Err(PortError::Fields(_))), "{never:?}");
    house.stop().await;
    // Room for one, its scene and its inputs.
    let dir = tempfile::tempdir().unwrap();
    let house = open(dir.path(), &with_room(bytes + bytes / 2 + (32 << 10)));
    let face = &house.face;
    let sponsor = reference.sponsor(face).await;
    let submit = async |idempotency| face.submit(&sponsor, request(&reference.digest, 1000), idempotency).await;
    let first = submit(Some(idempotency())).await.unwrap();
    let second = submit(None).await;
    assert!(matches!(second, Err(PortError::Full(_))), "{second:?}");
    let again = submit(Some(idempotency())).await.unwrap();
    assert_eq!((first.created, again.created, again.job.id), (true, false, first.job.id));
    reference.deliver(face, first.job.id, right(1, 0, ELEMENTS)).await.unwrap();
    closed(face, first.job.id).await;
    until("room for another", || face.blobs.blobs_of(&Owner::Job(first.job.id)).len() == 1).await;
    submit(None).await.unwrap();
    house.stop().await;
}
