use super::*;
use crate::go::quote::Quoted;
use proptest::prelude::*;

/// What Loki's formatter makes of these, too, but for brackets and spaces where it has two forms.
#[test]
fn canonical_form() {
    for (text, expected) in [
        (
            r#"sum by (a) (rate({b="c"}|="x" | json[5m]))>1"#,
            r#"(sum by (a)(rate({b="c"} |= "x" | json[5m])) > 1)"#,
        ),
        ("1 + 2 * 3 ^ 2 - 4 / 2", "17"),
        ("2 ^ 3 ^ 2", "512"),
        ("-2 ^ 2", "4"),
        ("1 - -1", "2"),
        ("1 > bool 0", "1"),
        ("vector(1) - 1 - 1", "((vector(1) - 1) - 1)"),
        ("vector(1) ^ 2 ^ 3", "(vector(1) ^ 8)"),
        ("vector(1)^vector(2)^vector(3)", "(vector(1) ^ (vector(2) ^ vector(3)))"),
        (
            "vector(1) or vector(2) and vector(3) == 4 + vector(5) * 6",
            "(vector(1) or (vector(2) and (vector(3) == (4 + (vector(5) * 6)))))",
        ),
        ("vector(1) unless vector(2) and vector(3)", "((vector(1) unless vector(2)) and vector(3))"),
        (
            "vector(1) > bool on (a, b) group_left (c) vector(2)",
            "(vector(1) > bool on (a,b) group_left (c) vector(2))",
        ),
        (
            "vector(1) * ignoring () group_right (vector(2))",
            "(vector(1) * ignoring () group_right vector(2))",
        ),
        ("vector(1) / on (a) group_left () vector(2)", "(vector(1) / on (a) group_left vector(2))"),
        (r#"count_over_time({a="b"}[1h30m] offset 5m)"#, r#"count_over_time({a="b"}[1h30m] offset 5m)"#),
        (r#"count_over_time(({a="b"} |= "x")[90s])"#, r#"count_over_time({a="b"} |= "x"[1m30s])"#),
        (r#"count_over_time(({a="b"}[1d]))"#, r#"count_over_time({a="b"}[1d])"#),
        (r#"count_over_time((({a="b"} |= "x")[90s]))"#, r#"count_over_time({a="b"} |= "x"[1m30s])"#),
        (
            r#"sum_over_time(({a="b"})[5m] offset 1h | unwrap x | x > 1)"#,
            r#"sum_over_time({a="b"} | unwrap x | x>1[5m] offset 1h)"#,
        ),
        (r#"count_over_time({a="b"}[5m] |= "x" | json)"#, r#"count_over_time({a="b"} |= "x" | json[5m])"#),
        (r#"sum(count_over_time({a="b"}[5m])) by (c)"#, r#"sum by (c)(count_over_time({a="b"}[5m]))"#),
        (r#"sum without () (rate({a="b"}[5m]))"#, r#"sum without ()(rate({a="b"}[5m]))"#),
        (r#"SUM BY (c) (RATE({a="b"}[5m]))"#, r#"sum by (c)(rate({a="b"}[5m]))"#),
        (
            r#"quantile_over_time(0.99, {a="b"} | json | unwrap duration(t) | t > 5s [5m]) by (x)"#,
            r#"quantile_over_time(0.99,{a="b"} | json | unwrap duration(t) | t>5s[5m]) by (x)"#,
        ),
        (r#"topk(3, rate({a="b"}[5m]))"#, r#"topk(3,rate({a="b"}[5m]))"#),
        (
            r#"label_replace(rate({a="b"}[5m]), "x", "$1", "y", "(.*)")"#,
            r#"label_replace(rate({a="b"}[5m]),"x","$1","y","(.*)")"#,
        ),
        (
            r#"rate({a="b"} | logfmt --strict --keep-empty a, b="c" | drop x, y="z" | keep k [5m])"#,
            r#"rate({a="b"} | logfmt --keep-empty --strict a="a",b="c" | drop x,y="z" | keep k[5m])"#,
        ),
        (
            r#"rate({a="b"} | json a="x.y[0][\"z\"]", b | regexp "(?P<u>.)" | pattern "<v> <_>" | unpack | decolorize [5m])"#,
            r#"rate({a="b"} | json a="x.y[0][\"z\"]",b="b" | regexp "(?P<u>.)" | pattern "<v> <_>" | unpack | decolorize[5m])"#,
        ),
        (
            r#"rate({a="b"} | line_format "{{.x}}" | label_format a=b, c=`{{ .d }}` [5m])"#,
            r#"rate({a="b"} | line_format "{{.x}}" | label_format a=b,c="{{ .d }}"[5m])"#,
        ),
        // A comma takes all that follows, as in Loki's grammar.
        (
            r#"rate({a="b"} | x=1 or y=~"z" , k>=5MB and l=ip("::1") [5m])"#,
            r#"rate({a="b"} | ( x=1 or ( y=~"z" , ( k>=5000000B , l=ip("::1") ) ) )[5m])"#,
        ),
        (
            r#"rate({a="b"} | x=1 and y=2 or z!="3" k<-1.5 [5m])"#,
            r#"rate({a="b"} | ( ( x=1 , y=2 ) or ( z!="3" , k<-1.5 ) )[5m])"#,
        ),
    ] {
        let expr = Expr::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(expr.to_string(), expected, "{text}");
        assert_eq!(Expr::parse(expected), Ok(expr), "{expected}");
    }
}

/// What Loki's `String` gives (grafana/loki, `pkg/logql/syntax/ast.go`, `pkg/logql/log/label_filter.go`), of log queries with
/// `{a="b"}` left out.
#[test]
fn lokis_form() {
    for (text, expected) in [
        ("| logfmt --keep-empty --strict x", r#"| logfmt --strict --keep-empty x="x""#),
        ("| logfmt --strict --keep-empty", "| logfmt --strict --keep-empty"),
        ("| x >= 10GB", "| x>=10GB"),
        ("| x = 5KB", "| x==5.0kB"),
        ("| x != 1234567B", "| x!=1.2MB"),
        ("| x = 5", "| x==5"),
        ("| x == 1e6", "| x==1000000"),
        ("| x > 1e21", "| x>1000000000000000000000"),
        ("| x = 5m", "| x==5m0s"),
        ("| x > 1h30m", "| x>1h30m0s"),
        ("| x > 1d", "| x>24h0m0s"),
        ("| x > 1us", "| x>1µs"),
        ("| x=~`a+`", "| x=~`a+`"),
        (r#"| x=~"\\d`""#, r#"| x=~"\\d`""#),
        (r#"| x=~"foo|bar""#, r#"| x=~"foo|bar""#),
        (r#"| x!~"a+""#, r#"| x!~"a+""#),
        ("| drop x, y=~`a+`", r#"| drop x,y=~"a+""#),
        (r#"| x = 5 , y =~ "a+" or z = ip("::1")"#, r#"| ( x==5 , ( y=~`a+` or z=ip("::1") ) )"#),
        (r#"| é="x""#, r#"| "é"="x""#),
        (r#"|= "x" or ip("::1") != "y" or "z""#, r#"|= "x" or ip("::1") != "y" != "z""#),
    ] {
        let query = crate::Query::parse(&format!("{{a=\"b\"}} {text}"))
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(format!("{query:#}"), format!("{{a=\"b\"}} {expected}"), "{text}");
    }
    for (text, expected) in [
        (r#"rate({a="b"}[7d] offset 20m)"#, r#"rate({a="b"}[1w] offset 20m0s)"#),
        (r#"rate({a="b"}[8d] offset -90s)"#, r#"rate({a="b"}[8d] offset -1m30s)"#),
        ("vector(1)", "vector(1.000000)"),
        ("vector(0.1234567)", "vector(0.123457)"),
        ("1000000", "1e+06"),
        ("1e21", "1e+21"),
        ("1e-7", "1e-07"),
        ("-0", "-0"),
        ("0 / 0", "NaN"),
        ("1 + 2 * 3", "7"),
        (
            r#"quantile_over_time(0.990, {a="b"} | unwrap x | x > 5s [1m]) by ()"#,
            r#"quantile_over_time(0.99,{a="b"} | unwrap x | x>5s[1m]) by ()"#,
        ),
        ("vector(1) and on () vector(2)", "(vector(1.000000) and on ()  vector(2.000000))"),
        (
            "vector(1) > bool ignoring (a, b) vector(2)",
            "(vector(1.000000) > bool ignoring (a,b)  vector(2.000000))",
        ),
        (
            "vector(1) * on (a) group_left (b, c) vector(2)",
            "(vector(1.000000) * on (a) group_left (b,c) vector(2.000000))",
        ),
        (
            "vector(1) * on (a) group_right () vector(2)",
            "(vector(1.000000) * on (a) group_right vector(2.000000))",
        ),
        ("vector(1) * ignoring () vector(2)", "(vector(1.000000) * vector(2.000000))"),
        (
            r#"topk(3, sum by () (label_replace(vector(2), "a", "b", "c", "d")))"#,
            r#"topk(3,sum(label_replace(vector(2.000000),"a","b","c","d")))"#,
        ),
    ] {
        let expr = Expr::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(format!("{expr:#}"), expected, "{text}");
    }
}

/// What Loki takes until it runs it. Each is refused where it would be run.
#[test]
fn written_again() {
    for (text, expected) in [
        (r#"|~ ip("127.0.0.1") or "foo""#, ""),
        (r#"!~ ip("127.0.0.1") or "foo""#, r#"!~ ip("127.0.0.1") !~ "foo""#),
        (r#"|~ "*""#, ""),
        (r#"|> "<a><b>""#, ""),
        (r#"|= ip("x")"#, ""),
        (r#"| source = ip("")"#, r#"| source=ip("")"#),
        (r#"| json x="pod.a-b",y="""#, ""),
        (r#"| logfmt --strict é="9x""#, ""),
        (r#"| line_format "{{.x""#, ""),
        (r#"| label_format a=b,a="{{",__error__=c"#, ""),
    ] {
        let text = format!("{{a=\"b\"}} {text}");
        let expected = if expected.is_empty() { text.clone() } else { format!("{{a=\"b\"}} {expected}") };
        assert!(crate::Query::parse(&text).is_err(), "{text}");
        assert_eq!(crate::Query::parse_form(&text).map(|query| query.pretty()), Ok(expected), "{text}");
    }
    let range = r#"rate({a="b"}[0s])"#;
    assert_eq!(crate::Query::parse_form(range).map(|query| query.pretty()).as_deref(), Ok(range));
    for text in [
        "{a=~\"(\"}",
        "{a=~\".*\"}",
        "{a=\"b\"} | x=~\"(\"",
        "{a=\"b\"} | regexp \"(\"",
        "{a=\"b\"} | pattern \"x\"",
    ] {
        assert!(crate::Query::parse_form(text).is_err(), "{text}");
    }
}

/// Loki names the stage of a mistake that it finds by running it.
#[test]
fn stages_of_mistakes() {
    for (text, stage) in [
        (r#"| json x="pod.a-b" , y | foo"#, Some(r#"| json x="pod.a-b",y="y""#)),
        (r#"| logfmt --keep-empty x="a.b""#, Some(r#"| logfmt --keep-empty x="a.b""#)),
        (r#"| line_format `{{`"#, Some(r#"| line_format "{{""#)),
        (r#"| json x="y","#, None),
        (r#"| pattern "x""#, None),
    ] {
        let error = crate::Query::parse(&format!("{{a=\"b\"}} {text}")).unwrap_err();
        assert_eq!(error.stage.as_deref(), stage, "{text}: {error}");
    }
}

/// Each mistake with the text it is at.
#[test]
fn refused() {
    for (text, message, at) in [
        ("", "unexpected end", ""),
        ("foo", "unexpected `foo`", "foo"),
        (r#"{a="b"}"#, "a log query: it has lines", r#"{a="b"}"#),
        (r#"{a="b"} |= "x" | json"#, "a log query", r#"{a="b"} |= "x" | json"#),
        (r#"{a="b"}[5m]"#, "a log query", r#"{a="b"}[5m]"#),
        (r#"rate({a="b"})"#, "unexpected `)`; expected a range", ")"),
        (r#"rate({a="b"}[5m]"#, "unexpected end; expected `)`", ""),
        (r#"rate({a="b"}[5m][5m])"#, "unexpected `[5m]`", "[5m]"),
        (r#"rate({a="b"}[0s])"#, "the range is empty", "[0s]"),
        (r#"rate({a="b"}[x])"#, "not a valid duration", "x"),
        (r#"rate({a=~".*"}[5m])"#, "no matcher here asks", r#"{a=~".*"}"#),
        (r#"rate({a=~"("}[5m])"#, "not a regular expression", "("),
        (r#"rate({a="b"} |~ "*" [5m])"#, "not a regular expression", "*"),
        (r#"rate({a="b"} | jsn [5m])"#, "unexpected `[5m]`", "[5m]"),
        (r#"rate({a="b"} | [5m])"#, "unexpected `[5m]`; expected a parser", "[5m]"),
        (r#"rate({a="b"} | regexp "x" [5m])"#, "no named group", "\"x\""),
        (
            r#"rate({a="b"} | regexp "(?P<a>x)(?P<a>y)" [5m])"#,
            "two groups have the name `a`",
            "\"(?P<a>x)(?P<a>y)\"",
        ),
        (r#"rate({a="b"} | pattern "<_> x" [5m])"#, "no capture with a name", "\"<_> x\""),
        (r#"rate({a="b"} | pattern "<a><b>" [5m])"#, "between two captures", "\"<a><b>\""),
        (r#"rate({a="b"} | pattern "<a> <a>" [5m])"#, "two captures have the name `<a>`", "\"<a> <a>\""),
        (r#"rate({a="b"} | json a="x..y" [5m])"#, "cannot parse expression [x..y]: syntax", "\"x..y\""),
        (r#"rate({a="b"} | json a="" [5m])"#, "cannot parse expression []: syntax", "\"\""),
        (r#"rate({a="b"} | logfmt a="x=y" [5m])"#, "expression [x=y]: unexpected char =", "\"x=y\""),
        (r#"rate({a="b"} | json a, [5m])"#, "expected another name", "[5m]"),
        (r#"rate({a="b"} | line_format "{{.x" [5m])"#, "", ""),
        (r#"rate({a="b"} | line_format "{{ nope .x }}" [5m])"#, "there is no function `nope`", "nope"),
        (r#"rate({a="b"} | label_format a=b,a=c [5m])"#, "set twice", "a"),
        (r#"rate({a="b"} | label_format __error__=b [5m])"#, "cannot be set", "__error__"),
        (r#"rate({a="b"} | label_format a=5 [5m])"#, "expected another label", "5"),
        (r#"rate({a="b"} | unwrap [5m])"#, "expected the name of a label", "[5m]"),
        (r#"rate({a="b"} | unwrap x | json [5m])"#, "a label filter or the range behind `unwrap`", "json"),
        (r#"rate({a="b"} | unwrap x | unwrap y [5m])"#, "a second `unwrap`", "| unwrap"),
        (r#"rate({a="b"} | unwrap x |= "y" [5m])"#, "expected a range", "|="),
        // Brackets stand around a whole query, or around it and its range.
        (r#"rate(({a="b"} |= "x")[5m] |= "y")"#, "expected `)`", "|="),
        (r#"rate(({a="b"})[5m] |= "y")"#, "stages stand within the brackets of a query", "|="),
        (r#"rate(({a="b"})[5m] | json | unwrap x)"#, "stages stand within the brackets of a query", "|"),
        (r#"rate((({a="b"}))[5m])"#, "expected a range", ")"),
        (r#"rate(({a="b"} | unwrap x)[5m] | x > 1)"#, "expected `)`", "|"),
        (r#"rate({a="b"} | x > "5" [5m])"#, "a number, duration or size behind `>`", "\"5\""),
        (r#"rate({a="b"} | x = y [5m])"#, "expected a string, number", "y"),
        (r#"rate({a="b"} | x=ip("nope") [5m])"#, "not a valid address", "\"nope\""),
        (r#"rate({a="b"} | x [5m])"#, "expected `=`", "[5m]"),
        (r#"rate({a="b"} | (x=1 [5m])"#, "expected `)`", "[5m]"),
        (r#"rate({a="b"} | drop [5m])"#, "expected the name of a label", "[5m]"),
        (
            r#"count_over_time({a="b"} | unwrap x [5m])"#,
            "counts lines, but the query has an `unwrap`",
            "count_over_time",
        ),
        (r#"sum_over_time({a="b"}[5m])"#, "needs values, but the query has no `unwrap`", "sum_over_time"),
        (r#"rate({a="b"}[5m]) by (x)"#, "`rate` takes no grouping", "by"),
        (r#"absent_over_time({a="b"}[5m]) by (x)"#, "takes no grouping", "by"),
        (r#"sum_over_time({a="b"} | unwrap x [5m]) by (x)"#, "takes no grouping", "by"),
        (r#"rate_counter({a="b"} | unwrap x [5m]) without (x)"#, "takes no grouping", "without"),
        (r#"rate({a="b",}[5m])"#, "expected the name of a label", "}"),
        (r#"rate({a="b" c="d"}[5m])"#, "expected `,` or `}`", "c"),
        (r#"rate({by="b"}[5m])"#, "is a word of LogQL", "by"),
        (r#"rate({a="b"}[5m:1m])"#, "not a valid duration", "5m:1m"),
        (r#"rate({a="b"}[-5m])"#, "not a valid duration", "-5m"),
        (r#"rate({a="b"} |= x [5m])"#, "expected a string: `\"x\"`", "x"),
        (r#"rate({a="b"} |= "x [5m])"#, "this string is not closed", "\""),
        ("rate({a=\"b\"} |= `x [5m])", "this string is not closed", "`"),
        (r#"rate({a="b"} |~ ip("::1") [5m])"#, "`ip` goes with", "ip(\"::1\")"),
        (r#"rate({a="b"} /* x [5m])"#, "this comment is not closed", "/*"),
        (r#"rate({a="b\q"}[5m])"#, "", ""),
        (r#"rate({a="b"} | x >= 5XB [5m])"#, "", ""),
        (r#"quantile_over_time({a="b"} | unwrap x [5m])"#, "lacks its first argument", "{"),
        (r#"rate(5, {a="b"}[5m])"#, "`rate` takes no number", "5"),
        (r#"topk(rate({a="b"}[5m]))"#, "`topk` lacks its first argument", "rate"),
        (r#"topk(he, rate({a="b"}[5m]))"#, "unexpected `he`", "he"),
        ("0x1A", "numbers are decimal here", "0x1A"),
        (r#"rate({a="b"} | x > 0b11 [5m])"#, "numbers are decimal here", "0b11"),
        (r#"topk(0, rate({a="b"}[5m]))"#, "not a number of series", "0"),
        (r#"topk(1.5, rate({a="b"}[5m]))"#, "not a number of series", "1.5"),
        (r#"topk(1e2, rate({a="b"}[5m]))"#, "not a number of series", "1e2"),
        (r#"sum(5, rate({a="b"}[5m]))"#, "`sum` takes no number", "5"),
        (r#"approx_topk(5, rate({a="b"}[5m]))"#, "`approx_topk` is not supported", "approx_topk"),
        ("sum(5)", "`sum` works on series, and this is a number", "sum"),
        ("1 and vector(1)", "`and` works on series, and this is a number", "1 "),
        ("vector(1) or 1", "`or` works on series, and this is a number", "1"),
        ("vector(-1)", "expected a number without a sign", "-"),
        ("vector(x)", "expected a number", "x"),
        (r#"sum by (a) (rate({a="b"}[5m])) by (b)"#, "a second grouping", "by"),
        (r#"sum by a (rate({a="b"}[5m]))"#, "unexpected `sum`", "sum"),
        (r#"sum by (a,) (rate({a="b"}[5m]))"#, "expected the name of a label", ")"),
        ("vector(1) vector(2)", "expected an operator or the end", "vector"),
        ("vector(1) +", "unexpected end", ""),
        ("(vector(1)", "expected `)`", ""),
        (r#"rate({a="b"}[5m] offset x)"#, "expected a duration", "x"),
        (r#"label_replace(vector(1), "a", "b", "c")"#, "expected `,`", ")"),
        (r#"label_replace(vector(1), "a", "b", "c", "(")"#, "not a regular expression", "("),
        ("'x'", "single quotes", "'"),
        ("rate({a='b'}[5m])", "single quotes", "'"),
        ("1e999", "number is out of range", "1e999"),
        ("vector(1) + on vector(2)", "expected `(`", "vector"),
        ("vector(1) + bool bool vector(2)", "unexpected `bool`", "bool"),
    ] {
        let error = Expr::parse(text).expect_err(text);
        assert!(error.to_string().contains(message), "{text}: {error}");
        if !message.is_empty() {
            assert_eq!(text.get(error.span.clone()), Some(at), "{text}: {error}");
        }
    }
}

/// Trees are walked by recursion, on threads with two megabytes of stack: no text makes a tree that is too deep for that,
/// and none that a person writes is refused.
#[test]
fn depth_is_bounded() {
    fn try_all() {
        let query = |stages: &str| format!("rate({{a=\"b\"}} {stages}[5m])");
        let chain = |part: &str, with: &str, times: usize| vec![part; times].join(with);
        let around = |open: &str, inner: &str, close: &str, times: usize| {
            format!("{}{inner}{}", open.repeat(times), close.repeat(times))
        };
        for (text, fits) in [
            (chain("vector(1)", " + ", 64), true),
            (chain("vector(1)", " + ", 12_000), false),
            (chain("vector(1)", "^", 64), true),
            (chain("vector(1)", "^", 12_000), false),
            // Each bracket begins another chain on the left of the one around it.
            (around("(", "vector(1)", &format!("+{})", chain("vector(1)", "+", 120)), 90), false),
            (around("sum(", "vector(1)", ")", 63), true),
            (around("sum(", "vector(1)", ")", 10_000), false),
            (around("(", "vector(1)", ")", 60_000), false),
            (around("label_replace(", "vector(1)", ",\"a\",\"b\",\"c\",\"d\")", 3000), false),
            (query(&format!("| {}", chain("x=1", " or ", 64))), true),
            (query(&format!("| {}", chain("x=1", " or ", 16_000))), false),
            (query(&format!("| {}", chain("x=1", ",", 64))), true),
            (query(&format!("| {}", chain("x=1", ",", 16_000))), false),
            (
                query(&format!(
                    "| {}",
                    around("(", "x=1", &format!(" or {})", chain("x=1", " or ", 150)), 90)
                )),
                false,
            ),
            (query(&format!("| {}", around("(", "x=1", ")", 60_000))), false),
            (format!("rate({}[5m])", around("(", "{a=\"b\"}", ")", 60_000)), false),
            // What has no depth may be long.
            (query(&"| x=1 ".repeat(16_000)), true),
            (query(&format!("|= \"x\" {}", "or \"x\" ".repeat(14_000))), true),
        ] {
            let shown: String = text.chars().take(60).collect();
            let parsed = Expr::parse(&text);
            assert_eq!(parsed.is_ok(), fits, "{shown}: {:?}", parsed.err());
            let Ok(mut expr) = parsed else { continue };
            expr.shift(1);
            let (mut row, labels) = (0, crate::label_set::LabelSet::default());
            expr.ranges(&mut |range, outer| {
                let extractor = crate::pipeline::Extractor::new(range, outer);
                row += usize::from(extractor.extract(&labels, (0, "x"), std::iter::empty()).is_some());
            });
            assert!(crate::vectors::evaluate(&expr, &mut |_| Ok(Vec::new())).is_ok());
            assert_eq!(
                Expr::parse(&expr.to_string()).map(|again| again == expr.clone()),
                Ok(true),
                "{shown}"
            );
        }
    }
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(try_all).unwrap();
    thread.join().unwrap();
}

fn label() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "unit", "x_1", "level"]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z \"\\\\`é\n]{0,6}", Just("[a-z]+".to_owned())]
}

fn label_filter() -> impl Strategy<Value = String> {
    let op = || prop::sample::select(vec!["=", "==", "!=", ">", ">=", "<", "<="]);
    let leaf = prop_oneof![
        (label(), prop::sample::select(vec!["=", "!="]), value())
            .prop_map(|(name, op, value)| format!("{name}{op}{}", Quoted(&value))),
        (label(), op(), -1000..1000i32).prop_map(|(name, op, n)| format!("{name} {op} {n}")),
        (label(), op(), 1..100_000u32, prop::sample::select(vec!["s", "ms", "h", "kB", "MiB", "us"]))
            .prop_map(|(name, op, n, unit)| format!("{name}{op}{n}{unit}")),
        label().prop_map(|name| format!("{name}=~`(?i)x.*`")),
        label().prop_map(|name| format!("{name} != ip(\"10.0.0.0/8\")")),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        (inner.clone(), prop::sample::select(vec![" and ", " or ", ", ", " "]), inner.clone(), any::<bool>())
            .prop_map(|(left, word, right, brackets)| match brackets {
                true => format!("({left}{word}{right})"),
                false => format!("{left}{word}{right}"),
            })
    })
}

fn stage() -> impl Strategy<Value = String> {
    let fixed = prop::sample::select(vec![
        "| json",
        "| logfmt --strict",
        "| logfmt a, b=\"c\"",
        "| json a=\"b.c\", d",
        "| regexp `(?P<u>x+)`",
        "| pattern \"<a> <_>\"",
        "| unpack",
        "| decolorize",
        "| line_format \"{{.a}}\"",
        "| label_format a=b,c=`{{.d}}`",
        "| drop a, b=\"c\"",
        "| keep a, b=~\"c.*\"",
        "|> \"<_>x\"",
        "!~ \"x\" or `y`",
    ]);
    prop_oneof![
        fixed.prop_map(str::to_owned),
        value().prop_map(|value| format!("|= {}", Quoted(&value))),
        label_filter().prop_map(|filter| format!("| {filter}")),
    ]
}

pub(super) fn expr() -> impl Strategy<Value = String> {
    let range = (
        prop::sample::select(vec!["rate", "count_over_time", "bytes_rate", "absent_over_time"]),
        prop::collection::vec(stage(), 0..4),
        prop::sample::select(vec![
            "[5m]",
            "[1h30m]",
            "[500ms]",
            "[2d]",
            "[1m] offset 90s",
            "[1m] offset -5m",
        ]),
        any::<bool>(),
    );
    let range = range.prop_map(|(op, stages, range, behind)| {
        let stages = stages.join(" ");
        match behind {
            true => format!("{op}({{a=\"b\"}} {range} {stages})"),
            false => format!("{op}({{a=\"b\"}} {stages} {range})"),
        }
    });
    let leaf = prop_oneof![
        range,
        (0..1000u32).prop_map(|n| format!("vector({n})")),
        (-50..50i32).prop_map(|n| format!("{}", f64::from(n) / 8.0)),
        Just("quantile_over_time(0.5, {a=\"b\"} | unwrap bytes(x) | x > 1 [5m]) without (y)".to_owned()),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        let grouping = prop::sample::select(vec!["", "by (a, unit)", "without (x)", "by ()", "without ()"]);
        let modifier = prop::sample::select(vec![
            "",
            "bool",
            "on (a)",
            "bool ignoring (a,b) group_left (c)",
            "on () group_right",
        ]);
        let op = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "^", "==", "!=", ">", "<=", "and", "or", "unless",
        ]);
        prop_oneof![
            (
                prop::sample::select(vec!["sum", "avg", "stddev", "sort_desc", "topk", "max"]),
                grouping,
                inner.clone()
            )
                .prop_map(|(op, grouping, inner)| format!(
                    "{op} {grouping} ({}{inner})",
                    if op == "topk" { "3, " } else { "" }
                )),
            (inner.clone(), op, modifier, inner.clone())
                .prop_map(|(left, op, modifier, right)| format!("{left} {op} {modifier} {right}")),
            inner.clone().prop_map(|inner| format!("({inner})")),
            inner.prop_map(|inner| format!("label_replace({inner}, \"x\", \"$1\", \"y\", \"(.*)\")")),
        ]
    })
}

/// Go reads `-0` as a duration, too.
#[test]
fn minus_zero_is_a_number() {
    for (text, printed) in [("rate({a=\"b\"}[5m]) + 0 * -1", "(rate({a=\"b\"}[5m]) + -0)"), ("-0", "-0")] {
        let expr = Expr::parse(text).unwrap();
        assert_eq!(expr.to_string(), printed);
        assert_eq!(Expr::parse(printed), Ok(expr));
    }
}

proptest! {
    /// What is printed reads back as the same, and prints as the same.
    #[test]
    fn the_canonical_form_reads_back(text in expr()) {
        // Sums of numbers and the like are refused.
        if let Ok(expr) = Expr::parse(&text) {
            let printed = expr.to_string();
            // What is no number is not equal to itself.
            prop_assert_eq!(Expr::parse(&printed).map(|expr| expr.to_string()), Ok(printed.clone()), "{}", text);
            if !printed.contains("0 / 0") {
                prop_assert_eq!(Expr::parse(&printed), Ok(expr), "{}", text);
            }
        }
    }

    #[test]
    fn any_text_ends(text in "([a-z_]{0,9}|[\\[\\](){}|=~!<>,.\"`+*/^%-]|[0-9]{1,3}[smh]?| |\\PC){0,40}") {
        let _ = Expr::parse(&text);
    }

    #[test]
    fn a_mutilated_query_ends(text in expr(), at in any::<prop::sample::Index>(), with in "[\\[\\](){}|=,\"`a1 ]{0,2}") {
        let mut text: Vec<char> = text.chars().collect();
        let at = at.index(text.len());
        text.splice(at..at + 1, with.chars());
        let _ = Expr::parse(&text.into_iter().collect::<String>());
    }
}
