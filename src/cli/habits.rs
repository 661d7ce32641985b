//! journalctl's habits as arguments: options that choose entries, and others that hands know, for `query` and for `--dry-run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::answer::{fail, usage};
use crate::query::habits::{self, AnyOf};
use crate::query::{QueryError, boots};
use journald_reader::{Match, Scope};

#[derive(Debug, Args)]
pub(super) struct HabitArgs {
    /// Only what is about this unit, as journalctl takes it: "ssh", "nginx.service", "podman-*"
    #[arg(short, long, value_name = "UNIT")]
    unit: Vec<String>,

    /// Only this priority and worse ones, or a range: err, 4, warning..err. Of several, the last one counts
    #[arg(short, long, value_name = "PRIORITY", overrides_with = "priority")]
    priority: Option<String>,

    /// Only messages that match this regular expression; capitals matter if there are any in it
    #[arg(short, long, value_name = "PATTERN")]
    pub(super) grep: Option<String>,

    /// Only this SYSLOG_IDENTIFIER
    #[arg(short = 't', long, value_name = "IDENTIFIER")]
    identifier: Vec<String>,

    /// Only the kernel's messages, of this boot unless -b names another
    #[arg(short = 'k', long)]
    dmesg: bool,

    /// Only this boot: an id, or an offset, 0 for the last one, -1 for the one before; "all": all boots
    #[arg(short, long, value_name = "ID|OFFSET", num_args = 0..=1, default_missing_value = "0", allow_negative_numbers = true)]
    boot: Option<String>,

    /// The last 1,000 entries of the last boot, or of the one that -b names, or as many as -n says
    #[arg(short = 'e', long)]
    pub(super) pager_end: bool,

    /// Nothing on standard error but mistakes
    #[arg(short, long)]
    pub(super) quiet: bool,

    /// Nothing changes: there is no pager
    #[arg(long)]
    no_pager: bool,
}

impl HabitArgs {
    /// The boot that is asked for. What follows `-b` and names no boot is put in front of the words, as with journalctl.
    pub(super) fn boot(&self, words: &mut Vec<String>) -> Option<&str> {
        // As journalctl 252 does: the end is that of the last boot.
        let Some(boot) = self.boot.as_deref() else { return self.pager_end.then_some("0") };
        if boots::is_name(boot) {
            return Some(boot);
        }
        words.insert(0, boot.to_owned());
        Some("0")
    }

    /// Whether any of these was given.
    pub(super) fn any(&self) -> bool {
        let HabitArgs { unit, priority, grep, identifier, dmesg, boot, pager_end, quiet, no_pager } = self;
        !unit.is_empty()
            || !identifier.is_empty()
            || [dmesg, pager_end, quiet, no_pager].into_iter().any(|flag| *flag)
            || [priority, grep, boot].iter().any(|o| o.is_some())
    }
}

/// Takes matches out of what follows `--path`, which takes all words up to the next option, and puts them behind the words. A
/// file or folder that is there is none.
///
/// # Errors
/// Nothing but matches follows.
pub(super) fn places(paths: &[PathBuf], words: &mut Vec<String>) -> Result<Vec<PathBuf>, ExitCode> {
    let (matches, places): (Vec<_>, Vec<_>) = paths.iter().cloned().partition(|path| is_match(path));
    if places.is_empty() && !matches.is_empty() {
        return Err(usage("--path: write the folder or file to read in front of the matches"));
    }
    words.extend(matches.iter().filter_map(|path| path.to_str()).map(str::to_owned));
    Ok(places)
}

/// Refuses matches among what follows the `--path` of a command that takes none.
///
/// # Errors
/// There is one.
pub(super) fn no_matches(paths: &[PathBuf]) -> Result<(), ExitCode> {
    paths.iter().find(|path| is_match(path)).map_or(Ok(()), |path| {
        let path = path.display();
        Err(usage(&format!(
            "--path: there is no file or folder {path}; matches of fields go with --dry-run, or with `query`"
        )))
    })
}

/// Whether this is a match of fields, as `_PID=1`, or the `+` between two, and no file.
fn is_match(path: &Path) -> bool {
    let word = path
        .to_str()
        .filter(|word| *word == "+" || habits::fields(std::slice::from_ref(&(*word).to_owned())).is_ok());
    word.is_some() && path.symlink_metadata().is_err()
}

/// A regular expression as journalctl's `--grep` takes it: capitals matter only if there are any.
pub(super) fn pattern(grep: &str) -> String {
    if grep.chars().any(char::is_uppercase) { grep.to_owned() } else { format!("(?i){grep}") }
}

/// The matches that all options ask for together with those of the configuration.
pub(super) fn wanted(
    args: &HabitArgs,
    boot: Option<&str>,
    words: &[String],
    scope: &Scope,
) -> Result<Vec<Match>, ExitCode> {
    let wrong = |error: String| usage(&error);
    let failed = |error: QueryError| fail(&error);
    let mut conditions: Vec<AnyOf> = vec![scope.matches.clone(), habits::fields(words).map_err(wrong)?];
    if args.unit.iter().any(String::is_empty) {
        return Err(usage("--unit: the name of a unit is missing"));
    }
    if !args.unit.is_empty() {
        let units = unit_names(&args.unit, scope).map_err(failed)?;
        if units.is_empty() {
            let names = args.unit.join(", ");
            return Err(usage(&format!("no unit in this journal is called {names}")));
        }
        conditions.push(units.iter().flat_map(|name| habits::unit(name)).collect());
    }
    if let Some(priority) = &args.priority {
        conditions.push(habits::priority(priority).map_err(wrong)?);
    }
    if !args.identifier.is_empty() {
        conditions.push(habits::field("SYSLOG_IDENTIFIER", &args.identifier));
    }
    if args.dmesg {
        conditions.push(habits::field("_TRANSPORT", &["kernel".to_owned()]));
    }
    let boot = boot.or(args.dmesg.then_some("0"));
    if let Some(boot) = boot.filter(|boot| *boot != boots::ALL) {
        let known = boots::boots(scope).map_err(failed)?;
        let id = boots::boot(&known, boot).map_err(|error| usage(&format!("--boot: {error}")))?;
        conditions.push(habits::field("_BOOT_ID", &[id.to_string()]));
    }
    habits::all_of(&conditions).ok_or_else(|| usage("no entry can meet all of these conditions at once"))
}

/// The full names of units; patterns are tried on all that the journal knows.
fn unit_names(names: &[String], scope: &Scope) -> Result<Vec<String>, QueryError> {
    let mut all = Vec::new();
    let mut known = None;
    for name in names {
        if !habits::is_pattern(name) {
            all.push(habits::unit_name(name, false));
            continue;
        }
        let known = match &mut known {
            Some(known) => known,
            none => none.insert(boots::values(scope, &habits::UNIT_FIELDS)?),
        };
        // What is no pattern after all matches itself.
        let full = habits::unit_name(name, true);
        match glob::Pattern::new(&full) {
            Ok(pattern) => all.extend(known.iter().filter(|unit| pattern.matches(unit)).cloned()),
            Err(_) => all.push(full),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_behind_a_path_are_matches_unless_they_are_files() {
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("A=1");
        std::fs::write(&named, "").unwrap();
        let read = |paths: &[&Path]| {
            let mut words = vec!["C=3".to_owned()];
            let paths: Vec<_> = paths.iter().map(|path| path.to_path_buf()).collect();
            places(&paths, &mut words).map(|places| (places, words)).ok()
        };
        let (place, wanted) = (folder.path(), ["A=1", "+", "B=x=y", "b=1"].map(Path::new));
        let [a, plus, b, small] = wanted;
        assert_eq!(
            read(&[place, &named, a, plus, b, small]),
            Some((
                vec![place.to_owned(), named.clone(), small.to_owned()],
                ["C=3", "A=1", "+", "B=x=y"].map(str::to_owned).to_vec()
            ))
        );
        assert_eq!(read(&[a]), None);
        assert_eq!(read(&[]), Some((Vec::new(), vec!["C=3".to_owned()])));
        assert!(no_matches(&[place.to_owned(), named]).is_ok());
        assert!(no_matches(&[place.to_owned(), a.to_owned()]).is_err());
    }
}
