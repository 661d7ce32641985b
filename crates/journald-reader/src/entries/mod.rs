//! The entries of a file as its own arrays name them: the place that reading has reached in the arrays, the entry visited
//! last, and places found without reading everything. Only [`arrays::Arrays::go_to`] changes the place.

pub(crate) mod arrays;
pub(crate) mod chain;
pub(crate) mod place;
pub(crate) mod visited;
