//! Who may ask over an address: names and passwords, TLS, certificates of clients, and what becomes of their files.

use std::path::Path;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::{Certificate, Client, Identity};
use rustix::process::Signal;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::query_api::Asked;
use crate::support::agent::program;
use crate::support::gate::certificate;
use crate::support::journald::wait_until;
use crate::support::or_skip;

const PATH: &str = "/loki/api/v1/labels";

/// A client that trusts our authority, with the certificate `NAME.pem` or none.
fn client(name: Option<&str>) -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ca = Certificate::from_pem(&std::fs::read(certificate("ca.pem")).unwrap()).unwrap();
    let builder = Client::builder().tls_certs_only([ca]).timeout(Duration::from_secs(30)).no_proxy();
    let read = |name: String| std::fs::read(certificate(&name)).unwrap();
    let identity = |name: &str| {
        let pem = [read(format!("{name}.key")), read(format!("{name}.pem"))].concat();
        Identity::from_pem(&pem).unwrap()
    };
    match name {
        Some(name) => builder.identity(identity(name)).build().unwrap(),
        None => builder.build().unwrap(),
    }
}

/// The lines of `query.tls` with a server's certificate; `clients`: they need one, too.
fn tls(name: &str, clients: bool) -> String {
    let file = |name: String| format!("{:?}", certificate(&name));
    let more = if clients { format!(", client_ca_file: {}", file("ca.pem".into())) } else { String::new() };
    let (cert, key) = (file(format!("{name}.pem")), file(format!("{name}.key")));
    format!("tls: {{cert_file: {cert}, key_file: {key}{more}}}")
}

/// What a client brings.
#[derive(Debug, Clone, Copy)]
enum Bring {
    Nothing,
    Basic(&'static str, &'static str),
    Bearer(&'static str),
}

/// The status that a request gets; `None`: there is no connection.
async fn status(client: &Client, url: &str, bring: Bring) -> Option<u16> {
    let request = client.get(url);
    let request = match bring {
        Bring::Nothing => request,
        Bring::Basic(name, password) => request.basic_auth(name, Some(password)),
        Bring::Bearer(token) => request.bearer_auth(token),
    };
    let response = request.send().await.ok()?;
    let (status, text) = (response.status().as_u16(), response.text().await.unwrap_or_default());
    assert!(status == 200 || !text.contains("unit"), "{text}");
    Some(status)
}

#[tokio::test]
async fn an_address_asks_for_what_the_configuration_says() {
    let home = tempfile::tempdir().unwrap();
    let secret = home.path().join("secret");
    std::fs::write(&secret, "hunter2\n").unwrap();
    let basic = format!("basic_auth: {{username: ada, password_file: {secret:?}}}");
    let token = format!("token_file: {secret:?}");
    let (good, nothing) = (Bring::Basic("ada", "hunter2"), Bring::Nothing);
    for (access, rows) in [
        (
            basic.clone(),
            &[
                ("http", None, nothing, Some(401)),
                ("http", None, good, Some(200)),
                ("http", None, Bring::Basic("ada", "hunter3"), Some(401)),
                ("http", None, Bring::Basic("bob", "hunter2"), Some(401)),
                ("http", None, Bring::Basic("", "hunter2"), Some(401)),
                ("http", None, Bring::Bearer("hunter2"), Some(401)),
                ("https", None, good, None),
            ][..],
        ),
        (
            format!("{}\n  {basic}", tls("server", false)),
            &[
                ("https", None, good, Some(200)),
                ("https", None, nothing, Some(401)),
                // A certificate that nobody asked for is no harm.
                ("https", Some("client"), good, Some(200)),
                ("https", Some("client"), nothing, Some(401)),
                ("http", None, good, None),
            ],
        ),
        (
            tls("server", true),
            &[
                ("https", Some("client"), nothing, Some(200)),
                ("https", None, nothing, None),
                // Of our authority, but a server's.
                ("https", Some("other"), nothing, None),
            ],
        ),
        (
            format!("{}\n  {token}", tls("server", true)),
            &[
                ("https", Some("client"), nothing, Some(401)),
                ("https", Some("client"), Bring::Bearer("hunter2"), Some(200)),
                ("https", Some("client"), Bring::Basic("any", "hunter2"), Some(200)),
                ("https", None, Bring::Bearer("hunter2"), None),
            ],
        ),
        (
            format!("{}\n  unauthenticated: true", tls("server", false)),
            &[("https", None, nothing, Some(200)), ("http", None, nothing, None)],
        ),
        // The name of the certificate is another one.
        (format!("{}\n  {token}", tls("other", false)), &[("https", None, Bring::Bearer("hunter2"), None)]),
    ] {
        let asked = or_skip!(Asked::guarded(&access));
        for (scheme, name, bring, expected) in rows {
            let url = format!("{scheme}://localhost:{}{PATH}", asked.port);
            let got = status(&client(*name), &url, *bring).await;
            assert_eq!(got, *expected, "{access}: {scheme} {name:?} {bring:?}\n{}", asked.agent.log());
        }
        // Who may open the socket needs none of it.
        assert_eq!(asked.get(PATH).status, 200, "{access}");
        assert!(!asked.agent.log().contains("hunter2"), "{}", asked.agent.log());
    }
}

/// The certificate of a server by a name that is looked up nowhere.
async fn is_shown(port: u16, name: &str) -> bool {
    let ca = Certificate::from_pem(&std::fs::read(certificate("ca.pem")).unwrap()).unwrap();
    let builder = Client::builder().tls_certs_only([ca]).no_proxy();
    let client = builder.resolve(name, ([127, 0, 0, 1], port).into()).build().unwrap();
    // The name is not ours, so there is no answer but 421.
    client.get(format!("https://{name}:{port}{PATH}")).send().await.is_ok()
}

#[tokio::test]
async fn certificates_are_renewed_without_a_restart() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    // As renewal does it: each file by itself, in one step.
    let put = |from: &Path, to: &str| {
        std::fs::copy(from, at("new")).unwrap();
        std::fs::rename(at("new"), at(to)).unwrap();
    };
    put(&certificate("server.pem"), "cert.pem");
    put(&certificate("server.key"), "key.pem");
    let (cert, key) = (at("cert.pem"), at("key.pem"));
    let access = format!("tls: {{cert_file: {cert:?}, key_file: {key:?}}}\n  unauthenticated: true");
    let asked = or_skip!(Asked::guarded(&access));
    assert!(is_shown(asked.port, "localhost").await && !is_shown(asked.port, "other.example.org").await);
    put(&certificate("other.pem"), "cert.pem");
    // Without its key it is of no use yet.
    assert!(is_shown(asked.port, "localhost").await);
    wait_until("the log says so", || {
        asked.agent.log().contains("the old certificates of query.listen go on")
    });
    put(&certificate("other.key"), "key.pem");
    assert!(is_shown(asked.port, "other.example.org").await && !is_shown(asked.port, "localhost").await);
    std::fs::remove_file(at("cert.pem")).unwrap();
    assert!(is_shown(asked.port, "other.example.org").await);
    wait_until("the log says so", || asked.agent.log().contains("cert.pem cannot be read"));
}

#[test]
fn files_of_no_use_are_said_at_the_start_and_at_a_reload() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        format!("{path:?}")
    };
    let (empty, junk) = (file("empty", ""), file("junk", "-----BEGIN CERTIFICATE-----\n!\n"));
    let of = |name: &str| format!("{:?}", certificate(name));
    let (cert, key, ca) = (of("server.pem"), of("server.key"), of("ca.pem"));
    let mut asked = or_skip!(Asked::guarded("unauthenticated: true"));
    let good = std::fs::read_to_string(asked.agent.config()).unwrap();
    let open = "unauthenticated: true";
    for (access, part) in [
        (
            format!("tls: {{cert_file: /nowhere, key_file: {key}}}"),
            "query.tls.cert_file: /nowhere cannot be read",
        ),
        (format!("tls: {{cert_file: {empty}, key_file: {key}}}"), "empty holds no certificate in PEM"),
        (format!("tls: {{cert_file: {junk}, key_file: {key}}}"), "junk holds no certificates in PEM"),
        (format!("tls: {{cert_file: {cert}, key_file: {cert}}}"), "server.pem holds no private key in PEM"),
        (format!("tls: {{cert_file: {cert}, key_file: {}}}", of("other.key")), "cannot be used with the key"),
        (
            format!("tls: {{cert_file: {cert}, key_file: {key}, client_ca_file: {key}}}"),
            "server.key holds no certificate",
        ),
        (
            format!(
                "tls: {{cert_file: {cert}, key_file: {key}, client_ca_file: {ca}}}\n  token_file: {empty}"
            ),
            "query.token_file",
        ),
        (format!("basic_auth: {{username: a, password_file: {empty}}}"), "query.basic_auth.password_file"),
    ] {
        // Nothing of the running agent changes.
        std::fs::write(asked.agent.config(), good.replace(open, &format!("{access}\n  {open}"))).unwrap();
        let before = asked.agent.log().len();
        asked.agent.signal(Signal::HUP);
        wait_until("the reload is over", || {
            asked.agent.log()[before..].contains("the new configuration is not taken, the old one goes on")
        });
        assert!(asked.agent.log()[before..].contains(part), "{access}: {}", &asked.agent.log()[before..]);
        assert_eq!(asked.get(PATH).status, 200);
        // And an agent does not start.
        let other = home.path().join("config.yaml");
        let state = home.path().join("state");
        let text = format!(
            "loki: []\nhttp: {{listen: null}}\nstate_directory: {state:?}\nquery:\n  socket: null\n  listen: 127.0.0.1:0\n  {access}\n  {open}\n"
        );
        std::fs::write(&other, text).unwrap();
        let out = program(&["--config", other.to_str().unwrap()]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{access}: {said}");
        assert!(said.contains(part), "{access}: {said}");
    }
    asked.agent.stop();
}

#[tokio::test]
async fn a_live_tail_goes_over_tls() {
    let asked = or_skip!(Asked::guarded(&tls("server", true)));
    let read = |name: &str| std::fs::read(certificate(name)).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    roots.add(CertificateDer::from_pem_slice(&read("ca.pem")).unwrap()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_slice(&read("client.pem")).unwrap()],
            PrivateKeyDer::from_pem_slice(&read("client.key")).unwrap(),
        )
        .unwrap();
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", asked.port)).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    let target =
        "wss://localhost/loki/api/v1/tail?query=%7Bjob%3D~%22.%2B%22%7D".into_client_request().unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(target, stream).await.unwrap();
    match tokio::time::timeout(Duration::from_secs(30), socket.next()).await {
        Ok(Some(Ok(Message::Text(text)))) => assert!(text.contains("secret"), "{text}"),
        other => panic!("{other:?}"),
    }
}

/// As docs/query.md shows it.
#[test]
fn curl_asks_with_a_certificate() {
    if !Path::new("/usr/bin/curl").exists() {
        let why = crate::support::Unavailable("curl is missing".to_owned());
        return crate::support::skipped("curl_asks_with_a_certificate", &why);
    }
    let asked = or_skip!(Asked::guarded(&tls("server", true)));
    let curl = |more: &[&str]| {
        let url = format!("https://localhost:{}{PATH}", asked.port);
        let of = |name: &str| certificate(name).display().to_string();
        let mut command = std::process::Command::new("curl");
        command.args(["--silent", "--fail", "--noproxy", "*", "--cacert", &of("ca.pem"), &url]).args(more);
        command.output().unwrap()
    };
    let of = |name: &str| certificate(name).display().to_string();
    let out = curl(&["--cert", &of("client.pem"), "--key", &of("client.key")]);
    assert!(out.status.success() && String::from_utf8_lossy(&out.stdout).contains("success"), "{out:?}");
    assert!(!curl(&[]).status.success());
}
