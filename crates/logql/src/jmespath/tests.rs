use proptest::prelude::*;

use super::*;

const DOCUMENT: &str = r#"{
    "a": {"b": {"c": 1.5}, "d": [1, 2, 3, 4, 5]},
    "people": [
        {"name": "Ann", "age": 30, "tags": ["x", "y"]},
        {"name": "Bob", "age": 25, "tags": [], "gone": null},
        {"name": "Cy", "age": 41, "tags": ["z"], "left": true}
    ],
    "grpc.stream": "stderr", "a-b": 7, "empty": "", "null": null, "no": false, "zero": 0,
    "nested": [[1, 2], [3, [4]], 5], "map": {"y": {"n": 2}, "x": {"n": 1}, "w": 3}, "words": ["b", "c", "a"]
}"#;

fn search(expression: &str, text: &str) -> Result<String, String> {
    let expression = Expression::new(expression).map_err(|e| format!("{} @{:?}", e.what, e.at))?;
    let value = Json::parse(text).map_err(|e| e.to_string())?;
    let mut out = String::new();
    expression.search(&value).map_err(|e| e.to_string())?.write(&mut out);
    Ok(out)
}

#[track_caller]
fn check(rows: &[(&str, &str)]) {
    for (expression, expected) in rows {
        assert_eq!(search(expression, DOCUMENT).as_deref(), Ok(*expected), "{expression}");
    }
}

#[test]
fn names_and_indexes() {
    check(&[
        ("a.b.c", "1.5"),
        (" a . b\n.c ", "1.5"),
        ("\"grpc.stream\"", r#""stderr""#),
        ("\"a-b\"", "7"),
        ("\"\\u0061\".b.c", "1.5"),
        ("nosuch", "null"),
        ("nosuch.b[0].c", "null"),
        ("zero.b", "null"),
        ("a.d[0]", "1"),
        ("a.d[-1]", "5"),
        ("a.d[-5]", "1"),
        ("a.d[5]", "null"),
        ("a.d[-6]", "null"),
        ("a[0]", "null"),
        ("people[1].name", r#""Bob""#),
        ("@.zero", "0"),
        ("(a.b).c", "1.5"),
    ]);
}

#[test]
fn slices() {
    check(&[
        ("a.d[1:3]", "[2,3]"),
        ("a.d[:2]", "[1,2]"),
        ("a.d[3:]", "[4,5]"),
        ("a.d[:]", "[1,2,3,4,5]"),
        ("a.d[::2]", "[1,3,5]"),
        ("a.d[::-1]", "[5,4,3,2,1]"),
        ("a.d[-2:]", "[4,5]"),
        ("a.d[3:1:-1]", "[4,3]"),
        ("a.d[-100:100]", "[1,2,3,4,5]"),
        ("a.d[100:-100:-2]", "[5,3,1]"),
        ("a.d[10:]", "[]"),
        ("a.d[0:9223372036854775807:9223372036854775807]", "[1]"),
        ("people[:2].name", r#"["Ann","Bob"]"#),
        ("a[1:]", "null"),
    ]);
}

#[test]
fn projections() {
    check(&[
        ("people[*].name", r#"["Ann","Bob","Cy"]"#),
        ("people[*].left", "[true]"),
        ("people[*].tags[0]", r#"["x","z"]"#),
        ("people[*].name | [0]", r#""Ann""#),
        ("people[*].name[0]", "[]"),
        ("people[].tags[]", r#"["x","y","z"]"#),
        ("nested[]", "[1,2,3,[4],5]"),
        ("nested[][]", "[1,2,3,4,5]"),
        ("map.*.n", "[1,2]"),
        ("map.*", r#"[3,{"n":1},{"n":2}]"#),
        ("*.b.c", "[1.5]"),
        ("a.*[0]", "[1]"),
        ("a[*]", "null"),
        ("zero.*", "null"),
        ("zero[]", "null"),
        ("nested[*][0]", "[1,3]"),
    ]);
}

#[test]
fn filters_and_conditions() {
    check(&[
        ("people[?name=='Bob'].age", "[25]"),
        ("people[?age > `28`].name", r#"["Ann","Cy"]"#),
        ("people[?age >= `30` && left].name", r#"["Cy"]"#),
        ("people[?age < `26` || name == 'Cy'] | [0].name", r#""Bob""#),
        ("people[?!left].name", r#"["Ann","Bob"]"#),
        ("people[?tags].name", r#"["Ann","Cy"]"#),
        ("people[?contains(tags, 'z')].age", "[41]"),
        ("people[?tags == `[\"z\"]`].name | [0]", r#""Cy""#),
        ("people[?name != 'Bob'].tags[]", r#"["x","y","z"]"#),
        ("people[?age <= `25`][].name", r#"["Bob"]"#),
        ("a[?b]", "null"),
        ("zero == `0`", "true"),
        ("zero == '0'", "false"),
        ("words < `3`", "null"),
        ("no || empty || \"null\" || zero", "0"),
        ("no && zero", "false"),
        ("a && zero", "0"),
        ("!no", "true"),
        ("!(a.b)", "false"),
        // `!` binds more than `.`, in the other implementations too.
        ("!a.b", "null"),
        ("!(no || zero)", "false"),
    ]);
}

#[test]
fn literals_lists_and_maps() {
    check(&[
        ("'it\\'s'", r#""it's""#),
        ("'a\\b'", r#""a\\b""#),
        ("`\"a\\`b\"`", r#""a`b""#),
        ("`{\"x\": [1, null]}`", r#"{"x":[1,null]}"#),
        ("[zero, a.b.c, nosuch]", "[0,1.5,null]"),
        ("{x: zero, \"y z\": a.b}", r#"{"x":0,"y z":{"c":1.5}}"#),
        ("people[*].[name, age]", r#"[["Ann",30],["Bob",25],["Cy",41]]"#),
        ("people[0].{n: name, t: tags[1]}", r#"{"n":"Ann","t":"y"}"#),
        ("nosuch.[a]", "null"),
        ("nosuch.{a: b}", "null"),
    ]);
}

#[test]
fn functions() {
    check(&[
        ("length(people)", "3"),
        ("length('üb')", "2"),
        ("length(a)", "2"),
        ("keys(map)", r#"["w","x","y"]"#),
        ("values(a.b)", "[1.5]"),
        ("join(', ', people[*].name)", r#""Ann, Bob, Cy""#),
        ("to_string(a.b)", r#""{\"c\":1.5}""#),
        ("to_string('x')", r#""x""#),
        ("to_number('-1.5e3')", "-1500"),
        ("to_number('x')", "null"),
        ("to_number('inf')", "null"),
        ("to_number(a)", "null"),
        ("contains('abc', 'b')", "true"),
        ("contains('abc', `1`)", "false"),
        ("starts_with('abc', 'ab') && ends_with('abc', 'bc')", "true"),
        ("people[*].type(age) | [0]", r#""number""#),
        (
            "[type(a), type(no), type(nosuch), type(words), type('')]",
            r#"["object","boolean","null","array","string"]"#,
        ),
        ("not_null(nosuch, \"null\", zero)", "0"),
        ("not_null(nosuch)", "null"),
        ("max(a.d)", "5"),
        ("min(words)", r#""a""#),
        ("max(`[]`)", "null"),
        ("sum(a.d)", "15"),
        ("sum(`[]`)", "0"),
        ("avg(a.d)", "3"),
        ("avg(`[]`)", "null"),
        ("abs(`-2`)", "2"),
        ("ceil(a.b.c)", "2"),
        ("floor(a.b.c)", "1"),
        ("sort(words)", r#"["a","b","c"]"#),
        ("reverse(sort(a.d))[0]", "5"),
        ("reverse('aé')", r#""éa""#),
        ("to_array(zero)", "[0]"),
        ("to_array(words)[0]", r#""b""#),
        ("merge(a.b, `{\"d\": 1}`, {c: zero})", r#"{"c":0,"d":1}"#),
        ("map(&age, people)", "[30,25,41]"),
        ("map(&left, people)", "[null,null,true]"),
        ("sort_by(people, &age)[*].name", r#"["Bob","Ann","Cy"]"#),
        ("max_by(people, &age).name", r#""Cy""#),
        ("min_by(people, &name).name", r#""Ann""#),
        ("max_by(people, &type(age)).name", r#""Ann""#),
    ]);
    for (expression, error) in [
        ("length(zero)", "the function `length` takes a string, an array or an object, not number"),
        ("join('', a.d)", "the function `join` takes a string, not number"),
        ("sort(`[1, \"a\"]`)", "the function `sort` takes only numbers or only strings, not string"),
        ("sort_by(people, &tags)", "the function `sort_by` takes only numbers or only strings, not array"),
        ("keys(words)", "the function `keys` takes an object, not array"),
        ("people[*].abs(name)", "the function `abs` takes a number, not string"),
        ("nosuch.length(@)", "the function `length` takes a string, an array or an object, not null"),
    ] {
        assert_eq!(search(expression, DOCUMENT), Err(error.to_owned()), "{expression}");
    }
}

#[test]
fn what_is_no_expression_is_refused_at_its_place() {
    for (expression, what, at) in [
        ("", "the expression ends, expected a name", 0..0),
        ("a.", "the expression ends, expected a name", 2..2),
        ("a..b", "expected a name", 2..3),
        ("a b", "expected the end", 2..3),
        ("a-b", "`-` is not a valid whole number", 1..2),
        ("grpc/stream", "`/` means nothing", 4..5),
        ("$.a", "`$` means nothing", 0..1),
        ("ü", "means nothing", 0..2),
        ("a = 'b'", "`=` means nothing", 2..3),
        ("a[", "expected a number", 2..2),
        ("a[b]", "expected a number, `:` or `*`", 2..3),
        ("a['b']", "expected a number, `:` or `*`", 2..5),
        ("a[1", "expected `]` or `:`", 3..3),
        ("a[1 2]", "expected `]` or `:`", 4..5),
        ("a[::0]", "never 0", 4..5),
        ("a[99999999999999999999]", "is not a valid whole number", 2..22),
        ("a[?b", "expected `]`", 4..4),
        ("[a", "expected `,` or `]`", 2..2),
        ("{a}", "expected `:`", 2..3),
        ("{a: b", "expected `,` or `}`", 5..5),
        ("a.[", "expected a name", 3..3),
        ("a.0", "expected a name, `*`", 2..3),
        ("\"a", "without its counterpart", 0..2),
        ("'a", "without its counterpart", 0..2),
        ("'a\\'", "without its counterpart", 0..4),
        ("\"\\x\"", "not a JSON string", 0..4),
        ("`foo`", "not JSON", 0..5),
        ("nope(a)", "no function `nope`", 0..4),
        ("length()", "expected `length(value)`", 0..6),
        ("length(a, b)", "expected `length(value)`", 0..6),
        ("not_null()", "with 0 arguments", 0..8),
        ("length(a", "expected `,` or `)`", 8..8),
        ("length(a b)", "expected `,` or `)`", 9..10),
        ("\"length\"(a)", "takes no quotes", 0..8),
        ("sort_by(a, b)", "expected an expression to be asked", 11..12),
        ("length(&a)", "`&` stands only", 7..8),
        ("(a", "expected `)`", 2..2),
        ("a)", "expected the end", 1..2),
        ("a[*]b", "expected", 4..5),
        ("a(b)(c)", "no function", 0..1),
        ("*(a)", "expected", 1..2),
    ] {
        let error = Expression::new(expression).expect_err(expression);
        assert!(error.what.contains(what) && error.at == at, "{expression}: {} @{:?}", error.what, error.at);
    }
}

#[test]
fn recursion_is_bounded() {
    for (part, count) in [("(", 100_000), ("a.", 100_000), ("[", 300), ("!", 300), ("a|", 200)] {
        let error = Expression::new(&part.repeat(count)).expect_err(part);
        assert!(error.what.contains("words"), "{part}: {}", error.what);
    }
    for (open, close, count) in [("(", ")", 127), ("!", "", 254), ("[", "]", 127), ("length([", "])", 50)] {
        let deep = format!("{}a{}", open.repeat(count), close.repeat(count));
        assert!(search(&deep, r#"{"a":true}"#).is_ok(), "{deep}");
    }
    let long = format!("a{}", ".a".repeat(120));
    assert_eq!(search(&long, r#"{"a":1}"#).as_deref(), Ok("null"));
}

proptest! {
    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,20}|([ab]|length|sort|[\\[\\]{}().*,:|&!@<>=?'`\" ]|0|-1){0,20}") {
        if let Ok(expression) = Expression::new(&text) {
            for value in [DOCUMENT, "null", "[[1,{\"a\":2}],\"b\"]"] {
                if let Ok(value) = Json::parse(value) {
                    let _ = expression.search(&value);
                }
            }
        }
    }
}
