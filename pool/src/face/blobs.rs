//! Blobs: who may read them, and what an upload begins with.

use std::ops::Range;
use std::sync::Arc;

use lode_dashboard::port::{BlobClient, Delivery, PortError};
use lode_protocol::Digest;
use lode_protocol::api::BlobView;

use super::Face;
use crate::blobs::port::{Downloading, Uploading, not_yours};
use crate::blobs::{Owner, Quota};
use crate::stratum::passes::Pass;

fn pass(face: &Face, token: &str) -> Result<Arc<Pass>, PortError> {
    let found = face.shared.passes.find(token, face.now());
    found.ok_or_else(|| PortError::NotFound("miner of this token, or its connection is over".into()))
}

/// Begins an upload; a miner's is of a result, and bounded by the units that it holds.
pub(super) async fn upload(
    face: &Face,
    client: &BlobClient,
    delivery: Delivery,
    announced: Option<u64>,
) -> Result<Uploading, PortError> {
    match client {
        BlobClient::Sponsor(sponsor) => {
            let (owner, quota) = (Owner::Sponsor(sponsor.clone()), Quota::of_sponsor(&face.config.blobs));
            face.blobs.begin_upload(&owner, quota, delivery, announced, None).await
        }
        BlobClient::Miner(token) => {
            let pass = pass(face, token)?;
            let none = || PortError::Conflict("no unit is held that this could be the result of".into());
            let quota = pass.quota().ok_or_else(none)?;
            let (owner, arrived) = (pass.owner(), Box::new(move |stored: &_| pass.arrived(stored)));
            face.blobs.begin_upload(&owner, quota, delivery, announced, Some(arrived)).await
        }
    }
}

/// How much of an interrupted upload is here.
pub(super) fn arrived(face: &Face, client: &BlobClient, digest: &Digest) -> u64 {
    let owner = match client {
        BlobClient::Sponsor(sponsor) => Some(Owner::Sponsor(sponsor.clone())),
        BlobClient::Miner(token) => pass(face, token).ok().map(|pass| pass.owner()),
    };
    owner.map_or(0, |owner| face.blobs.arrived(&owner, digest))
}

pub(super) fn view(face: &Face, client: &BlobClient, digest: &Digest) -> Result<BlobView, PortError> {
    let may_read = match client {
        BlobClient::Sponsor(sponsor) => face.blobs.owns(&Owner::Sponsor(sponsor.clone()), digest),
        BlobClient::Miner(token) => {
            let pass = pass(face, token)?;
            face.shared.hall.may_read(digest) || face.blobs.owns(&pass.owner(), digest)
        }
    };
    match may_read {
        true => Ok(BlobView { digest: *digest, bytes: face.blobs.bytes(digest)? }),
        false => Err(not_yours(digest)),
    }
}

pub(super) async fn read(
    face: &Face,
    client: &BlobClient,
    digest: &Digest,
    range: Range<u64>,
) -> Result<Downloading, PortError> {
    view(face, client, digest)?;
    face.blobs.begin_reading(digest, range).await
}
