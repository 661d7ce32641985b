//! The order of the rooms, held against every import, and the length of files.
//!
//! The list in `lib.rs` says the order: a room imports only rooms that stand before it. So there is no circle between
//! rooms either. Each of the three packages has such a list.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The packages, as folders below this one.
const PACKAGES: [&str; 3] = [".", "crates/journald-reader", "crates/logql"];

/// Imports that go up and are still there: package, room, the room that it imports, and why. An entry that is no longer
/// needed fails the test, so that this list only shrinks.
const STILL: &[(&str, &str, &str, &str)] = &[];

/// The most lines of a source file without its tests (count): a longer one holds more than one concept.
const LINES_MAX: usize = 450;

/// Files that are longer and still have to be split. An entry that is no longer needed fails the test, so that this list
/// only shrinks.
const STILL_LONG: &[&str] = &[];

/// Modules of tests, which may read a whole configuration.
const OF_TESTS: [&str; 3] = ["tests", "testing", "house"];

/// An import: the room and the file that it stands in, and the room that it names.
type Import = (String, PathBuf, String);

/// What `lib.rs` says where its modules themselves stand in the order.
const IN_ORDER: &str = "each imports only modules that stand before it";

/// The rooms in their order: the names in the list of the documentation of `lib.rs`, or its modules as they stand there.
fn order(lib: &str) -> Vec<String> {
    let items =
        lib.lines().filter_map(|line| line.strip_prefix("//! - ")?.trim_start_matches('[').strip_prefix('`'));
    let listed: Vec<_> =
        items.filter_map(|item| item.split_once('`')).map(|(name, _)| name.to_owned()).collect();
    if !listed.is_empty() || !lib.contains(IN_ORDER) {
        return listed;
    }
    modules(lib).into_iter().map(str::to_owned).collect()
}

/// The modules that `lib.rs` declares.
fn modules(lib: &str) -> Vec<&str> {
    let names = lib.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "));
    names.filter_map(|name| name.strip_suffix(';')).filter(|name| !OF_TESTS.contains(name)).collect()
}

/// The items that `lib.rs` shows at the top, each with the module that it comes from.
fn shown(lib: &str) -> BTreeMap<String, String> {
    let code = code(lib);
    let uses = code.split(';').filter_map(|statement| statement.trim().split_once("use "));
    let from = uses.filter(|(kind, _)| kind.starts_with("pub")).filter_map(|(_, path)| path.split_once("::"));
    let items = from.flat_map(|(module, items)| {
        let words = items.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        words.map(move |word| (word.to_owned(), module.to_owned()))
    });
    items.collect()
}

/// All files of a package's sources, but for those of tests.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if OF_TESTS.contains(&stem) {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules that a file stands in: `src/shape/labels/mod.rs` is `shape`, `labels`.
fn module(src: &Path, file: &Path) -> Vec<String> {
    let path = file.strip_prefix(src).unwrap().with_extension("");
    let mut names: Vec<String> = path.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    if names.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        names.pop();
    }
    names
}

/// The text of a file without its module of tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// The code of a file without comments, and without its module of tests.
fn code(text: &str) -> String {
    let code = without_tests(text).lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// The first names behind `crate::` and `super::` in the code of a module: rooms, when that leads to the top.
fn rooms_named(code: &str, module: &[String], found: &mut BTreeSet<String>) {
    for (at, start) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
            continue;
        }
        let mut rest = &code[at + start.len()..];
        let mut depth = if start == "crate::" { 0 } else { module.len().saturating_sub(1) };
        while let Some(above) = rest.strip_prefix("super::") {
            (rest, depth) = (above, depth.saturating_sub(1));
        }
        if depth > 0 {
            continue;
        }
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        match rest.strip_prefix('{') {
            None => _ = found.insert(word(rest)),
            Some(group) => found.extend(firsts(group).into_iter().map(word)),
        }
    }
}

/// The beginnings of the items of a group, up to the brace that closes it.
fn firsts(group: &str) -> Vec<&str> {
    let (mut depth, mut starts, mut fresh) = (0, Vec::new(), true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            c if fresh && !c.is_whitespace() => {
                starts.push(&group[at..]);
                fresh = false;
            }
            _ => {}
        }
    }
    starts
}

/// The imports of a package from one room to another.
fn imports(package: &Path) -> Vec<Import> {
    let src = package.join("src");
    let mut paths = Vec::new();
    files(&src, &mut paths);
    let mut imports = Vec::new();
    for path in paths {
        let module = module(&src, &path);
        let Some(room) = module.first() else { continue };
        let mut named = BTreeSet::new();
        rooms_named(&code(&fs::read_to_string(&path).unwrap()), &module, &mut named);
        named.remove(room);
        imports.extend(named.into_iter().map(|other| (room.clone(), path.clone(), other)));
    }
    imports
}

#[test]
fn no_import_goes_up() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut wrong, mut met) = (Vec::new(), BTreeSet::new());
    for package in PACKAGES {
        let lib = fs::read_to_string(root.join(package).join("src/lib.rs")).unwrap();
        let order = order(&lib);
        assert!(!order.is_empty(), "{package}: lib.rs needs a list of its rooms");
        let places: BTreeMap<&str, usize> =
            order.iter().enumerate().map(|(place, name)| (name.as_str(), place)).collect();
        for name in modules(&lib) {
            assert!(places.contains_key(name), "{package}: `{name}` is not in the list");
        }
        let shown = shown(&lib);
        for (room, file, other) in imports(&root.join(package)) {
            let other = shown.get(&other).filter(|module| **module != room).unwrap_or(&other).clone();
            // What is neither a room nor comes from one is a macro.
            let (Some(here), Some(there)) = (places.get(room.as_str()), places.get(other.as_str())) else {
                continue;
            };
            let still = STILL.iter().find(|(of, from, to, _)| (*of, *from, *to) == (package, &room, &other));
            match still {
                _ if there < here => {}
                Some(still) => _ = met.insert(still),
                None => wrong.push(format!("{}: `{room}` imports `{other}`", file.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "these imports go up:\n{}", wrong.join("\n"));
    for still in STILL {
        assert!(met.contains(still), "{still:?} is no longer needed");
    }
}

#[test]
fn no_source_file_is_long() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    PACKAGES.iter().for_each(|package| files(&root.join(package).join("src"), &mut paths));
    files(&root.join("benches"), &mut paths);
    let length = |path: &PathBuf| without_tests(&fs::read_to_string(path).unwrap()).lines().count();
    let name = |path: &PathBuf| {
        let path = path.strip_prefix(root).unwrap();
        path.strip_prefix(".").unwrap_or(path).display().to_string()
    };
    let lengths: Vec<(String, usize)> = paths.iter().map(|path| (name(path), length(path))).collect();
    let is_long = |(_, lines): &&(String, usize)| *lines > LINES_MAX;
    let long: BTreeMap<&str, usize> =
        lengths.iter().filter(is_long).map(|(name, lines)| (name.as_str(), *lines)).collect();
    let new: Vec<_> = long.iter().filter(|(name, _)| !STILL_LONG.contains(name)).collect();
    assert!(new.is_empty(), "split these files (lines without tests; at most {LINES_MAX}): {new:?}");
    for still in STILL_LONG {
        assert!(long.contains_key(still), "{still} is no longer too long: take it off the list");
    }
}

#[test]
fn imports_are_found() {
    for (module, code, rooms) in [
        ("a b", "use crate::c::D;", "c"),
        ("a b", "use crate::{c, d::{E, f}, g as h};", "c d g"),
        ("a b", "let x = crate::c::d(); crate::e!();", "c e"),
        ("a b", "use super::c; use super::super::d::E; use super::{e, f};", "d"),
        ("a", "use super::{c, d::E};", "c d"),
        ("a b c", "use super::super::d; use super::super::super::e;", "e"),
        ("a", "use other_crate::c; use $crate::d;", ""),
    ] {
        let module: Vec<String> = module.split(' ').map(str::to_owned).collect();
        let mut found = BTreeSet::new();
        rooms_named(code, &module, &mut found);
        assert_eq!(found.into_iter().collect::<Vec<_>>().join(" "), rooms, "{code}");
    }
}
