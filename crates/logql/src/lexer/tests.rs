use super::*;
use proptest::prelude::*;

fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut lexer = Lexer::new(text);
    let mut tokens = Vec::new();
    loop {
        match lexer.next_token()?.0 {
            Token::End => return Ok(tokens),
            token => tokens.push(token),
        }
    }
}

const SECOND: i64 = 1_000_000_000;

#[test]
#[allow(clippy::too_many_lines, reason = "a table of cases")]
fn words() {
    use Token::*;
    let name = |name: &str| Identifier(name.to_owned());
    let text = |text: &str| Text(text.to_owned());
    let number = |number: &str| Number(number.to_owned());
    let rows: &[(&str, &[Token])] = &[
        ("", &[]),
        ("\u{feff} \t\r\n", &[]),
        (
            r#"{a="b", c!=`d\n`}"#,
            &[
                Symbol("{"),
                name("a"),
                Symbol("="),
                text("b"),
                Symbol(","),
                name("c"),
                Symbol("!="),
                text(r"d\n"),
                Symbol("}"),
            ],
        ),
        (
            "=~ !~ !> |= |~ |> | == >= <=",
            &[
                Symbol("=~"),
                Symbol("!~"),
                Symbol("!>"),
                Symbol("|="),
                Symbol("|~"),
                Symbol("|>"),
                Symbol("|"),
                Symbol("=="),
                Symbol(">="),
                Symbol("<="),
            ],
        ),
        ("+-*/%^.<>", &["+", "-", "*", "/", "%", "^", ".", "<", ">"].map(Symbol)),
        ("_a9 é9", &[name("_a9"), name("é9")]),
        // Comments.
        ("a # b\nc // d\n/* e\n */ f #", &[name("a"), name("c"), name("f")]),
        // Keywords and functions, in any case.
        ("by WITHOUT Json or", &["by", "without", "json", "or"].map(Keyword)),
        ("sum (", &[Function("sum"), Symbol("(")]),
        ("Sum by (", &[Function("sum"), Keyword("by"), Symbol("(")]),
        ("sum\nwithout\t(", &[Function("sum"), Keyword("without"), Symbol("(")]),
        ("sum", &[name("sum")]),
        ("ip = sum bytes", &[name("ip"), Symbol("="), name("sum"), name("bytes")]),
        ("rate by x (", &[name("rate"), Keyword("by"), name("x"), Symbol("(")]),
        ("count_over_time({", &[Function("count_over_time"), Symbol("("), Symbol("{")]),
        // Numbers, durations and sizes.
        (
            "5 1.5 .5 1e3 1.e-3 0x1F 0b1 0o17 1_000",
            &[
                number("5"),
                number("1.5"),
                number(".5"),
                number("1e3"),
                number("1.e-3"),
                number("0x1F"),
                number("0b1"),
                number("0o17"),
                number("1_000"),
            ],
        ),
        (
            "5m 1h30m 1.5h 100ms",
            &[
                Duration(300 * SECOND),
                Duration(5400 * SECOND),
                Duration(5400 * SECOND),
                Duration(SECOND / 10),
            ],
        ),
        (
            "-5m -5 - 5m",
            &[Duration(-300 * SECOND), Symbol("-"), number("5"), Symbol("-"), Duration(300 * SECOND)],
        ),
        ("5MB 1.5KiB 42B", &[Bytes(5_000_000), Bytes(1536), Bytes(42)]),
        ("5mb", &[Duration(300 * SECOND), name("b")]),
        ("[1h30m]", &[Range(5400 * SECOND)]),
        (
            "--strict --keep-empty --strictly",
            &[Flag("--strict"), Flag("--keep-empty"), Symbol("-"), Symbol("-"), name("strictly")],
        ),
    ];
    for (source, expected) in rows {
        assert_eq!(tokens(source).as_deref(), Ok(*expected), "{source}");
    }
}

#[test]
fn refused() {
    for (source, part, message) in [
        (r#"a "b"#, "\"", "this string is not closed"),
        ("\"a\nb\"", "\"", "this string is not closed"),
        (r#""a\""#, "\"", "this string is not closed"),
        ("`a", "`", "this string is not closed"),
        ("'a'", "'", "single quotes"),
        (r#""a\d""#, r"\d", "this escape"),
        ("/* a", "/*", "comment is not closed"),
        ("[5m", "[", "range is not closed"),
        ("[5x]", "5x", "not a valid duration"),
        ("[]", "[]", "not a valid duration"),
        ("[ 1h]", " 1h", "not a valid duration"),
        ("[1.5h]", "1.5h", "not a valid duration"),
        ("1e", "1e", "exponent"),
        ("1e+", "1e+", "exponent"),
        ("0x", "0x", "no digits"),
        ("08", "08", "too large for its base"),
        ("0o8", "0o8", "too large for its base"),
        ("0o1.5", "0o1.5", "no fraction"),
        ("1__0", "1__0", "between digits"),
        ("1_.5", "1_.5", "between digits"),
        ("é$", "$", "no meaning"),
        ("a ! b", "!", "no meaning"),
        ("\0", "\0", "no meaning"),
    ] {
        let error = tokens(source).expect_err(source);
        assert_eq!(source.get(error.span.clone()), Some(part), "{source}: {error}");
        assert!(error.to_string().contains(message), "{source}: {error}");
    }
}

proptest! {
    #[test]
    fn any_text_comes_to_an_end(text in "[{}\\[\\]()a-e0-9_.x=~!|>\"'`\\\\#/*\n µs-]{0,40}|\\PC*") {
        let mut lexer = Lexer::new(&text);
        let mut end = 0;
        for _ in 0..=text.len() {
            match lexer.next_token() {
                Ok((Token::End, _)) => return Ok(()),
                Ok((_, span)) => {
                    prop_assert!(end <= span.start && span.start < span.end);
                    prop_assert!(text.get(span.clone()).is_some());
                    end = span.end;
                }
                Err(error) => {
                    prop_assert!(text.get(error.span.clone()).is_some(), "{error:?}");
                    return Ok(());
                }
            }
        }
        prop_assert!(false, "no end");
    }
}
