//! A real Alertmanager on loopback, whoever it notifies, and what its API says.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use super::Unavailable;
use super::journald::wait_until;

const PROGRAM: &str = "/usr/bin/prometheus-alertmanager";

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A request over plain HTTP/1.0: its status and body.
pub fn http(port: u16, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// What Alertmanager notifies: records each notification.
pub struct Webhook {
    port: u16,
    notifications: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    pub fn start() -> Webhook {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let notifications = Arc::<Mutex<Vec<Value>>>::default();
        let received = notifications.clone();
        // Ends with the process: nobody connects any more when its Alertmanager has ended.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                        break;
                    }
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                if reader.read_exact(&mut body).is_ok()
                    && let Ok(notification) = serde_json::from_slice(&body)
                {
                    received.lock().unwrap().push(notification);
                }
                let _ = reader
                    .get_mut()
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        Webhook { port, notifications }
    }

    /// What came so far.
    pub fn notifications(&self) -> Vec<Value> {
        self.notifications.lock().unwrap().clone()
    }
}

/// A running Alertmanager, or one that was stopped and keeps its port and storage.
pub struct Alertmanager {
    home: tempfile::TempDir,
    pub port: u16,
    prefix: String,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Alertmanager {
    /// One that groups by `alertname` and notifies `webhook`.
    pub fn start(webhook: Option<&Webhook>) -> Result<Alertmanager, Unavailable> {
        let mut server = Alertmanager::prepare(webhook, "", &[])?;
        server.start_again();
        Ok(server)
    }

    /// One that is not started yet; `prefix` is that of its paths, `arguments` are further ones.
    pub fn prepare(
        webhook: Option<&Webhook>,
        prefix: &str,
        arguments: &[&str],
    ) -> Result<Alertmanager, Unavailable> {
        if !PathBuf::from(PROGRAM).exists() {
            return Err(Unavailable(format!(
                "{PROGRAM} is missing (Debian package prometheus-alertmanager)"
            )));
        }
        let home = tempfile::tempdir().unwrap();
        let receiver = webhook.map_or("- name: all\n".to_owned(), |webhook| {
            let url = format!("http://127.0.0.1:{}/", webhook.port);
            format!("- name: all\n  webhook_configs: [{{url: '{url}', send_resolved: true}}]\n")
        });
        let config = format!(
            "route: {{receiver: all, group_by: [alertname], group_wait: 500ms, group_interval: 500ms, \
             repeat_interval: 1h}}\nreceivers:\n{receiver}"
        );
        fs::write(home.path().join("config.yml"), config).unwrap();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Ok(Alertmanager { home, port: free_port(), prefix: prefix.to_owned(), arguments, child: None })
    }

    /// A file in its folder.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Adds an argument, before it is started.
    pub fn argument(&mut self, argument: String) {
        self.arguments.push(argument);
    }

    pub fn start_again(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.home.path().join("log")).unwrap();
        let mut command = Command::new(PROGRAM);
        command
            .arg(format!("--config.file={}", self.home.path().join("config.yml").display()))
            .arg(format!("--storage.path={}", self.home.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", self.port))
            .arg("--cluster.listen-address=")
            .args(&self.arguments)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        if !self.prefix.is_empty() {
            command.arg(format!("--web.route-prefix={}", self.prefix));
        }
        self.child = Some(command.spawn().unwrap());
        wait_until("Alertmanager is ready", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its address, without the prefix.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What its API answers.
    pub fn get(&self, path: &str) -> Value {
        let path = format!("{}/api/v2/{path}", self.prefix);
        match http(self.port, "GET", &path, "") {
            Some((200, body)) => serde_json::from_str(&body).unwrap(),
            other => panic!("{path}: {other:?}"),
        }
    }

    /// The alerts that it knows of, those that are over excepted.
    pub fn alerts(&self) -> Vec<Value> {
        self.get("alerts").as_array().unwrap().clone()
    }

    /// The alert of a name and, if any are given, further labels.
    pub fn alert(&self, name: &str, labels: &[(&str, &str)]) -> Option<Value> {
        let fits = |alert: &Value| {
            alert["labels"]["alertname"] == name
                && labels.iter().all(|(n, value)| alert["labels"][n] == *value)
        };
        self.alerts().into_iter().find(fits)
    }

    /// Silences what has this label.
    pub fn silence(&self, name: &str, value: &str) {
        let body = serde_json::json!({
            "matchers": [{"name": name, "value": value, "isRegex": false, "isEqual": true}],
            "startsAt": "2020-01-01T00:00:00Z",
            "endsAt": "2099-01-01T00:00:00Z",
            "createdBy": "test",
            "comment": "test",
        });
        let path = format!("{}/api/v2/silences", self.prefix);
        let answer = http(self.port, "POST", &path, &body.to_string());
        assert!(matches!(answer, Some((200, _))), "{answer:?}");
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        self.stop();
    }
}
