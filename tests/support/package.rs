//! The packages of the program that is tested, made by the Makefile as a person makes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::agent::PROGRAM;
use super::{Unavailable, root};

/// A folder in which the Makefile makes packages of the built program.
pub struct Packages {
    target: tempfile::TempDir,
}

impl Packages {
    pub fn new() -> Packages {
        let target = tempfile::tempdir().unwrap();
        fs::create_dir(target.path().join("release")).unwrap();
        // Without what debuggers need it is packed in seconds.
        let program = target.path().join("release/journal-ship");
        let stripped = Command::new("strip").args(["--strip-debug", PROGRAM, "-o"]).arg(&program).status();
        if !stripped.is_ok_and(|status| status.success()) {
            fs::copy(PROGRAM, program).unwrap();
        }
        Packages { target }
    }

    /// The folder.
    pub fn target(&self) -> &Path {
        self.target.path()
    }

    /// Debian's package.
    pub fn deb(&self) -> Result<PathBuf, Unavailable> {
        needs("cargo", &["deb", "--version"], "cargo-deb is missing (`cargo install cargo-deb`)")?;
        // The smallest package is not what is tested.
        Ok(self.make("deb", &["DEBFLAGS=--fast"], ".deb"))
    }

    /// The package for systems with rpm.
    pub fn rpm(&self) -> Result<PathBuf, Unavailable> {
        let missing = "cargo-generate-rpm is missing (`cargo install cargo-generate-rpm`)";
        needs("cargo", &["generate-rpm", "--version"], missing)?;
        Ok(self.make("rpm", &["RPMFLAGS=--payload-compress=none"], ".rpm"))
    }

    /// The tarball, of the program that is there instead of one that is linked with musl.
    pub fn tarball(&self) -> Result<PathBuf, Unavailable> {
        needs("make", &["--version"], "make is missing")?;
        let program = format!("STATIC_BUILT={}", self.target().join("release/journal-ship").display());
        Ok(self.make("tarball", &[&program], ".tar.gz"))
    }

    fn make(&self, goal: &str, flags: &[&str], ending: &str) -> PathBuf {
        let target = format!("TARGET={}", self.target().display());
        let mut make = Command::new("make");
        make.current_dir(root()).args([goal, &target, "PROFILE=release", "BUILD=true"]).args(flags);
        let out = make.output().expect("make starts");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let mut made =
            fs::read_dir(self.target().join("packages")).unwrap().map(|entry| entry.unwrap().path());
        made.find(|path| path.to_str().is_some_and(|path| path.ends_with(ending))).expect("a package")
    }
}

/// Says that a program is missing if this command does not run.
pub fn needs(program: &str, args: &[&str], missing: &str) -> Result<(), Unavailable> {
    let runs = Command::new(program).args(args).output().is_ok_and(|out| out.status.success());
    if runs { Ok(()) } else { Err(Unavailable(missing.to_owned())) }
}
