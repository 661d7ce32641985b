//! Parts of a configuration that met nothing when it was tried on a journal, shown at their places. The dry run tries it; the
//! places in the files are found here.

use std::path::Path;

use serde::Serialize;

use super::diagnostic::{Diagnostics, Finding};
use super::{node, secrets};

/// Something in the configuration, or in a rule file, that met nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// The rule file with it. `None`: it is in the configuration.
    pub file: Option<String>,
    /// Its path there, such as `stages[0].match.selector`.
    pub path: String,
    /// What was not found.
    pub what: String,
    /// The name of the rule, if it looks for something rare. Then it is usual that it met nothing.
    #[serde(skip)]
    pub rare: Option<String>,
}

impl Unmet {
    /// Something at a path of the configuration.
    pub fn new(path: impl Into<String>, what: impl Into<String>) -> Unmet {
        Unmet { file: None, path: path.into(), what: what.into(), rare: None }
    }
}

/// Warnings about places of a configuration and its rule files that met nothing in a journal. Defaults, which are not written
/// there, are left out, and so are rules that look for something rare.
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
