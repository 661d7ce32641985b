//! Why an evaluation of a rule comes to nothing, and what to do about it.

use logql::vectors::EvalError;

/// Why a rule has no states, or no series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The expression has no value.
    #[error(transparent)]
    Expression(EvalError),
    /// Not even one series has room in the memory that rules may take.
    #[error(
        "its window has no room in `alerts.max_memory`: evaluate it less often, look back less, or raise that"
    )]
    NoRoom,
    /// Two series come to one alert, or one series of a metric.
    #[error("two series come to the same labels {0}: do not override labels that tell them apart")]
    SameLabels(String),
    /// There are more alerts, or series of a metric, than the group allows.
    #[error("{0} alerts or series, and the group's limit is {1}")]
    Limit(usize, usize),
}

impl From<EvalError> for RuleError {
    fn from(error: EvalError) -> RuleError {
        match error {
            EvalError::NoRoom => RuleError::NoRoom,
            error => RuleError::Expression(error),
        }
    }
}

impl RuleError {
    /// The kind of failure, without any text from entries.
    pub fn kind(&self) -> String {
        match self {
            RuleError::Expression(EvalError::Pipeline { kind, .. }) => {
                format!("a stage of the query fails on entries: {kind}")
            }
            RuleError::SameLabels(_) => "two series come to the same labels".to_owned(),
            error => error.to_string(),
        }
    }
}
