//! The order of the keys of answers: clients that decode an answer as a stream (Grafana's data source does) have to know its kind
//! and its encoding before they come to the lines.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::query::{Asked, data};
use crate::support::or_skip;
use journal_ship::query::api::{Params, Request};

/// Sets of labels, whose order means nothing.
const LABELS: [&str; 4] = ["stream", "metric", "structuredMetadata", "parsed"];

/// A text of JSON with its keys as they stand.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Object(Vec<(String, Node)>),
    List(Vec<Node>),
    Text(String),
    Other,
}

impl Node {
    fn get(&self, name: &str) -> Option<&Node> {
        let Node::Object(fields) = self else { return None };
        fields.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Node::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The objects within, each by the way to it and with its keys. Sets of labels and what it took are left out.
    fn orders(&self, way: &str, found: &mut BTreeSet<(String, Vec<String>)>) {
        match self {
            Node::Object(fields) => {
                let keys = fields.iter().map(|(key, _)| key.clone()).filter(|key| key != "stats");
                found.insert((way.to_owned(), keys.collect()));
                let within = |(key, _): &&(String, Node)| key != "stats" && !LABELS.contains(&key.as_str());
                for (key, value) in fields.iter().filter(within) {
                    value.orders(&format!("{way}.{key}"), found);
                }
            }
            Node::List(all) => all.iter().for_each(|one| one.orders(&format!("{way}[]"), found)),
            Node::Text(_) | Node::Other => {}
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Node, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Node::Object(fields))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = list.next_element()? {
                    all.push(one);
                }
                Ok(Node::List(all))
            }
            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(text.to_owned()))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
                Ok(Node::Other)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
                Ok(Node::Other)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
                Ok(Node::Other)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Other)
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Other)
            }
        }
        from.deserialize_any(Any)
    }
}

/// The keys of an object, as they stand.
fn keys(node: Option<&Node>) -> Vec<&str> {
    let Some(Node::Object(fields)) = node else { return Vec::new() };
    fields.iter().map(|(key, _)| key.as_str()).collect()
}

/// The parameters of a recorded call.
fn parameters(call: &Node) -> Params {
    let Some(Node::Object(fields)) = call.get("params") else { panic!("{call:?}") };
    let mut params = Params::default();
    for (name, value) in fields {
        let all = match value {
            Node::List(all) => all.as_slice(),
            one => std::slice::from_ref(one),
        };
        for one in all {
            let Node::Text(text) = one else { panic!("{call:?}") };
            params.0.push((name.clone(), text.clone()));
        }
    }
    params
}

#[test]
fn keys_stand_in_the_order_of_the_recorded_answers() {
    let asked = or_skip!(Asked::new());
    let Node::List(calls) = serde_json::from_slice(&data("api.json.gz")).unwrap() else { panic!() };
    let (mut wrong, mut compared, mut flagged) = (Vec::new(), 0, 0);
    for call in &calls {
        let path = call.text("path").unwrap();
        let Some(body) = call.get("body").filter(|_| !path.starts_with("/prometheus")) else { continue };
        let flags: Vec<String> = call
            .get("headers")
            .and_then(|headers| headers.text("X-Loki-Response-Encoding-Flags"))
            .map(|flags| flags.split(',').map(str::to_owned).collect())
            .unwrap_or_default();
        let request = Request {
            path: path.to_owned(),
            params: parameters(call),
            flags: flags.clone(),
            now: 1_795_248_000_000_000_000,
        };
        let reply = asked.call(&request);
        if reply.status != 200 {
            // Refused on purpose, as the test of what is answered says.
            continue;
        }
        let ours: Node =
            serde_json::from_str(&reply.body).unwrap_or_else(|error| panic!("{path}: {error}: {reply:?}"));
        let [mut own, mut theirs] = [BTreeSet::new(), BTreeSet::new()];
        ours.orders("", &mut own);
        body.orders("", &mut theirs);
        if path.ends_with("/series") {
            // Its data are sets of labels.
            own.retain(|(way, _)| !way.contains("[]"));
        }
        compared += 1;
        flagged += usize::from(!flags.is_empty());
        let others: Vec<_> = own.difference(&theirs).collect();
        if !others.is_empty() {
            wrong.push(format!("{path} {:?}\n  ours {others:?}\n  Loki's {theirs:?}", request.params));
        }
        // What it took comes last, where Loki tells it.
        if ["/query", "/query_range", "/index/volume", "/index/volume_range"]
            .iter()
            .any(|end| path.ends_with(end))
        {
            let of_data = keys(ours.get("data"));
            assert_eq!(of_data.last(), Some(&"stats"), "{path}: {of_data:?}");
        }
    }
    assert!(wrong.is_empty(), "{} of {compared} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared > 40 && flagged > 0, "{compared}, {flagged} with flags");
}

/// A flag that nobody knows, an answer that is no lines, and a mistake in a query to format (grafana/loki,
/// `pkg/util/marshal/query.go`, `encodeEncodingFlags`; `pkg/querier/queryrange/prometheus.go`; `pkg/loki/format_query_handler.go`).
#[test]
fn flags_stand_before_the_lines_and_are_repeated() {
    let asked = or_skip!(Asked::new());
    let ask = |path: &str, parameters: &str, flags: &[&str]| {
        let request = Request {
            path: format!("/loki/api/v1/{path}"),
            params: Params::read(parameters, b"").unwrap(),
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            now: 1_795_248_000_000_000_000,
        };
        asked.call(&request).body
    };
    let lines = "query={unit%3D\"sshd.service\"}&start=1795240800&end=1795248000&limit=2";
    for (flags, begin) in [
        (&["categorize-labels"][..], r#""encodingFlags":["categorize-labels"],"result":[{"#),
        (&["x"], r#""encodingFlags":["x"],"result":[{"#),
        (&["x", "categorize-labels"], r#""encodingFlags":["x","categorize-labels"],"result":[{"#),
        (&[], r#""result":[{"#),
    ] {
        let body = ask("query_range", lines, flags);
        let begin = format!(r#"{{"status":"success","data":{{"resultType":"streams",{begin}"#);
        assert!(body.starts_with(&begin), "{flags:?}: {body:.300}");
        assert_eq!(body.contains("structuredMetadata"), flags.contains(&"categorize-labels"), "{body:.900}");
    }
    let body = ask("query", "query=vector(1)", &["categorize-labels"]);
    assert!(body.starts_with(r#"{"status":"success","data":{"resultType":"vector","result":[{"#), "{body}");
    let body = ask("format_query", "query={", &[]);
    assert!(body.starts_with(r#"{"status":"invalid-query","error":"parse error at line"#), "{body}");
}
