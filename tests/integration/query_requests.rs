//! Requests that Loki takes, and those that it refuses, with its words. What is asked for here was read in Loki's source
//! (`pkg/loghttp`, `pkg/querier/queryrange`), which is that of the recorded answers.

use serde_json::{Value, json};

use crate::query::Asked;
use crate::query_api::escaped;
use crate::support::or_skip;
use journal_ship::query::api::{Params, Request};

/// Eight in the morning of the recorded journal (nanoseconds since 1970).
const NOW: i64 = 1_795_248_000_000_000_000;
/// The two hours of the recorded journal.
const SPAN: &str = "start=1795240800&end=1795248000";
/// The same, turned round.
const TURNED: &str = "start=1795248000&end=1795240800";
const BACK: &str = "end timestamp must not be before or equal to start time";
const MATCHERS: &str = "only label matchers are supported";
const ENTRIES: &str =
    "max entries limit per query exceeded, limit > max_entries_limit_per_query (5001 > 5000)";
const COUNT: &str = "query=sum(count_over_time({job%3D~\".%2B\"}[2h]))";
const SSHD: &str = "query={unit%3D\"sshd.service\"}";

impl Asked {
    /// The status and the body of a reply, as JSON or as a text.
    fn reply(&self, path: &str, parameters: &str) -> (u16, Value) {
        let params = Params::read(parameters, b"").unwrap();
        let request = Request { path: format!("/loki/api/v1/{path}"), params, flags: Vec::new(), now: NOW };
        let reply = self.call(&request);
        let body = serde_json::from_str(&reply.body).unwrap_or_else(|_| json!(reply.body));
        (reply.status, body)
    }
}

#[test]
fn a_limit_of_lines_is_none_of_values() {
    let asked = or_skip!(Asked::new());
    for (path, parameters, status, words) in [
        ("query", format!("{COUNT}&time=1795248000&limit=5001"), 200, ""),
        ("query_range", format!("{COUNT}&{SPAN}&limit=4294967295"), 200, ""),
        ("query_range", format!("{SSHD}&{SPAN}&limit=5000"), 200, ""),
        ("query_range", format!("{SSHD}&{SPAN}&limit=5001"), 400, ENTRIES),
        ("detected_fields", format!("{SSHD}&{SPAN}&limit=5001"), 200, ""),
        ("detected_fields", format!("{SSHD}&{SPAN}&line_limit=5001"), 400, ENTRIES),
        ("index/volume", format!("{SSHD}&{SPAN}&limit=5001"), 200, ""),
        ("index/volume_range", format!("{SSHD}&{SPAN}&limit=5001"), 200, ""),
        (
            "query",
            format!("{COUNT}&limit=4294967296"),
            400,
            "limit value 4294967296 is out of range [0, 4294967295]",
        ),
    ] {
        let (code, body) = asked.reply(path, &parameters);
        assert_eq!(code, status, "{path} {parameters}: {body}");
        assert!(words.is_empty() || body == words, "{path} {parameters}: {body}");
    }
}

#[test]
fn a_span_without_length_has_one_value_and_no_line() {
    let asked = or_skip!(Asked::new());
    let (status, body) = asked.reply("query_range", &format!("{COUNT}&start=1795248000&end=1795248000"));
    assert_eq!(status, 200, "{body}");
    let result = &body["data"]["result"];
    assert_eq!(result[0]["values"], json!([[1_795_248_000, "4719"]]), "{body}");
    for time in ["1795248000", "1795244400.123456789"] {
        let (status, body) = asked.reply("query_range", &format!("{SSHD}&start={time}&end={time}"));
        assert_eq!((status, &body["data"]["result"]), (200, &json!([])), "{body}");
    }
}

#[test]
fn spans_that_end_before_they_begin_and_stages_are_refused() {
    let asked = or_skip!(Asked::new());
    for path in ["index/stats", "index/volume", "index/volume_range", "detected_labels", "detected_fields"] {
        assert_eq!(asked.reply(path, &format!("{SSHD}&{TURNED}")), (400, json!(BACK)), "{path}");
        let (status, body) = asked.reply(path, &format!("{SSHD}&start=1795248000&end=1795248000"));
        assert_eq!(status, 200, "{path}: {body}");
    }
    let staged = format!("{SSHD}|%3D\"x\"&{SPAN}");
    for path in [
        "labels",
        "label/unit/values",
        "index/stats",
        "index/volume",
        "index/volume_range",
        "detected_labels",
    ] {
        assert_eq!(asked.reply(path, &staged), (400, json!(MATCHERS)), "{path}");
        assert_eq!(asked.reply(path, &format!("query=1&{SPAN}")), (400, json!(MATCHERS)), "{path}");
    }
    let staged = staged.replace("query=", "match[]=");
    assert_eq!(asked.reply("series", &staged), (400, json!(MATCHERS)));
    // Fields are looked for in lines: these may be chosen.
    let some = format!("{SSHD}|~\".\"&{SPAN}");
    let (status, body) = asked.reply("detected_fields", &some);
    assert_eq!(status, 200, "{body}");
    assert!(!body["fields"].as_array().unwrap().is_empty(), "{body}");
    for (parameters, words) in [
        (
            format!("{SSHD}&{SPAN}&step=0"),
            "zero or negative query resolution step widths are not accepted. Try a positive integer",
        ),
        (format!("{SSHD}&{SPAN}&direction=up"), "invalid direction 'up'"),
    ] {
        assert_eq!(asked.reply("index/stats", &parameters), (400, json!(words)));
    }
}

#[test]
fn a_lone_pair_of_braces_is_no_selector() {
    let asked = or_skip!(Asked::new());
    let all = asked.reply("series", SPAN);
    assert_eq!(all.0, 200);
    assert!(all.1["data"].as_array().unwrap().len() > 10, "{all:?}");
    for parameters in ["match[]={}", "match={ }", "match[]={}&match={}"] {
        assert_eq!(asked.reply("series", &format!("{parameters}&{SPAN}")), all, "{parameters}");
    }
    let beside = format!("match[]={{}}&{}&{SPAN}", SSHD.replace("query", "match[]"));
    assert_eq!(asked.reply("series", &beside).0, 400);
    let bytes = |parameters: &str| {
        let (status, body) = asked.reply("index/volume", &format!("{parameters}&{SPAN}&limit=5000"));
        assert_eq!(status, 200, "{body}");
        let result = body["data"]["result"].as_array().unwrap().clone();
        result.iter().map(|row| row["value"][1].as_str().unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    assert_eq!(bytes("query={}"), bytes("query={job%3D\"systemd-journal\"}"));
}

#[test]
fn a_mistake_in_a_query_to_format_is_told_in_json() {
    let asked = or_skip!(Asked::new());
    let request = Request {
        path: "/loki/api/v1/format_query".to_owned(),
        params: Params::read("query={a%3D\"b\"", b"").unwrap(),
        flags: Vec::new(),
        now: NOW,
    };
    let reply = asked.call(&request);
    assert_eq!((reply.status, reply.content_type), (400, "application/json; charset=utf-8"));
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(body["status"], "invalid-query");
    assert!(body["error"].as_str().unwrap().starts_with("parse error at line 1, col "), "{body}");
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
}

#[test]
fn a_mistake_in_a_stage_names_it_where_it_is_run() {
    let asked = or_skip!(Asked::new());
    let query = "{a=\"b\"}|json x=\"pod.a-b\"";
    let said =
        "parse error : stage '| json x=\"pod.a-b\"' : cannot parse expression [pod.a-b]: unexpected char -";
    let encoded = format!("query={}", query.replace('=', "%3D"));
    assert_eq!(asked.reply("query_range", &encoded), (400, json!(said)));
    let formatted = json!({"status": "success", "data": "{a=\"b\"} | json x=\"pod.a-b\""});
    assert_eq!(asked.reply("format_query", &encoded), (200, formatted));
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let asked = or_skip!(Asked::new());
    for (path, query, column) in [
        ("query_range", "{a%3D~\"x%ff\"}", 5),
        ("query", "rate({a%3D\"b\"}%0A|%3D `%e2%98`[1m])", 4),
        ("series", "{a%3D\"%ff\"}", 4),
        ("format_query", "%ff", 1),
    ] {
        let name = if path == "series" { "match[]" } else { "query" };
        let (status, body) = asked.reply(path, &format!("{name}={query}"));
        let line = if query.contains("%0A") { 2 } else { 1 };
        let said = format!("parse error at line {line}, col {column}: invalid UTF-8 encoding");
        assert_eq!(status, 400, "{query}");
        assert_eq!(body.as_str().or(body["error"].as_str()), Some(said.as_str()), "{query}");
    }
    // A character that stands for such bytes is one like any other.
    assert_eq!(asked.reply("query_range", "query={a%3D\"%ef%bf%bd\"}").0, 200);
}

#[test]
fn only_sort_gives_series_an_order() {
    let asked = or_skip!(Asked::new());
    for (function, sorted) in [("topk(3,", false), ("sort(", true), ("1+sort(", true)] {
        let by_unit = "sum%20by%20(unit)(count_over_time({job=\"systemd-journal\"}[30m]))";
        let query = format!("query={}{by_unit})&time=1795246200", function.replace('+', "%2B"));
        let (status, body) = asked.reply("query", &query);
        assert_eq!(status, 200, "{body}");
        let rows = body["data"]["result"].as_array().unwrap();
        assert!(rows.len() >= 3, "{body}");
        let value = |row: &Value| row["value"][1].as_str().unwrap().parse::<u64>().unwrap();
        let labels = |row: &Value| row["metric"]["unit"].as_str().unwrap_or_default().to_owned();
        assert_eq!(rows.is_sorted_by_key(value), sorted, "{function} {body}");
        assert_eq!(rows.is_sorted_by_key(labels), !sorted, "{function} {body}");
    }
}

#[test]
fn long_queries_are_formatted_in_several_lines() {
    let asked = or_skip!(Asked::new());
    let long = "x".repeat(90);
    let query = format!("query={{a%3D\"b\"}}|%3D\"{long}\"|json");
    let lines = format!("{{a=\"b\"}}\n  |= \"{long}\"\n  | json");
    assert_eq!(asked.reply("format_query", &query), (200, json!({"status": "success", "data": lines})));
}

#[test]
fn numbers_of_fields_and_volumes_are_read_as_loki_reads_them() {
    let asked = or_skip!(Asked::new());
    let fields = |parameters: &str| {
        let (status, body) = asked.reply("detected_fields", &format!("{SSHD}&{SPAN}&{parameters}"));
        assert_eq!(status, 200, "{body}");
        (body["fields"].as_array().unwrap().len(), body["limit"].clone())
    };
    assert!(fields("").0 > 1);
    assert_eq!(fields("field_limit=1"), (1, json!(1)));
    assert_eq!(fields("field_limit=1&limit=2"), (2, json!(2)));
    for (parameters, words) in [
        ("limit=0", "limit must be a positive value"),
        ("line_limit=-1", "limit must be a positive value"),
        ("field_limit=x", "strconv.Atoi: parsing \"x\": invalid syntax"),
    ] {
        let reply = asked.reply("detected_fields", &format!("{SSHD}&{SPAN}&{parameters}"));
        assert_eq!(reply, (400, json!(words)), "{parameters}");
    }
    let volumes = |limit: &str| {
        let parameters = format!("query={{job%3D~\".%2B\"}}&targetLabels=unit,level&{SPAN}&{limit}");
        let (status, body) = asked.reply("index/volume", &parameters);
        (status, body.pointer("/data/result").cloned().unwrap_or(body))
    };
    assert_eq!(volumes("limit=0"), volumes(""));
    assert_eq!(volumes("limit=-1"), (400, json!("limit must be a positive value")));
}

#[test]
fn a_form_goes_before_the_address() {
    let asked = or_skip!(Asked::new());
    let params = Params::read(&format!("limit=7&{SPAN}"), format!("{SSHD}&limit=2").as_bytes()).unwrap();
    let path = "/loki/api/v1/query_range".to_owned();
    let reply = asked.call(&Request { path, params, flags: Vec::new(), now: NOW });
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    let streams = body["data"]["result"].as_array().unwrap().clone();
    let lines: usize = streams.iter().map(|stream| stream["values"].as_array().unwrap().len()).sum();
    assert_eq!(lines, 2, "{body}");
}

/// Series of volumes: their labels, and their values' times.
fn volumes(asked: &Asked, path: &str, parameters: &str) -> (String, Vec<Value>, Vec<Value>) {
    let (status, body) = asked.reply(path, &format!("{parameters}&{SPAN}"));
    assert_eq!(status, 200, "{parameters}: {body}");
    let rows = body["data"]["result"].as_array().unwrap();
    let times = |row: &Value| match row.get("value") {
        Some(pair) => pair[0].clone(),
        None => row["values"].as_array().unwrap().iter().map(|pair| pair[0].clone()).collect(),
    };
    (
        body["data"]["resultType"].as_str().unwrap().to_owned(),
        rows.iter().map(|row| row["metric"].clone()).collect(),
        rows.iter().map(times).collect(),
    )
}

#[test]
fn volumes_are_of_the_labels_that_loki_takes() {
    let asked = or_skip!(Asked::new());
    let of = |parameters: &str| volumes(&asked, "index/volume", parameters).1;
    // A label that is named must be there, unless the selector says something of it.
    assert_eq!(of("query={service_name%3D\"kernel\"}&targetLabels=unit,host"), [] as [Value; 0]);
    assert_eq!(
        of("query={service_name%3D\"kernel\"}&targetLabels=host"),
        [json!({"host": "h1"}), json!({"host": "h2"})]
    );
    assert_eq!(of("query={}&targetLabels=nosuch"), [] as [Value; 0]);
    assert_eq!(of("query={service_name%3D\"kernel\",unit%3D\"\"}&targetLabels=unit"), [json!({})]);
    assert_eq!(
        of("query={service_name%3D\"kernel\"}&targetLabels=unit,host&aggregateBy=labels"),
        [] as [Value; 0]
    );
    // Without names, each matcher names a label.
    let job = |host: &str| json!({"host": host, "job": "systemd-journal"});
    assert_eq!(of("query={job%3D\"systemd-journal\",host!%3D\"h2\"}"), [job("h1")]);
    assert_eq!(of("query={job%3D\"systemd-journal\",host!~\"h2|h9\"}"), [job("h1")]);
}

#[test]
fn volumes_over_time_have_lokis_steps() {
    let asked = or_skip!(Asked::new());
    let of = |parameters: &str| volumes(&asked, "index/volume_range", parameters);
    let all = "query={job%3D\"systemd-journal\"}";
    let metric = json!({"job": "systemd-journal"});
    // Single values are a vector.
    assert_eq!(
        of(&format!("{all}&step=7200")),
        ("vector".into(), vec![metric.clone()], vec![json!(1_795_248_000)])
    );
    assert_eq!(of("query={job%3D\"none\"}&step=60"), ("vector".into(), vec![], vec![]));
    // Steps begin at multiples of their length, wherever the span begins. What comes first counts.
    let times = json!([1_795_242_599.999, 1_795_244_399.999, 1_795_246_199.999, 1_795_248_000]);
    let begun = of(&format!("start=1795241400&{all}&step=1800"));
    assert_eq!(begun, ("matrix".into(), vec![metric], vec![times]));
    let (status, body) =
        asked.reply("index/volume_range", &format!("{all}&{SPAN}&targetLabels=unit&step=3600"));
    assert_eq!(status, 200, "{body}");
    let first = |row: &Value| row["values"][0][1].as_str().unwrap().parse::<u64>().unwrap();
    let firsts: Vec<u64> = body["data"]["result"].as_array().unwrap().iter().map(first).collect();
    assert!(firsts.len() > 3 && firsts.is_sorted_by(|a, b| a >= b), "{firsts:?}");
    // Each step has its own largest series.
    let largest = |span: &str| {
        asked.reply("index/volume", &format!("{all}&{span}&targetLabels=unit&limit=1")).1["data"]["result"][0]
            ["metric"]
            .clone()
    };
    let (kind, metrics, _) = of(&format!("{all}&targetLabels=unit&step=600&limit=1"));
    let mut each: Vec<Value> = (0..12)
        .map(|n| 1_795_240_800 + n * 600)
        .map(|start| largest(&format!("start={start}&end={}", start + 600)))
        .collect();
    each.sort_by_key(Value::to_string);
    each.dedup();
    assert!(each.len() > 1, "{each:?}");
    let mut metrics = metrics;
    metrics.sort_by_key(Value::to_string);
    assert_eq!((kind.as_str(), metrics), ("matrix", each));
}

#[test]
fn parameters_are_refused_in_lokis_words() {
    let asked = or_skip!(Asked::new());
    const GONE: &str = "this data is no longer available, it is past now - max_query_lookback (0s)";
    const STEP: &str =
        "zero or negative query resolution step widths are not accepted. Try a positive integer";
    const TIME: &str = "strconv.ParseInt: parsing \"x\": invalid syntax";
    for (path, parameters, words) in [
        ("query", "query=1&time=x", TIME),
        (
            "query",
            "query=1&time=99999999999999999999",
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
        ),
        // Numbers are read before the query.
        ("query", "query={&limit=0", "limit must be a positive value"),
        ("query", "query={&direction=up", "invalid direction 'up'"),
        (
            "query_range",
            "query=1&start=2026-11-21 07:00:00Z",
            "could not parse 'start' parameter: strconv.ParseInt: parsing \"2026-11-21 07:00:00Z\": invalid syntax",
        ),
        ("patterns", "query={a%3D\"b\"}&step=0", STEP),
        (
            "patterns",
            "query={a%3D\"b\"}&end=x",
            "could not parse 'end' parameter: strconv.ParseInt: parsing \"x\": invalid syntax",
        ),
        ("index/volume", "query={a%3D\"b\"}&time=x", TIME),
        ("index/volume", "query={a%3D\"b\"}&direction=up", "invalid direction 'up'"),
        ("index/volume", "query={&aggregateBy=x", "invalid aggregation option"),
        ("index/volume_range", "query={a%3D\"b\"}&interval=-1", "interval must be >= 0"),
        ("labels", TURNED, GONE),
        ("label/unit/values", TURNED, GONE),
        ("series", TURNED, GONE),
    ] {
        assert_eq!(asked.reply(path, parameters), (400, json!(words)), "{path} {parameters}");
    }
    let (status, body) = asked.reply("index/volume_range", &format!("{SSHD}&{SPAN}&limit=0"));
    assert_eq!(status, 200, "{body}");
}

#[test]
fn fields_that_are_detected_can_be_compared_with() {
    let asked = or_skip!(Asked::new());
    let cron = "query={unit%3D\"cronjob@nightly.service\"}";
    let (status, body) = asked.reply("detected_field/size/values", &format!("{cron}&{SPAN}"));
    assert_eq!((status, &body["values"]), (200, &json!(["10kB", "4.2MB"])), "{body}");
    let (status, body) = asked.reply("detected_fields", &format!("{cron}|json&{SPAN}"));
    let fields = body["fields"].as_array().unwrap();
    let named = |name: &str| fields.iter().any(|field| field["label"] == name);
    assert!(status == 200 && named("lvl") && !named("__error__") && !named("__error_details__"), "{body}");
    let none = "query={unit%3D\"none\"}";
    for path in ["detected_fields", "detected_labels", "detected_field/size/values"] {
        assert_eq!(asked.reply(path, &format!("{none}&{SPAN}")), (200, json!({})), "{path}");
    }
}

#[test]
fn an_answer_says_what_it_took() {
    let asked = or_skip!(Asked::new());
    let summary = |path: &str, parameters: &str| {
        let (status, body) = asked.reply(path, parameters);
        assert_eq!(status, 200, "{body}");
        body["data"]["stats"]["summary"].clone()
    };
    let lines = summary("query_range", &format!("{SSHD}&{SPAN}&limit=5"));
    assert_eq!(lines["totalEntriesReturned"], 5, "{lines}");
    assert!(lines["totalLinesProcessed"].as_u64() >= Some(5), "{lines}");
    assert!(lines["execTime"].as_f64() > Some(0.0), "{lines}");
    for (path, parameters) in [
        ("query", format!("{COUNT}&time=1795248000")),
        ("index/volume", format!("query={{job%3D~\".%2B\"}}&{SPAN}")),
    ] {
        let values = summary(path, &parameters);
        assert_eq!(
            (&values["totalLinesProcessed"], &values["totalEntriesReturned"]),
            (&json!(4719), &json!(1))
        );
        assert!(values["totalBytesProcessed"].as_u64() > Some(100_000), "{path}: {values}");
        assert!(values["bytesProcessedPerSecond"].as_u64() > Some(0), "{path}: {values}");
    }
    let nothing = summary("query", "query=1");
    assert_eq!((&nothing["totalBytesProcessed"], &nothing["totalLinesProcessed"]), (&json!(0), &json!(0)));
}

#[test]
fn logs_drilldown_is_told_the_limits() {
    let asked = or_skip!(Asked::new());
    let limits = json!({
        "max_entries_limit_per_query": 5000, "max_query_bytes_read": "0B", "max_query_length": "0s", "max_query_series": 5000,
        "retention_period": "0s", "volume_enabled": true,
    });
    let told = json!({
        "limits": limits, "pattern_ingester_enabled": false, "version": env!("CARGO_PKG_VERSION"),
    });
    assert_eq!(asked.reply("drilldown-limits", ""), (200, told));
}

#[test]
fn a_path_may_have_escapes() {
    let asked = or_skip!(Asked::new());
    assert_eq!(asked.reply("label/un%69t/values", SPAN), asked.reply("label/unit/values", SPAN));
    for path in ["label/a%2Fb/values", "label/a/b/values", "detected_field//values"] {
        assert_eq!(asked.reply(path, SPAN).0, 404, "{path}");
    }
}

/// Loki says no place of these (grafana/loki, `pkg/logql/syntax/parser.go` and `ast.go`, `NewParseError` with 0, 0).
#[test]
fn mistakes_without_a_place_have_lokis_words() {
    let asked = or_skip!(Asked::new());
    let lone = "parse error : queries require at least one regexp or equality matcher that does not have an empty-compatible \
                value. For instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will";
    let rate = r#"rate({a="b"}[1m])"#;
    for (query, words) in [
        (r#"{a=~".*"}"#.to_owned(), lone),
        (r#"sum(rate({a!="b"}[1m]))"#.to_owned(), lone),
        (format!("topk({rate})"), "parse error : parameter required for operation topk"),
        (format!("bottomk(0,{rate})"), "parse error : invalid parameter (must be greater than 0) bottomk(0"),
        (format!("topk(1.5,{rate})"), "parse error : invalid parameter topk(1.5,"),
        (format!("sum(1,{rate})"), "parse error : unsupported parameter for operation sum(1,"),
        (format!("sort({rate}) by (a)"), "parse error : sort and sort_desc doesn't allow grouping by "),
        (
            r#"quantile_over_time({a="b"} | unwrap x [1m])"#.to_owned(),
            "parse error : parameter required for operation quantile_over_time",
        ),
        (
            r#"count_over_time({a="b"}[1m]) by (a)"#.to_owned(),
            "parse error : grouping not allowed for count_over_time aggregation",
        ),
        (
            r#"count_over_time({a="b"} | unwrap x [1m])"#.to_owned(),
            "parse error : invalid aggregation count_over_time with unwrap",
        ),
        (
            r#"sum_over_time({a="b"}[1m])"#.to_owned(),
            "parse error : invalid aggregation sum_over_time without unwrap",
        ),
        (
            r#"count_over_time(1,{a="b"}[1m])"#.to_owned(),
            "parse error : parameter 1 not supported for operation count_over_time",
        ),
    ] {
        let query = format!("query={}", escaped(&query));
        assert_eq!(asked.reply("query", &query), (400, json!(words)), "{query}");
    }
    let long = |length: usize| format!("query=vector(1)%23{}", "x".repeat(length - "vector(1)#".len()));
    assert_eq!(asked.reply("query", &long(131_071)).0, 200);
    for length in [131_072, 200_000] {
        let words = format!("parse error : input size too long ({length} > 131072)");
        assert_eq!(asked.reply("query", &long(length)), (400, json!(words)));
    }
}

/// Paths of before version 1, which are deprecated and still served (grafana/loki, `docs/sources/reference/loki-http-api.md`,
/// `pkg/util/marshal/legacy`).
#[test]
fn paths_of_before_have_their_shapes() {
    let asked = or_skip!(Asked::new());
    let old = |path: &str, parameters: &str| {
        let params = Params::read(parameters, b"").unwrap();
        let flags = vec!["categorize-labels".to_owned()];
        let reply = asked.call(&Request { path: format!("/api/prom/{path}"), params, flags, now: NOW });
        let body = serde_json::from_str(&reply.body).unwrap_or_else(|_| json!(reply.body));
        (reply.status, body)
    };
    let lines = format!("{SSHD}&{SPAN}&limit=3&direction=forward");
    let (status, body) = old("query", &lines);
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        body["streams"][0],
        json!({
            "labels": "{detected_level=\"info\", host=\"h1\", identifier=\"sshd\", job=\"systemd-journal\", level=\"info\", pid=\"10\", \
                       service_name=\"sshd.service\", unit=\"sshd.service\"}",
            "entries": [{
                "ts": "2026-11-21T06:00:05.035149Z",
                "line": "Connection closed by 198.51.100.7 port 42778 [preauth]",
            }],
        })
    );
    assert_eq!(body["streams"].as_array().map(Vec::len), Some(3), "{body}");
    assert!(body["stats"]["summary"].is_object() && body.as_object().unwrap().len() == 2, "{body}");
    let texts = |body: &Value| {
        let streams = body["streams"].as_array().unwrap().iter();
        streams.map(|stream| stream["entries"][0]["line"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (status, body) =
        old("query", &format!("{lines}&regexp={}", escaped("session (opened|closed) \"?for")));
    assert_eq!(status, 200, "{body}");
    assert!(texts(&body).len() > 1 && texts(&body).iter().all(|text| text.contains("session ")), "{body}");
    let refused = "rpc error: code = Code(400) desc = legacy endpoints only support streams result type";
    assert_eq!(old("query", &format!("{COUNT}&{SPAN}")), (400, json!(refused)));
    assert_eq!(
        old("query", &format!("{COUNT}&{SPAN}&regexp=x")),
        (400, json!("only log selector is supported"))
    );
    for (path, version1) in [("label", "labels"), ("label/level/values", "label/level/values")] {
        let (status, body) = asked.reply(version1, SPAN);
        assert_eq!(old(path, SPAN), (status, json!({"values": body["data"]})));
        assert!(body["data"][0].is_string(), "{body}");
    }
    assert_eq!(old("label/nosuch/values", SPAN), (200, json!({})));
    let matching = SSHD.replace("query", "match");
    assert_eq!(
        old("series", &format!("{matching}&{SPAN}")),
        asked.reply("series", &format!("{matching}&{SPAN}"))
    );
    assert_eq!(old("query_range", &lines).0, 404);
}
