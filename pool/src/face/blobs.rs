//! Blobs: who may read them, and what an upload begins with.

use std::ops::Range;

use lode_dashboard::port::{BlobClient, PortError};
use lode_protocol::Digest;
use lode_protocol::api::BlobView;
use lode_protocol::ids::SponsorName;

use super::Face;
use crate::blobs::Owner;
use crate::blobs::port::{Downloading, not_yours};

/// The sponsor that a client is.
pub(super) fn sponsor(client: &BlobClient) -> Result<&SponsorName, PortError> {
    match client {
        BlobClient::Sponsor(sponsor) => Ok(sponsor),
        BlobClient::Miner(_) => Err(PortError::NotFound("unit of yours".into())),
    }
}

pub(super) fn view(face: &Face, client: &BlobClient, digest: &Digest) -> Result<BlobView, PortError> {
    let may_read = match client {
        BlobClient::Sponsor(sponsor) => face.blobs.owns(&Owner::Sponsor(sponsor.clone()), digest),
        BlobClient::Miner(_) => false,
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
