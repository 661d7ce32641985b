//! `tail`: what a live tail is asked for.

use super::params::{self, Refused};
use super::{Reply, Request, parse};
use logql::{LogQuery, Query};

/// Longest delay that may be asked for (seconds), as in Loki (`pkg/loghttp/tail.go`).
const DELAY_MAX: u32 = 5;

/// What a live tail is asked for.
#[derive(Debug)]
pub struct Tail {
    /// Which lines.
    pub query: LogQuery,
    /// Since when (nanoseconds since 1970).
    pub start: i64,
    /// The time now (nanoseconds since 1970).
    pub now: i64,
    /// Lines from before (count).
    pub limit: usize,
    /// How lines are to be encoded, as in a [`Request`].
    pub flags: Vec<String>,
}

impl Tail {
    /// Reads it from a request. It may ask for so many lines at `most`.
    ///
    /// # Errors
    /// The reply to a request that cannot be.
    pub fn read(request: &Request, most: usize) -> Result<Tail, Reply> {
        read(request, most).map_err(|Refused { status, text }| Reply::text(status, text))
    }
}

fn read(request: &Request, most: usize) -> Result<Tail, Refused> {
    let Query::Logs(query) = parse(request.params.get("query"))? else {
        return Err(Refused::new("can only tail log queries, not metric queries"));
    };
    let limit = params::limit(&request.params)?;
    let start = params::bounds(&request.params, request.now)?.start;
    let delay = params::delay(&request.params)?;
    if delay > DELAY_MAX {
        return Err(Refused::new(format!("delay_for can't be greater than {DELAY_MAX}")));
    }
    params::entries(limit, most)?;
    Ok(Tail { query, start, now: request.now, limit, flags: request.flags.clone() })
}
