//! Lines that come by themselves, in the explorer in a real browser.

use rustix::process::Signal;

use crate::support::agent::Agent;
use crate::support::alertmanager::free_port;
use crate::support::browser::Browser;
use crate::support::journald::{Bulk, Journald, Transport, wait_until};
use crate::support::{Unavailable, or_skip};

/// An agent that answers queries of a journal to anybody, and a browser before it.
struct Live {
    journald: Journald,
    browser: Browser,
    agent: Agent,
    port: u16,
}

impl Live {
    /// The journal has one entry.
    fn start() -> Result<Live, Unavailable> {
        let (journald, browser, port) = (Journald::start()?, Browser::start()?, free_port());
        let query = format!("query: {{socket: null, listen: '127.0.0.1:{port}', unauthenticated: true}}");
        let agent = Agent::new(&journald.dir(), "http://127.0.0.1:1", &query);
        let mut live = Live { journald, browser, agent, port };
        live.send("before");
        let last = || String::from_utf8(live.journald.journalctl(&["-o", "cat", "-n", "1"])).unwrap();
        wait_until("the entry is there", || last().trim() == "before");
        live.agent.start();
        let answers = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        wait_until("the address is there", answers);
        Ok(live)
    }

    fn send(&self, text: &str) {
        self.journald.send_native(&[("MESSAGE", text.as_bytes()), ("SYSLOG_IDENTIFIER", b"a")]);
    }

    /// Opens the explorer, and waits until it says how new lines come.
    fn go_live(&mut self, how: &str) {
        let query = "q=%7Bservice_name%3D%22journal%22%7D&range=15m";
        self.browser.go(&format!("http://127.0.0.1:{}/#{query}", self.port));
        self.browser.wait("document.querySelector('.row')");
        self.browser.press("l");
        self.browser.wait(&format!("document.querySelector('#about .live')?.innerText === '{how}'"));
    }
}

#[test]
fn lines_come_by_themselves_and_once() {
    let mut live = or_skip!(Live::start());
    live.go_live("live");
    live.send("one <i>of</i> them");
    live.browser.wait("document.querySelectorAll('.row').length === 2");
    assert_eq!(
        live.browser.value("[...document.querySelectorAll('.text')].map((e) => e.innerText).sort()"),
        serde_json::json!(["before", "one <i>of</i> them"])
    );

    // A new configuration ends the socket, and the page goes on where it stood.
    live.agent.reconfigure("backoff: {min: 10ms", "backoff: {min: 20ms");
    live.agent.signal(Signal::HUP);
    wait_until("it is taken", || live.agent.log().contains("the new configuration is taken"));
    live.send("two");
    live.browser.wait("document.querySelectorAll('.row').length === 3");
    // Many at once: none twice, and those that are left out are said.
    live.journald.send(&Bulk::new(Transport::Native, 3000, 1));
    let all = "document.querySelector('#about').innerText";
    live.browser.wait(&format!("{all}.includes('3,003') || {all}.includes('left out')"));
    assert_eq!(live.browser.value("document.querySelector('#lines i')"), serde_json::Value::Null);
    // The attempts while nobody listened are the browser's own complaints.
    let complaints = live.browser.complaints();
    assert!(
        complaints.iter().all(|one| one.contains("WebSocket") || one.contains("ERR_CONNECTION")),
        "{complaints:?}"
    );
    live.agent.stop();
}

#[test]
fn lines_come_without_a_web_socket_too() {
    let mut live = or_skip!(Live::start());
    // As in a browser that sends no password with it.
    let closed =
        "window.WebSocket = class { constructor() { setTimeout(() => this.onclose?.(), 10); } close() {} }";
    live.browser.call("Page.addScriptToEvaluateOnNewDocument", serde_json::json!({"source": closed}));
    live.go_live("live, every few seconds");
    // It goes on saying so, although the web socket is tried again and again.
    live.browser.value("void (window.words = new Set())");
    live.browser.value(
        "void new MutationObserver(() => window.words.add(document.querySelector('#about .live')?.innerText))\
         .observe(document.querySelector('#about'), {childList: true, subtree: true})",
    );
    for n in 2..5 {
        live.send(&format!("line {n}"));
        live.browser.wait(&format!("document.querySelectorAll('.row').length === {n}"));
    }
    assert_eq!(live.browser.value("[...window.words].join()"), "live, every few seconds");
    assert_eq!(live.browser.complaints(), [""; 0]);
    live.agent.stop();
}

/// While the agent was away, more has come than an answer has room for.
#[test]
fn lines_that_take_too_much_at_once_come_in_parts() {
    const LARGE: usize = 80;
    let mut live = or_skip!(Live::start());
    live.go_live("live");
    live.agent.stop();
    for _ in 0..LARGE {
        live.send(&"x".repeat(150_000));
    }
    live.agent.start();
    live.browser.wait(&format!("document.querySelector('#about').innerText.includes('{} lines')", LARGE + 1));
    live.browser.wait("document.querySelector('#about .live')?.innerText === 'live'");
    assert!(!live.agent.log().contains("a live tail has ended"), "{}", live.agent.log());
    live.agent.stop();
}
