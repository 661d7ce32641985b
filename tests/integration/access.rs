//! How Loki is reached: credentials, certificates, proxies, and that no secret gets out.

use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::agent::PATIENCE;
use crate::support::gate::{Gate, certificate};
use crate::support::loki::{Answer, Loki};
use crate::support::pushing::{Pushing, batch, destination, plain};
use journal_ship::config::{Access, Auth, HeaderSource, Tls};

fn address(loki: &Loki) -> SocketAddr {
    loki.url().trim_start_matches("http://").parse().unwrap()
}

/// Pushes an entry to `url`, and says with what readiness it was taken or not.
fn push(url: &str, access: Access) -> (bool, String) {
    let mut destination = destination(url);
    destination.access = access;
    destination.timeout = Duration::from_secs(5);
    let mut pushing = Pushing::to(&destination);
    pushing.send(vec![batch(&plain(1))]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let report = pushing.readiness.report().to_string();
        if pushing.done() == 1 || !report.ends_with(": ok\n") {
            return (pushing.done() == 1, report);
        }
        assert!(Instant::now() < deadline, "{report}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn credentials_come_from_files_and_follow_them() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("secret");
    for (auth, first, second) in [
        (
            Auth::Basic { username: "ada".into(), password_file: file.clone() },
            // base64 of ada:hunter2 and ada:hunter3
            "Basic YWRhOmh1bnRlcjI=",
            "Basic YWRhOmh1bnRlcjM=",
        ),
        (Auth::Bearer { token_file: file.clone() }, "Bearer hunter2", "Bearer hunter3"),
    ] {
        let loki = Loki::start();
        fs::write(&file, "hunter2\n").unwrap();
        let mut destination = destination(&loki.url());
        destination.access.auth = Some(auth);
        let mut pushing = Pushing::to(&destination);
        pushing.send(vec![batch(&plain(1))]);
        loki.wait_for(|state| state.stored().len() == 1, PATIENCE).unwrap();
        fs::write(&file, "hunter3\n").unwrap();
        pushing.send(vec![batch(&plain(2))]);
        pushing.finish();
        let sent: Vec<String> = loki
            .received_requests()
            .iter()
            .map(|request| request.header("authorization").to_owned())
            .collect();
        assert_eq!(sent, [first, second]);
    }
}

#[test]
fn headers_come_from_files_and_no_server_s_words_repeat_a_secret() {
    let home = tempfile::tempdir().unwrap();
    let (password, key) = (home.path().join("password"), home.path().join("key"));
    fs::write(&password, "hunter2-\"x\n").unwrap();
    fs::write(&key, "hunter2-key\n").unwrap();
    let access = Access {
        auth: Some(Auth::Basic { username: "ada".into(), password_file: password }),
        headers: vec![
            ("X-Api-Key".into(), HeaderSource::File(key.clone())),
            ("X-Token".into(), HeaderSource::Text("hunter2-text".into())),
            ("X-Cluster".into(), HeaderSource::Text("eu-1".into())),
        ],
        ..Access::default()
    };
    // base64 of ada:hunter2-"x
    let login = "YWRhOmh1bnRlcjItIng=";
    let loki = Loki::start();
    let echo = format!(
        "no: Basic {login}, hunter2-\"x, hunter2-\\\"x, hunter2-%22x, hunter2-key, hunter2-text, eu-1"
    );
    loki.answer_next(1, Answer::Status(401, echo));
    let (done, report) = push(&loki.url(), access.clone());
    assert!(
        !done
            && report.contains("no: Basic ********, ********, ********, ********, ********, ********, eu-1"),
        "{report}"
    );
    let request = loki.received_requests().pop().unwrap();
    for (name, value) in [
        ("x-api-key", "hunter2-key"),
        ("x-token", "hunter2-text"),
        ("x-cluster", "eu-1"),
        ("authorization", &format!("Basic {login}")),
    ] {
        assert_eq!(request.header(name), value);
    }
    assert!(push(&loki.url(), access.clone()).0);
    fs::remove_file(&key).unwrap();
    let (done, report) = push(&loki.url(), access);
    assert!(
        !done && report.contains("needs attention: headers: ") && report.contains("cannot be read"),
        "{report}"
    );
}

/// An entry for this host, pushed through a gate, is taken under the name that the gate saw, or it is not, and the readiness says why.
fn assert_certificate_counts(
    loki: &Loki,
    what: &str,
    gate: Gate,
    host: &str,
    tls: Tls,
    taken: Result<&str, &str>,
) {
    let url = format!("https://{host}:{}", gate.address.port());
    let before = loki.stored().len();
    let (done, report) = push(&url, Access { tls, ..Access::default() });
    match taken {
        Ok(name) => {
            assert!(done, "{what}: {report}");
            assert_eq!(*gate.seen.lock().unwrap(), [name], "{what}");
            assert_eq!(loki.stored().len(), before + 1, "{what}");
            let host_sent = format!("{host}:{}", gate.address.port());
            assert_eq!(loki.received_requests().last().unwrap().header("host"), host_sent, "{what}");
        }
        Err(part) => {
            assert!(!done && report.contains(part) && report.contains("needs attention"), "{what}: {report}");
            assert_eq!(loki.stored().len(), before, "{what}");
        }
    }
}

#[test]
fn certificates_are_checked_on_both_sides() {
    let loki = Loki::start();
    let ca = Some(certificate("ca.pem"));
    let (cert_file, key_file) = (Some(certificate("client.pem")), Some(certificate("client.key")));
    let named = |name: &str| Some(name.to_owned());
    for (what, (shown, clients, host), tls, taken) in [
        (
            "our authority",
            ("server", false, "localhost"),
            Tls { ca_file: ca.clone(), ..Tls::default() },
            Ok("localhost"),
        ),
        (
            "by address",
            ("server", false, "127.0.0.1"),
            Tls { ca_file: ca.clone(), ..Tls::default() },
            Ok("no name"),
        ),
        (
            "an authority nobody knows",
            ("server", false, "localhost"),
            Tls::default(),
            Err("the certificate of localhost is not signed by a known authority: set tls.ca_file"),
        ),
        (
            "another name",
            ("other", false, "localhost"),
            Tls { ca_file: ca.clone(), ..Tls::default() },
            Err(
                "the certificate is not for localhost: write a name that it has in the url, or set tls.server_name",
            ),
        ),
        (
            "another name that is expected",
            ("other", false, "127.0.0.1"),
            Tls { ca_file: ca.clone(), server_name: named("other.example.org"), ..Tls::default() },
            Ok("other.example.org"),
        ),
        (
            "not the name that is expected",
            ("server", false, "localhost"),
            Tls { ca_file: ca.clone(), server_name: named("other.example.org"), ..Tls::default() },
            Err("certificate"),
        ),
        (
            "with our certificate",
            ("server", true, "localhost"),
            Tls {
                ca_file: ca.clone(),
                cert_file: cert_file.clone(),
                key_file: key_file.clone(),
                server_name: None,
            },
            Ok("localhost"),
        ),
        (
            "without our certificate",
            ("server", true, "localhost"),
            Tls { ca_file: ca.clone(), ..Tls::default() },
            Err("localhost wants a certificate from us: set tls.cert_file and tls.key_file"),
        ),
        (
            "a file that is not there",
            ("server", false, "localhost"),
            Tls { ca_file: Some("/nonexistent/ca.pem".into()), ..Tls::default() },
            Err("tls.ca_file: /nonexistent/ca.pem cannot be read"),
        ),
    ] {
        assert_certificate_counts(&loki, what, Gate::tls(address(&loki), shown, clients), host, tls, taken);
    }
}

/// Nobody but a person can mend that the URL says https, and nothing speaks it there.
#[test]
fn a_server_without_tls_needs_attention() {
    let loki = Loki::start();
    let (done, report) = push(&format!("https://localhost:{}", address(&loki).port()), Access::default());
    let words = "needs attention: localhost speaks no TLS at this port: write http:// in the url";
    assert!(!done && report.contains(words), "{report}");
    // Nobody listens there any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (done, report) = push(&format!("http://127.0.0.1:{port}"), Access::default());
    assert!(!done && report.contains("retrying: connection refused\n"), "{report}");
}

#[test]
fn a_proxy_is_used_when_it_is_configured_and_only_then() {
    let loki = Loki::start();
    let proxy = Gate::proxy(address(&loki));
    let through = Access { proxy: Some(format!("http://{}", proxy.address)), ..Access::default() };
    // A name that cannot be looked up: the proxy is asked for it.
    assert!(push("http://loki.invalid:3100", through.clone()).0);
    let tls = Gate::tls(address(&loki), "server", false);
    let before_tls = Gate::proxy(tls.address);
    let mut access = through;
    access.proxy = Some(format!("http://{}", before_tls.address));
    access.tls.ca_file = Some(certificate("ca.pem"));
    assert!(push("https://localhost:3100", access).0);
    let seen = [proxy.seen.lock().unwrap().clone(), before_tls.seen.lock().unwrap().clone()].concat();
    assert_eq!(
        seen,
        ["POST http://loki.invalid:3100/loki/api/v1/push HTTP/1.1", "CONNECT localhost:3100 HTTP/1.1"]
    );
    assert_eq!(loki.stored().len(), 2);
}

#[test]
fn a_redirect_is_not_followed_and_said() {
    let loki = Loki::start();
    loki.answer_next(1, Answer::Status(307, String::new()));
    let (done, report) = push(&loki.url(), Access::default());
    assert!(!done && report.contains("needs attention: HTTP 307"), "{report}");
    assert_eq!(loki.received_requests().len(), 1);
}
