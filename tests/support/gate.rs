//! What may stand before a Loki: a TLS port, or an HTTP proxy. It passes bytes on and remembers how it was spoken to.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring};

/// A file of the certificates for tests.
pub fn certificate(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tls").join(name)
}

enum Kind {
    Tls(TlsAcceptor),
    Proxy,
}

/// A running gate; it ends when this is dropped.
pub struct Gate {
    pub address: SocketAddr,
    /// Of each connection: the name that TLS asked for, or the first line of the request to the proxy.
    pub seen: Arc<Mutex<Vec<String>>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Gate {
    /// A TLS port before `target` that shows `NAME.pem`; with `clients`, only to those with a certificate of ours.
    pub fn tls(target: SocketAddr, name: &str, clients: bool) -> Gate {
        let chain: Vec<_> = CertificateDer::pem_file_iter(certificate(&format!("{name}.pem")))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let key = PrivateKeyDer::from_pem_file(certificate(&format!("{name}.key"))).unwrap();
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = if clients {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(certificate("ca.pem")).unwrap()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let config = config.with_single_cert(chain, key).unwrap();
        Gate::start(target, Kind::Tls(TlsAcceptor::from(Arc::new(config))))
    }

    /// A proxy that takes every request to `target`, whatever host it is for.
    pub fn proxy(target: SocketAddr) -> Gate {
        Gate::start(target, Kind::Proxy)
    }

    fn start(target: SocketAddr, kind: Kind) -> Gate {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, (end, ended)) = (Arc::<Mutex<Vec<String>>>::default(), oneshot::channel());
        let (kind, notes) = (Arc::new(kind), seen.clone());
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(pass(stream, target, kind.clone(), notes.clone()));
            }
        };
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! { () = serve => {}, _ = ended => {} }
            });
        });
        Gate { address, seen, end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn pass(stream: TcpStream, target: SocketAddr, kind: Arc<Kind>, seen: Arc<Mutex<Vec<String>>>) {
    let note = |text: &str| seen.lock().unwrap().push(text.to_owned());
    match &*kind {
        Kind::Tls(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                note(stream.get_ref().1.server_name().unwrap_or("no name"));
                join(stream, target, &[]).await;
            }
        }
        Kind::Proxy => {
            let mut stream = stream;
            let mut head = Vec::new();
            while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            note(text.lines().next().unwrap_or_default());
            if text.starts_with("CONNECT ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                head.clear();
            }
            join(stream, target, &head).await;
        }
    }
}

async fn join(mut stream: impl AsyncRead + AsyncWrite + Unpin, target: SocketAddr, first: &[u8]) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    if server.write_all(first).await.is_ok() {
        let _ = copy_bidirectional(&mut stream, &mut server).await;
    }
}
