//! Completions, as the shells themselves make them.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::agent::{clean_environment, program};
use crate::support::fixtures::{ExportEntry, Format, build_journal};
use crate::support::or_skip;

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/journal");

/// What a shell prints that finds the program under its name, and the script of completions in `$SCRIPT`.
fn shell(shell: &str, text: &str, home: &Path) -> String {
    let script = home.join(format!("_{}", env!("CARGO_PKG_NAME")));
    let made = program(&["completions", shell]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    std::fs::write(&script, made.stdout).unwrap();
    let link = home.join("bin").join(env!("CARGO_PKG_NAME"));
    if !link.exists() {
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(program::<&str>(&[]).get_program(), &link).unwrap();
    }
    let path = format!("{}:{}", link.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(shell);
    clean_environment(&mut command);
    command.args(["-c", text]).env("PATH", path).env("SCRIPT", &script).env("DEMO", DEMO).env("HOME", home);
    let out = command.current_dir(home).stdin(Stdio::null()).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}

/// What bash offers for each line of words; the last one is the one at hand.
fn bash(lines: &[&str], home: &Path) -> Vec<String> {
    const TRY: &str = r#"
        source "$SCRIPT"
        try() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _journal_ship_completed journal-ship "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            (IFS=,; printf '%s\n' "${COMPREPLY[*]}")
        }
    "#;
    let tries: String = lines.iter().map(|line| format!("try journal-ship {line}\n")).collect();
    shell("bash", &format!("{TRY}{tries}"), home).lines().map(str::to_owned).collect()
}

#[test]
fn bash_knows_options_and_what_the_journal_has() {
    let home = tempfile::tempdir().unwrap();
    let rows = [
        ("qu", "query"),
        ("query --dir", "--direction"),
        ("query --direction ''", "forward,backward"),
        ("verify --re", "--repair"),
        ("config sh", "show"),
        (r#"--path "$DEMO" labels '' "#, "host,job,level,service_name,unit"),
        (r#"--path = "$DEMO" labels se"#, "service_name"),
        (r#"query --path "$DEMO" -u ng"#, "nginx.service"),
        (
            r#"--path "$DEMO" series '\{host=\"oak\"\,\ job=\"systemd-journal\"\,\ level=\"no' "#,
            r#"\{host=\"oak\"\,\ job=\"systemd-journal\"\,\ level=\"notice\"\,\ service_name=\"kernel\"\}"#,
        ),
    ];
    let found = bash(&rows.map(|(line, _)| line), home.path());
    assert_eq!(found, rows.map(|(_, expected)| expected));
}

/// What an entry holds is text to the shell, and nothing to run.
#[test]
fn what_a_stranger_wrote_is_not_run() {
    let home = tempfile::tempdir().unwrap();
    let journal = home.path().join("strange.journal");
    let mut entry = ExportEntry::new(1_790_000_000_000_000);
    let unit = r#"$(touch run) `touch run`;touch run "x" '.service"#;
    entry.fields = vec![("_SYSTEMD_UNIT".to_owned(), unit.into()), ("MESSAGE".to_owned(), "x".into())];
    or_skip!(build_journal(&journal, &[entry], Format::default()));
    let found =
        bash(&["query --path strange.journal -u ''", "--path strange.journal series ''"], home.path());
    let unquoted = |text: &str| shell("bash", &format!("printf '%s' {text}"), home.path());
    assert_eq!(unquoted(&found[0]), unit);
    assert!(unquoted(&found[1]).contains("touch run"), "{found:?}");
    assert!(!home.path().join("run").exists());
}

#[test]
fn fish_knows_options_and_what_the_journal_has() {
    let home = tempfile::tempdir().unwrap();
    let found = shell(
        "fish",
        "source $SCRIPT
         for line in 'query --dir' 'verify --re' \"labels --path $DEMO se\" \"query --path=$DEMO -u ng\"
             complete -C \"journal-ship $line\" | string split -f1 \\t
         end
         complete -C \"journal-ship series --path $DEMO \" | string match -e cron",
        home.path(),
    );
    let cron = r#"{host="oak", job="systemd-journal", level="info", service_name="cron.service", unit="cron.service"}"#;
    let expected = format!("--direction\n--repair\nservice_name\nnginx.service\n{cron}\t29\n");
    assert_eq!(found, expected);
}

#[test]
fn zsh_knows_options_and_what_the_journal_has() {
    // A shell at a terminal, to which keys are typed; each answer is waited for.
    const TRY: &str = r#"
        zmodload zsh/zpty zsh/datetime
        zpty z zsh -f -i
        until_seen() {
            local out= chunk= begun=$EPOCHSECONDS
            until [[ ${out//[[:cntrl:]]/} == *$1* ]]; do
                ((EPOCHSECONDS - begun < 30)) || { print -r -- "no $1 in $out"; exit 1 }
                zpty -r -t z chunk && out+=$chunk || zselect -t 5
            done
        }
        zmodload zsh/zselect
        zpty -w z "PS1=; unsetopt zle_bracketed_paste; fpath=($HOME \$fpath); autoload -U compinit; compinit -u -D; bindkey '^I' complete-word"
        zpty -w z 'print be""gun'
        until_seen begun
        try() {
            zpty -w -n z "journal-ship $1"$'\t'
            until_seen "$2"
            zpty -w -n z $'\x15'
        }
        try 'query --dir' 'query --direction'
        try 'query -o c' 'query -o csv'
        try 'verify --rep' 'verify --repair'
        try 'config sh' 'config show'
        try "labels --path $DEMO ser" 'service_name'
        try "query --path $DEMO -u ng" 'nginx.service'
        zpty -d z
        print all
    "#;
    let home = tempfile::tempdir().unwrap();
    assert_eq!(shell("zsh", TRY, home.path()), "all\n");
}
