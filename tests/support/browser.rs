//! A real browser: Chromium without a window, driven through the `DevTools` protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>) over a pipe, so that no port is opened.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Unavailable;
use super::agent::PATIENCE;

/// Where the program may be: Debian's, Fedora's, Google's. Not a script that starts it: that would be another process to end.
const PROGRAMS: [&str; 3] = [
    "/usr/lib/chromium/chromium",
    "/usr/lib64/chromium-browser/chromium-browser",
    "/opt/google/chrome/chrome",
];
/// Between two looks at a condition in the page.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Chromium with one page. It ends when this is dropped.
pub struct Browser {
    child: Child,
    to: ChildStdin,
    from: Receiver<Value>,
    session: String,
    calls: u64,
    /// What the page complained of.
    complaints: Vec<String>,
    /// Keeps the profile as long as the browser runs.
    _home: tempfile::TempDir,
}

impl Browser {
    /// Starts it.
    pub fn start() -> Result<Browser, Unavailable> {
        let Some(program) = PROGRAMS.into_iter().find(|program| Path::new(program).exists()) else {
            return Err(Unavailable(format!("{} is missing (package chromium)", PROGRAMS[0])));
        };
        let home = tempfile::tempdir().unwrap();
        // It reads descriptor 3 and writes to descriptor 4; a shell puts our pipes there.
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$@\" 3<&0 4>&1 0</dev/null 1>&2", "sh", program])
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"])
            .args(["--no-first-run", "--hide-scrollbars", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-dev-shm-usage", "--no-proxy-server"])
            .args(["--force-color-profile=srgb", "about:blank"])
            .arg(format!("--user-data-dir={}", home.path().display()))
            .env("HOME", home.path())
            .env("TZ", "UTC")
            .env("LANG", "en_US.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let (to, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, from) = channel();
        std::thread::spawn(move || {
            let messages = BufReader::new(out).split(0).map_while(Result::ok);
            for message in messages.filter_map(|bytes| serde_json::from_slice(&bytes).ok()) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let session = String::new();
        let mut browser = Browser { child, to, from, session, calls: 0, complaints: Vec::new(), _home: home };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Ok(browser)
    }

    /// Calls a method, and gives its result.
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let message = match self.from.recv_timeout(left) {
                Ok(message) => message,
                Err(RecvTimeoutError::Timeout) => panic!("no answer to {method}"),
                Err(RecvTimeoutError::Disconnected) => panic!("the browser has ended at {method}"),
            };
            if message["id"] == self.calls {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.heard(&message);
        }
    }

    /// Keeps what a page complains of: exceptions, errors and warnings of the console, refused loads.
    fn heard(&mut self, event: &Value) {
        let of = &event["params"];
        let complaint = match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => of["exceptionDetails"].to_string(),
            "Runtime.consoleAPICalled" => of["args"].to_string(),
            "Log.entryAdded" if of["entry"]["level"] != "verbose" => of["entry"].to_string(),
            // Dialogs stop a page; hostile text must not open one.
            "Page.javascriptDialogOpening" => of.to_string(),
            _ => return,
        };
        self.complaints.push(complaint);
    }

    /// What the page complained of since the last call.
    pub fn complaints(&mut self) -> Vec<String> {
        // What was said before is heard before the answer to this.
        self.call("Runtime.evaluate", json!({"expression": "0"}));
        std::mem::take(&mut self.complaints)
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let result = self.call("Runtime.evaluate", asked);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// The text of the elements that a selector of CSS finds.
    pub fn text(&mut self, selector: &str) -> String {
        let all =
            format!("[...document.querySelectorAll({selector:?})].map((e) => e.textContent).join('\\n')");
        self.value(&all).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an expression in the page is true.
    pub fn wait(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.value(&format!("Boolean({expression})")) != true {
            if Instant::now() >= deadline {
                let text = self.value("document.body?.innerText.slice(0, 2000)");
                panic!("not so in time: {expression}; complaints: {:?}; the page: {text}", self.complaints);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Goes to an address, and waits until the document is there. An error is no document.
    pub fn go(&mut self, url: &str) {
        let went = self.call("Page.navigate", json!({"url": url}));
        assert!(went["errorText"].is_null(), "{url}: {went}");
        self.wait("document.readyState === 'complete'");
    }

    /// Sets the size of the page (CSS pixels), as a phone's or not.
    pub fn size(&mut self, width: u32, height: u32, phone: bool) {
        let scale = if phone { 2 } else { 1 };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// Dark colours, or light ones.
    pub fn dark(&mut self, on: bool) {
        let scheme = json!({"name": "prefers-color-scheme", "value": if on { "dark" } else { "light" }});
        self.call("Emulation.setEmulatedMedia", json!({"features": [scheme]}));
    }

    /// Presses a key by its name: `j`, `Enter`.
    pub fn press(&mut self, key: &str) {
        let text = match key {
            "Enter" => "\r",
            key if key.chars().count() == 1 => key,
            _ => "",
        };
        let code = if key == "Enter" { 13 } else { 0 };
        let down = json!({"type": "keyDown", "key": key, "text": text, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", down);
        self.call("Input.dispatchKeyEvent", json!({"type": "keyUp", "key": key}));
    }

    /// Clicks on the first element that a selector of CSS finds.
    pub fn click(&mut self, selector: &str) {
        let found = format!(
            "(() => {{ const e = document.querySelector({selector:?}); e?.scrollIntoView({{block: 'nearest'}}); \
             const r = e?.getBoundingClientRect(); return r && [r.left + r.width / 2, r.top + r.height / 2]; }})()"
        );
        let place = self.value(&found);
        assert!(place.is_array(), "no {selector}");
        for kind in ["mousePressed", "mouseReleased"] {
            let event =
                json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// How many pixels the page is wider than its window. (A phone shows a page that is too wide as a whole, in small.)
    pub fn overflow(&mut self) -> i64 {
        self.value("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            .as_i64()
            .unwrap()
    }

    /// What is seen, as PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        use base64::Engine as _;
        let picture = self.call("Page.captureScreenshot", json!({"format": "png"}));
        base64::engine::general_purpose::STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // A good end takes its other processes along; they also end when it is gone.
        let _ = self.to.write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
