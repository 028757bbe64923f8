//! TLS to a pool: verified as browsers do, or by a certificate that the owner has named.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Most certificates of a file.
pub const CERTIFICATES_MAX: usize = 64;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read, or is not PEM.
    #[error("{path}: {what}; taken is a PEM file of 1 to {CERTIFICATES_MAX} certificates")]
    File {
        /// Which file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// The library's own complaint.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// Makes the connector. Certificates in the file `extra` are trusted as authorities, and a pool that shows one of them
/// itself is trusted as well, whatever name it goes by: that is what a self-signed certificate is good for.
///
/// # Errors
/// The file cannot be used.
pub fn connector(extra: Option<&Path>) -> Result<TlsConnector, TlsError> {
    let named = extra.map_or(Ok(Vec::new()), read)?;
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    roots.add_parsable_certificates(named.iter().cloned());
    let provider = Arc::new(ring::default_provider());
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| TlsError::Setup(error.to_string()))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Setup(error.to_string()))?
        .dangerous() // the verifier below only adds certificates that the owner named
        .with_custom_certificate_verifier(Arc::new(Verifier { named, authorities }))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fail = |what: String| TlsError::File { path: path.display().to_string(), what };
    let file = CertificateDer::pem_file_iter(path).map_err(|error| fail(error.to_string()))?;
    let named: Vec<_> =
        file.take(CERTIFICATES_MAX + 1).collect::<Result<_, _>>().map_err(|error| fail(error.to_string()))?;
    match named.len() {
        0 => Err(fail("no certificate in it".to_owned())),
        1..=CERTIFICATES_MAX => Ok(named),
        _ => Err(fail("too many certificates".to_owned())),
    }
}

/// The usual rules, and certificates taken at their bytes.
struct Verifier {
    named: Vec<CertificateDer<'static>>,
    authorities: Arc<WebPkiServerVerifier>,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("named", &self.named.len()).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.named.contains(shown) {
            return Ok(ServerCertVerified::assertion());
        }
        self.authorities.verify_server_cert(shown, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, shown, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}
