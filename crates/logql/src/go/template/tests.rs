use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::{Template, Value, promtail};

fn data() -> Value {
    let mut map: BTreeMap<String, Value> = [("lvl", "error"), ("step", "fetch data"), ("n", "12"), ("e", "")]
        .into_iter()
        .chain([("private", "\u{10ffc3}")])
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    map.insert("items".into(), Value::List(Arc::from([Value::from("a"), Value::from("b")])));
    map.insert("deep".into(), Value::Map(Arc::new(BTreeMap::from([("x".into(), Value::Int(7))]))));
    map.insert("f".into(), Value::Float(0.5));
    Value::Map(Arc::new(map))
}

pub(super) fn fill(source: &str) -> Result<String, String> {
    let template = Template::new(source, promtail::function).map_err(|e| e.to_string())?;
    template.fill(&data(), &[]).map_err(|e| e.to_string())
}

#[test]
fn templates_say_what_gos_say() {
    for (source, expected) in [
        ("plain", "plain"),
        ("", ""),
        ("{{ .lvl }}", "error"),
        ("a {{- .lvl -}} b", "aerrorb"),
        ("a {{/* note */}}b", "a b"),
        ("a {{- /* note */ -}} b", "ab"),
        ("{{ .nosuch }}", "<no value>"),
        ("{{ .deep.x }}", "7"),
        ("{{ .deep.y }}", "<no value>"),
        ("{{ .deep }}", "map[x:7]"),
        ("{{ .items }}", "[a b]"),
        ("{{ .f }}", "0.5"),
        ("{{ ToUpper .lvl }}", "ERROR"),
        ("{{ .lvl | ToUpper | printf \"%s!\" }}", "ERROR!"),
        ("{{ if eq .lvl \"error\" }}bad{{ else if eq .lvl \"info\" }}good{{ else }}?{{ end }}", "bad"),
        ("{{ if .e }}x{{ else }}y{{ end }}", "y"),
        ("{{ if .nosuch }}x{{ end }}", ""),
        ("{{ if and .lvl (not .e) }}x{{ end }}", "x"),
        ("{{ or .e \"d\" }}", "d"),
        ("{{ with .deep }}{{ .x }}{{ $.lvl }}{{ end }}", "7error"),
        ("{{ with .nosuch }}x{{ else }}y{{ end }}", "y"),
        ("{{ range .items }}<{{ . }}>{{ end }}", "<a><b>"),
        ("{{ range $i, $v := .items }}{{ $i }}{{ $v }}{{ end }}", "0a1b"),
        ("{{ range .nosuch }}x{{ else }}none{{ end }}", "none"),
        ("{{ range 3 }}{{ . }}{{ end }}", "012"),
        ("{{ range .items }}{{ if eq . \"b\" }}{{ break }}{{ end }}{{ . }}{{ end }}", "a"),
        ("{{ range .items }}{{ if eq . \"a\" }}{{ continue }}{{ end }}{{ . }}{{ end }}", "b"),
        ("{{ range $k, $v := .deep }}{{ $k }}={{ $v }}{{ end }}", "x=7"),
        ("{{ $a := .lvl }}{{ $a }}{{ $a = \"x\" }}{{ $a }}", "errorx"),
        ("{{ $a := 1 }}{{ if true }}{{ $a = 2 }}{{ end }}{{ $a }}", "2"),
        ("{{ $a := 1 }}{{ if true }}{{ $a := 2 }}{{ end }}{{ $a }}", "1"),
        ("{{ len .items }}{{ len .lvl }}", "25"),
        ("{{ index .items 1 }}{{ index .deep \"x\" }}", "b7"),
        ("{{ slice .lvl 1 3 }}", "rr"),
        ("{{ (index .items 0) | ToUpper }}", "A"),
        ("{{ eq .nosuch \"x\" }}{{ ne 1 2 }}{{ lt 1 2 }}{{ ge \"b\" \"a\" }}", "falsetruetruetrue"),
        ("{{ eq .lvl \"a\" \"error\" }}", "true"),
        (
            "{{ printf \"%5.1f|%-4d|%04d|%q|%x|%v|%t|%%\" 3.14159 7 42 \"a\\\"b\" 255 .items true }}",
            "  3.1|7   |0042|\"a\\\"b\"|ff|[a b]|true|%",
        ),
        (
            "{{ printf \"%d\" .lvl }}{{ printf \"%d\" }}{{ printf \"x\" 1 }}",
            "%!d(string=error)%!d(MISSING)x%!(EXTRA int=1)",
        ),
        ("{{ printf \"%g %e %v\" 1e21 12345.678 1e-7 }}", "1e+21 1.234568e+04 1e-07"),
        ("{{ print 1 2 \"a\" \"b\" 3 }}", "1 2ab3"),
        ("{{ html \"<a href='x'>\" }}{{ urlquery \"a b&c\" }}", "&lt;a href=&#39;x&#39;&gt;a+b%26c"),
        ("{{ 'a' }}{{ 0x1F }}{{ -1 }}{{ 1.5 }}{{ true }}", "9731-11.5true"),
        ("{{ `raw\\n` }}{{ \"t\\tab\\u00e9\" }}", "raw\\nt\tabé"),
    ] {
        assert_eq!(fill(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn functions_say_what_promtails_say() {
    for (source, expected) in [
        ("{{ Replace .step \" \" \"_\" -1 }}", "fetch_data"),
        ("{{ Replace .step \"t\" \"T\" 1 }}", "feTch data"),
        ("{{ TrimSuffix \"ror\" .lvl }}{{ TrimPrefix \"in\" .lvl }}", "rorin"),
        ("{{ Trim .lvl \"er\" }}{{ TrimLeft .lvl \"er\" }}{{ TrimRight .lvl \"er\" }}", "oorerro"),
        ("{{ TrimSpace \" a \" }}", "a"),
        ("{{ ToLower \"ÄB\" | trunc 3 }}", "äb"),
        ("{{ trunc -2 \"abc\" }}", "bc"),
        ("{{ regexReplaceAllLiteral \"(a|e)\" .step \"$1\" }}", "f$1tch d$1t$1"),
        ("{{ regexReplaceAll \"(a|e)\" .step \"<$1>\" }}", "f<e>tch d<a>t<a>"),
        ("{{ Sha2Hash .step \"s\" | trunc 6 }}", "45c3ff"),
        ("{{ Hash \"salt\" \"x\" | len }}", "64"),
        ("{{ default \"d\" .e }}{{ default \"d\" .lvl }}", "derror"),
        ("{{ splitList \" \" .step | join \"+\" }}", "fetch+data"),
        ("{{ if contains \"tch\" .step }}y{{ end }}{{ hasPrefix \"f\" .step }}", "ytrue"),
        (
            "{{ upper \"straße ᾳ ŉ\" }} {{ lower \"ΟΔΟΣ İ\" }} {{ title \"don't x-y ß é–z\" }}",
            "STRAßE ᾼ ŉ οδοσ i Don'T X-Y ß É–z",
        ),
        (
            "{{ substr -1 2 \"abc\" }} {{ substr 1 -1 \"abc\" }} {{ substr 1 9 \"abc\" }} {{ substr 1 2 \"abc\" }}",
            "ab bc bc b",
        ),
        ("{{ b64enc \"x y\" }} {{ addf 0.1 0.2 }}", "eCB5 0.3"),
        ("{{ add 1 2 3 }}{{ sub 5 2 }}{{ div 7 2 }}{{ mod 7 2 }}{{ int .n }}", "633112"),
        (
            "{{ quote \"\\x1b[1m\\u200b\" }} {{ printf \"%q\" \"\\x00\\u202e\" }}",
            r#""\x1b[1m\u200b" "\x00\u202e""#,
        ),
        ("{{ quote .lvl }}{{ upper \"a\" }}{{ title \"ab cd\" }}{{ repeat 3 \"x\" }}", "\"error\"AAb Cdxxx"),
    ] {
        assert_eq!(fill(source).as_deref(), Ok(expected), "{source}");
    }
}

/// Functions count bytes, and half a character shows as U+FFFD, once for each byte.
#[test]
fn characters_can_be_cut() {
    for (source, expected) in [
        (r#"{{ trunc 1 "é" }}"#, "\u{fffd}"),
        (r#"{{ trunc 2 "é" }}"#, "é"),
        (r#"{{ trunc 3 "a☕" }}|{{ trunc -1 "é" }}"#, "a\u{fffd}\u{fffd}|\u{fffd}"),
        (r#"{{ trunc -9 "é" }}"#, "é"),
        (
            r#"{{ substr 1 3 "aé" }}{{ substr 0 1 "é" }}{{ substr 1 -1 "é" }}{{ substr -1 1 "é" }}"#,
            "éé\u{fffd}",
        ),
        (r#"{{ slice "é" 0 1 }}|{{ slice "aé" 1 }}|{{ slice "é" 2 }}"#, "\u{fffd}|é|"),
        // Halves meet again.
        (r#"{{ $x := "☕" }}{{ slice $x 0 1 }}{{ slice $x 1 }}"#, "☕"),
        (r#"{{ trunc 1 "é" | len }} {{ printf "%s%s" (trunc 1 "é") (trunc -1 "é") | len }}"#, "1 2"),
        (r#"{{ trunc 1 "é" | b64enc }} {{ trunc -2 "☕" | b64enc }}"#, "ww== mJU="),
        (r#"{{ index (trunc 1 "é") 0 }} {{ trunc 1 "é" | urlquery }}"#, "195 %C3"),
        (r#"{{ trunc 2 (trunc 3 "☕é") }}|{{ slice (trunc 2 "☕") 1 }}"#, "\u{fffd}\u{fffd}|\u{fffd}"),
        (r#"{{ if trunc 1 "é" }}y{{ end }}"#, "y"),
    ] {
        let template = Template::new(source, promtail::function).unwrap();
        assert_eq!(template.fill(&data(), &[]).as_deref(), Ok(expected), "{source}");
    }
    for (source, expected) in [
        (r#"{{ b64dec "w6k=" }}{{ b64dec "/2E=" }}{{ b64dec "/2E=" | len }}"#, "é\u{fffd}a2"),
        (r#"{{ urldecode "%e2%98" }}{{ trunc 1 "é" | urlencode }}"#, "\u{fffd}\u{fffd}%C3"),
        (r#"{{ urldecode .private }}{{ urldecode "%f4%8f%bf%83" }}"#, "\u{10ffc3}\u{10ffc3}"),
        (r#"{{ printf "%q %x %#v" (trunc 1 "é") (trunc 1 "é") (trunc 1 "é") }}"#, r#""\xc3" c3 "\xc3""#),
        (
            "{{ trunc 1 \"é\" }}\u{10ff80}{{ \"\u{10ffff}\" | len }}{{ .private }}",
            "\u{fffd}\u{10ff80}4\u{10ffc3}",
        ),
        (r#"{{ (fromJson "{\"a\": \"\\udbff\\udfc3\"}").a }}"#, "\u{10ffc3}"),
        (r#"{{ trunc 1 "é" | alignLeft 3 }}|"#, "\u{fffd}  |"),
    ] {
        let template = Template::new(source, super::logql::function).unwrap();
        assert_eq!(template.fill(&data(), &[]).as_deref(), Ok(expected), "{source}");
    }
    for (bounds, error) in [
        ("0 9", "index out of range: 9"),
        ("-1", "index out of range: -1"),
        ("2 1", "invalid slice index: 2 > 1"),
    ] {
        let template =
            Template::new(&format!("{{{{ slice \"é\" {bounds} }}}}"), super::logql::function).unwrap();
        let said = template.fill(&data(), &[]).unwrap_err().to_string();
        assert!(said.contains(error), "{bounds}: {said}");
    }
}

#[test]
fn what_goes_wrong_is_said() {
    for (source, part) in [
        ("{{ .lvl", "not closed by `}}`"),
        ("{{ if .lvl }}x", "without its `{{end}}`"),
        ("{{ end }}", "`end` without"),
        ("{{ else }}", "`else` without"),
        ("{{ if true }}{{ else }}{{ else }}{{ end }}", "second `else`"),
        ("{{ }}", "without a value"),
        ("{{ if }}x{{ end }}", "without a value"),
        ("{{ ToLowr .lvl }}", "did you mean `ToLower`"),
        ("{{ nosuchfunction 1 }}", "no function"),
        ("{{ $x }}", "not declared"),
        ("{{ .lvl .step }}", "only a function"),
        ("{{ .lvl | .step }}", "only a function"),
        ("{{ .lvl | }}", "missing"),
        ("{{ (.lvl }}", "without its `)`"),
        ("{{ \"abc }}", "closing"),
        ("{{ \"\\q\" }}", "escape"),
        ("{{ define \"x\" }}{{ end }}", "not supported"),
        ("{{ break }}", "outside of a `range`"),
        ("{{/* note }}", "comment"),
        ("{{ 1x }}", "not a valid number"),
        ("{{ .a;b }}", "no meaning"),
        // While it runs.
        ("{{ .step | Replace \" \" \"_\" -1 }}", "error calling Replace: wants a string, got int"),
        ("{{ ToLower 1 }}", "wants a string"),
        ("{{ ToLower .nosuch }}", "got nil"),
        ("{{ ToLower }}", "wrong number of args for ToLower: want 1 got 0"),
        ("{{ index .items 5 }}", "out of range"),
        ("{{ .lvl.x }}", "can't evaluate field x in type string"),
        ("{{ lt 1 \"a\" }}", "incompatible types"),
        ("{{ regexReplaceAll \"(\" .lvl \"\" }}", "not a regular expression"),
        ("{{ range 99999999 }}x{{ end }}", "goes over"),
        ("{{ repeat 99999999 \"xxxxxxxxxx\" }}", "too much"),
        (
            "{{ substr 10 20 \"42\" }}",
            "error calling substr: runtime error: slice bounds out of range [10:2]",
        ),
        (
            "{{ substr -1 30 \"42\" }}",
            "error calling substr: runtime error: slice bounds out of range [:30] with length 2",
        ),
        ("{{ substr -2 -1 \"42\" }}", "error calling substr: runtime error: slice bounds out of range [:-1]"),
        ("{{ repeat -1 \"x\" }}", "error calling repeat: strings: negative Repeat count"),
        ("{{ div 1 0 }}", "divide by zero"),
    ] {
        let error = fill(source).expect_err(source);
        assert!(error.contains(part), "{source}: {error}");
    }
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("{{ if true }}", "{{ end }}"), ("(", ")")] {
        for (depth, fine) in [(50, true), (500, false)] {
            let (open, close) = (open.repeat(depth), close.repeat(depth));
            let source = if open.starts_with('(') {
                format!("{{{{ {open}1{close} }}}}")
            } else {
                format!("{open}1{close}")
            };
            assert_eq!(fill(&source).is_ok(), fine, "{depth}");
        }
    }
    let chain = format!("{{{{ if false }}}}{}{{{{ end }}}}", "{{ else if false }}".repeat(10_000));
    assert!(fill(&chain).is_err());
}

/// Values grow by being put into themselves: none gets too large to hold, to copy or to walk.
#[test]
fn values_are_bounded() {
    let grow = |times: usize, step: &str| {
        format!(
            "{{{{ $x := \"aaaaaaaaaa\" }}}}{{{{ range {times} }}}}{{{{ $x = {step} }}}}{{{{ end }}}}{{{{ len $x }}}}"
        )
    };
    let wide = format!("printf (repeat 1000 \"%9999d\") {}", "1 ".repeat(1000));
    for (times, step, expected) in [
        (10, "printf \"%s%s\" $x $x", Ok("10240")),
        (60, "printf \"%s%s\" $x $x", Err("too large")),
        (30, "list $x", Ok("1")),
        (90_000, "list $x", Err("too deep")),
        (60, "list $x $x", Err("too large")),
        (5, "Replace $x \"a\" $x -1", Err("more than")),
        (5, "replace \"\" $x $x", Err("more than")),
        (5, "regexReplaceAll \"a\" $x (print $x $x)", Err("more than")),
        (5, "regexReplaceAll \".*\" $x (repeat 50000 \"${0}\")", Err("more than")),
        (5, "regexReplaceAllLiteral \"\" $x (print $x $x)", Err("more than")),
        (5, "join $x (splitList \"\" (repeat 10000 \"aaaaa\"))", Err("more than")),
        (5, &wide, Err("more than")),
        (5, "printf \"%9999s\" (splitList \"\" (repeat 10000 \"aaa\"))", Err("more than")),
        (99_999, "lower (repeat 1000 \"aaaaaaaaaa\")", Err("too large")),
    ] {
        match (fill(&grow(times, step)), expected) {
            (Ok(filled), Ok(expected)) => assert_eq!(filled, expected, "{step}"),
            (Err(why), Err(part)) => assert!(why.contains(part), "{step}: {why}"),
            (got, _) => panic!("{step}: {:?}", got.map(|text| text.chars().take(40).collect::<String>())),
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_a_template_or_refused(
        source in "(\\{\\{|\\}\\}|[a-z$.|()\"` :=0-9-]|if|end|else|range|with|eq|len|printf){0,40}"
    ) {
        let _ = fill(&source);
    }

    #[test]
    fn text_without_actions_is_itself(text in "[^{]{0,40}") {
        prop_assert_eq!(fill(&text), Ok(text));
    }
}
