//! What compiled expressions may take together. The crate bounds each of them, but a query may hold thousands.

use super::{COMPILED_MAX, CRATE_NESTING_MAX, Re2Error};

/// Sizes that are tried for a compiled expression, the smallest first (bytes): it counts as the first that it fits in.
const SIZES: [usize; 3] = [128 << 10, 1 << 20, COMPILED_MAX];
/// The most and the least memory that searching may take for one expression in one direction (bytes). The most is what the crate allows
/// by itself. What people write stays below the least.
const CACHE: (usize, usize) = (2 << 20, 64 << 10);
/// The share of what is left for searching that one expression gets.
const CACHE_SHARE: usize = 8;

/// What is left for expressions that are compiled into one query.
#[derive(Debug)]
pub(crate) struct Room {
    total: usize,
    /// For compiled expressions (bytes).
    left: usize,
    /// For what searching keeps (bytes).
    cache: usize,
}

impl Room {
    /// Room of so many bytes for compiled expressions, and as much for what searching keeps.
    pub(crate) const fn new(total: usize) -> Room {
        Room { total, left: total, cache: total }
    }

    /// Room for one expression.
    pub(crate) const fn one() -> Room {
        Room { total: COMPILED_MAX, left: COMPILED_MAX, cache: CACHE.0 * CACHE_SHARE }
    }

    /// Compiles an expression of the crate.
    pub(super) fn build(&mut self, text: &str) -> Result<regex::Regex, Re2Error> {
        let refused = |message| Err(Re2Error { message, at: None });
        let cache = (self.cache / CACHE_SHARE).clamp(CACHE.1, CACHE.0);
        for size in SIZES.into_iter().filter(|size| *size <= self.left) {
            let mut builder = regex::RegexBuilder::new(text);
            builder.size_limit(size).dfa_size_limit(cache).nest_limit(CRATE_NESTING_MAX);
            match builder.build() {
                Ok(regex) => {
                    self.left -= size;
                    self.cache = self.cache.saturating_sub(cache);
                    return Ok(regex);
                }
                Err(regex::Error::CompiledTooBig(_)) => {}
                Err(error) => return refused(error.to_string()),
            }
        }
        refused(match self.left < COMPILED_MAX {
            true => {
                let total = self.total >> 20;
                format!("too large: with those before it, it takes more than {total} MiB when compiled")
            }
            false => format!("too large: compiled it takes more than {} MiB", COMPILED_MAX >> 20),
        })
    }
}
