//! The blobs as the HTTP face asks for them: each step on a thread that may block.

use std::fmt;

use bytes::Bytes;
use lode_dashboard::port::{self, PortError, Uploaded};
use lode_protocol::Digest;
use lode_protocol::api::BlobView;
use tokio::task::spawn_blocking;

use super::{BlobError, Blobs, Delivery, Owner, Quota, Reading, Stored, Upload};

impl From<BlobError> for PortError {
    fn from(error: BlobError) -> PortError {
        let text = error.to_string();
        match error {
            BlobError::Unknown(digest) => not_yours(&digest),
            BlobError::Damaged(_) => PortError::Storage(text),
            BlobError::TooLarge(_) => PortError::TooLarge(text),
            BlobError::Full(_) | BlobError::DiskFull => PortError::Full(text),
            BlobError::Busy(_) => PortError::Busy(text),
            BlobError::UnderWay(_) | BlobError::Offset { .. } => PortError::Conflict(text),
            BlobError::Digest { expected, found } => PortError::Digest { expected, found },
            BlobError::Io { .. } => {
                // Where things lie on the pool's disk is the operator's to know.
                tracing::error!(error = text, "a blob could not be kept or read");
                PortError::Storage("the pool's disk does not keep or give this blob; its log says why".into())
            }
        }
    }
}

/// A blob that is another's, as if it were not there.
pub(crate) fn not_yours(digest: &Digest) -> PortError {
    PortError::NotFound(format!("blob {digest} of yours"))
}

/// Runs what may block, and does not lose it if whoever asked goes away.
async fn blocking<T: Send + 'static>(
    step: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, PortError> {
    match spawn_blocking(step).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(PortError::Storage(error.to_string())),
    }
}

impl Blobs {
    /// [`Blobs::begin_within`] for the HTTP face.
    pub(crate) async fn begin_upload(
        &self,
        owner: &Owner,
        quota: Quota,
        delivery: port::Delivery,
        announced: Option<u64>,
        arrived: Option<Arrived>,
    ) -> Result<Uploading, PortError> {
        let delivery = match delivery {
            port::Delivery::Once { expected } => Delivery::Once { expected },
            port::Delivery::Resumable { digest, offset } => Delivery::Resumable { digest, offset },
        };
        let (blobs, owner) = (self.clone(), owner.clone());
        let upload = blocking(move || blobs.begin_within(&owner, quota, delivery, announced)).await?;
        Ok(Uploading { upload: Some(upload), arrived })
    }

    /// [`Blobs::read`] for the HTTP face.
    pub(crate) async fn begin_reading(
        &self,
        digest: &Digest,
        range: std::ops::Range<u64>,
    ) -> Result<Downloading, PortError> {
        let (blobs, digest) = (self.clone(), *digest);
        let reading = blocking(move || blobs.read(&digest, range)).await?;
        Ok(Downloading(Some(reading)))
    }
}

/// What is done with an upload that is whole, on a thread that may block.
pub(crate) type Arrived = Box<dyn FnOnce(&Stored) + Send>;

/// An upload; none once a step of it has failed.
pub struct Uploading {
    upload: Option<Upload>,
    arrived: Option<Arrived>,
}

impl fmt::Debug for Uploading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Uploading").field(&self.upload).finish()
    }
}

/// What a step says of an upload of which one before has failed.
fn ended() -> PortError {
    PortError::Conflict("it has failed already".into())
}

impl port::Upload for Uploading {
    async fn write(&mut self, bytes: Bytes) -> Result<(), PortError> {
        let mut upload = self.upload.take().ok_or_else(ended)?;
        let written = blocking(move || upload.write(&bytes).map(|()| upload)).await;
        self.upload = Some(written?);
        Ok(())
    }

    async fn finish(mut self) -> Result<Uploaded, PortError> {
        let upload = self.upload.take().ok_or_else(ended)?;
        let arrived = self.arrived.take();
        let finish = move || {
            let stored = upload.finish()?;
            arrived.into_iter().for_each(|arrived| arrived(&stored));
            Ok(stored)
        };
        let stored = blocking(finish).await?;
        let blob = BlobView { digest: stored.digest, bytes: stored.bytes };
        Ok(Uploaded { blob, created: stored.new })
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // A file is removed, which may block.
            runtime.spawn_blocking(move || drop(upload));
        }
    }
}

/// A blob being read; none once a step has failed.
#[derive(Debug)]
pub struct Downloading(Option<Reading>);

impl port::Reading for Downloading {
    async fn next_bytes(&mut self) -> Result<Option<Bytes>, PortError> {
        let mut reading = self.0.take().ok_or_else(ended)?;
        let (bytes, reading) = blocking(move || Ok((reading.next_bytes()?, reading))).await?;
        self.0 = Some(reading);
        Ok(bytes)
    }
}
