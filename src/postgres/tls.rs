//! TLS for replication connections, by libpq's modes. (All other connections have sqlx's.)
//!
//! pgwire-replication has it too, but takes a certificate for another host as invalid under verify-ca, and builds a second cryptography
//! library for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pgwire_replication::PgWireError;
use pgwire_replication::protocol::framing;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName, UnixTime};
use rustls::server::{ParsedCertificate, VerifierBuilderError};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::paced::Paced;
use crate::config::{PostgresConfig, SslMode};

/// A connection, encrypted or not.
pub(super) type MaybeTls = Either<Paced<TcpStream>, Box<TlsStream<Paced<TcpStream>>>>;

/// The connection could not be encrypted as it must be.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The server has no TLS.
    #[error("the server offers no TLS: set PGSSLMODE=prefer to do without, or ssl = on in the server")]
    NotOffered,
    /// The file of trusted certificates is of no use.
    #[error("PGSSLROOTCERT {}: {source}", file.display())]
    RootCert {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// No certificate of the file can be trusted.
    #[error(transparent)]
    Verifier(#[from] VerifierBuilderError),
    /// The host's name cannot be in a certificate.
    #[error("a certificate cannot name the host {host}: {source}")]
    HostName {
        /// The host.
        host: String,
        /// What is wrong with it.
        source: InvalidDnsNameError,
    },
    /// The cryptography cannot be set up.
    #[error(transparent)]
    Setup(#[from] rustls::Error),
    /// The handshake failed: most likely over the server's certificate.
    #[error("TLS: {0}")]
    Handshake(#[source] std::io::Error),
    /// The connection was cut.
    #[error(transparent)]
    Broken(#[from] PgWireError),
}

/// Asks for TLS where the mode wants it, and encrypts.
pub(super) async fn secure(mut tcp: Paced<TcpStream>, config: &PostgresConfig) -> Result<MaybeTls, TlsError> {
    let mode = config.effective_ssl_mode();
    if mode == SslMode::Disable {
        return Ok(Either::Left(tcp));
    }
    framing::write_ssl_request(&mut tcp).await?;
    match tcp.read_u8().await.map_err(PgWireError::from)? {
        b'S' => {}
        _ if mode == SslMode::Prefer => return Ok(Either::Left(tcp)),
        _ => return Err(TlsError::NotOffered),
    }
    let host = config.host.clone();
    let name = ServerName::try_from(host.clone()).map_err(|source| TlsError::HostName { host, source })?;
    let connector = TlsConnector::from(Arc::new(client_config(mode, config.ssl_root_cert.as_deref())?));
    Ok(Either::Right(Box::new(connector.connect(name, tcp).await.map_err(TlsError::Handshake)?)))
}

fn client_config(mode: SslMode, root_cert: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match mode {
        SslMode::Disable | SslMode::Prefer | SslMode::Require => Arc::new(Lenient { trusted: None, provider: provider.clone() }),
        SslMode::VerifyCa => Arc::new(Lenient { trusted: Some(trusted(root_cert)?), provider: provider.clone() }),
        SslMode::VerifyFull => WebPkiServerVerifier::builder_with_provider(Arc::new(trusted(root_cert)?), provider.clone()).build()?,
    };
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// The certificates of the file, or else the public authorities.
fn trusted(root_cert: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let Some(file) = root_cert else { return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()) };
    let unusable = |source| TlsError::RootCert { file: file.to_owned(), source };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(unusable)?;
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(certificates);
    Ok(trusted)
}

/// Verifies no name; and whom the certificate comes from only if there are trusted ones.
#[derive(Debug)]
struct Lenient {
    trusted: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(trusted) = &self.trusted {
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&ParsedCertificate::try_from(certificate)?, trusted, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
