//! What is written against what is there: files, options, examples, the flake.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{HOSTS, Nix, ROOT, of_flake};
use crate::support::or_skip;

#[test]
fn everything_is_nix() {
    let nix = or_skip!(Nix::new());
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(ROOT)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() && entry.file_name() != "target" && entry.file_name() != ".git" {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "nix") {
                files.push(path);
            }
        }
    }
    assert!(files.len() >= 15, "{files:?}");
    for file in files {
        let out = nix.run("nix-instantiate", &["--parse", file.to_str().unwrap()]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

/// What stands in the document for a default or an example.
fn shown(title: &str, value: &Value) -> Option<String> {
    let nix = match (value["nix"].as_str(), value["words"].as_str()) {
        (Some(nix), _) => nix.trim_end(),
        (None, words) => return words.map(|words| format!("*{title}:* {words}\n\n")),
    };
    match nix.contains('\n') {
        true => Some(format!("*{title}:*\n\n```\n{nix}\n```\n\n")),
        false => Some(format!("*{title}:* `{nix}`\n\n")),
    }
}

/// `BLESS=1` writes `docs/nixos-options.md` anew. It has the form of nixpkgs' nixosOptionsDoc.
#[test]
fn every_option_is_described() {
    let nix = or_skip!(Nix::new());
    let path = format!("{ROOT}/docs/nixos-options.md");
    let mut made = "# Options of the NixOS module\n\n[nixos.md](nixos.md) shows how they go together. This list is made of the module: \
                    `BLESS=1 cargo test --test integration nix::` writes it anew.\n\n"
        .to_owned();
    for option in nix.evaluate("", "options").unwrap().as_array().unwrap() {
        let text = |key: &str| option[key].as_str().unwrap_or_else(|| panic!("{option} has no {key}"));
        let description = text("description").trim();
        assert!(description.split_whitespace().count() > 2, "{option}");
        let example = shown("Example", &option["example"]);
        assert!(example.is_some() || text("type") == "boolean", "{option} has no example");
        let default = shown("Default", &option["default"]).unwrap_or("It has to be set.\n\n".to_owned());
        write!(
            made,
            "## `services.journalship.{}`\n\n{description}\n\n*Type:* {}\n\n{default}{}",
            text("name"),
            text("type"),
            example.unwrap_or_default()
        )
        .unwrap();
    }
    let made = format!("{}\n", made.trim_end());
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), made, "BLESS=1 writes docs/nixos-options.md anew");
}

/// The parts that nixpkgs gives the package, as far as its description needs them.
const PACKAGE: &str = "(import ./config/nix/package.nix { buildPackages = { }; stdenv.hostPlatform.emulatorAvailable = _: true; \
    stdenv.hostPlatform.emulator = _: \"\"; tzdata = { }; rustPlatform.buildRustPackage = package: package; lib = { \
    importTOML = path: builtins.fromTOML (builtins.readFile path); fileset.toSource = _: null; fileset.unions = _: null; \
    optionalString = condition: text: if condition then text else \"\"; platforms.linux = [ \"x86_64-linux\" ]; \
    licenses = { mit = \"mit\"; asl20 = \"asl20\"; }; sourceTypes.fromSource = \"source\"; }; })";

#[test]
fn the_package_says_what_it_is() {
    let nix = or_skip!(Nix::new());
    let expression = format!("with {PACKAGE}; {{ inherit version meta postInstall; }}");
    let out = nix.run("nix-instantiate", &["--eval", "--strict", "--json", "--expr", &expression]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let package: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    let meta = &package["meta"];
    for key in ["description", "longDescription", "homepage", "changelog", "mainProgram"] {
        assert!(meta[key].as_str().is_some_and(|text| text.len() > 5), "{key}: {meta}");
    }
    for key in ["license", "platforms", "sourceProvenance"] {
        assert!(meta[key].as_array().is_some_and(|list| !list.is_empty()), "{key}: {meta}");
    }
    // nixpkgs wants the first letter large, and no article, full stop or name of the package.
    let description = meta["description"].as_str().unwrap();
    assert!(description.starts_with(char::is_uppercase) && !description.ends_with('.'), "{description}");
    // The Makefile knows what it is asked for.
    for goal in ["data", "generated"] {
        assert!(package["postInstall"].as_str().unwrap().contains(&format!("make {goal} PREFIX=$out")));
        let makefile = fs::read_to_string(format!("{ROOT}/Makefile")).unwrap();
        assert!(makefile.lines().any(|line| line.starts_with(&format!("{goal}:"))), "{goal}");
    }
}

#[test]
fn what_the_documentation_shows_works() {
    let nix = or_skip!(Nix::new());
    let read = |name: &str| fs::read_to_string(format!("{ROOT}/docs/{name}")).unwrap();
    let guide = read("start.md") + &read("nixos.md");
    let mut shown: Vec<&str> =
        guide.split("```nix\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    for name in
        ["flake.nix", "logging.nix", "hosts/monitor.nix", "hosts/web1.nix", "hosts/db1.nix", "hosts/nas.nix"]
    {
        let text = fs::read_to_string(format!("{ROOT}/demo/fleet/{name}")).unwrap();
        let before = shown.len();
        shown.retain(|block| *block != text);
        assert_eq!(shown.len(), before - 1, "docs/nixos.md does not show demo/fleet/{name} as it is");
    }
    assert!(shown.len() >= 4, "{shown:?}");
    for block in shown {
        let modules = if block.contains("outputs =") {
            fs::write(nix.home.path().join("flake.nix"), block).unwrap();
            fs::write(nix.home.path().join("configuration.nix"), "{ networking.hostName = \"web1\"; }")
                .unwrap();
            of_flake(&nix.home.path().join("flake.nix"), "web1")
        } else {
            let converted = nix.home.path().join("journal-ship.json");
            fs::write(&converted, r#"{"loki": [{"url": "http://l"}], "journal": {"backfill": "1d"}}"#)
                .unwrap();
            let block = block.replace("./journal-ship.json", converted.to_str().unwrap());
            format!(
                "({{ config, ... }}: {{ services.journalship.enable = true; age.secrets.loki-password.file = ./secret; \
                 {block} }})"
            )
        };
        let report = nix.evaluate(&modules, "report").unwrap_or_else(|error| panic!("{block}\n{error}"));
        assert_eq!(report["failed"], serde_json::json!([]), "{block}");
        assert_eq!(report["warnings"], serde_json::json!([]), "{block}");
        nix.build(&modules, "agent").unwrap_or_else(|error| panic!("{block}\n{error}"));
    }
}

#[test]
fn the_flake_shows_what_it_has() {
    let nix = or_skip!(Nix::new());
    // Not all of the project: a flake at a path is copied, with everything that was built.
    let flake = nix.home.path().join("flake");
    let nixpkgs = nix.home.path().join("nixpkgs");
    let copy = |from: &str, to: &Path| {
        fs::create_dir_all(to).unwrap();
        assert!(
            Command::new("cp").arg("-r").arg(format!("{ROOT}/{from}")).arg(to).status().unwrap().success()
        );
    };
    for name in ["flake.nix", "module.nix", "config", "demo", "Cargo.toml"] {
        copy(name, &flake);
    }
    copy("tests/nix", &flake.join("tests"));
    copy("tests/nix/nixpkgs/flake.nix", &nixpkgs);
    copy("tests/nix/module-system.nix", &nixpkgs);
    let (flake, nixpkgs) = (format!("path:{}", flake.display()), format!("path:{}", nixpkgs.display()));
    let arguments = [
        "--offline",
        "flake",
        "show",
        "--json",
        "--no-write-lock-file",
        &flake,
        "--override-input",
        "nixpkgs",
        &nixpkgs,
    ];
    let out = nix.run("nix", &arguments);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let shown: Value = serde_json::from_slice(&out.stdout).unwrap();
    for system in ["x86_64-linux", "aarch64-linux"] {
        let names = |kind: &str| -> Vec<&str> {
            shown[kind][system].as_object().unwrap().keys().map(String::as_str).collect()
        };
        assert_eq!(names("packages"), ["default", "static"]);
        assert_eq!(names("apps"), ["default"]);
        assert_eq!(names("devShells"), ["default"]);
        let fleets = ["fleet", "fleet-journal"]
            .iter()
            .flat_map(|fleet| HOSTS.iter().map(move |host| format!("{fleet}-{host}")));
        let others = ["clippy", "fmt", "package", "vm"].map(str::to_owned);
        let mut checks: Vec<String> = fleets.chain(others).collect();
        checks.sort();
        assert_eq!(names("checks"), checks);
        assert!(shown["formatter"][system].is_object());
    }
    assert_eq!(shown["nixosModules"]["default"]["type"], "nixos-module");
    assert_eq!(shown["overlays"]["default"]["type"], "nixpkgs-overlay");
}
