//! What a job's files are made of again: at the opening from what was prepared, and after a restart from the disk.

use std::sync::Arc;
use std::time::Duration;

use lode_dashboard::port::PortError;
use lode_kinds::Kind;
use lode_kinds::range::Section;
use lode_protocol::Digest;
use lode_protocol::ids::JobId;

use super::files::{JobFiles, room_needed};
use super::prepare::{Preparer, Ready};
use crate::blobs::{BlobError, Blobs, Owner, charge};
use crate::ledger::entry::{RangeTerms, Terms};
use crate::specs::{RangeSpec, Specs};

/// How long a job waits for its turn to be prepared again.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Inputs of a job, each once.
fn inputs(sections: &[Section]) -> Vec<Digest> {
    let mut inputs: Vec<Digest> =
        sections.iter().flat_map(|section| &section.inputs).map(|input| Digest(input.digest)).collect();
    inputs.sort_unstable();
    inputs.dedup();
    inputs
}

/// Makes a job's inputs its own, so that they stay when its sponsor or a guest gives them up. On stable storage when
/// this returns.
///
/// # Errors
/// One of them is gone, or the disk fails.
pub fn adopt_inputs(blobs: &Blobs, job: JobId, sections: &[Section]) -> Result<(), BlobError> {
    let owner = Owner::Job(job);
    inputs(sections).iter().try_for_each(|input| blobs.adopt(&owner, input).map(drop))
}

/// Keeps room for what a job will have: its inputs, its results and its file.
pub(super) fn promise_room(blobs: &Blobs, files: &JobFiles) {
    let mut bytes: Vec<(Digest, u64)> = files
        .sections
        .iter()
        .flat_map(|section| &section.inputs)
        .map(|input| (Digest(input.digest), input.bytes))
        .collect();
    bytes.sort_unstable();
    bytes.dedup();
    let inputs = bytes.iter().map(|(_, bytes)| charge(*bytes)).fold(0, u64::saturating_add);
    blobs.promise(files.job, inputs.saturating_add(room_needed(files.elements(), files.element_bytes)));
}

/// The files of a job that is to be opened.
#[must_use]
pub fn files_of(job: JobId, ready: &Ready, spec: serde_json::Value) -> JobFiles {
    let sections: Arc<[Section]> = ready.prepared.sections.clone().into();
    JobFiles { job, kind: ready.kind, spec, sections, element_bytes: ready.prepared.element_bytes }
}

/// Whether an input of a job is not here, or where `checked`, is not what its digest says.
fn is_missing(blobs: &Blobs, owner: &Owner, input: &Digest, checked: bool) -> bool {
    !blobs.owns(owner, input) || blobs.bytes(input).is_err() || (checked && blobs.load(input).is_err())
}

/// Whether any of them is.
async fn any_missing(blobs: &Blobs, job: JobId, sections: &Arc<[Section]>, checked: bool) -> Result<bool, String> {
    let (blobs, sections) = (blobs.clone(), sections.clone());
    let look = move || inputs(&sections).iter().any(|input| is_missing(&blobs, &Owner::Job(job), input, checked));
    tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string())
}

/// Reads a job's files after a restart. What a crash kept it from keeping is prepared again, which gives the same; so
/// is what is damaged, which only `checked` finds: it reads all inputs.
///
/// # Errors
/// What is gone, in words.
pub(super) async fn load(
    specs: &Specs,
    blobs: &Blobs,
    preparer: &Preparer,
    terms: &Terms,
    range: &RangeTerms,
    checked: bool,
) -> Result<JobFiles, String> {
    let (specs, digest, prepared) = (specs.clone(), terms.spec, range.prepared);
    let read = tokio::task::spawn_blocking(move || specs.range_spec(&digest, &prepared)).await;
    let RangeSpec { spec, sections } = read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let kind: Kind = terms.kind.parse().map_err(|error| format!("{error}"))?;
    let (job, element_bytes) = (terms.job, u64::from(range.element_bytes));
    let sections: Arc<[Section]> = sections.into();
    let files = JobFiles { job, kind, spec, sections, element_bytes };
    if !any_missing(blobs, job, &files.sections, checked).await? {
        return Ok(files);
    }
    tracing::warn!(%job, "its inputs are made again");
    let ready = loop {
        match preparer.ready(&terms.sponsor, kind, &files.spec).await {
            // Many jobs may have to be prepared again at once.
            Err(PortError::Busy(_)) => tokio::time::sleep(BUSY_PAUSE).await,
            ready => break ready,
        }
    };
    let ready = ready.map_err(|error| match error {
        PortError::Fields(fields) => fields.iter().map(|fault| format!("{}: {}", fault.field, fault.detail)).collect(),
        other => other.to_string(),
    })?;
    if ready.prepared.sections[..] != files.sections[..] {
        return Err("its inputs were made again and are not the same".into());
    }
    let (into, kept) = (blobs.clone(), files.sections.clone());
    let adopted = tokio::task::spawn_blocking(move || adopt_inputs(&into, job, &kept)).await;
    adopted.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    if checked && any_missing(blobs, job, &files.sections, checked).await? {
        return Err("its inputs were made again and cannot be read".into());
    }
    Ok(files)
}
