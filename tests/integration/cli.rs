//! The command line as a person meets it: what is said, and the exit status.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Output, Stdio};

use crate::dry_run::text;
use crate::support::agent::{COUNTS, output, program};
use crate::support::journald::{Journald, wait_until};
use crate::support::or_skip;

#[test]
fn output_that_cannot_be_written_is_a_failure_that_names_it() {
    for args in [&["--dry-run", "--path", "demo/journal"][..], &["check", "--config", "config/config.yaml"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let out = program(args).current_dir(env!("CARGO_MANIFEST_DIR")).stdout(full).output().unwrap();
        assert_eq!(out.status.code(), Some(1));
        assert!(text(&out.stderr).contains("standard output cannot be written"), "{}", text(&out.stderr));
    }
}

#[test]
fn a_journal_that_may_not_be_read_names_path_group_and_remedy() {
    let journald = or_skip!(Journald::start());
    journald.send_native(&[("MESSAGE", b"secret")]);
    journald.sync();
    let files = journald.files_dir();
    for path in [journald.dir(), files.clone()] {
        for ancestor in path.ancestors().take_while(|a| a.starts_with("/tmp/") && *a != Path::new("/tmp")) {
            fs::set_permissions(ancestor, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    let file = files.join("system.journal");
    // A group that every system has; journald's own is made by its package.
    let adm = fs::read_to_string("/etc/group").unwrap();
    let gid = adm.lines().find_map(|l| l.strip_prefix("adm:x:")?.split(':').next()?.parse().ok()).unwrap();
    std::os::unix::fs::chown(&file, None, Some(gid)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();

    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let config = home.path().join("config.yaml");
    let yaml = format!(
        "journal: {{paths: [{:?}]}}\nloki: [{{url: 'http://127.0.0.1:9'}}]\nstate_directory: {:?}\nhttp: {{listen: null}}\n",
        journald.dir(),
        home.path().join("state")
    );
    fs::write(&config, yaml).unwrap();
    for args in [
        &["--dry-run", "--path", journald.dir().to_str().unwrap()][..],
        &["--config", config.to_str().unwrap()],
    ] {
        let out = as_nobody(args, home.path());
        let stderr = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{stderr}");
        for part in [
            &format!("{}: permission denied; it is readable for group `adm`", file.display()),
            "SupplementaryGroups=adm",
            "usermod -aG adm",
        ] {
            assert!(stderr.contains(part), "no {part:?} in:\n{stderr}");
        }
        assert_eq!(stderr.matches("permission denied").count(), 1, "{stderr}");
    }
}

/// The program as an ordinary user, in a folder of its own.
pub(crate) fn as_nobody(args: &[&str], home: &Path) -> Output {
    let mut command = program(args);
    // Copied, because the folder of the build need not be open to others.
    let binary =
        home.parent().unwrap().join(format!("journal-ship-{}", home.file_name().unwrap().to_string_lossy()));
    fs::copy(command.get_program(), &binary).unwrap();
    command = {
        let mut copy = std::process::Command::new(&binary);
        // Nobody may write counts of lines where the others do.
        copy.args(args).env_clear().env("TZ", "UTC").env(COUNTS, "/dev/null").stdin(Stdio::null());
        copy
    };
    command.uid(65534).gid(65534).current_dir(home);
    // A process that another test is just starting may still have the copy open for writing.
    let mut out = command.output();
    wait_until("the copy can be started", || {
        let busy = out.as_ref().is_err_and(|e| e.kind() == ErrorKind::ExecutableFileBusy);
        if busy {
            out = command.output();
        }
        !busy
    });
    fs::remove_file(binary).unwrap();
    out.unwrap()
}

#[test]
fn exit_statuses_and_words_are_as_documented() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = file("good.yaml", "loki: [{url: 'http://loki:3100'}]\n");
    let bad = file("bad.yaml", "lokki: []\njournal: {backfil: 1d}\n");
    let none = file("none.yaml", "line: json\n");
    let rules = file("rules.yaml", "groups: [{name: a, rules: [{alert: A, expr: 'vector(1)'}]}]\n");
    let tests = file("tests.yaml", "rule_files: [rules.yaml]\ntests: []\n");
    let manifest = file(
        "manifest.yaml",
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec: {groups: []}\n",
    );
    let theirs = file("promtail.yaml", "clients: []\nscrape_configs: [{job_name: j, journal: {}}]\n");
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let empty = empty.display().to_string();
    let state = file(
        "state.yaml",
        "journal: {paths: [/etc]}\nloki: [{url: 'http://loki:3100'}]\nstate_directory: /proc/nowhere\n",
    );
    for (args, status, parts) in [
        (&["check", "--config", &good][..], 0, &["valid; 1 destination"][..]),
        (&["--config", &good, "check"], 0, &["valid"]),
        (&["check", "--config", &none], 0, &["no destination"]),
        (&["check", "--config", &bad], 78, &["lokki", "did you mean `loki`", "backfil", "bad.yaml:1:1", "^"]),
        (&["check", "--config", "/nowhere.yaml"], 78, &["/nowhere.yaml"]),
        (&["--config", &bad], 78, &["lokki"]),
        (&["--dry-run", "--config", &bad], 78, &["lokki"]),
        (&["--config", &none], 78, &["there is no destination", "url: http://loki:3100"]),
        (&["--config", &state], 1, &["cannot keep state in /proc/nowhere"]),
        (&["--since", "1h ago"], 2, &["--dry-run"]),
        (&["--dry-run", "--since", "whenever"], 2, &["--since", "whenever"]),
        (&["--dry-run", "--since", "now", "--until", "-1h"], 2, &["--since is after --until"]),
        (&["--dry-run", "-o", "xml"], 2, &["xml"]),
        (&["--dryrun"], 2, &["--dry-run"]),
        (&["--dry-run", "check"], 2, &["check"]),
        (&["--dry-run", "--path", "/nowhere"], 1, &["/nowhere: no such file"]),
        (
            &["--dry-run", "--path", "/proc/self/fdinfo"],
            1,
            &["no journal can be read", "not named *.journal", "--path FOLDER"],
        ),
        (&["--dry-run", "--path", &empty], 1, &["an empty folder", "is it running here?"]),
        (
            &["check", "--config", &rules],
            78,
            &["this is a rule file, where journal-ship's", "alerts.rule_files"],
        ),
        (&["--config", &rules], 78, &["this is a rule file"]),
        (
            &["rules", "test", &rules],
            78,
            &["this is a rule file, not a file of tests", "rule_files: [rules.yaml]"],
        ),
        (&["check", "--config", &tests], 78, &[&format!("journal-ship rules test {tests}`")]),
        (&["check", "--config", &manifest], 78, &["PrometheusRule", "take what is under `spec`"]),
        (&["rules", "test", &manifest], 78, &["PrometheusRule", "take what is under `spec`"]),
        (&["check", "--config", &theirs], 78, &["Promtail's configuration", "journal-ship convert promtail"]),
        (&["rules", "test", &theirs], 78, &["Promtail's configuration", "where a file of tests is expected"]),
        (&["convert", "promtail", &good], 1, &["journal-ship's own configuration", "check --config"]),
        (&["convert", "promtail", &empty], 1, &["name a file in it"]),
        (&["rules", "test", &empty], 1, &["name a file in it"]),
        (&["rules", "test", "/nowhere.yaml"], 1, &["/nowhere.yaml cannot be read", "is the name right?"]),
        (&["--version"], 0, &[env!("CARGO_PKG_VERSION")]),
        (&["--help"], 0, &["--dry-run", "check", "--since"]),
    ] {
        let out = output(args);
        let words = text(&out.stdout) + &text(&out.stderr);
        assert_eq!(out.status.code(), Some(status), "{args:?}: {words}");
        for part in parts {
            assert!(words.contains(part), "{args:?}: no {part:?} in:\n{words}");
        }
        if status != 0 {
            assert_eq!(text(&out.stdout), "", "{args:?}: errors go to standard error");
        }
    }
}

#[test]
fn what_only_the_service_knows_need_not_be_checked() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config.yaml");
    let check = |config: &str, more: &[&str]| {
        fs::write(&path, config).unwrap();
        let mut args = vec!["check", "--config", path.to_str().unwrap()];
        args.extend(more);
        let out = output(&args);
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    };
    let config =
        "loki: [{url: \"http://${LOKI_HOST}:3100\", tenant: \"${TENANT}\"}]\nlog_level: \"${LEVEL}\"\n";
    let (status, _, errors) = check(config, &[]);
    assert_eq!(status, Some(78));
    for name in ["LOKI_HOST", "TENANT", "LEVEL"] {
        assert!(
            errors.contains(&format!("error: `{}", if name == "LEVEL" { "log_level" } else { "loki[0]" }))
        );
        assert!(errors.contains(&format!("the environment variable `{name}` is not set")), "{errors}");
    }
    let (status, said, warnings) = check(config, &["--allow-unset"]);
    assert_eq!(status, Some(0), "{warnings}");
    assert!(said.ends_with("valid; 1 destination\n"), "{said}");
    assert_eq!(warnings.matches("warning: `").count(), 3, "{warnings}");
    assert!(warnings.contains("^^^^^^^^ not checked") && !warnings.contains("error"), "{warnings}");
    // Everything else is.
    let (status, _, errors) = check(&format!("{config}line: \"${{X\"\nlables: {{}}\n"), &["--allow-unset"]);
    assert_eq!(status, Some(78));
    assert!(errors.contains("`${` without `}`") && errors.contains("unknown key `lables`"), "{errors}");
    // Where systemd puts credentials is known.
    let config = "loki: [{url: http://loki:3100, bearer_token_file: \"${CREDENTIALS_DIRECTORY}/token\"}]\n";
    assert_eq!(check(config, &[]).0, Some(0));
}
