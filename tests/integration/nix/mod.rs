//! The NixOS module and the flake, as far as they can be tried without nixpkgs: by the language itself, by a stand-in of the
//! module system (tests/nix/module-system.nix says so), and by builds that run the built program.

mod documents;
mod fleet;
mod settings;
mod units;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::Unavailable;
use crate::support::agent::PROGRAM;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const HOSTS: [&str; 4] = ["monitor", "web1", "db1", "nas"];

/// A store of the test's own.
struct Nix {
    home: tempfile::TempDir,
}

impl Nix {
    fn new() -> Result<Nix, Unavailable> {
        if !Path::new("/usr/bin/nix-instantiate").exists() {
            return Err(Unavailable("nix-instantiate is missing (Debian package nix-bin)".to_owned()));
        }
        let home = tempfile::tempdir().unwrap();
        for name in ["store", "var", "log", "etc", "program/bin", "loki/bin"] {
            fs::create_dir_all(home.path().join(name)).unwrap();
        }
        let settings = "sandbox = false\nbuild-users-group =\nexperimental-features = nix-command flakes\nflake-registry =\n";
        fs::write(home.path().join("etc/nix.conf"), settings).unwrap();
        symlink(PROGRAM, home.path().join("program/bin/journal-ship")).unwrap();
        // It is asked to verify; whether what it gets is right is looked at here.
        let loki = home.path().join("loki/bin/loki");
        fs::write(&loki, "#!/bin/sh\ntest \"$1\" = -verify-config\n").unwrap();
        assert!(Command::new("chmod").arg("+x").arg(&loki).status().unwrap().success());
        Ok(Nix { home })
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let at = |name: &str| self.home.path().join(name);
        Command::new(program)
            .args(arguments)
            .current_dir(ROOT)
            .env("NIX_STORE_DIR", at("store"))
            .env("NIX_STATE_DIR", at("var"))
            .env("NIX_LOG_DIR", at("log"))
            .env("NIX_CONF_DIR", at("etc"))
            .env("HOME", self.home.path())
            .output()
            .unwrap()
    }

    /// An expression about a host with these modules: `(import tests/nix/evaluate.nix { … }).WHAT`.
    fn expression(&self, modules: &str, what: &str) -> String {
        let home = self.home.path().display();
        format!(
            "(import {ROOT}/tests/nix/evaluate.nix {{ program = \"{home}/program\"; loki = \"{home}/loki\"; \
             modules = [ {modules} ]; }}).{what}"
        )
    }

    fn evaluate(&self, modules: &str, what: &str) -> Result<Value, String> {
        let expression = self.expression(modules, what);
        let out = self.run("nix-instantiate", &["--eval", "--strict", "--json", "--expr", &expression]);
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        if out.status.success() { Ok(serde_json::from_slice(&out.stdout).unwrap()) } else { Err(errors) }
    }

    /// What the module says about a host with this as the content of `services.journalship`.
    fn report(&self, journalship: &str) -> Result<Value, String> {
        self.evaluate(&host(journalship), "report")
    }

    fn build(&self, modules: &str, what: &str) -> Result<PathBuf, String> {
        let expression = self.expression(modules, what);
        let out = self.run("nix-build", &["--no-out-link", "--expr", &expression]);
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        if out.status.success() {
            Ok(PathBuf::from(String::from_utf8(out.stdout).unwrap().trim()))
        } else {
            Err(errors)
        }
    }
}

fn host(journalship: &str) -> String {
    format!("{{ networking.hostName = \"web1\"; services.journalship = {{ {journalship} }}; }}")
}

/// What a flake makes of a host: its modules.
fn of_flake(flake: &Path, host: &str) -> String {
    let flake = flake.display();
    format!(
        "{{ imports = ((import {flake}).outputs {{ \
           nixpkgs.lib = (import {ROOT}/tests/nix/module-system.nix).lib // {{ nixosSystem = system: system.modules; }}; \
           agenix.nixosModules.default = {{ }}; journal-ship.nixosModules.default = {{ }}; \
         }}).nixosConfigurations.{host}; }}"
    )
}

fn of_fleet(host: &str) -> String {
    of_flake(&Path::new(ROOT).join("demo/fleet/flake.nix"), host)
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect()
}
