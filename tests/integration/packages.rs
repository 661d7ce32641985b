//! The packages against each other: whichever way it is installed, the same files are there.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::package::{Packages, needs};
use crate::support::{Unavailable, or_skip, root};

/// Files that only Debian wants, below /usr/share/doc/journal-ship.
const OF_DEBIAN: [&str; 2] = ["copyright", "changelog"];

/// What a package says of a file: its access, as ls(1) shows it.
type Files = BTreeMap<String, String>;

fn output(command: &mut Command) -> Output {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out
}

/// The files in lines that begin with the access and end with the path; a path ends where a link begins, and Debian compresses some.
fn files(lines: &[u8], of: usize) -> Files {
    let text = String::from_utf8(lines.to_vec()).unwrap();
    let mut files = Files::new();
    for line in text.lines().filter(|line| line.starts_with('-')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let path = words[of].trim_start_matches('.').trim_end_matches(".gz");
        files.insert(path.to_owned(), words[0].to_owned());
    }
    files
}

#[test]
fn deb_and_rpm_have_the_same_files() {
    let packages = Packages::new();
    let (deb, rpm) = (or_skip!(packages.deb()), or_skip!(packages.rpm()));
    or_skip!(needs("dpkg-deb", &["--version"], "dpkg-deb is missing (Debian package dpkg)"));
    or_skip!(needs("rpm", &["--version"], "rpm is missing (Debian package rpm)"));

    let mut of_deb = files(&output(Command::new("dpkg-deb").arg("-c").arg(&deb)).stdout, 5);
    of_deb
        .retain(|path, _| !OF_DEBIAN.iter().any(|name| path.ends_with(&format!("doc/journal-ship/{name}"))));
    let format = "[%{FILEMODES:perms} %{FILENAMES}\\n]";
    let of_rpm = files(&output(Command::new("rpm").args(["-qp", "--qf", format]).arg(&rpm)).stdout, 1);
    assert_eq!(of_deb, of_rpm);
    assert_eq!(of_rpm["/etc/journal-ship/config.yaml"], "-rw-r-----", "nobody else reads it");
    assert_eq!(of_rpm["/usr/bin/journal-ship"], "-rwxr-xr-x");

    // Each configuration, document, picture, rule and dashboard that there is.
    for (from, ending, to) in [
        ("config/grafana", "json", "/usr/share/journal-ship/grafana"),
        ("config/prometheus", "yaml", "/usr/share/journal-ship/prometheus"),
        ("config/recipes", "yaml", "/usr/share/journal-ship/recipes"),
        ("config/rules", "yaml", "/usr/share/journal-ship/rules"),
        ("docs", "md", "/usr/share/doc/journal-ship/docs"),
        ("docs/screenshots", "png", "/usr/share/doc/journal-ship/docs/screenshots"),
    ] {
        let there = std::fs::read_dir(root().join(from)).unwrap().map(|entry| entry.unwrap().path());
        let wanted: Vec<_> = there.filter(|path| path.extension().is_some_and(|end| end == ending)).collect();
        assert!(!wanted.is_empty(), "{from}");
        for path in wanted {
            let name = format!("{to}/{}", path.file_name().unwrap().to_str().unwrap());
            assert_eq!(of_rpm.get(&name).map(String::as_str), Some("-rw-r--r--"), "{name}");
        }
    }
    for name in [
        "/usr/lib/systemd/system/journal-ship.service",
        "/usr/lib/systemd/system/journal-ship-verify.timer",
        "/usr/share/man/man5/journal-ship.yaml.5",
        "/usr/share/man/man8/journal-ship.8",
        "/usr/share/bash-completion/completions/journal-ship",
        "/usr/share/journal-ship/config.schema.json",
        "/usr/share/doc/journal-ship/README.md",
    ] {
        assert!(of_rpm.contains_key(name), "{name}");
    }

    // What rpm has and Debian's scripts do: the group of the configuration.
    let format = "[%{FILENAMES} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILEFLAGS:fflags}\\n]";
    let owners = output(Command::new("rpm").args(["-qp", "--qf", format]).arg(&rpm)).stdout;
    let owners = String::from_utf8(owners).unwrap();
    let configuration = "/etc/journal-ship/config.yaml root systemd-journal cn\n";
    assert!(owners.contains(configuration), "an own configuration is kept: {owners}");
}

/// The README's lines for the tarball, in the folder of the download. What they would change in the system they change in `system`.
fn install_as_the_readme_says(download: &Path, system: &Path) {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, lines) = readme.split_once("**Any other Linux with systemd").unwrap();
    let lines = lines.split("\n**").next().unwrap().lines();
    let lines: Vec<&str> = lines.filter_map(|line| line.strip_prefix("    ")).collect();
    assert!(lines.len() >= 4, "{lines:?}");
    // An ordinary user cannot give a file to a group, and tells no systemd.
    let changes = [
        ("sudo ", String::new()),
        ("-g systemd-journal ", String::new()),
        ("systemctl daemon-reload", "true".to_owned()),
        (" /usr/local/", format!(" {}/usr/local/", system.display())),
        (" /etc/", format!(" {}/etc/", system.display())),
    ];
    let script = changes.iter().fold(lines.join("\n"), |script, (from, to)| {
        assert!(script.contains(from), "{from}");
        script.replace(from, to)
    });
    std::fs::create_dir_all(system.join("usr/local")).unwrap();
    // Once, and once more over it, as a new version is installed.
    for _ in 0..2 {
        output(Command::new("bash").args(["-euc", &script]).current_dir(download));
    }
}

#[test]
fn the_readme_installs_the_tarball() {
    let packages = Packages::new();
    let tarball = or_skip!(packages.tarball());
    or_skip!(match cfg!(target_arch = "x86_64") {
        true => Ok(()),
        false => Err(Unavailable("the README names the tarball for x86_64".to_owned())),
    });
    let (download, system) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::copy(&tarball, download.path().join(tarball.file_name().unwrap())).unwrap();
    output(Command::new("sh").args(["-c", "sha256sum *.gz > SHA256SUMS"]).current_dir(download.path()));
    install_as_the_readme_says(download.path(), system.path());
    let config = system.path().join("etc/journal-ship/config.yaml");
    let mut check = Command::new(system.path().join("usr/local/bin/journal-ship"));
    output(check.arg("check").arg("--config").arg(config));
}

/// The place of a link of a document that leads to a file of the project; elsewhere: `None`.
fn target(link: &str) -> Option<&str> {
    let path = link.split('#').next().unwrap_or_default();
    (!path.is_empty() && !path.contains("://")).then_some(path)
}

#[test]
fn the_tarball_runs_where_it_is_unpacked() {
    let packages = Packages::new();
    let tarball = or_skip!(packages.tarball());
    let home = tempfile::tempdir().unwrap();
    output(Command::new("tar").arg("-xzf").arg(&tarball).current_dir(home.path()));
    let folders: Vec<_> =
        std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    let folder = &folders[0];
    let run =
        |args: &[&str]| output(Command::new("bin/journal-ship").args(args).current_dir(folder).env_clear());
    let version = String::from_utf8(run(&["--version"]).stdout).unwrap();
    let name = folder.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with(&version.trim().replace(' ', "-")), "{name}: {version}");
    run(&["check", "--config", "etc/journal-ship/config.yaml"]);
    let unit = std::fs::read_to_string(folder.join("lib/systemd/system/journal-ship.service")).unwrap();
    assert!(unit.contains("\nExecStart=/usr/local/bin/journal-ship\n"), "{unit}");

    // The documents come with the pictures and documents that they show.
    let link = regex::Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let doc = folder.join("share/doc/journal-ship");
    let mut seen = 0;
    for part in ["", "docs"] {
        for path in std::fs::read_dir(doc.join(part)).unwrap().map(|entry| entry.unwrap().path()) {
            if path.extension().is_none_or(|end| end != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for found in link.captures_iter(&text).filter_map(|found| target(found.get(1)?.as_str())) {
                let there: &Path = &path.parent().unwrap().join(found);
                assert!(there.exists(), "{}: {found}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen}");
}
