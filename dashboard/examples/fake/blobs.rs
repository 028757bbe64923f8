//! Blobs made up: kept in memory, read in small pieces, and damaged when told to.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use lode_dashboard::port::{self, BlobClient, Delivery, PortError, Uploaded};
use lode_protocol::Digest;
use lode_protocol::api::BlobView;

/// Most bytes of a blob.
pub(crate) const BYTES_MAX: u64 = 1 << 20;
/// Bytes of all blobs of a sponsor.
pub(crate) const QUOTA: u64 = 3 << 20;
/// Bytes of a piece.
pub(crate) const PIECE_BYTES: u64 = 10_000;

/// Who has it, and its digest.
type Key = (String, Digest);

fn owner(client: &BlobClient) -> String {
    match client {
        BlobClient::Sponsor(sponsor) => sponsor.to_string(),
        BlobClient::Miner(token) => format!("token {token}"),
    }
}

#[derive(Default)]
struct State {
    whole: BTreeMap<Key, Bytes>,
    parts: BTreeMap<Key, Bytes>,
    /// Reading fails from this byte on.
    damage: Option<u64>,
}

/// Everyone's blobs.
#[derive(Default)]
pub(crate) struct Bank(Mutex<State>);

impl Bank {
    /// Damages every blob from this byte on.
    pub(crate) fn damage(&self, from: u64) {
        self.state().damage = Some(from);
    }

    /// Blobs and interrupted uploads.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state();
        (state.whole.len(), state.parts.len())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with it")
    }

    pub(crate) fn arrived(&self, client: &BlobClient, digest: &Digest) -> u64 {
        self.state().parts.get(&(owner(client), *digest)).map_or(0, |part| part.len() as u64)
    }

    pub(crate) fn find(&self, client: &BlobClient, digest: &Digest) -> Result<Bytes, PortError> {
        let found = self.state().whole.get(&(owner(client), *digest)).cloned();
        found.ok_or_else(|| PortError::NotFound(format!("blob {digest} of yours")))
    }

    pub(crate) fn begin(
        self: &Arc<Bank>,
        client: &BlobClient,
        delivery: Delivery,
        announced: Option<u64>,
    ) -> Result<Uploading, PortError> {
        let (expected, offset) = match delivery {
            Delivery::Once { expected } => (expected, 0),
            Delivery::Resumable { digest, offset } => (Some(digest), offset),
        };
        let key = matches!(delivery, Delivery::Resumable { .. }).then_some(expected).flatten();
        let key = key.map(|digest| (owner(client), digest));
        let part = key.as_ref().and_then(|key| self.state().parts.remove(key)).unwrap_or_default();
        if offset > part.len() as u64 {
            return Err(PortError::Conflict(format!("{} bytes have arrived", part.len())));
        }
        let offset = usize::try_from(offset).expect("parts fit into memory");
        let bytes = BytesMut::from(&part[..offset]);
        let upload = Uploading { bank: self.clone(), owner: owner(client), expected, key, bytes };
        upload.check(announced.unwrap_or(0)).map(|()| upload)
    }

    pub(crate) fn read(
        self: &Arc<Bank>,
        client: &BlobClient,
        digest: &Digest,
        left: Range<u64>,
    ) -> Result<Downloading, PortError> {
        Ok(Downloading { bytes: self.find(client, digest)?, left, damage: self.state().damage })
    }
}

pub(crate) struct Uploading {
    bank: Arc<Bank>,
    owner: String,
    expected: Option<Digest>,
    key: Option<Key>,
    bytes: BytesMut,
}

impl Uploading {
    fn check(&self, more: u64) -> Result<(), PortError> {
        let bytes = self.bytes.len() as u64 + more;
        let mine = |((owner, _), bytes): (&Key, &Bytes)| (*owner == self.owner).then_some(bytes.len() as u64);
        let held: u64 = self.bank.state().whole.iter().filter_map(mine).sum();
        match bytes {
            _ if bytes > BYTES_MAX => Err(PortError::TooLarge(format!("a blob has at most {BYTES_MAX} bytes"))),
            _ if held + bytes > QUOTA => Err(PortError::Full(format!("your blobs have at most {QUOTA} bytes"))),
            _ => Ok(()),
        }
    }
}

impl port::Upload for Uploading {
    async fn write(&mut self, bytes: Bytes) -> Result<(), PortError> {
        self.check(bytes.len() as u64)?;
        self.bytes.extend_from_slice(&bytes);
        Ok(())
    }

    async fn finish(mut self) -> Result<Uploaded, PortError> {
        self.key = None;
        let bytes = std::mem::take(&mut self.bytes).freeze();
        let found = Digest(*blake3::hash(&bytes).as_bytes());
        if let Some(expected) = self.expected.filter(|expected| *expected != found) {
            return Err(PortError::Digest { expected, found });
        }
        let blob = BlobView { digest: found, bytes: bytes.len() as u64 };
        let before = self.bank.state().whole.insert((self.owner.clone(), found), bytes);
        Ok(Uploaded { blob, created: before.is_none() })
    }
}

impl Drop for Uploading {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.bank.state().parts.insert(key, std::mem::take(&mut self.bytes).freeze());
        }
    }
}

pub(crate) struct Downloading {
    bytes: Bytes,
    left: Range<u64>,
    damage: Option<u64>,
}

impl Downloading {
    /// Bytes that are not in the bank.
    pub(crate) fn of(bytes: Bytes) -> Downloading {
        Downloading { left: 0..bytes.len() as u64, bytes, damage: None }
    }
}

impl port::Reading for Downloading {
    async fn next_bytes(&mut self) -> Result<Option<Bytes>, PortError> {
        let (start, end) = (self.left.start, self.left.end.min(self.left.start + PIECE_BYTES));
        if start == self.left.end {
            return Ok(None);
        }
        if self.damage.is_some_and(|from| end > from) {
            return Err(PortError::Storage("the blob is damaged".into()));
        }
        self.left.start = end;
        let place = |at: u64| usize::try_from(at).expect("blobs fit into memory");
        Ok(Some(self.bytes.slice(place(start)..place(end))))
    }
}
