use super::*;

fn labels(pairs: &[(&str, &str)]) -> Option<Labels> {
    Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

/// 2026-11-28T10:00:00Z
const TEN: i64 = 1_795_860_000;

#[test]
fn sentences_say_which_entries_they_mean() {
    let one = |reason, entries, limit, which| {
        vec![Refusal { reason, entries, limit, stream: labels(&[("a", "1")]), which }]
    };
    let behind = |of, at: &[i128], before| Which::Behind { of, at: at.to_vec(), before };
    let ns = |seconds: i64| i128::from(seconds) * 1_000_000_000;
    for (text, expected) in [
        (
            r#"entry for stream '{a="1"}' has timestamp too old: 2026-11-28T10:00:00Z, oldest acceptable timestamp is: 2026-11-28T11:00:00Z"#,
            one(Reason::TooOld, 1, None, Which::OldestOf(TEN)),
        ),
        (
            r#"7 errors like: entry for stream '{a="1"}' has timestamp too new: 2026-11-28T11:00:00+01:00"#,
            one(Reason::TooNew, 7, None, Which::NewestOf(TEN)),
        ),
        (
            r#"max entry size '10' bytes exceeded for stream '{a="1"}' while adding an entry with length '12' bytes"#,
            one(Reason::LineTooLong, 1, Some(10), Which::Line(12)),
        ),
        (
            r#"stream '{a="1"}' includes structured metadata, but this feature is disallowed. Please see"#,
            one(Reason::MetadataDisallowed, 1, None, Which::Unsaid),
        ),
        (
            r#"missing required labels env,team for user fake for stream {a="1"}"#,
            one(Reason::Labels, 1, None, Which::All),
        ),
        (
            "entry with timestamp 2026-11-28 10:00:00.5 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp \
                 is: 2026-11-28T10:00:00Z, oldest acceptable timestamp is: 2026-11-28T10:00:01Z',\nuser 'x', total ignored: 1 \
                 out of 3 for stream: {a=\"1\"}",
            one(Reason::TooFarBehind, 1, None, behind(Some(3), &[ns(TEN) + 500_000_000], Some(ns(TEN + 1)))),
        ),
        (
            // Loki 2.
            "entry with timestamp 2026-11-28 10:00:00 +0000 UTC ignored, reason: 'entry out of order' for stream: \
                 {a=\"1\"},\ntotal ignored: 40 out of 50",
            one(Reason::TooFarBehind, 40, None, behind(Some(50), &[ns(TEN)], None)),
        ),
    ] {
        assert_eq!(refusals(text), expected, "{text}");
    }
    let limited = "entry with timestamp 2026-11-28 10:00:00 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: x, \
                       oldest acceptable timestamp is: y',\nentry with timestamp 2026-11-28 10:00:01 +0000 UTC ignored, reason: \
                       'Per stream rate limit exceeded (limit: 3MB/sec) while attempting to ingest for stream '{a=\"1\"}' \
                       totaling 5B, consider',\nuser 'x', total ignored: 2 out of 3 for stream: {a=\"1\"}";
    assert_eq!(refusals(limited), one(Reason::TooFarBehind, 2, None, Which::Limited));
    let several = "3 errors like: entry for stream '{a=\"1\"}' has timestamp too old: 2026-11-28T10:00:00Z, oldest \
                       acceptable timestamp is: y; 1 errors like: max entry size '1000' bytes exceeded for stream \
                       '{a=\"1\"}' while adding an entry with length '2000' bytes; 2 errors like: stream '{b=\"1\"}' has \
                       duplicate label name: 'b'";
    let found: Vec<_> = refusals(several).into_iter().map(|r| (r.reason, r.entries, r.limit)).collect();
    let expected =
        [(Reason::TooOld, 3, None), (Reason::LineTooLong, 1, Some(1000)), (Reason::Labels, 2, None)];
    assert_eq!(found, expected);
}

#[test]
fn other_words_refuse_nothing() {
    for text in [
        "",
        "why",
        "upstream connect error or disconnect/reset before headers",
        "max entry size",
        "total ignored: ",
        "entry for stream '{a=\"1\"}' has timestamp",
        "entry for stream 'none' has timestamp too old: 2026-11-28T10:00:00Z, oldest acceptable",
        "xentry for stream '{a=\"1\"}' has timestamp too old: 2026-11-28T10:00:00Z",
        "entry with timestamp 2026-11-28 10:00:00 +0000 UTC ignored, reason: 'x',\n",
        "label name is empty",
        "bad request: entry for stream '{a=\"1\"}' has timestamp too new: 2026-11-28T10:00:00Z",
    ] {
        assert_eq!(refusals(text), [], "{text}");
    }
}

#[test]
fn a_label_that_looks_like_a_refusal_is_a_label() {
    let evil = r#"x'} has timestamp too old: ; total ignored: 99 out of 99 for stream: {a=\"1\"}; stream '{a=\"1\"}'"#;
    let text = format!(
        "entry for stream '{{a=\"1\", unit=\"{evil}\"}}' has timestamp too new: 2026-11-28T10:00:00Z"
    );
    let found = refusals(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((found[0].reason, found[0].entries), (Reason::TooNew, 1));
    assert_eq!(found[0].stream.as_ref().unwrap()["unit"], evil.replace('\\', ""));
}

#[test]
fn quoted_values_are_read_as_go_writes_them() {
    for (inside, value) in [
        ("plain ü", Some("plain ü")),
        (r#"q\" b\\ n\n a\a x\x01 u\u200b U\U0001F600"#, Some("q\" b\\ n\n a\u{7} x\u{1} u\u{200b} U😀")),
        (r"\x", None),
        (r"\u12", Some("\u{12}")),
        ("\\", None),
    ] {
        assert_eq!(unquote(inside).as_deref(), value, "{inside}");
    }
}

proptest::proptest! {
    #[test]
    fn reading_arbitrary_words_ends(text in "(entry for stream '|\\{a=\"|\"\\}|' has timestamp too old: |total ignored: |[0-9]| errors like: |[ -~ü]){0,30}") {
        refusals(&text);
    }
}

/// An answer may have a megabyte, and whoever gives it may have made it so that each word begins a sentence.
#[test]
fn what_only_begins_like_sentences_takes_no_time() {
    let first = "stream '{a=\"1\"}' has duplicate label name: 'a'; ";
    let item = "entry with timestamp 2026-11-28 10:00:00 +0000 UTC ignored, reason: 'x',\n";
    for part in
        ["stream '{", "missing required labels ", "entry with timestamp ", item, "2 errors like: user '"]
    {
        let text = format!("{first}{}", part.repeat((1 << 20) / part.len()));
        let (send, done) = std::sync::mpsc::channel();
        std::thread::spawn(move || send.send(refusals(&text).len()));
        let found = done.recv_timeout(std::time::Duration::from_secs(20));
        assert_eq!(found, Ok(1), "{part}");
    }
}

#[test]
fn a_value_that_is_named_says_nothing_of_other_streams() {
    let forged = "x'; entry for stream '{unit=\"sshd.service\"}' has timestamp too old: 2026-11-28T10:00:00Z";
    let text = format!("stream '{{a={forged:?}, b=\"x\"}}' has label value too long: '{forged}'");
    let found = refusals(&text);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].stream.as_ref().map(|stream| stream["a"].as_str()), Some(forged));
}
