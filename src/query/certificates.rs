//! The certificates of the API's address: TLS by rustls, and which clients may connect.
//!
//! The files are looked at when a connection comes, and read again when they have changed. So a renewed certificate needs
//! neither a restart nor a reload. If the new files are of no use, the old certificates go on, and the log says why.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::section;
use crate::client::{AccessError, Content, Version, version};

/// The longest time that the two sides may take to know each other.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The protocol that is spoken then (RFC 7301).
const HTTP: &[u8] = b"http/1.1";
/// The keys that name the files.
const CERT_FILE: &str = "query.tls.cert_file";
const KEY_FILE: &str = "query.tls.key_file";
const CLIENT_CA_FILE: &str = "query.tls.client_ca_file";

/// The certificates that are in force.
pub(super) struct Certificates {
    section: section::Certificates,
    current: Mutex<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// The state of the files when they were looked at last.
    seen: Vec<Option<Version>>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, or does not hold what it should.
    pub(super) fn read(section: &section::Certificates) -> Result<Certificates, AccessError> {
        let seen = seen(section);
        let current = Mutex::new(Current { config: config(section)?, seen });
        Ok(Certificates { section: section.clone(), current })
    }

    /// Makes a connection one with TLS.
    ///
    /// # Errors
    /// The client does not speak TLS, shows no certificate that counts, or takes too long.
    pub(super) async fn accept<S>(&self, stream: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let acceptor = TlsAcceptor::from(self.current());
        tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await?
    }

    fn current(&self) -> Arc<ServerConfig> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen(&self.section);
        if seen != current.seen {
            match config(&self.section) {
                Ok(config) => current.config = config,
                Err(error) => log::error!("the old certificates of query.listen go on: {error}"),
            }
            current.seen = seen;
        }
        current.config.clone()
    }
}

/// The state of the files.
fn seen(section: &section::Certificates) -> Vec<Option<Version>> {
    let files = [&section.cert_file, &section.key_file].into_iter().chain(&section.client_ca_file);
    files.map(|path| version(path)).collect()
}

/// What a server shows and asks for.
fn config(section: &section::Certificates) -> Result<Arc<ServerConfig>, AccessError> {
    let certificate = Content::read(CERT_FILE, &section.cert_file)?;
    let key = Content::read(KEY_FILE, &section.key_file)?;
    let private = PrivateKeyDer::from_pem_slice(&key.bytes)
        .map_err(|error| key.wrong(format!("holds no private key in PEM: {error}")))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| certificate.wrong(format!("cannot be used: {error}")))?;
    let builder = match &section.client_ca_file {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let authorities = Content::read(CLIENT_CA_FILE, path)?;
            let mut roots = RootCertStore::empty();
            for authority in in_pem(&authorities)? {
                let added = roots.add(authority);
                added.map_err(|error| authorities.wrong(format!("holds what is no authority: {error}")))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| authorities.wrong(format!("cannot be used: {error}")))?,
            )
        }
    };
    let mut config = builder.with_single_cert(in_pem(&certificate)?, private).map_err(|error| {
        certificate.wrong(format!("cannot be used with the key {}: {error}", key.path.display()))
    })?;
    config.alpn_protocols = vec![HTTP.to_vec()];
    Ok(Arc::new(config))
}

/// The certificates in a file, in their order.
fn in_pem(file: &Content) -> Result<Vec<CertificateDer<'static>>, AccessError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.bytes).collect();
    match found.map_err(|error| file.wrong(format!("holds no certificates in PEM: {error}")))? {
        none if none.is_empty() => {
            Err(file.wrong("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"))
        }
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_left() {
        let file =
            |name: &str| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name);
        let section = section::Certificates {
            cert_file: file("server.pem"),
            key_file: file("server.key"),
            client_ca_file: None,
        };
        let certificates = Certificates::read(&section).unwrap();
        let (_silent, stream) = tokio::io::duplex(1024);
        let begun = tokio::time::Instant::now();
        let error = certificates.accept(stream).await.map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed(), HANDSHAKE_MAX);
    }
}
