use super::*;
use crate::go::quote::Quoted;
use crate::label_set::LabelSet;
use proptest::prelude::*;

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    let mut labels = LabelSet::default();
    pairs.iter().for_each(|(name, value)| labels.insert(name, value.as_bytes()));
    labels
}

/// What Loki's formatter makes of these, too.
#[test]
fn canonical_form() {
    for (text, expected) in [
        (r#"{a="b"}"#, r#"{a="b"}"#),
        (r#"{ a = "b" , c=~`d\.e` }"#, r#"{a="b", c=~"d\\.e"}"#),
        (r#"{b="c"}|="x""#, r#"{b="c"} |= "x""#),
        (r#"({a="b"} |~ `x`)"#, r#"{a="b"} |~ "x""#),
        (r#"(({a="b"}))"#, r#"{a="b"}"#),
        (r#"{a="b"}|="x"OR`y` or "z"!="q""#, r#"{a="b"} |= "x" or "y" or "z" != "q""#),
        (r#"{a="b"} != "x" or "y""#, r#"{a="b"} != "x" != "y""#),
        (r#"{a="b"} !~ "x" or "y" or "z" |= "k""#, r#"{a="b"} !~ "x" !~ "y" !~ "z" |= "k""#),
        (
            r#"{a="b"} |= ip("10.0.0.0/8") or "x" or ip("::1") or "y""#,
            r#"{a="b"} |= ip("10.0.0.0/8") or "x" or ip("::1") or "y""#,
        ),
        (r#"{a="b"} |> "<_>x" !> "y<_>""#, r#"{a="b"} |> "<_>x" !> "y<_>""#),
        ("{a=\"b\"} # only these\n|= \"x\" /* and */ |= \"y\"", r#"{a="b"} |= "x" |= "y""#),
        (r#"{sum="a", ip="b", rate=~"c"}"#, r#"{sum="a", ip="b", rate=~"c"}"#),
        ("{a=\"\\u00e9\\n\"}", r#"{a="é\n"}"#),
    ] {
        let selector = Selector::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(selector.to_string(), expected, "{text}");
        assert_eq!(expected.parse(), Ok(selector), "{text}");
    }
}

#[test]
fn labels_match() {
    let labels = labels(&[("unit", "sshd.service"), ("level", "info")]);
    for (selector, expected) in [
        (r#"{unit="sshd.service"}"#, true),
        (r#"{unit="sshd"}"#, false),
        (r#"{unit!="sshd"}"#, true),
        (r#"{unit=~"sshd"}"#, false),
        (r#"{unit=~"sshd.*"}"#, true),
        (r#"{unit=~"(?i)SSHD[.]service"}"#, true),
        (r#"{unit=~"sshd.service"}"#, true),
        (r#"{unit=~"sshd|cron"}"#, false),
        (r#"{unit!~"cron.*|api.*"}"#, true),
        (r#"{unit!~"ssh.+"}"#, false),
        (r#"{unit="sshd.service", level="error"}"#, false),
        (r#"{unit="sshd.service", level!="error"}"#, true),
        // A label that is missing is empty.
        (r#"{nosuch=""}"#, true),
        (r#"{nosuch!=""}"#, false),
        (r#"{nosuch!="a"}"#, true),
        (r#"{nosuch=~".*"}"#, true),
        (r#"{nosuch=~"|a"}"#, true),
        (r#"{nosuch=~".+"}"#, false),
        (r#"{nosuch!~".+"}"#, true),
        ("{}", true),
    ] {
        assert_eq!(Selector::parse_any(selector).unwrap().matches_labels(&labels), expected, "{selector}");
    }
}

#[test]
fn lines_pass() {
    for (filters, line, expected) in [
        (r#"|= "Invalid""#, "Invalid user pi", true),
        (r#"|= "invalid""#, "Invalid user pi", false),
        (r#"|= """#, "", true),
        (r#"|= """#, "a", true),
        (r#"!= """#, "a", false),
        (r#"|~ """#, "a", true),
        (r#"!~ """#, "a", false),
        (r#"|~ "(?i)invalid""#, "Invalid user pi", true),
        (r#"|~ "^user""#, "Invalid user pi", false),
        (r#"|~ "user (pi|root)$""#, "Invalid user pi", true),
        (r#"|~ " (5|4)\\d\\d ""#, "GET 404 17", true),
        (r"|~ `\d+`", "no number", false),
        (r#"|~ "a.b""#, "a\nb", false),
        (r#"!~ "pi|root""#, "Invalid user pi", false),
        (r#"|= "a" |= "b""#, "ab", true),
        (r#"|= "a" |= "b""#, "a", false),
        (r#"|= "a" != "b""#, "ab", false),
        (r#"|= "a" or "b" |~ "c""#, "bc", true),
        (r#"|= "a" or "b" |~ "c""#, "b", false),
        (r#"!= "a" or "b""#, "b", false),
        (r#"!= "a" or "b""#, "c", true),
        (r#"|~ "a" or "b+c""#, "bbc", true),
        // An operand that is in every line does not count beside others, in Loki.
        (r#"|= "" or "b""#, "a", false),
        (r#"|= "b" or """#, "a", false),
        (r#"|~ ".*" or "b""#, "a", false),
        (r#"|= "" or """#, "a", true),
        (r#"|> "<_> user <_>""#, "Invalid user pi", true),
        (r#"|> "<_> user""#, "Invalid user pi", false),
        (r#"|> "<_> root <_>" or "<_>user <_>""#, "Invalid user pi", true),
        (r#"!> "<_> user <_>""#, "Invalid user pi", false),
        (r#"!> "<_> a <_>" or "<_> b <_>""#, "x a y", false),
        (r#"|= ip("192.0.2.0/24")"#, "from 192.0.2.7 port 22", true),
        (r#"!= ip("192.0.2.0/24")"#, "from 192.0.2.7 port 22", false),
        (r#"!= ip("192.0.2.0/24")"#, "no address", true),
        (r#"|= ip("::1") or "port""#, "from 192.0.2.7 port 22", true),
        (r#"!= ip("::1") or "port""#, "from 192.0.2.7 port 22", false),
    ] {
        let text = format!("{{a=\"b\"}} {filters}");
        let selector = Selector::parse(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(selector.matches_line(line), expected, "{filters} on {line}");
    }
}

#[test]
fn filters_that_filter() {
    for (text, expected) in [
        (r#"{a="b"}"#, false),
        (r#"{a="b"} |= """#, false),
        (r#"{a="b"} |= "" |~ "" or """#, false),
        (r#"{a="b"} |= "x""#, true),
        (r#"{a="b"} |= "" or "x""#, true),
        (r#"{a="b"} != """#, true),
        (r#"{a="b"} |> """#, true),
    ] {
        let selector = Selector::parse(text).unwrap();
        assert_eq!(selector.has_filters(), expected, "{text}");
        assert!(selector.to_string().starts_with(r#"{a="b"}"#), "{selector}");
    }
}

#[test]
fn matchers_can_be_listed() {
    let selector = Selector::parse(r#"{a="b", c!="d", e=~"f", g!~`h"`} |= "x""#).unwrap();
    let listed: Vec<_> = selector.matchers().iter().map(|m| (m.name(), m.op().symbol(), m.value())).collect();
    assert_eq!(listed, [("a", "=", "b"), ("c", "!=", "d"), ("e", "=~", "f"), ("g", "!~", "h\"")]);
    assert_eq!(selector.filters().len(), 1);
}

/// What Loki refuses, and Promtail's `match` does not.
#[test]
fn some_label_must_be_asked_for() {
    for (text, loki) in [
        (r#"{a="b"}"#, true),
        (r#"{a=~".+"}"#, true),
        (r#"{a!=""}"#, true),
        (r#"{a!~"|b"}"#, true),
        (r#"{a=~".*", b="c"}"#, true),
        ("{}", false),
        (r#"{a=""}"#, false),
        (r#"{a=~".*"}"#, false),
        (r#"{a!="b"}"#, false),
        (r#"{a!~"b+", c=~"x?"} |= "y""#, false),
        (r#"{json="a"}"#, false),
        (r#"{By="a"}"#, false),
    ] {
        assert_eq!(Selector::parse(text).is_ok(), loki, "{text}");
        let selector = Selector::parse_any(text).unwrap();
        assert_eq!(Selector::parse_any(&selector.to_string()), Ok(selector));
    }
    let error = Selector::parse(r#" {a=~".*"} |= "x""#).unwrap_err();
    assert_eq!(error.span, 1..10);
    assert!(
        error.to_string().contains("asks for a label that is not empty; expected at least one"),
        "{error}"
    );
}

#[test]
fn refused() {
    // Text, the part that is pointed at, the message.
    for (text, part, message) in [
        ("", "", "unexpected end; expected a selector"),
        ("unit", "unit", "unexpected `unit`; expected a selector"),
        ("{", "", "unexpected end; expected the name of a label"),
        (r#"{a="b""#, "", "unexpected end; expected `,` or `}`"),
        (r#"{a="b",}"#, "}", "unexpected `}`; expected the name of a label"),
        (r#"{a="b" c="d"}"#, "c", "unexpected `c`; expected `,` or `}`"),
        ("{a}", "}", "unexpected `}`; expected `=`, `!=`, `=~` or `!~`"),
        (r#"{a=="b"}"#, "==", "unexpected `==`; expected `=`, `!=`, `=~` or `!~`"),
        (r#"{a>"b"}"#, ">", "unexpected `>`; expected `=`, `!=`, `=~` or `!~`"),
        ("{a=b}", "b", "unexpected `b`; expected a string: `\"b\"`"),
        ("{a=5}", "5", "unexpected `5`; expected a string: `\"5\"`"),
        ("{a=}", "}", "unexpected `}`; expected a string in double quotes or backquotes"),
        ("{a='b'}", "'", "LogQL has no strings in single quotes; expected a string as \"…\" or `…`"),
        (r#"{"a"="b"}"#, "\"a\"", "unexpected `\"a\"`; expected the name of a label"),
        (
            r#"{json="b"}"#,
            "json",
            "`json` is a word of LogQL, and Loki does not take it as the name of a label; expected another name",
        ),
        (r#"{a="b"} "x""#, "\"x\"", "unexpected `\"x\"`; expected a line filter"),
        (r#"{a="b"} |= x"#, "x", "unexpected `x`; expected a string: `\"x\"`"),
        (r#"{a="b"} |="#, "", "unexpected end; expected a string in"),
        (r#"{a="b"} |= "x" or"#, "", "unexpected end; expected a string in"),
        (r#"{a="b"} or "x""#, "or", "unexpected `or`; expected a line filter"),
        (r#"{a="b"} and {c="d"}"#, "and", "unexpected `and`; expected a line filter"),
        (r#"({a="b"}"#, "", "unexpected end; expected `)`"),
        (r#"({a="b"}) |= "x""#, "|=", "unexpected `|=`; expected the end"),
        (r#"{a="b"} | "#, "", "unexpected end; expected `|=` or `|~` and a string"),
        (r#"{a="b"} | "x""#, "\"x\"", "unexpected `\"x\"`; expected `|=` or `|~`"),
        (r#"{a="b"} |= ip"#, "ip", "unexpected `ip`; expected a string"),
        (r#"{a="b"} |= ip(x)"#, "x", "unexpected `x`; expected a string: `\"x\"`"),
        (r#"{a="b"} |= ip("1.2.3.4""#, "", "unexpected end; expected `)`"),
        (r#"{a="b"} |= ip("1.2.3")"#, "\"1.2.3\"", "neither an address nor a network"),
        (r#"{a="b"} |~ ip("1.2.3.4")"#, "ip(\"1.2.3.4\")", "`ip` goes with `|=` and `!=` only"),
        (r#"{a="b"} |> "<x> y""#, "\"<x> y\"", "`<x>` has a name"),
        // In a regular expression, as far as the string is as it is written.
        ("{a=~`b(c`}", "(", "not a regular expression: this group is not closed"),
        (r#"{a="b"} |~ "é[""#, "[", "not a regular expression: this class is not closed"),
        (r#"{a="b"} |~ "\\d(""#, r#""\\d(""#, "not a regular expression: this group is not closed"),
        (r#"{a="b"} |= "x" or "y" !~ "*""#, "*", "not a regular expression: `*` has nothing"),
    ] {
        let error = Selector::parse(text).expect_err(text);
        assert_eq!(text.get(error.span.clone()), Some(part), "{text}: {error}");
        assert!(error.to_string().starts_with(message), "{text}: {error}");
    }
}

#[test]
fn queries_are_not_supported() {
    for (text, part) in [
        (r#"{a="b"} | json"#, "| json"),
        (r#"{a="b"} |= "x" |logfmt --strict | c="d""#, "|logfmt"),
        (r#"{a="b"} | regexp `(?P<x>y)`"#, "| regexp"),
        (r#"{a="b"} | pattern "<x>""#, "| pattern"),
        (r#"{a="b"} | unpack"#, "| unpack"),
        (r#"{a="b"} | line_format "{{.x}}""#, "| line_format"),
        (r#"{a="b"} | label_format x=y"#, "| label_format"),
        (r#"{a="b"} | decolorize"#, "| decolorize"),
        (r#"{a="b"} | drop x"#, "| drop"),
        (r#"{a="b"} | keep x"#, "| keep"),
        (r#"{a="b"} | unwrap x"#, "| unwrap"),
        (r#"{a="b"} | level="error""#, "| level"),
        (r#"{a="b"} | (x>5 or y<3)"#, "| ("),
        (r#"{a="b"}[5m]"#, "[5m]"),
        (r#"({a="b"} |= "x" [5m])"#, "[5m]"),
        (r#"rate({a="b"}[5m])"#, "rate"),
        (r#"sum by (x) (rate({a="b"}[5m]))"#, "sum"),
        (r#"vector(1)"#, "vector"),
        ("1 + 1", "1"),
    ] {
        let error = Selector::parse(text).expect_err(text);
        assert_eq!(text.get(error.span.clone()), Some(part), "{text}: {error}");
        assert!(error.message.ends_with("is not supported here"), "{text}: {error}");
        assert!(error.expected.starts_with("only label matchers and line filters"), "{text}: {error}");
    }
}

/// A query may hold thousands of expressions. Each is small enough, and all together are not.
#[test]
fn expressions_are_bounded_together() {
    let many =
        |count: usize, pattern: &str| format!("{{a=\"b\"}}{}", format!(" |~ `{pattern}`").repeat(count));
    let large = r"(\pL{1,15}){1,15}";
    assert!(Selector::parse(&many(1, large)).is_ok());
    let mixed =
        format!(r#"{{a="b"}} |~ `{large}` | x=~"{}" | regexp `(?P<n>{large})`"#, large.replace('\\', r"\\"));
    for text in [many(2, large), many(1000, large), many(200, "a.b"), mixed] {
        let error = crate::Query::parse(&text).unwrap_err().to_string();
        assert!(error.contains("with those before it, it takes more than 16 MiB"), "{error}");
    }
    // Plain texts are no expressions.
    assert!(Selector::parse(&many(100, "a.b")).is_ok() && Selector::parse(&many(1000, ".*a.*")).is_ok());
}

#[test]
fn length_is_bounded() {
    let long = |length: usize| {
        let text = r#"{a="b"} |= """#;
        text.replace("\"\"", &format!("\"{}\"", "x".repeat(length - text.len())))
    };
    assert!(Selector::parse(&long(TEXT_MAX - 1)).is_ok());
    assert!(Selector::parse(&long(TEXT_MAX)).unwrap_err().message.contains("too long"));
    assert!(Selector::parse(&"(".repeat(TEXT_MAX - 1)).is_err());
}

fn operand(op: usize) -> BoxedStrategy<String> {
    let plain = "(?s).{0,6}".prop_map(|text| Quoted(&text).to_string());
    let pattern = "(<_>)?[^<`]{1,6}(<_>)?".prop_map(|text| Quoted(&text).to_string());
    let address = (any::<std::net::IpAddr>(), 0..33_u8).prop_map(|(ip, bits)| format!("ip(\"{ip}/{bits}\")"));
    match op {
        0 | 1 => prop_oneof![plain, "`[^`]{0,6}`", address].boxed(),
        2 | 3 => "(?s).{0,6}".prop_map(|text| Quoted(&regex::escape(&text)).to_string()).boxed(),
        _ => pattern.boxed(),
    }
}

/// Selectors in many spellings.
fn selectors() -> impl Strategy<Value = String> {
    let matcher = ("[a-zA-Z_é][a-z_0-9]{0,6}", 0..4_usize, "(?s).{0,6}").prop_map(|(name, op, value)| {
        let value = if op < 2 { value } else { regex::escape(&value) };
        format!("{name} {}{}", ["=", "!=", "=~", "!~"][op], Quoted(&value))
    });
    let filter = (0..6_usize).prop_flat_map(|op| {
        proptest::collection::vec(operand(op), 1..4).prop_map(move |operands| {
            format!("{} {}", ["|=", "!=", "|~", "!~", "|>", "!>"][op], operands.join(" or "))
        })
    });
    let matchers = proptest::collection::vec(matcher, 0..4);
    let filters = proptest::collection::vec(filter, 0..4);
    (matchers, filters)
        .prop_map(|(matchers, filters)| format!("{{{}}}{}", matchers.join(","), filters.join("\n")))
}

proptest! {
    #[test]
    fn what_is_printed_is_read_back(text in selectors(), line in any::<String>()) {
        let selector = Selector::parse_any(&text).unwrap();
        let printed = selector.to_string();
        let again = Selector::parse_any(&printed).unwrap();
        prop_assert_eq!(&again, &selector);
        prop_assert_eq!(again.matches_line(&line), selector.matches_line(&line));
        prop_assert_eq!(again.to_string(), printed);
        // A name that happens to be a word of LogQL, as `by`, is refused for that.
        let parsed = Selector::parse(&text);
        let word = parsed.as_ref().is_err_and(|error| error.message.contains("is a word of LogQL"));
        prop_assert_eq!(parsed.is_ok() || word, selector.is_bounded() || word, "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused_at_a_place(text in "[{}a-c=~!|><_\"`\\\\ .,()0-9\\[\\]#\n*?]{0,30}|\\PC*") {
        if let Err(error) = Selector::parse_any(&text) {
            prop_assert!(text.get(error.span.clone()).is_some(), "{error:?}");
        }
    }
}
