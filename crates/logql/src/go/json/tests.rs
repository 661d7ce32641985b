use super::read::DEPTH_MAX;
use super::*;
use proptest::prelude::*;

fn rewritten(text: &str) -> Result<String, JsonError> {
    Json::parse(text).map(|value| {
        let mut out = String::new();
        value.write(&mut out);
        out
    })
}

#[test]
fn json_is_read_and_written_as_promtail_does() {
    for (text, expected) in [
        (r#" {"b" : [1, 2.50, -0.0, true, null], "a": {}} "#, r#"{"a":{},"b":[1,2.5,-0,true,null]}"#),
        (r#"{"k":1,"k":2}"#, r#"{"k":2}"#),
        ("[]", "[]"),
        ("218.71", "218.71"),
        ("123456789012345678", "123456789012345680"),
        ("1e21", "1e+21"),
        ("100000000000000000000", "100000000000000000000"),
        ("0.000001", "0.000001"),
        ("-0.00000012", "-1.2e-07"),
        ("1E-120", "1e-120"),
        ("5e-324", "5e-324"),
        ("0.1e1", "1"),
        (r#""<a href='x'>&""#, r#""\u003ca href='x'\u003e\u0026""#),
        (r#""\"\\\/\b\f\n\r\t\u0041\u00e9""#, r#""\"\\/\u0008\u000c\n\r\tAé""#),
        (r#""\ud83d\ude00 \u2028""#, "\"😀 \\u2028\""),
        (r#""a\ud83d b\ude00 \ud83d\u0041 \ud83d""#, "\"a\u{fffd} b\u{fffd} \u{fffd}A \u{fffd}\""),
        ("\"\u{7f}ü✓\"", "\"\u{7f}ü✓\""),
    ] {
        assert_eq!(rewritten(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_not_json_is_refused_at_its_place() {
    for (text, what, at) in [
        ("", "the text ends", 0),
        ("  ", "the text ends", 2),
        ("hello", "not a JSON value", 0),
        ("nul", "not a JSON value", 0),
        ("{} x", "something follows", 3),
        ("{\"a\":1", "`,` or `}`", 6),
        ("{\"a\" 1}", "`:`", 5),
        ("{\"a\":1,}", "a key", 7),
        ("{a:1}", "a key", 1),
        ("[1,]", "not a JSON value", 3),
        ("[1 2]", "`,` or `]`", 3),
        ("01", "something follows", 1),
        ("-", "a digit", 1),
        ("1.", "a digit", 2),
        ("1e", "a digit", 2),
        (".5", "not a JSON value", 0),
        ("1e999", "too large", 0),
        ("\"a", "not closed", 2),
        ("\"a\\", "has no such escape", 3),
        ("\"\\x\"", "has no such escape", 2),
        ("\"\\u12\"", "four hexadecimal", 2),
        ("\"\\u+123\"", "four hexadecimal", 2),
        ("\"a\nb\"", "control character", 2),
        ("NaN", "not a JSON value", 0),
    ] {
        let error = Json::parse(text).expect_err(text);
        assert!(error.what.contains(what) && error.at == at, "{text}: {error}");
    }
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    assert!(Json::parse(&deep(DEPTH_MAX)).is_ok());
    assert!(Json::parse(&deep(DEPTH_MAX + 2)).is_err());
    assert!(Json::parse(&"[".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn any_text_gets_the_answer_that_another_reader_gives(text in "[\\[\\]{},:\"\\\\ue0-9.+tfn a\u{e9}-]{0,24}") {
        let other = serde_json::from_str::<serde_json::Value>(&text);
        // It refuses halves of surrogate pairs.
        prop_assume!(!text.contains("\\u"));
        prop_assert_eq!(Json::parse(&text).is_ok(), other.is_ok());
    }

    #[test]
    fn texts_and_numbers_survive_writing_and_reading(text in "\\PC{0,20}|[\\x00-\\x7f<>&\u{2028}]{0,12}", number: f64) {
        let value = Json::list(vec![Json::Text(text.into()), Json::Number(if number.is_finite() { number } else { 0.0 })]);
        let mut out = String::new();
        value.write(&mut out);
        prop_assert_eq!(Json::parse(&out), Ok(value));
    }
}
