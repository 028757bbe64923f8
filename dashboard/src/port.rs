//! The port: what the HTTP face asks of the pool behind it. The pool implements it; tests may fake it.

use std::future::Future;
use std::ops::Range;

use bytes::Bytes;
use lode_protocol::Digest;
use lode_protocol::api::{
    AccountView, Amount, BlobView, DepositRequest, DepositView, EarningView, FieldError, JobRequest, JobResult,
    JobView, LeaderView, NewSponsor, Page, PageQuery, PayoutView, PoolView, Quote, SponsorCreated, SponsorView,
};
use lode_protocol::ids::{AccountName, AssetName, JobId, SponsorName};
use tokio::sync::watch;

/// Why the pool does not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// No such thing.
    #[error("there is no {0}")]
    NotFound(String),
    /// The request has wrong fields.
    #[error("{} field(s) are wrong", .0.len())]
    Fields(Vec<FieldError>),
    /// The sponsor's balance does not cover the budget.
    #[error("the balance is {balance} {asset} and the job needs {needed}")]
    Short {
        /// Free balance.
        balance: Amount,
        /// Budget asked for.
        needed: Amount,
        /// In which asset.
        asset: AssetName,
    },
    /// It contradicts what is already there.
    #[error("{0}")]
    Conflict(String),
    /// A limit of the pool is reached.
    #[error("{0}")]
    Busy(String),
    /// The ledger does not take entries.
    #[error("the ledger takes no entries: {0}")]
    LedgerDown(String),
    /// A body has more bytes than are taken.
    #[error("{0}")]
    TooLarge(String),
    /// There is no room for it.
    #[error("{0}")]
    Full(String),
    /// The bytes are not those that were announced.
    #[error("the digest of what arrived is {found} where {expected} was expected")]
    Digest {
        /// The digest asked for.
        expected: Digest,
        /// That of the bytes.
        found: Digest,
    },
    /// What is kept for the caller cannot be read or written.
    #[error("{0}")]
    Storage(String),
}

/// What came of a submitted job.
#[derive(Debug, Clone, PartialEq)]
pub struct Submitted {
    /// The job.
    pub job: JobView,
    /// Its quote.
    pub quote: Quote,
    /// False where the idempotency key had already made this job.
    pub created: bool,
}

/// Whether the pool can do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Ready to take shares and jobs.
    pub ready: bool,
    /// Why not, for the operator.
    pub faults: Vec<String>,
}

/// A client's idempotency key and the digest of the body it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// The header's value.
    pub key: String,
    /// BLAKE3 of the body.
    pub body: [u8; 32],
}

/// Who moves blobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobClient {
    /// A sponsor, who reads what it uploaded.
    Sponsor(SponsorName),
    /// A miner by its token, who reads what its units may need and uploads their results.
    Miner(String),
}

/// The result of a finished job.
#[derive(Debug)]
pub enum ResultOf<R> {
    /// What a search found.
    Found(JobResult),
    /// The file that a range job made.
    File(ResultFile<R>),
}

/// A file that a range job made.
#[derive(Debug)]
pub struct ResultFile<R> {
    /// What it may be called on disk.
    pub name: String,
    /// Its media type.
    pub media_type: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// What those are named by.
    pub digest: Digest,
    /// The bytes, from the first on.
    pub reading: R,
}

/// How a blob comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// At once; nothing is kept of it if it breaks off.
    Once {
        /// What its digest must be.
        expected: Option<Digest>,
    },
    /// So that what arrived is kept for a while if it breaks off.
    Resumable {
        /// What its digest must be.
        digest: Digest,
        /// The byte at which it goes on; what arrived behind it is replaced.
        offset: u64,
    },
}

/// What came of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uploaded {
    /// The blob.
    pub blob: BlobView,
    /// False where this client had uploaded it before.
    pub created: bool,
}

/// An upload under way. Dropped before its end, it is as if its connection had broken.
pub trait Upload: Send + 'static {
    /// Takes the next bytes.
    fn write(&mut self, bytes: Bytes) -> impl Future<Output = Result<(), PortError>> + Send;
    /// Ends it: the blob is on stable storage when this answers.
    fn finish(self) -> impl Future<Output = Result<Uploaded, PortError>> + Send;
}

/// A blob being read.
pub trait Reading: Send + 'static {
    /// The next bytes, checked; nothing at the end.
    fn next_bytes(&mut self) -> impl Future<Output = Result<Option<Bytes>, PortError>> + Send;
}

/// The pool, as the HTTP face sees it. Reading calls answer from the store at once; calls that
/// write answer after the entry is on disk.
pub trait Port: Send + Sync + 'static {
    /// Takes a blob.
    type Upload: Upload;
    /// Gives a blob.
    type Reading: Reading;

    /// The pool as a whole.
    fn pool(&self) -> PoolView;
    /// Whether it works.
    fn health(&self) -> Health;
    /// A number that changes whenever the ledger grows or workers come and go.
    fn changes(&self) -> watch::Receiver<u64>;

    /// Jobs, newest first.
    ///
    /// # Errors
    /// A cursor that this list did not give.
    fn jobs(&self, page: &PageQuery) -> Result<Page<JobView>, PortError>;
    /// One job.
    ///
    /// # Errors
    /// There is none of this id.
    fn job(&self, id: JobId) -> Result<JobView, PortError>;
    /// One account.
    ///
    /// # Errors
    /// It never proved work and is not logged in.
    fn account(&self, account: &AccountName) -> Result<AccountView, PortError>;
    /// An account's earnings by job, newest first.
    ///
    /// # Errors
    /// A cursor that this list did not give.
    fn earnings(&self, account: &AccountName, page: &PageQuery) -> Result<Page<EarningView>, PortError>;
    /// An account's payouts, newest first.
    ///
    /// # Errors
    /// A cursor that this list did not give.
    fn payouts(&self, account: &AccountName, page: &PageQuery) -> Result<Page<PayoutView>, PortError>;
    /// Accounts by work, most first.
    ///
    /// # Errors
    /// A cursor that this list did not give.
    fn leaderboard(&self, page: &PageQuery) -> Result<Page<LeaderView>, PortError>;

    /// Whose key this is. Takes the same time for every wrong key.
    fn sponsor_of_key(&self, key: &str) -> Option<SponsorName>;
    /// Whether this is the admin token. Takes the same time for every wrong one.
    fn is_admin_token(&self, token: &str) -> bool;
    /// Whether this is the token of a miner's connection, or of one that closed a moment ago.
    fn is_miner_token(&self, token: &str) -> bool;

    /// A sponsor's money.
    ///
    /// # Errors
    /// There is no such sponsor.
    fn sponsor(&self, sponsor: &SponsorName) -> Result<SponsorView, PortError>;
    /// What a job of this sponsor would take, which may need its blobs to be read.
    fn quote(
        &self,
        sponsor: &SponsorName,
        request: &JobRequest,
    ) -> impl Future<Output = Result<Quote, PortError>> + Send;
    /// Opens a job: escrow and terms are in the ledger when this answers.
    fn submit(
        &self,
        sponsor: &SponsorName,
        request: JobRequest,
        idempotency: Option<Idempotency>,
    ) -> impl Future<Output = Result<Submitted, PortError>> + Send;
    /// Cancels a job of this sponsor; it takes effect after the pool's notice.
    fn cancel(&self, sponsor: &SponsorName, id: JobId) -> impl Future<Output = Result<JobView, PortError>> + Send;
    /// The result of a finished job of this sponsor; [`PortError::Conflict`] where it is not finished.
    fn result(
        &self,
        sponsor: &SponsorName,
        id: JobId,
    ) -> impl Future<Output = Result<ResultOf<Self::Reading>, PortError>> + Send;
    /// A picture (PNG) of what a job has done so far; nothing where its kind has none, or nothing is done. Whoever may not
    /// see it is answered [`PortError::NotFound`]: where the pool's previews are not public, all but the job's sponsor.
    fn preview(
        &self,
        sponsor: Option<&SponsorName>,
        id: JobId,
    ) -> impl Future<Output = Result<Option<Bytes>, PortError>> + Send;

    /// Begins to take a blob; `announced` is how many bytes are to come, where that is known.
    fn upload(
        &self,
        client: &BlobClient,
        delivery: Delivery,
        announced: Option<u64>,
    ) -> impl Future<Output = Result<Self::Upload, PortError>> + Send;
    /// How many bytes are here of a resumable upload that broke off.
    fn arrived(&self, client: &BlobClient, digest: &Digest) -> u64;
    /// A blob's size.
    ///
    /// # Errors
    /// There is none that this client may read, or it is damaged.
    fn blob(&self, client: &BlobClient, digest: &Digest) -> Result<BlobView, PortError>;
    /// Opens a blob for reading `range`, which lies within it.
    fn read_blob(
        &self,
        client: &BlobClient,
        digest: &Digest,
        range: Range<u64>,
    ) -> impl Future<Output = Result<Self::Reading, PortError>> + Send;

    /// Creates a sponsor and its key.
    fn create_sponsor(&self, new: NewSponsor) -> impl Future<Output = Result<SponsorCreated, PortError>> + Send;
    /// Credits a sponsor.
    fn deposit(&self, deposit: DepositRequest) -> impl Future<Output = Result<DepositView, PortError>> + Send;
}
