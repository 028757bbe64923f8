//! How a pool is reached: a byte stream to an address.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::url::{PoolUrl, Scheme};

/// How long a name's lookup and the connection's opening may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What lines can be framed on.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// An open stream.
pub type Stream = Box<dyn Transport>;
/// A stream that is being opened.
pub type Dialing = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

/// Opens streams. The network is one way; tests have another, so that their clocks can be paused.
pub trait Dial: Send + Sync {
    /// Opens a stream to `url`.
    fn dial(&self, url: &PoolUrl) -> Dialing;
}

/// The real network.
#[derive(Clone)]
pub struct Network {
    tls: TlsConnector,
}

impl Network {
    /// Speaks TLS by `tls` where an address asks for it.
    #[must_use]
    pub fn new(tls: TlsConnector) -> Network {
        Network { tls }
    }
}

impl Dial for Network {
    fn dial(&self, url: &PoolUrl) -> Dialing {
        let (url, tls) = (url.clone(), self.tls.clone());
        Box::pin(async move {
            let opened = timeout(CONNECT_TIMEOUT, open(&url, &tls)).await;
            opened.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no connection within 10 s")))
        })
    }
}

async fn open(url: &PoolUrl, tls: &TlsConnector) -> io::Result<Stream> {
    let stream = TcpStream::connect((&url.host[..], url.port)).await?;
    // A share is one small packet and should leave at once.
    stream.set_nodelay(true)?;
    match url.scheme {
        Scheme::Tcp => Ok(Box::new(stream)),
        Scheme::Ssl => {
            let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
            let secured = tls.connect(name, stream).await;
            Ok(Box::new(secured.map_err(|error| io::Error::new(error.kind(), explain(&error)))?))
        }
    }
}

fn explain(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(_)) => format!("{error}; --tls-ca FILE trusts a pool's own certificate"),
        Some(rustls::Error::InvalidMessage(_)) => "no TLS at this port; stratum+tcp:// may be meant".to_owned(),
        _ => format!("TLS: {error}"),
    }
}
