//! What of a configuration met nothing when it was tried on a journal, shown at its place. Trying is the dry run's; where things
//! stand in the files is known here.

use std::path::Path;

use serde::Serialize;

use super::diagnostic::{Diagnostics, Finding};
use super::{node, secrets};

/// Something in the configuration, or in a rule file, that met nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// The rule file that it stands in; `None`: the configuration.
    pub file: Option<String>,
    /// Where it stands there, as in `stages[0].match.selector`.
    pub path: String,
    /// What there was not.
    pub what: String,
    /// A rule of this name looks for what is rare: that there was none is usual.
    #[serde(skip)]
    pub rare: Option<String>,
}

impl Unmet {
    /// At a path of the configuration.
    pub fn new(path: impl Into<String>, what: impl Into<String>) -> Unmet {
        Unmet { file: None, path: path.into(), what: what.into(), rare: None }
    }
}

/// Warnings about places of a configuration and its rule files that met nothing in a journal; what is not written there is a
/// default, and not spoken of. Rules that look for what is rare are left out.
pub fn point(path: &Path, unmet: &[Unmet]) -> Diagnostics {
    let own = path.display().to_string();
    let mut files: Vec<&str> = unmet.iter().map(|unmet| unmet.file.as_deref().unwrap_or(&own)).collect();
    files.dedup();
    let mut all = Diagnostics::none();
    for file in files {
        let of_file = unmet.iter().filter(|unmet| unmet.file.as_deref().unwrap_or(&own) == file);
        let Ok(source) = std::fs::read_to_string(file) else { continue };
        let Ok(root) = node::document(&source) else { continue };
        let findings = of_file.filter(|unmet| unmet.rare.is_none()).filter_map(|unmet| {
            let place = root.place(&unmet.path)?;
            let title = format!("`{}` met nothing in this journal", unmet.path);
            Some(Finding::at(place, title).label(&unmet.what).warning())
        });
        let findings: Vec<Finding> = findings.collect();
        if !findings.is_empty() {
            all.append(Diagnostics::new(file, &source, secrets::in_document(&root), findings));
        }
    }
    all
}
