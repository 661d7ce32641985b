//! `decolorize`: removes ANSI colour sequences from the line.

use super::{Context, Flow, Item, Setup, Stage};
use crate::config::{Checker, Value};

/// `stages[].decolorize`
#[derive(Debug, Clone, PartialEq)]
pub struct Config {}

/// Reads it.
pub(crate) fn read(_checker: &Checker<'_>, _value: &Value<'_>) -> Option<Config> {
    None
}

impl Config {
    /// The stage, ready to run.
    pub(super) fn build(&self, _setup: &Setup) -> Box<dyn Stage> {
        Box::new(Running {})
    }
}

#[derive(Debug)]
struct Running {}

impl Stage for Running {
    fn name(&self) -> &'static str {
        "decolorize"
    }

    fn run(&mut self, _item: &mut Item, _context: &mut Context) -> Flow {
        Flow::Next
    }
}
