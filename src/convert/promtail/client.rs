//! `clients`: where entries go.

use super::*;

/// Keys about credentials, or about the way to the server, that have no counterpart.
const WITHOUT: [&str; 4] = ["oauth2", "no_proxy", "proxy_connect_header", "proxy_from_environment"];

/// Keys that [`Conversion::access`] writes.
const ACCESS: [&str; 6] =
    ["basic_auth", "bearer_token", "bearer_token_file", "authorization", "tls_config", "proxy_url"];

pub(super) const AROUND: &str = "loki: [{url: 'http://h', {}}]";

impl Conversion {
    pub(super) fn clients(&mut self, root: &Node) {
        let single = get(root, "client");
        let clients: Vec<&Node> =
            get(root, "clients").map(items).unwrap_or_default().iter().chain(single).collect();
        if clients.is_empty() {
            return self.tell(0, "clients: there are none; write where Loki is under `loki`");
        }
        let start = self.out.mark();
        self.out.line(0, "loki:");
        let mut names = Vec::new();
        for client in clients {
            self.client(client, &mut names);
        }
        if names.is_empty() {
            self.out.replace(start, 0, "loki: []");
        }
    }

    fn client(&mut self, client: &Node, names: &mut Vec<String>) {
        let Some(address) = get(client, "url") else {
            return self.leave_item(1, "a client", "it has no url", client);
        };
        let theirs = variables(text(address).unwrap_or_default());
        let url = without_user(&theirs);
        let line = format!("- url: {}", quoted(&url));
        if let Some(why) = refusal(&format!("loki:\n {line}")) {
            return self.leave_item(1, "a client", &why, client);
        }
        let changed = text(address)
            .filter(|old| *old != theirs && url == theirs)
            .map(|old| format!(" # url: {}", scalar(old)));
        self.out.line(1, &format!("{line}{}", changed.unwrap_or_default()));
        let path = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
        let whole = ["/loki/api/v1/push", "/api/prom/push"].iter().any(|end| path.ends_with(end));
        if !whole && !url.contains("${") {
            self.tell(
                2,
                "clients.url: Promtail pushed to this very path; journal-ship adds /loki/api/v1/push to it",
            );
        }
        self.name(get(client, "name"), names);
        let name = names.last().cloned().unwrap_or_default();
        // A variable may hold the scheme, so the checks see the URL itself.
        let around = if url.contains("${") && !url.contains("{}") {
            AROUND.replace("'http://h'", &quoted(&url))
        } else if url.starts_with("https:") {
            AROUND.replace("http:", "https:")
        } else {
            AROUND.to_owned()
        };
        self.access(client, &name, user_of(&theirs), &around);

        let (mut batch, mut backoff) = (Vec::new(), None);
        for (key, value) in written(client) {
            let word = text(value).unwrap_or_default();
            let from = ("clients", key, value);
            match key {
                "url" | "name" => {}
                "tenant_id" if word.is_empty() => self.keep_text(2, key, value),
                "tenant_id" => {
                    self.offer(2, AROUND, &format!("tenant: {}", quoted(&variables(word))), from);
                }
                "batchwait" => batch.push(("max_wait", duration(word), key, value)),
                "batchsize" => batch.push(("max_bytes", scalar_size(word), key, value)),
                "timeout" => drop(self.offer(2, AROUND, &format!("timeout: {}", duration(word)), from)),
                "external_labels" => {
                    self.strings(2, "labels", AROUND, "clients.external_labels", value);
                }
                "headers" => {
                    self.strings(2, "headers", AROUND, "clients.headers", value);
                }
                "backoff_config" => backoff = Some(value),
                "drop_rate_limited_batches" if word == "true" => {
                    self.leave(2, "clients", key, "journal-ship never drops what Loki may take later", value);
                }
                "drop_rate_limited_batches" | "proxy_from_environment" if word == "false" => {
                    self.keep_text(2, key, value);
                }
                "follow_redirects" | "enable_http2" => {
                    self.leave(2, "clients", key, "cannot be chosen", value)
                }
                _ if ACCESS.contains(&key) => {}
                _ if WITHOUT.contains(&key) => self.leave(2, "clients", key, "has no counterpart", value),
                _ => self.leave(2, "clients", key, "no such key in Promtail 3.6", value),
            }
        }
        self.section(2, "batch", &batch);
        if let Some(value) = backoff {
            self.backoff(value);
        }
    }

    /// Each destination gets its own name. The first may have the default name.
    fn name(&mut self, given: Option<&Node>, names: &mut Vec<String>) {
        let word = given.and_then(text).unwrap_or_default();
        let mut name: String = match (word, names.len()) {
            ("", 0) => return names.push("main".to_owned()),
            ("", others) => format!("loki-{}", others + 1),
            (word, _) => word
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || "_-.".contains(c) { c } else { '-' })
                .take(60)
                .collect(),
        };
        if name.starts_with('.') {
            name.insert(0, '-');
        }
        while names.contains(&name) {
            name.push('2');
        }
        let old = if word.is_empty() || word == name {
            String::new()
        } else {
            format!(" # name: {}", scalar(word))
        };
        self.out.line(2, &format!("name: {}{old}", quoted(&name)));
        names.push(name);
    }

    /// Writes one of our sections from lines that our checks accept.
    fn section(&mut self, depth: usize, name: &str, lines: &[(&str, String, &str, &Node)]) {
        let around = AROUND.replace("{}", &format!("{name}: {{{{}}}}"));
        let fits = |ours: &str, written: &str| {
            refusal(&around.replace("{}", &format!("{ours}: {written}"))).is_none()
        };
        if lines.iter().any(|(ours, written, ..)| fits(ours, written)) {
            self.out.line(depth, &format!("{name}:"));
        }
        for (ours, written, key, value) in lines {
            let at = if fits(ours, written) { depth + 1 } else { depth };
            self.offer(at, &around, &format!("{ours}: {written}"), ("clients", key, value));
        }
    }

    fn backoff(&mut self, backoff: &Node) {
        let mut lines = Vec::new();
        for (key, value) in written(backoff) {
            let word = duration(text(value).unwrap_or_default());
            match key {
                "min_period" => lines.push(("min", word, key, value)),
                "max_period" => lines.push(("max", word, key, value)),
                "max_retries" => {
                    self.leave(2, "clients.backoff_config", key, "journal-ship never gives up", value);
                }
                _ => self.leave(2, "clients.backoff_config", key, "no such key in Promtail 3.6", value),
            }
        }
        // Promtail's default, so that the shortest pause is not longer than the longest one.
        let max = Node::text("5m");
        if !lines.iter().any(|(ours, ..)| *ours == "max") {
            lines.push(("max", "5m".to_owned(), "max_period", &max));
        }
        let together: Vec<String> =
            lines.iter().map(|(ours, written, ..)| format!("{ours}: {written}")).collect();
        let whole = AROUND.replace("{}", &format!("backoff: {{{}}}", together.join(", ")));
        match refusal(&whole) {
            None => {
                self.out.line(2, "backoff:");
                for (ours, written, key, value) in lines {
                    self.write(3, &format!("{ours}: {written}"), key, value);
                }
            }
            Some(why) => self.leave(2, "clients", "backoff_config", &why, backoff),
        }
    }
}

/// A number of bytes, as a number or in the form of Promtail.
fn scalar_size(word: &str) -> String {
    if word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty() {
        word.to_owned()
    } else {
        scalar(&variables(word))
    }
}

/// The user in a URL, as it is sent.
fn user_of(url: &str) -> Option<String> {
    if without_user(url) == url {
        return None;
    }
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let user = authority.rsplit_once('@')?.0.split(':').next()?;
    let mut plain = Vec::new();
    let mut rest = user.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|_| *first == b'%').and_then(|code| str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(plain).ok().filter(|user| !user.is_empty() && !user.contains([':', '$']))
}

/// A URL without `user:password@`.
fn without_user(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let host = authority.rsplit('@').next().unwrap_or(authority);
            format!("{scheme}://{host}{path}")
        }
        None => url.to_owned(),
    }
}
