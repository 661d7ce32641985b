//! What the tables say was asked of Go's own `regexp`, but the group names `(?<n>…)`, which are newer.

use super::*;
use proptest::prelude::*;

#[test]
#[allow(clippy::too_many_lines, reason = "a table of cases")]
fn valid() {
    // Expression, text, what its groups catch ("-": not the group, None: no match).
    let rows: &[(&str, &str, Option<&[&str]>)] = &[
        // ASCII classes.
        (r"\d+", "٣4", Some(&["4"])),
        (r"\w+", "éa_1é", Some(&["a_1"])),
        (r"\W", "é", Some(&["é"])),
        (r"\s", "\u{b}", None),
        (r"\s", "\u{a0}", None),
        (r"[[:space:]]", "\u{b}", Some(&["\u{b}"])),
        (r"\S+", "a\u{a0}b c", Some(&["a\u{a0}b"])),
        (r"\bfoo\b", "éfoo é", Some(&["foo"])),
        (r"\Bo", "éo", None),
        (r"[\d-z]+", "z-1a", Some(&["z-1"])),
        (r"[^\D]+", "a12b", Some(&["12"])),
        (r"[[:^alpha:]]+", "ab12cd", Some(&["12"])),
        (r"[[:word:].]+", "a_1.é", Some(&["a_1."])),
        (r"[^\W\d]+", "12ab_3", Some(&["ab_"])),
        // Folding goes beyond ASCII in both.
        (r"(?i)k", "\u{212a}", Some(&["\u{212a}"])),
        (r"(?i)\w", "ſ", Some(&["ſ"])),
        (r"(?i)É", "é", Some(&["é"])),
        // Braces and brackets that are characters.
        (r"a{", "a{", Some(&["a{"])),
        (r"a{,2}", "a{,2}", Some(&["a{,2}"])),
        (r"{a}", "{a}", Some(&["{a}"])),
        (r"a{02}", "a{02}", Some(&["a{02}"])),
        (r"a{1,2,3}", "a{1,2,3}", Some(&["a{1,2,3}"])),
        (r"]}", "]}", Some(&["]}"])),
        (r"[[a]+", "[a", Some(&["[a"])),
        (r"[[:alpha]+", "[:la", Some(&["[:la"])),
        (r"[a&&b]+", "&ab", Some(&["&ab"])),
        (r"[!--]+", "&-", Some(&["&-"])),
        (r"[a~~b]+", "~b", Some(&["~b"])),
        (r"[]a]+", "a]", Some(&["a]"])),
        (r"[^]a]", "]", None),
        (r"[-a]+", "a-", Some(&["a-"])),
        (r"[a-]+", "a-", Some(&["a-"])),
        (r"[\]\-]+", "]-", Some(&["]-"])),
        // Escapes.
        (r"\Qa.b*\E+", "a.b**", Some(&["a.b**"])),
        (r"\Q[(", "[(", Some(&["[("])),
        (r"a\Q\E*", "aa", Some(&["aa"])),
        (r"\101\x42\x{43}", "ABC", Some(&["ABC"])),
        (r"\0\12", "\0\n", Some(&["\0\n"])),
        (r"\07", "\u{7}", Some(&["\u{7}"])),
        (r"\1234", "S4", Some(&["S4"])),
        (r"\a\f\v", "\u{7}\u{c}\u{b}", Some(&["\u{7}\u{c}\u{b}"])),
        (r"\_\-\<\>\ \/", "_-<> /", Some(&["_-<> /"])),
        (r"#a b", "#a b", Some(&["#a b"])),
        (r"\x{d800}", "a", None),
        (r"[\x{d000}-\x{e000}]", "\u{e000}", Some(&["\u{e000}"])),
        // Unicode's classes.
        (r"\pL+", "aé1", Some(&["aé"])),
        (r"\p{Greek}+", "aΩ", Some(&["Ω"])),
        (r"\P{^Greek}", "a", None),
        (r"[\p{^Lu}]", "A", None),
        (r"\p{Thai}", "ก", Some(&["ก"])),
        (r"\p{Any}", "\n", Some(&["\n"])),
        (r"\pC", "\u{378}", None),
        // Places.
        (r"a$", "a\n", None),
        (r"(?m)^b$", "a\nb\nc", Some(&["b"])),
        (r"(?m)\Ab\z", "a\nb", None),
        (r"a.b", "a\nb", None),
        (r"(?s)a.b", "a\nb", Some(&["a\nb"])),
        (r"[^a]", "\n", Some(&["\n"])),
        // Repetitions and flags.
        (r"a+?", "aa", Some(&["a"])),
        (r"(?U)a+", "aa", Some(&["a"])),
        (r"(?U)a+?", "aa", Some(&["aa"])),
        (r"(?U:a+)(a*)", "aaa", Some(&["aaa", "aa"])),
        (r"a(?i)*", "aaA", Some(&["aa"])),
        (r"a{2}(?i){2}b", "aaaaB", Some(&["aaaaB"])),
        (r"a{0,1}(?:){3}^*", "a", Some(&["a"])),
        (r"a(?i)b|c", "C", Some(&["C"])),
        (r"(?:a(?i)b)c", "aBC", None),
        (r"(?i-s)A(?-i)b()", "ab", Some(&["ab", ""])),
        (r"(?)a(?ii)B", "ab", Some(&["ab"])),
        (r"a||b", "b", Some(&[""])),
        // Groups.
        (r"(a)|(b)", "b", Some(&["b", "-", "b"])),
        (r"(?P<x>a)(?<y>b)", "ab", Some(&["ab", "a", "b"])),
        (r"(?P<n>a)(?P<n>b)(?P<1>c)", "abc", Some(&["abc", "a", "b", "c"])),
    ];
    for (source, text, expected) in rows {
        let regex = Re2::new(source).unwrap_or_else(|e| panic!("{source}: {e:?}"));
        let found = regex.captures(text);
        let found: Option<Vec<&str>> =
            found.as_ref().map(|found| found.iter().map(|g| g.map_or("-", |g| g.as_str())).collect());
        assert_eq!(found.as_deref(), *expected, "{source} on {text:?}, as {}", regex.as_str());
        assert_eq!(regex.source(), *source);
    }
}

#[test]
fn whole() {
    let rows = [
        ("a|b", "b", true),
        ("a|b", "ab", false),
        ("", "", true),
        ("", "a", false),
        ("a.b", "a\nb", true),
        ("(?-s)a.b", "a\nb", false),
        ("(?-s:a.b)", "a\nb", false),
        ("(?m)a$", "a\nb", false),
        ("a", "a\n", false),
        ("(?i)sshd[.]service", "SSHD.service", true),
        ("api-.*", "api-a.service", true),
        (".+", "", false),
    ];
    for (source, text, expected) in rows {
        assert_eq!(Re2::whole(source).unwrap().is_match(text), expected, "{source} on {text:?}");
    }
    assert_ne!(Re2::whole("a").unwrap(), Re2::new("a").unwrap());
    assert_eq!(Re2::whole("a").unwrap(), Re2::whole("a").unwrap());
}

#[test]
fn refused() {
    // Expression, the part that is pointed at, what is said of it.
    let rows = [
        ("a(b", "(", "not closed"),
        ("a(?ib", "b", "not a flag"),
        ("a(?i", "(?i", "not closed"),
        ("a)b", ")", "without a `("),
        ("é[b", "[", "not closed"),
        ("[]", "[", "not closed"),
        ("[a-", "[", "not closed"),
        ("[z-a]", "z-a", "ends before it begins"),
        ("[a--b]", "a--", "ends before it begins"),
        (r"[a-\d]", r"\d", "unknown to Go"),
        ("[[:foo:]]", "[:foo:]", "no such class"),
        (r"[\b]", r"\b", "unknown to Go"),
        ("*a", "*", "nothing before it"),
        ("a|*", "*", "nothing before it"),
        ("(?i)*", "*", "nothing before it"),
        ("({2})", "{2}", "nothing before it"),
        ("a**", "**", "a repetition of a repetition"),
        ("a+?+", "+?+", "a repetition of a repetition"),
        ("a{2}{3}", "{2}{3}", "a repetition of a repetition"),
        ("a{1001}", "{1001}", "more than 1000"),
        ("a{99999999999}", "{99999999999}", "more than 1000"),
        ("a{3,2}", "{3,2}", "3 is more than 2"),
        ("(?:a{100}){11}", "{11}", "1100 repetitions"),
        ("(?:(?:a{10}b|c){10}){11,}", "{11,}", "1100 repetitions"),
        ("a\\", "\\", "nothing follows"),
        (r"(a)\1", r"\1", "references back"),
        (r"\8", r"\8", "references back"),
        (r"\Z", r"\Z", r"write `\z`"),
        (r"\C", r"\C", "single byte"),
        (r"\u1234", r"\u", r"write `\x{…}`"),
        (r"\é", r"\é", "unknown to Go"),
        (r"a\E", r"\E", "unknown to Go"),
        (r"\x4", r"\x4", "hexadecimal digits"),
        (r"\x{}", r"\x{", "hexadecimal digits"),
        (r"\x{4", r"\x{4", "hexadecimal digits"),
        (r"\x{110000}", r"\x{110000}", "ends at 10FFFF"),
        (r"\x{fffffffffffff}", r"\x{fffffffffffff}", "ends at 10FFFF"),
        (r"\p", r"\p", "name of a class is missing"),
        (r"\p{Greek", r"\p{", "does not end"),
        (r"\p{greek}", r"\p{greek}", "no such class"),
        (r"\p{Grek}", r"\p{Grek}", "no such class"),
        (r"\p{Alphabetic}", r"\p{Alphabetic}", "no such class"),
        (r"[\pX]", r"\pX", "no such class"),
        ("(?x)a", "x", "not a flag"),
        ("(?i-)a", "(?i-)", "followed by the flags"),
        ("(?--i)a", "(?--", "followed by the flags"),
        ("a(?=b)", "(?=", "no look-ahead"),
        ("(?<!a)b", "(?<!", "no look-behind"),
        ("(?P=n)", "(?P=", "references back"),
        ("(?P<n", "(?P<", "does not end"),
        ("(?P<>a)", "(?P<>", "no name"),
        ("(?P<a b>a)", "a b", "only letters, digits"),
        ("(?'n'a)", "(?'", "named by"),
        ("(?P>n)", "P", "not a flag"),
    ];
    for (source, part, message) in rows {
        let error = Re2::new(source).expect_err(source);
        let at = error.at.clone().and_then(|at| source.get(at));
        assert_eq!(at, Some(part), "{source}: {error:?}");
        assert!(error.message.contains(message), "{source}: {error:?}");
        assert!(Re2::whole(source).is_err(), "{source}");
    }
}

#[test]
fn size_is_bounded() {
    let error = Re2::new(r"\pL{1000}").unwrap_err();
    assert!(error.message.contains("more than 10 MiB"), "{error}");

    let nested = |groups: usize| format!("{}a|b{}", "((?i:c|".repeat(groups / 2), ")*)+".repeat(groups / 2));
    let most = translate::NESTING_MAX as usize;
    assert!(Re2::new(&nested(most)).unwrap().is_match("a"));
    assert!(Re2::new(&nested(most + 2)).unwrap_err().message.contains("nested groups"));
    assert!(Re2::new(&format!("a*{}", "(?i)*".repeat(most))).is_ok());
    assert!(Re2::new(&format!("a*{}", "(?i)*".repeat(most + 1))).is_err());
}

#[test]
fn names_of_groups() {
    let regex = Re2::new("(a)(?P<n>b)?(?P<n>c)(?P<1x>d)").unwrap();
    let names: Vec<_> = regex.capture_names().collect();
    assert_eq!(names, [None, None, Some("n"), Some("n"), Some("1x")]);
}

#[test]
fn literals() {
    for (source, expected) in [
        ("", Some("")),
        ("foo bar-é", Some("foo bar-é")),
        (r"a\.b\x41\Q*\E{", Some("a.bA*{")),
        ("(?s)a", Some("a")),
        ("(?i)a", None),
        ("a.", None),
        ("a|b", None),
        ("ab?", None),
        ("(a)", None),
        (r"\d", None),
        ("^a", None),
    ] {
        assert_eq!(Re2::new(source).unwrap().literal(), expected, "{source}");
        assert_eq!(Re2::whole(source).unwrap().literal(), expected, "{source}");
    }
}

#[test]
fn expanding() {
    let rows = [
        ("$1", "ab"),
        ("$0-${2}-$n", "ab cd-cd-cd"),
        ("$1x", ""),
        ("${1}x", "abx"),
        ("$n_", ""),
        ("${n}_", "cd_"),
        ("$1-$2", "ab-cd"),
        ("$$1$", "$1$"),
        ("${1", "${1"),
        ("${}$ $-", "${}$ $-"),
        ("${n-1}", "${n-1}"),
        ("$3$9$99999999999999999999$nosuch", ""),
        ("$01$1é", ""),
        ("", ""),
    ];
    let regex = Re2::new(r"(\w+) (?P<n>\w+)(x)?").unwrap();
    let captures = regex.captures("ab cd").unwrap();
    for (template, expected) in rows {
        assert_eq!(regex.expand(&captures, template), expected, "{template}");
    }

    let regex = Re2::new("(?:(?P<n>a)|(?P<n>b))(?P<7>c)").unwrap();
    let captures = regex.captures("bc").unwrap();
    assert_eq!(regex.expand(&captures, "$n-$7-${3}"), "b--c");
}

/// Pieces whose sequences are expressions, or almost.
fn expressions() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "é",
        "K",
        "(",
        "(",
        ")",
        ")",
        "(?:",
        "(?i)",
        "(?i:",
        "(?s-i)",
        "(?mU)",
        "(?P<n>",
        "(?P<1>",
        "|",
        "*",
        "+?",
        "?",
        "{",
        "{2}",
        "{,3}",
        "{1,}",
        "}",
        "[",
        "[^",
        "]",
        "[^a]",
        "[[:^digit:]]",
        "[a&&b]",
        "-",
        "&&",
        "~~",
        ":]",
        ".",
        "^",
        "$",
        "\\",
        r"\b",
        r"\B",
        r"\z",
        r"\d",
        r"[^\W]",
        r"\pL",
        r"\P{Greek}",
        r"\p{C}",
        r"\Q",
        r"\E",
        r"\101",
        r"\x41",
        r"\x{D800}",
        r"\<",
        "\n",
        "#",
        " ",
        "<",
        ">",
        "=",
        "!",
    ];
    proptest::collection::vec(proptest::sample::select(pieces.to_vec()), 0..8)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_compiled_or_refused_at_a_place(source in ".*") {
        check(&source)?;
    }

    #[test]
    fn what_is_translated_the_crate_takes(source in expressions()) {
        check(&source)?;
    }

    #[test]
    fn quoted_text_finds_itself(text in "\\PC*", around in "\\PC*") {
        prop_assume!(!text.contains(r"\E"));
        let regex = Re2::new(&format!(r"\Q{text}\E")).unwrap();
        let line = format!("{around}{text}{around}");
        prop_assert!(regex.is_match(&line));
        prop_assert_eq!(regex.literal(), Some(&*text));
        prop_assert!(Re2::whole(&regex::escape(&text)).unwrap().is_match(&text));
    }
}

fn check(source: &str) -> Result<(), TestCaseError> {
    match Re2::new(source) {
        Ok(_) => prop_assert!(Re2::whole(source).is_ok()),
        Err(error) => {
            // Only what is too large has no place: the crate itself finds no other fault.
            let at = error.at.clone();
            prop_assert!(at.is_some() || error.message.contains("too large"), "{source:?}: {error:?}");
            prop_assert!(at.is_none_or(|at| source.get(at).is_some()), "{source:?}: {error:?}");
        }
    }
    Ok(())
}
