//! `tail`: what a live tail is asked for.

use super::params::{self, Refused};
use super::{Reply, Request, parse};
use logql::Query;

/// The path of a live tail, and the one that it had before version 1.
const PATH: &str = "/loki/api/v1/tail";
const OLD_PATH: &str = "/api/prom/tail";
/// Longest delay that may be asked for (seconds), as in Loki (`pkg/loghttp/tail.go`).
const DELAY_MAX: u32 = 5;

/// What a live tail is asked for.
#[derive(Debug)]
pub struct Tail {
    /// Which lines. That it asks for lines is found out after the handshake, as in Loki.
    pub query: Query,
    /// Since when (nanoseconds since 1970).
    pub start: i64,
    /// The time now (nanoseconds since 1970).
    pub now: i64,
    /// Lines from before (count).
    pub limit: usize,
    /// How lines are to be encoded, as in a [`Request`].
    pub flags: Vec<String>,
    /// Frames have the shape of before version 1.
    pub is_old: bool,
}

/// Whether a path is that of a live tail.
pub fn is_path(path: &str) -> bool {
    [PATH, OLD_PATH].contains(&path)
}

impl Tail {
    /// Reads it from a request (grafana/loki, `pkg/loghttp/tail.go`, `ParseTailQuery`).
    ///
    /// # Errors
    /// The reply to a request that cannot be.
    pub fn read(request: &Request) -> Result<Tail, Reply> {
        read(request).map_err(|Refused { status, text }| Reply::text(status, text))
    }
}

fn read(request: &Request) -> Result<Tail, Refused> {
    let query = parse(request.params.get("query"))?;
    let limit = params::limit(&request.params)?;
    let start = params::bounds(&request.params, request.now)?.start;
    let delay = params::delay(&request.params)?;
    if delay > DELAY_MAX {
        return Err(Refused::new(format!("delay_for can't be greater than {DELAY_MAX}")));
    }
    let (flags, is_old) = (request.flags.clone(), request.path == OLD_PATH);
    Ok(Tail { query, start, now: request.now, limit, flags, is_old })
}
