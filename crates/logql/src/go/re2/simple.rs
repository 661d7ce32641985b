//! Which expressions of label filters Loki turns into tests of plain texts (grafana/loki, `pkg/logql/log/filter.go`,
//! `RegexSimplifier`). It shows in how Loki writes them: between quotes, or, where they stay expressions, between backquotes.
//!
//! Loki looks at the tree that Go's parser makes, in which common beginnings are drawn out of alternatives, and alternatives of one
//! character are a class (Go, `regexp/syntax/parse.go`, `factor`). So the tree is made here, too, as far as it matters.

use std::iter::Peekable;
use std::mem::take;
use std::str::Chars;

/// A part of an expression.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// Nothing at all. It is marked if it is left of a text in any case.
    Empty(bool),
    /// A text, and whether it stands for any case.
    Literal(Vec<char>, bool),
    /// `.`, but not with the flag `s`
    Any,
    /// Any other single character.
    Class,
    Star(Box<Node>),
    Plus(Box<Node>),
    Capture(Box<Node>),
    Concat(Vec<Node>),
    Alternate(Vec<Node>),
    /// What is never simple.
    Other,
}

/// Whether Loki tests texts in place of a valid expression.
pub(crate) fn is_simple(source: &str) -> bool {
    let mut reader = Reader { rest: source.chars().peekable(), fold: false, dot_all: false };
    simplify(&reader.alternation())
}

struct Reader<'s> {
    rest: Peekable<Chars<'s>>,
    /// `(?i)`
    fold: bool,
    /// `(?s)`
    dot_all: bool,
}

impl Reader<'_> {
    /// Alternatives, up to the bracket that closes their group, or the end.
    fn alternation(&mut self) -> Node {
        let mut legs: Vec<Node> = Vec::new();
        loop {
            let leg = self.sequence();
            match legs.last_mut() {
                Some(last) if is_class(last) && is_class(&leg) => *last = merged(last, &leg),
                _ => legs.push(leg),
            }
            if self.rest.next_if_eq(&'|').is_none() {
                return alternate(legs);
            }
        }
    }

    fn sequence(&mut self) -> Node {
        let mut items = Vec::new();
        while let Some(c) = self.rest.next_if(|c| !matches!(c, '|' | ')')) {
            match c {
                '*' | '+' | '?' => self.repeat(&mut items, c),
                '{' => match self.counted() {
                    Some(counts) => self.repeat(&mut items, counts),
                    None => items.push(self.literal('{')),
                },
                '(' => items.extend(self.group()),
                '[' => items.push(self.class()),
                '.' => items.push(if self.dot_all { Node::Class } else { Node::Any }),
                '^' | '$' => items.push(Node::Other),
                '\\' => self.escape(&mut items),
                c => items.push(self.literal(c)),
            }
        }
        concat(items)
    }

    fn literal(&self, c: char) -> Node {
        Node::Literal(vec![if self.fold { c.to_uppercase().next().unwrap_or(c) } else { c }], self.fold)
    }

    /// Repeats the last item: `*`, `+`; `1` is once, `0` never; all else is never simple.
    fn repeat(&mut self, items: &mut Vec<Node>, how: char) {
        self.rest.next_if_eq(&'?');
        let Some(item) = items.pop() else { return };
        items.push(match (how, item) {
            ('0', _) => Node::Empty(false),
            ('1', item) | ('*' | '+', item @ Node::Empty(_)) | ('*', item @ Node::Star(_)) => item,
            ('+', item @ Node::Plus(_)) => item,
            ('*', item) => Node::Star(Box::new(item)),
            ('+', item) => Node::Plus(Box::new(item)),
            _ => Node::Other,
        });
    }

    /// What follows `{` if it is a repetition.
    fn counted(&mut self) -> Option<char> {
        let mut ahead = self.rest.clone();
        let text: String = ahead.by_ref().take_while(|c| *c != '}').collect();
        let (least, most) = text.split_once(',').unwrap_or((&text, &text));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(least) || !(most.is_empty() || digits(most)) {
            return None;
        }
        self.rest = ahead;
        let number = |text: &str| text.parse::<u32>().ok();
        Some(match (number(least), number(most)) {
            (Some(0), None) => '*',
            (Some(1), None) => '+',
            (Some(0), Some(0)) => '0',
            (Some(1), Some(1)) => '1',
            _ => '{',
        })
    }

    /// A group, or nothing if flags are all that is in the brackets.
    fn group(&mut self) -> Option<Node> {
        let before = (self.fold, self.dot_all);
        let mut captures = true;
        if self.rest.next_if_eq(&'?').is_some() {
            if self.rest.next_if(|c| matches!(c, 'P' | '<')).is_some() {
                self.rest.by_ref().find(|c| *c == '>');
            } else {
                captures = false;
                let mut on = true;
                let end = self.rest.by_ref().find(|c| {
                    match c {
                        '-' => on = false,
                        'i' => self.fold = on,
                        's' => self.dot_all = on,
                        _ => {}
                    }
                    matches!(c, ':' | ')')
                });
                if end != Some(':') {
                    return None;
                }
            }
        }
        let inner = self.alternation();
        self.rest.next_if_eq(&')');
        (self.fold, self.dot_all) = before;
        Some(if captures { Node::Capture(Box::new(inner)) } else { inner })
    }

    /// What follows `[`. A class of one character is that character, and so is one of both its cases.
    fn class(&mut self) -> Node {
        let mut members = Vec::new();
        let negated = self.rest.next_if_eq(&'^').is_some();
        let mut plain = !negated;
        while let Some(c) = self.rest.next() {
            match c {
                ']' if !members.is_empty() => break,
                '[' if self.rest.peek() == Some(&':') => {
                    // `[:alpha:]`, or a bracket among others.
                    plain = false;
                    let mut ahead = self.rest.clone();
                    let name: String = ahead.by_ref().skip(1).take_while(|c| *c != ':').collect();
                    if name.chars().all(|c| c == '^' || c.is_ascii_alphabetic()) && ahead.next() == Some(']')
                    {
                        self.rest = ahead;
                    }
                    members.push(c);
                }
                '\\' => {
                    let mut escaped = Vec::new();
                    self.escape(&mut escaped);
                    match escaped.as_slice() {
                        [Node::Literal(text, _)] => members.extend(text),
                        _ => {
                            plain = false;
                            members.push(c);
                        }
                    }
                }
                c => {
                    plain &= c != '-';
                    members.push(c);
                }
            }
        }
        // These letters have a third form.
        let third = |c: &char| matches!(c, 'K' | 'k' | 'S' | 's');
        let letter = |c: &char| c.is_alphabetic() && !third(c);
        match members.as_slice() {
            ['-'] if !negated => Node::Literal(vec!['-'], false),
            [c] if plain && self.fold && third(c) => Node::Class,
            [c] if plain && self.fold && letter(c) => self.literal(*c),
            [c] if plain => Node::Literal(vec![*c], false),
            [a, b] if plain && letter(a) && a != b && a.eq_ignore_ascii_case(b) => {
                Node::Literal(vec![a.to_ascii_uppercase()], true)
            }
            _ => Node::Class,
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, items: &mut Vec<Node>) {
        let Some(c) = self.rest.next() else { return };
        let item = match c {
            'Q' => {
                while let Some(c) = self.rest.next() {
                    if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                        break;
                    }
                    items.push(self.literal(c));
                }
                return;
            }
            'E' => return,
            'p' | 'P' => {
                if self.rest.next() == Some('{') {
                    self.rest.by_ref().find(|c| *c == '}');
                }
                Node::Class
            }
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => Node::Class,
            'x' => {
                let digits: String = match self.rest.next_if_eq(&'{') {
                    Some(_) => self.rest.by_ref().take_while(|c| *c != '}').collect(),
                    None => self.rest.by_ref().take(2).collect(),
                };
                self.code(&digits, 16)
            }
            '0'..='7' => {
                let mut digits = c.to_string();
                while digits.len() < 3
                    && let Some(digit) = self.rest.next_if(|c| ('0'..='7').contains(c))
                {
                    digits.push(digit);
                }
                self.code(&digits, 8)
            }
            'a' => self.literal('\x07'),
            'f' => self.literal('\x0C'),
            'n' => self.literal('\n'),
            'r' => self.literal('\r'),
            't' => self.literal('\t'),
            'v' => self.literal('\x0B'),
            c if c.is_ascii_alphanumeric() => Node::Other,
            c => self.literal(c),
        };
        items.push(item);
    }

    fn code(&self, digits: &str, radix: u32) -> Node {
        let c = u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        c.map_or(Node::Other, |c| self.literal(c))
    }
}

/// Whether it is always one character.
fn is_class(node: &Node) -> bool {
    matches!(node, Node::Any | Node::Class) || matches!(node, Node::Literal(text, _) if text.len() == 1)
}

/// One character or another.
fn merged(left: &Node, right: &Node) -> Node {
    let in_line = |node: &Node| matches!(node, Node::Literal(text, _) if *text != ['\n']);
    match (left, right) {
        (left, right) if left == right => left.clone(),
        (Node::Any, other) | (other, Node::Any) if in_line(other) => Node::Any,
        _ => Node::Class,
    }
}

/// Items behind each other. Texts are joined.
fn concat(items: Vec<Node>) -> Node {
    let mut joined: Vec<Node> = Vec::new();
    for item in items {
        match (joined.last_mut(), item) {
            (Some(Node::Literal(text, fold)), Node::Literal(more, also)) if *fold == also => {
                text.extend(more)
            }
            (_, Node::Concat(items)) => joined.extend(items),
            (_, item) => joined.push(item),
        }
    }
    one_or(joined, Node::Concat)
}

fn one_or(mut nodes: Vec<Node>, many: impl Fn(Vec<Node>) -> Node) -> Node {
    match nodes.len() {
        0 => Node::Empty(false),
        1 => nodes.remove(0),
        _ => many(nodes),
    }
}

/// Alternatives, with what they have in common drawn out.
fn alternate(legs: Vec<Node>) -> Node {
    if legs.len() < 2 {
        return one_or(legs, Node::Alternate);
    }
    let legs = legs.into_iter().flat_map(|leg| match leg {
        Node::Alternate(legs) => legs,
        leg => vec![leg],
    });
    // Common beginnings.
    let (mut out, mut run) = (Vec::new(), Vec::new());
    let (mut beginning, mut folds) = (Vec::new(), false);
    for leg in legs {
        let (text, fold) = begins_with(&leg);
        let same = text.iter().zip(&beginning).take_while(|(a, b)| a == b).count();
        if same > 0 && fold == folds {
            beginning.truncate(same);
        } else {
            out.extend(drawn_out(take(&mut run), &beginning, folds));
            (beginning, folds) = (text.to_vec(), fold);
        }
        run.push(leg);
    }
    out.extend(drawn_out(run, &beginning, folds));
    // Characters are a class, and nothing twice is nothing.
    let mut legs: Vec<Node> = Vec::new();
    for leg in out {
        match legs.last_mut() {
            Some(last) if is_class(last) && is_class(&leg) => *last = merged(last, &leg),
            Some(Node::Empty(_)) if matches!(leg, Node::Empty(_)) => {}
            _ => legs.push(leg),
        }
    }
    one_or(legs, Node::Alternate)
}

/// The text that it begins with, and whether that stands for any case.
fn begins_with(node: &Node) -> (&[char], bool) {
    match node {
        Node::Literal(text, fold) => (text, *fold),
        Node::Concat(items) => match items.first() {
            Some(Node::Literal(text, fold)) => (text, *fold),
            _ => (&[], false),
        },
        _ => (&[], false),
    }
}

/// Alternatives that begin alike as that beginning, and alternatives behind it.
fn drawn_out(legs: Vec<Node>, beginning: &[char], fold: bool) -> Option<Node> {
    if legs.len() < 2 {
        return legs.into_iter().next();
    }
    let rest = legs.into_iter().map(|leg| without(leg, beginning.len())).collect();
    Some(Node::Concat(vec![Node::Literal(beginning.to_vec(), fold), alternate(rest)]))
}

/// What is left of a node behind so many characters of its beginning.
fn without(node: Node, count: usize) -> Node {
    match node {
        Node::Literal(text, fold) if text.len() <= count => Node::Empty(fold),
        Node::Literal(mut text, fold) => {
            text.drain(..count);
            Node::Literal(text, fold)
        }
        Node::Concat(mut items) => {
            if let Some(first) = items.first_mut() {
                let left = without(first.clone(), count);
                match left {
                    Node::Empty(_) => drop(items.remove(0)),
                    left => *first = left,
                }
            }
            one_or(items, Node::Concat)
        }
        node => node,
    }
}

fn simplify(node: &Node) -> bool {
    match node {
        Node::Alternate(legs) => legs.iter().all(|leg| simplify(uncaptured(leg))),
        Node::Concat(items) => simplify_concat(items, false),
        Node::Capture(inner) => simplify(inner),
        Node::Literal(..) | Node::Empty(_) => true,
        Node::Star(inner) | Node::Plus(inner) => **inner == Node::Any,
        Node::Any | Node::Class | Node::Other => false,
    }
}

fn uncaptured(node: &Node) -> &Node {
    match node {
        Node::Capture(inner) => inner,
        node => node,
    }
}

/// `behind`: a text stands before it.
fn simplify_concat(items: &[Node], behind: bool) -> bool {
    /// Items of which Loki makes tests (count).
    const ITEMS_MAX: usize = 3;
    let items: Vec<&Node> =
        items.iter().map(uncaptured).filter(|item| !matches!(item, Node::Empty(_))).collect();
    if items.len() > ITEMS_MAX {
        return false;
    }
    let (mut text, mut own, mut alternatives, mut folds) = (behind, false, false, false);
    for item in items {
        match item {
            Node::Literal(..) if own => return false,
            Node::Literal(_, fold) => (text, own, folds) = (true, true, *fold),
            Node::Alternate(legs) if text => {
                if !legs.iter().all(|leg| simplify_behind(leg, folds)) {
                    return false;
                }
                alternatives = true;
            }
            Node::Star(inner) if **inner == Node::Any => {}
            _ => return false,
        }
    }
    text || alternatives
}

/// An alternative behind a text, which stands for any case or not.
fn simplify_behind(leg: &Node, folds: bool) -> bool {
    match leg {
        Node::Empty(fold) | Node::Literal(_, fold) => folds || !fold,
        Node::Concat(items) => simplify_concat(items, true),
        Node::Star(inner) => **inner == Node::Any,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_loki_simplifies() {
        for (source, simple) in [
            ("", true),
            ("foo", true),
            (r"foo\.bar", true),
            ("foo[.]bar", true),
            ("(foo)", true),
            (".*", true),
            (".+", true),
            (".*?", true),
            ("foo.*", true),
            (".*foo.*", true),
            ("(?i)foo", true),
            ("(?i)foo.*", true),
            ("foo|bar", true),
            ("(foo|bar)", true),
            ("foo|.*bar", true),
            ("foo|", true),
            ("warn|warning", true),
            ("warning|warn", true),
            ("foo(bar|xyz)", true),
            ("foo(bar|buzz)", false),
            ("foo.*bar", false),
            ("foo.+", false),
            ("error|x", true),
            ("a.*|b.*", true),
            ("a{1}", true),
            (".{0,}", true),
            (".{1,}", true),
            (r"\Qa.b\E", true),
            (r"\x41\n\101", true),
            ("{foo", true),
            ("foo|(?:bar|baz)", false),
            // Characters are a class.
            ("a|b", false),
            ("fooa|foob", false),
            ("x|y|foo", false),
            ("a", true),
            ("[a-z]+", false),
            ("[^a]", false),
            ("[]]", true),
            ("[[:alpha:]]", false),
            ("[aA]", true),
            ("[kK]", false),
            ("(?i)foo[.]bar", false),
            ("5..", false),
            (".", false),
            ("(?s).*", false),
            ("(?s:.*)", false),
            ("^foo$", false),
            (r"foo\b", false),
            (r"\d+", false),
            (r"\pL", false),
            (r"\p{Greek}x", false),
            ("fo?o", false),
            ("fo{2}", false),
            ("foo.*bar.*", false),
            (".*.*", false),
            ("(foo|bar).*", false),
            ("(?P<a>foo)", true),
            ("foo|f(?i)oo", false),
            ("(?i)foo|(?-i)bar", true),
            ("foo(a(b)|c)", false),
        ] {
            assert!(super::super::Re2::new(source).is_ok(), "{source}");
            assert_eq!(is_simple(source), simple, "{source}");
        }
    }
}
