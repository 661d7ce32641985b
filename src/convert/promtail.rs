//! Promtail's configuration, as version 3.6 reads it (grafana/loki, `clients/pkg/promtail`).

use super::yaml::{Writer, scalar, text};
use crate::config::{self, Diagnostics, Kind, Node};
use crate::journal::Cursor;

/// What a conversion results in.
#[derive(Debug)]
pub struct Converted {
    /// Our configuration.
    pub yaml: String,
    /// What has no counterpart, or means something else now: a line each.
    pub notes: Vec<String>,
}

/// Converts a configuration; `positions` is the text of Promtail's positions file, to go on where it stopped.
///
/// # Errors
/// When it is no YAML map.
pub fn promtail(source: &str, origin: &str, positions: Option<&str>) -> Result<Converted, Diagnostics> {
    let root = config::document(source, origin)?;
    let mut conversion = Conversion { out: Writer::default(), notes: Vec::new() };
    conversion.all(&root, positions);
    Ok(Converted { yaml: conversion.out.finish(), notes: conversion.notes })
}

struct Conversion {
    out: Writer,
    notes: Vec<String>,
}

/// Entries of a map; none of anything else.
fn entries(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match &node.kind {
        Kind::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().filter_map(|(key, value)| Some((text(key)?, value)))
}

fn get<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    entries(node).find(|(key, value)| *key == name && value.kind != Kind::Null).map(|(_, value)| value)
}

fn get_text<'n>(node: &'n Node, name: &str) -> Option<&'n str> {
    get(node, name).and_then(text)
}

fn items(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::Seq(items) => items,
        _ => &[],
    }
}

/// Stages that have no sense for a journal.
const STAGES_WITHOUT: [&str; 4] = ["docker", "cri", "eventlogmessage", "geoip"];

impl Conversion {
    /// Says at this place and to the person that something is not as it was.
    fn tell(&mut self, depth: usize, note: &str) {
        self.out.comment(depth, note);
        self.notes.push(note.lines().next().unwrap_or_default().to_owned());
    }

    /// Says that something is left out, with its text as a comment.
    fn leave(&mut self, depth: usize, what: &str, why: &str, value: &Node) {
        self.tell(depth, &format!("{what}: {why}"));
        let mut written = Writer::default();
        written.entry(1, what.rsplit('.').next().unwrap_or(what), value);
        let hidden = ["password", "token", "secret", "credentials"];
        for line in written.finish().lines() {
            // A secret is not copied, not even into a comment.
            let key = line.split(':').next().unwrap_or_default();
            match hidden.iter().any(|word| key.contains(word) && !key.contains("file")) {
                true => self.out.comment(depth, &format!("{key}: (left out)")),
                false => self.out.comment(depth, line),
            }
        }
    }

    fn all(&mut self, root: &Node, positions: Option<&str>) {
        self.out
            .comment(0, "Converted from Promtail's configuration; see what `journal-ship check` says of it.");
        let scrapes = get(root, "scrape_configs").map(items).unwrap_or_default();
        let job = scrapes.iter().find(|scrape| get(scrape, "journal").is_some());
        for scrape in scrapes.iter().filter(|scrape| get(scrape, "journal").is_none()) {
            let name = get_text(scrape, "job_name").unwrap_or("?");
            self.leave(
                0,
                &format!("scrape_configs {name}"),
                "not a journal; journal-ship reads nothing else",
                scrape,
            );
        }
        match job {
            Some(job) => self.journal(job, positions, get(root, "limits_config")),
            None => self.tell(0, "no scrape_config reads the journal: the defaults of journal-ship stand"),
        }
        for more in scrapes.iter().filter(|scrape| get(scrape, "journal").is_some()).skip(1) {
            let name = get_text(more, "job_name").unwrap_or("?");
            let why = "a second reading of the journal; journal-ship reads it once, use `match` stages";
            self.leave(0, &format!("scrape_configs {name}"), why, more);
        }
        self.stages(job.and_then(|job| get(job, "pipeline_stages")), get(root, "limits_config"));
        self.clients(root);
        for (name, value) in entries(root) {
            match name {
                "clients" | "client" | "scrape_configs" | "limits_config" => {}
                "positions" => self.tell(
                    0,
                    "positions: journal-ship keeps its place in state_directory; `--positions FILE` of this \
                     conversion goes on where Promtail stopped",
                ),
                "server" => self.server(value),
                "target_config" | "options" | "tracing" | "wal" | "global" => {
                    self.leave(0, name, "has no counterpart", value);
                }
                _ => self.leave(0, name, "not known", value),
            }
        }
    }

    fn journal(&mut self, job: &Node, positions: Option<&str>, limits: Option<&Node>) {
        let Some(journal) = get(job, "journal") else { return };
        let name = get_text(job, "job_name").unwrap_or_default();
        let mut lines = Writer::default();
        if let Some(path) = get_text(journal, "path") {
            lines.line(1, &format!("paths: [{}]", scalar(path)));
        }
        // Promtail's default; ours is a week.
        lines.line(1, &format!("backfill: {}", duration(get_text(journal, "max_age").unwrap_or("7h"))));
        if let Some(cursor) = positions.and_then(|positions| self.cursor(positions, name)) {
            lines.line(1, &format!("start_cursor: '{cursor}'"));
        }
        self.out.line(0, "journal:");
        if let Some(matches) = get(journal, "matches") {
            self.leave(1, "journal.matches", "use a relabel rule with `action: keep` on the field", matches);
        }
        for (key, value) in entries(journal) {
            if !["path", "max_age", "matches", "labels", "json"].contains(&key) {
                self.leave(1, &format!("journal.{key}"), "not known", value);
            }
        }
        for line in lines.finish().lines() {
            self.out.line(0, line);
        }

        self.out.line(0, "labels:");
        let labels = get(journal, "labels").map(|labels| entries(labels).count()).unwrap_or(0);
        match get(journal, "labels").filter(|_| labels > 0) {
            Some(labels) => self.strings(1, "static", labels),
            None => {
                // Promtail sends entries without a label to be refused.
                let job = if name.is_empty() { "journal" } else { name };
                self.tell(
                    1,
                    "static: Promtail set no label here; one must be certain, so the job's name is it",
                );
                self.out.line(1, &format!("static: {{job: {}}}", scalar(job)));
            }
        }
        self.out.line(1, "fields: {}");
        let streams =
            limits.and_then(|limits| get_text(limits, "max_streams")).filter(|streams| *streams != "0");
        if let Some(streams) = streams {
            self.out.line(1, &format!("max_streams: {streams}"));
        }
        if let Some(rules) = get(job, "relabel_configs") {
            self.out.entry(1, "relabel_configs", rules);
        }
        self.out.line(0, "structured_metadata: {}");
        if get_text(journal, "json") == Some("true") {
            self.out.line(0, "line: json");
        }
        for (key, value) in entries(job) {
            if !["job_name", "journal", "relabel_configs", "pipeline_stages"].contains(&key) {
                self.leave(0, &format!("scrape_configs.{key}"), "has no counterpart for a journal", value);
            }
        }
        self.notes.push(
            "an entry without MESSAGE was dropped by Promtail; journal-ship sends it with an empty line"
                .to_owned(),
        );
    }

    /// Promtail's cursor for this job, if its positions file has one.
    fn cursor(&mut self, positions: &str, job: &str) -> Option<Cursor> {
        let found = config::document(positions, "positions").ok().and_then(|root| {
            let positions = get(&root, "positions")?;
            get_text(positions, &format!("cursor-{job}"))?.parse().ok()
        });
        if found.is_none() {
            self.notes.push(format!(
                "the positions file has no cursor of the job {job}: `backfill` says where to begin"
            ));
        }
        found
    }

    fn strings(&mut self, depth: usize, key: &str, map: &Node) {
        self.out.line(depth, &format!("{key}:"));
        for (name, value) in entries(map) {
            let value = variables(text(value).unwrap_or_default());
            let quoted = format!("'{}'", value.replace('\'', "''"));
            self.out.line(depth + 1, &format!("{}: {quoted}", scalar(name)));
        }
    }

    fn stages(&mut self, stages: Option<&Node>, limits: Option<&Node>) {
        let limited = limits.is_some_and(|limits| get_text(limits, "readline_rate_enabled") == Some("true"));
        let stages = stages.map(items).unwrap_or_default();
        if !stages.is_empty() || limited {
            self.out.line(0, "stages:");
            self.stage_list(1, stages, limited);
        }
        let Some(limits) = limits else { return };
        if limited {
            let of = |name: &str, default: &str| get_text(limits, name).unwrap_or(default).to_owned();
            self.out.line(
                1,
                &format!(
                    "- limit: {{rate: {}, burst: {}, drop: {}}}",
                    of("readline_rate", "10000"),
                    of("readline_burst", "10000"),
                    of("readline_rate_drop", "true")
                ),
            );
        }
        for (key, value) in entries(limits) {
            match key {
                k if k.starts_with("readline_") => {}
                "max_streams" => {}
                "max_line_size" | "max_line_size_truncate" => self.tell(
                    0,
                    "limits_config.max_line_size: lines over 256 KiB are cut with a mark; a `drop` stage with \
                     longer_than drops shorter ones",
                ),
                _ => self.leave(0, &format!("limits_config.{key}"), "not known", value),
            }
        }
    }

    /// Writes stages; `more` says that another one follows them.
    fn stage_list(&mut self, depth: usize, stages: &[Node], more: bool) {
        let mut written = 0;
        for (name, value) in stages.iter().flat_map(entries) {
            written += 1;
            match name {
                name if STAGES_WITHOUT.contains(&name) => {
                    written -= 1;
                    self.leave(depth, &format!("stage {name}"), "has no sense for journal entries", value);
                }
                "non_indexed_labels" => self.stage(depth, "structured_metadata", value),
                "pipeline" | "match" if get(value, "stages").is_some() => self.nested(depth, value),
                name => self.stage(depth, name, value),
            }
        }
        if written == 0 && !more {
            // A list of comments alone would be no list.
            self.out.line(depth, "[]");
        }
    }

    fn stage(&mut self, depth: usize, name: &str, value: &Node) {
        let entry = (Node::text(name), value.clone());
        self.out.item(depth, &Node::map(vec![entry]));
    }

    fn nested(&mut self, depth: usize, value: &Node) {
        self.out.line(depth, "- match:");
        for (key, inner) in entries(value) {
            match key {
                "stages" => {
                    self.out.line(depth + 2, "stages:");
                    self.stage_list(depth + 3, items(inner), false);
                }
                key => self.out.entry(depth + 2, key, inner),
            }
        }
    }

    fn clients(&mut self, root: &Node) {
        let single = get(root, "client");
        let clients: Vec<&Node> =
            get(root, "clients").map(items).unwrap_or_default().iter().chain(single).collect();
        if clients.is_empty() {
            return self.tell(0, "clients: there are none; write where Loki is under `loki`");
        }
        self.out.line(0, "loki:");
        for (index, client) in clients.iter().enumerate() {
            self.client(index, client);
        }
    }

    fn client(&mut self, index: usize, client: &Node) {
        let mut url = variables(get_text(client, "url").unwrap_or_default());
        let authority = url.find("://").map(|at| at + 3);
        if let Some((start, end)) =
            authority.and_then(|start| Some((start, start + url.get(start..)?.find('@')?)))
            && url.get(start..end).is_some_and(|user| !user.contains('/'))
        {
            url.replace_range(start..=end, "");
            self.tell(1, "clients.url: the user and password in it are left out");
        }
        self.out.line(1, &format!("- url: '{}'", url.replace('\'', "''")));
        if index > 0 || get(client, "name").is_some() {
            let name = get_text(client, "name").map_or_else(|| format!("loki-{}", index + 1), str::to_owned);
            self.out.line(2, &format!("name: {}", scalar(&name)));
        }
        let mut batch = Vec::new();
        for (key, value) in entries(client).filter(|(_, value)| value.kind != Kind::Null) {
            let word = text(value).unwrap_or_default();
            match key {
                "url" | "name" => {}
                "tenant_id" if word.is_empty() => {}
                "tenant_id" => {
                    self.out.line(2, &format!("tenant: '{}'", variables(word).replace('\'', "''")))
                }
                "batchwait" => batch.push(format!("max_wait: {}", duration(word))),
                "batchsize" => batch.push(format!("max_bytes: {word}")),
                "timeout" => self.out.line(2, &format!("timeout: {}", duration(word))),
                "external_labels" if entries(value).count() > 0 => self.strings(2, "labels", value),
                "headers" if entries(value).count() > 0 => self.strings(2, "headers", value),
                "backoff_config" => {
                    let of = |name: &str, default: &str| duration(get_text(value, name).unwrap_or(default));
                    let (min, max) = (of("min_period", "500ms"), of("max_period", "5m"));
                    self.out.line(2, &format!("backoff: {{min: {min}, max: {max}}}"));
                    if get(value, "max_retries").is_some() {
                        self.tell(2, "clients.backoff_config.max_retries: journal-ship never gives up");
                    }
                }
                "drop_rate_limited_batches" if word == "true" => {
                    self.tell(2, "clients.drop_rate_limited_batches: journal-ship never drops what Loki may take later");
                }
                "drop_rate_limited_batches" | "follow_redirects" | "enable_http2" => {}
                "external_labels" | "headers" => {}
                _ => self.leave(2, &format!("clients.{key}"), "has no counterpart yet", value),
            }
        }
        if !batch.is_empty() {
            self.out.line(2, &format!("batch: {{{}}}", batch.join(", ")));
        }
    }

    fn server(&mut self, server: &Node) {
        for (key, value) in entries(server) {
            match key {
                "http_listen_address" | "http_listen_port" => {}
                "log_level" => self.out.line(0, &format!("log_level: {}", text(value).unwrap_or("info"))),
                "grpc_listen_port" | "grpc_listen_address" | "disable" => {}
                _ => self.leave(0, &format!("server.{key}"), "has no counterpart", value),
            }
        }
        let port = get_text(server, "http_listen_port").filter(|port| *port != "0");
        if let Some(port) = port {
            let address =
                get_text(server, "http_listen_address").filter(|a| !a.is_empty()).unwrap_or("127.0.0.1");
            self.out.line(0, &format!("http: {{listen: '{address}:{port}'}}"));
            if get(server, "http_listen_address").is_none() {
                self.notes.push(
                    "server: Promtail listened on all addresses; http.listen is 127.0.0.1 now".to_owned(),
                );
            }
        }
    }
}

/// Promtail's `${VAR:default}` in our spelling.
fn variables(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        out.push_str("${");
        rest = after;
        if let Some((inner, behind)) = after.split_once('}') {
            match inner.split_once(':') {
                Some((name, default)) if !default.starts_with('-') => {
                    out.push_str(&format!("{name}:-{default}"))
                }
                _ => out.push_str(inner),
            }
            out.push('}');
            rest = behind;
        }
    }
    out.push_str(rest);
    out
}

/// A duration of Go's in Prometheus's spelling, which has no fractions and no sign.
fn duration(go: &str) -> String {
    match config::go_duration(go) {
        Ok(duration) => config::units::format_duration(duration),
        // Left as it is: `check` says what is wrong with it.
        Err(_) => scalar(go),
    }
}
