//! What is still unshipped: for each destination, the journal from its checkpoint to the end.

use crate::agent::first_start;
use crate::config::Config;
use crate::loki::checkpoint::{Checkpoint, CheckpointError};
use crate::os::when::Realtime;
use journald_reader::Resume;

/// A destination, and where the agent would go on shipping to it.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Its number in `loki`.
    pub destination: usize,
    /// Its name.
    pub name: String,
    /// Where reading goes on.
    pub resume: Resume,
    /// When the last entry was written that Loki has acknowledged. `None`: nothing was shipped yet.
    pub acknowledged: Option<Realtime>,
}

/// The destinations of a configuration, each with its checkpoint. The files are only read.
///
/// # Errors
/// When a checkpoint cannot be read, or is none.
pub fn pending(config: &Config) -> Result<Vec<Pending>, CheckpointError> {
    let of = |(destination, name): (usize, &String)| {
        let resume = Checkpoint::new(&config.state_directory, name).load()?;
        let acknowledged = resume.as_ref().and_then(|resume| resume.cursor).map(|c| Realtime(c.realtime));
        let resume = resume.unwrap_or_else(|| first_start(&config.journal));
        Ok(Pending { destination, name: name.clone(), resume, acknowledged })
    };
    config.loki.iter().map(|destination| &destination.name).enumerate().map(of).collect()
}
