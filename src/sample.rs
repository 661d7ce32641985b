//! stub
use crate::journal::Cursor;
/// stub
pub fn share(_: &Cursor) -> f64 {
    0.0
}
