//! The man pages: complete, and without a warning of the programs that show them.

use std::io::Write;
use std::process::{Command, Stdio};

use journal_ship::config::KEYS;

use crate::support::agent::output;
use crate::support::or_skip;
use crate::support::unavailable::Unavailable;

const PAGES: [&str; 2] = ["journal-ship", "journal-ship.yaml"];

fn page(name: &str) -> String {
    String::from_utf8(output(&["man", name]).stdout).unwrap()
}

/// What a program says of a page on its standard input: its output and its errors.
fn said(command: &[&str], page: &str) -> Result<(String, String), Unavailable> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| Unavailable(format!("{}: {error}", command[0])))?;
    let mut stdin = child.stdin.take().unwrap();
    let page = page.to_owned();
    let writes = std::thread::spawn(move || stdin.write_all(page.as_bytes()));
    let out = child.wait_with_output().unwrap();
    // A program that has seen enough closes its input.
    let _ = writes.join().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(&out.stdout), text(&out.stderr)))
}

#[test]
fn the_pages_have_every_command_and_every_key() {
    assert_eq!(page("journal-ship").as_bytes(), output(&["man"]).stdout);
    // Without fonts and escapes.
    let plain = |name: &str| page(name).replace("\\fB", "").replace("\\fR", "").replace('\\', "");
    let program = plain("journal-ship");
    for title in
        ["SYNOPSIS", "OPTIONS", "COMMANDS", "EXIT STATUS", "SIGNALS", "FILES", "EXAMPLES", "SEE ALSO"]
    {
        assert!(program.contains(&format!(".SH \"{title}\"\n")), "{title}");
    }
    for command in [
        "check",
        "config show",
        "query [LOGQL|FIELD=VALUE]",
        "verify",
        "convert promtail FILE",
        "rules test FILE",
    ] {
        assert!(program.contains(&format!(".SS \"{command}\"\n")), "{command}\n{program}");
    }
    assert!(program.contains(".TP\n--repair\n") && program.contains(".TP\n-n, --lines <N>\n"), "{program}");
    let configuration = plain("journal-ship.yaml");
    for key in KEYS {
        assert!(configuration.contains(&format!(".TP\n{}\n", key.path)), "{}", key.path);
    }
    // No page names one of ours that is not there.
    for text in [&program, &configuration] {
        for (at, _) in text.match_indices("journal-ship") {
            let name: String =
                text[at..].chars().take_while(|c| c.is_alphanumeric() || "-._".contains(*c)).collect();
            let after = &text[at + name.len()..];
            if after.starts_with('(') {
                assert!(PAGES.contains(&name.as_str()), "{name}");
            }
        }
    }
}

#[test]
fn groff_warns_of_nothing() {
    for name in PAGES {
        let (shown, warnings) = or_skip!(said(
            &["groff", "-man", "-ww", "-Kutf8", "-Tutf8", "-rLL=110n", "-P-cbou"],
            &page(name)
        ));
        assert_eq!(warnings, "", "{name}");
        assert!(shown.contains("SEE ALSO"), "{name}");
    }
}

/// It warns that there is no date: a page is made at any time, and the same version is the same page.
#[test]
fn mandoc_warns_of_nothing_but_the_missing_date() {
    for name in PAGES {
        let (warnings, errors) = or_skip!(said(&["mandoc", "-Tlint", "-Wwarning"], &page(name)));
        let others: Vec<&str> = warnings.lines().filter(|line| !line.contains("missing date")).collect();
        assert!(others.is_empty() && errors.is_empty(), "{name}: {others:?} {errors}");
    }
}
