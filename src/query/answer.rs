//! What comes out of a query.

use std::sync::Arc;

use logql::label_set::LabelSet;
use logql::pipeline::Categories;
use logql::vectors::Vector;

/// A line of the answer to a log query.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// When (nanoseconds since 1970).
    pub time: i64,
    /// Its text.
    pub text: String,
    /// Its labels.
    pub labels: Categories,
}

/// A series and its values by time (nanoseconds since 1970).
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Which.
    pub labels: Arc<LabelSet>,
    /// Its values, the oldest first.
    pub points: Vec<(i64, f64)>,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Lines, in the order that was asked for.
    Lines(Vec<Line>),
    /// Series at one time (nanoseconds since 1970).
    Vector(i64, Vector),
    /// One number at one time (nanoseconds since 1970).
    Scalar(i64, f64),
    /// Series over time.
    Matrix(Vec<Series>),
}

/// Sorts series by their labels, name after name, as Loki does.
pub(super) fn by_labels(vector: &mut Vector) {
    vector.sort_by(|one, other| one.labels.iter().cmp(other.labels.iter()));
}

impl Answer {
    /// Its lines, or its values (count).
    pub fn len(&self) -> usize {
        match self {
            Answer::Lines(lines) => lines.len(),
            Answer::Vector(_, vector) => vector.len(),
            Answer::Scalar(..) => 1,
            Answer::Matrix(series) => series.iter().map(|series| series.points.len()).sum(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
