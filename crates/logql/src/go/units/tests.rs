use super::*;
use proptest::prelude::*;

#[test]
fn durations() {
    const SECOND: i64 = 1_000_000_000;
    for (text, expected) in [
        ("5m", Some(300 * SECOND)),
        ("1h30m", Some(5400 * SECOND)),
        ("1d12h", Some(129_600 * SECOND)),
        ("2w", Some(1_209_600 * SECOND)),
        ("1y", Some(31_536_000 * SECOND)),
        ("0", Some(0)),
        ("500ms", Some(SECOND / 2)),
        // Go's.
        ("1.5h", Some(5400 * SECOND)),
        (".5s", Some(SECOND / 2)),
        ("1.s", Some(SECOND)),
        ("30m1h", Some(5400 * SECOND)),
        ("-5s", Some(-5 * SECOND)),
        ("3us2ns", Some(3002)),
        ("3µs", Some(3000)),
        ("-0", Some(0)),
        ("", None),
        ("5", None),
        ("m", None),
        ("5x", None),
        ("1.5d", None),
        ("1.2.3s", None),
        (".s", None),
        ("400y", None),
        ("99999999999999999999s", None),
    ] {
        assert_eq!(duration(text), expected, "{text}");
    }
    assert_eq!(prometheus_duration("1.5h"), None);
    assert_eq!(prometheus_duration("30m1h"), None);
    assert_eq!(prometheus_duration("1m1m"), None);
}

#[test]
fn numbers() {
    for (text, expected) in [
        ("-1.5e3", Some(-1500.0)),
        ("1_23.50_0_0e+1_2", Some(1.235e14)),
        ("0x_1_0p0", Some(16.0)),
        ("1__0", None),
        ("_1", None),
        ("1_", None),
        ("1_.5", None),
        ("0x10", None),
        ("0x1_0p0", Some(16.0)),
        ("0x1.8p1", Some(3.0)),
        ("-0x1p-2", Some(-0.25)),
        ("0x1p-2147483648", Some(0.0)),
        ("0x0.8p-2147483648", Some(0.0)),
        ("0x1p2147483647", None),
        ("0x+1", None),
        ("0x", None),
        ("1e999", None),
        ("+Inf", Some(f64::INFINITY)),
        ("--1", None),
        ("", None),
    ] {
        assert_eq!(number(text), expected, "{text}");
    }
}

#[test]
fn sizes() {
    for (text, expected) in [
        ("5B", Some(5)),
        ("12MB", Some(12_000_000)),
        ("1.5KiB", Some(1536)),
        ("900kB", Some(900_000)),
        ("2Gi", Some(2 << 30)),
        ("1PiB", Some(1 << 50)),
        ("1k", Some(1000)),
        ("2EB", Some(2_000_000_000_000_000_000)),
        ("17EiB", None),
        ("5é", None),
        ("5i", None),
        ("", None),
        ("B", None),
        ("1XB", None),
        ("1.2.3B", None),
        ("99999PB", None),
    ] {
        assert_eq!(bytes(text), expected, "{text}");
    }
}

const HOUR: u64 = 3_600_000;

#[test]
fn durations_are_read_as_prometheus_reads_them() {
    let good = [
        ("0", 0),
        ("0s", 0),
        ("1ms", 1),
        ("500ms", 500),
        ("10s", 10_000),
        ("1m", 60_000),
        ("1h30m", HOUR + HOUR / 2),
        ("1d12h", 36 * HOUR),
        ("7d", 7 * 24 * HOUR),
        ("2w", 14 * 24 * HOUR),
        ("1y", 365 * 24 * HOUR),
        ("1y2w3d4h5m6s7ms", (365 + 14 + 3) * 24 * HOUR + 4 * HOUR + 5 * 60_000 + 6_007),
        ("90m", HOUR + HOUR / 2),
        ("007s", 7_000),
        ("292y", 292 * 365 * 24 * HOUR),
    ];
    for (text, ms) in good {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
    }
}

#[test]
fn durations_that_prometheus_refuses_are_refused() {
    let bad_unit = |found: &str| UnitError::BadUnit { found: found.into(), units: "y w d h m s ms" };
    let bad = [
        ("", UnitError::Empty),
        ("1.5h", UnitError::Fraction),
        ("1,5h", UnitError::Fraction),
        ("10", UnitError::NoUnit("10".into())),
        ("1h30", UnitError::NoUnit("30".into())),
        ("h", UnitError::NoNumber),
        ("-1h", UnitError::NoNumber),
        ("+1h", UnitError::NoNumber),
        (" 1h", UnitError::NoNumber),
        ("1m1h", UnitError::Order),
        ("1h1h", UnitError::Order),
        ("1ms1s", UnitError::Order),
        ("5min", bad_unit("min")),
        ("1h 30m", bad_unit("h ")),
        ("1H", bad_unit("H")),
        ("1us", bad_unit("us")),
        ("5µs", bad_unit("µs")),
        ("300y", UnitError::TooLarge),
        ("99999999999999999999s", UnitError::TooLarge),
        ("18446744073709551615y", UnitError::TooLarge),
    ];
    for (text, error) in bad {
        assert_eq!(parse_duration(text), Err(error), "{text}");
    }
}

#[test]
fn durations_are_written_briefly() {
    for (ms, text) in [
        (0, "0"),
        (1_500, "1s500ms"),
        (60_000, "1m"),
        (90 * 60_000, "1h30m"),
        (36 * HOUR, "1d12h"),
        (7 * 24 * HOUR, "1w"),
        (8 * 24 * HOUR, "8d"),
        (365 * 24 * HOUR, "1y"),
    ] {
        assert_eq!(format_duration(Duration::from_millis(ms)), text);
    }
}

#[test]
fn sizes_are_read() {
    for (text, bytes) in [
        ("0", 0),
        ("4096", 4096),
        ("1B", 1),
        ("1KiB", 1024),
        ("1KB", 1000),
        ("1MiB", 1 << 20),
        ("3MB", 3_000_000),
        ("2GiB", 2 << 30),
        ("2GB", 2_000_000_000),
    ] {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
    let bad_unit =
        |found: &str| UnitError::BadUnit { found: found.into(), units: "KiB MiB GiB, KB MB GB and B" };
    for (text, error) in [
        ("", UnitError::Empty),
        ("MiB", UnitError::NoNumber),
        ("-1", UnitError::NoNumber),
        ("1.5MiB", UnitError::Fraction),
        ("1 MiB", bad_unit("MiB")),
        ("1mib", bad_unit("mib")),
        ("1M", bad_unit("M")),
        ("1MiB2", bad_unit("MiB2")),
        ("99999999999GiB", UnitError::TooLarge),
    ] {
        assert_eq!(parse_size(text), Err(error), "{text}");
    }
}

proptest! {
    #[test]
    fn durations_survive_writing_and_reading(ms in 0..=i64::MAX as u64 / 1_000_000) {
        let duration = Duration::from_millis(ms);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn sizes_survive_writing_and_reading(bytes: u64, shift in 0_u32..40) {
        let bytes = (bytes >> 20) << (shift / 2);
        prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
    }

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,20}|[0-9ywdhms.KMGiB ]{0,20}") {
        let _ = (parse_duration(&text), parse_size(&text));
    }
}

#[test]
fn durations_are_read_as_in_go_and_in_prometheus() {
    const SECOND: u64 = 1_000_000_000;
    for (text, ns) in [
        ("0", 0),
        ("0s", 0),
        ("100ms", SECOND / 10),
        ("1.5h", 5400 * SECOND),
        ("1h30m", 5400 * SECOND),
        ("30m1h", 5400 * SECOND),
        (".5s", SECOND / 2),
        ("1.s", SECOND),
        ("+5m", 300 * SECOND),
        ("1ns", 1),
        ("3us", 3000),
        ("3\u{b5}s", 3000),
        ("3\u{3bc}s", 3000),
        ("24h", 86_400 * SECOND),
        ("7d", 7 * 86_400 * SECOND),
        ("1w1d", 8 * 86_400 * SECOND),
        ("1y", 365 * 86_400 * SECOND),
        ("0.1s", SECOND / 10),
    ] {
        assert_eq!(parse_go_duration(text), Ok(Duration::from_nanos(ns)), "{text}");
    }
    let bad = |found: &str| UnitError::BadUnit { found: found.into(), units: "ns us ms s m h d w y" };
    for (text, error) in [
        ("", UnitError::Empty),
        ("24", UnitError::NoUnit("24".into())),
        ("1h30", UnitError::NoUnit("30".into())),
        ("h", UnitError::NoNumber),
        ("-1h", UnitError::NoNumber),
        ("+", UnitError::NoNumber),
        (".h", UnitError::NoNumber),
        ("1..5h", UnitError::NoUnit("1.".into())),
        ("1H", bad("H")),
        ("5min", bad("min")),
        ("1 h", bad(" h")),
        ("293y", UnitError::TooLarge),
        ("99999999999999999999999h", UnitError::TooLarge),
    ] {
        assert_eq!(parse_go_duration(text), Err(error), "{text}");
    }
}

#[test]
fn what_is_wrong_is_said_in_gos_words() {
    for (text, duration, size, number) in [
        ("5", "missing unit in duration \"5\"", "", ""),
        (
            "1.2.3s",
            "missing unit in duration \"1.2.3s\"",
            "P\"1.2.3\": invalid syntax",
            "P\"1.2.3s\": invalid syntax",
        ),
        ("1d", "unknown unit \"d\" in duration \"1d\"", "unhandled size name: d", "P\"1d\": invalid syntax"),
        (
            "5 \"é\t",
            r#"unknown unit " \"\xc3\xa9\x09" in duration "5 \"\xc3\xa9\x09""#,
            "unhandled size name: \"é",
            r#"P"5 \"é\t": invalid syntax"#,
        ),
        ("", "invalid duration \"\"", "P\"\": invalid syntax", "P\"\": invalid syntax"),
        ("True", "invalid duration \"True\"", "P\"\": invalid syntax", "P\"True\": invalid syntax"),
        ("10s", "", "unhandled size name: s", "P\"10s\": invalid syntax"),
        ("-1h", "", "P\"\": invalid syntax", "P\"-1h\": invalid syntax"),
        (
            "9223372036854775808s",
            "invalid duration \"9223372036854775808s\"",
            "unhandled size name: s",
            "P\"9223372036854775808s\": invalid syntax",
        ),
        ("17EB", "unknown unit \"EB\" in duration \"17EB\"", "", "P\"17EB\": invalid syntax"),
        ("20EB", "unknown unit \"EB\" in duration \"20EB\"", "too large: 20EB", "P\"20EB\": invalid syntax"),
        ("1,000KB", "unknown unit \",\" in duration \"1,000KB\"", "", "P\"1,000KB\": invalid syntax"),
        (
            "1e999",
            "unknown unit \"e\" in duration \"1e999\"",
            "unhandled size name: e999",
            "P\"1e999\": value out of range",
        ),
    ] {
        let why = |result: Result<(), String>, prefix: &str| {
            result.err().unwrap_or_default().replace("strconv.ParseFloat: parsing ", "P").replace(prefix, "")
        };
        assert_eq!(why(go_duration_or_why(text).map(drop), "time: "), duration, "{text}");
        assert_eq!(why(bytes_or_why(text).map(drop), ""), size, "{text}");
        assert_eq!(why(number_or_why(text).map(drop), ""), number, "{text}");
    }
    assert_eq!(bytes("1,000KB"), Some(1_000_000));
    assert_eq!(bytes("1,0,0"), Some(100));
    assert_eq!(
        (go_duration("0.57s"), go_duration("-1.000000001s")),
        (Some(570_000_000), Some(-1_000_000_001))
    );
    assert_eq!(seconds(-1_500_000_000), -1.5);
}

#[test]
fn sizes_are_read_as_promtail_reads_them() {
    for (text, bytes) in [
        ("0", 0),
        ("512", 512),
        ("120b", 120),
        ("8kb", 8192),
        ("8KB", 8192),
        ("8Kb", 8192),
        ("8 kb", 8192),
        ("8KiB", 8192),
        ("2k", 2048),
        ("1mega", 1 << 20),
        ("3GB", 3 << 30),
        ("1eb", 1 << 60),
    ] {
        assert_eq!(parse_promtail_size(text), Ok(bytes), "{text}");
    }
    let bad = |found: &str| UnitError::BadUnit { found: found.into(), units: "b kb mb gb tb pb eb" };
    for (text, error) in [
        ("", UnitError::Empty),
        ("kb", UnitError::NoNumber),
        ("-1", UnitError::NoNumber),
        ("1.5kb", UnitError::Fraction),
        ("1kbit", bad("kbit")),
        ("1kb2", bad("kb2")),
        ("16eb", UnitError::TooLarge),
        ("99999999999999999999", UnitError::TooLarge),
    ] {
        assert_eq!(parse_promtail_size(text), Err(error), "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_gets_an_answer_of_go_and_promtail(text in "\\PC{0,20}|[0-9a-z.+ -]{0,12}") {
        let _ = (parse_go_duration(&text), parse_promtail_size(&text));
    }
}
