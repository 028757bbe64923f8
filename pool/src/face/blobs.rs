//! Blobs: who may read them, and what an upload begins with.

use std::ops::Range;

use lode_dashboard::port::{BlobReader, PortError};
use lode_protocol::Digest;
use lode_protocol::api::BlobView;

use super::Face;
use crate::blobs::Owner;
use crate::blobs::port::{Downloading, not_yours};

pub(super) fn view(face: &Face, reader: &BlobReader, digest: &Digest) -> Result<BlobView, PortError> {
    let may_read = match reader {
        BlobReader::Sponsor(sponsor) => face.blobs.owns(&Owner::Sponsor(sponsor.clone()), digest),
    };
    match may_read {
        true => Ok(BlobView { digest: *digest, bytes: face.blobs.bytes(digest)? }),
        false => Err(not_yours(digest)),
    }
}

pub(super) async fn read(
    face: &Face,
    reader: &BlobReader,
    digest: &Digest,
    range: Range<u64>,
) -> Result<Downloading, PortError> {
    view(face, reader, digest)?;
    face.blobs.begin_reading(digest, range).await
}
