//! File descriptors: how many this program may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are enough for all that is at work at once (count): journal files of a large fleet, one reader for each
/// destination, and connections.
const WANTED: u64 = 8192;

/// Raises the limit of open files as far as the system lets every process do it by itself. Shells and services begin with 1,024
/// (systemd, `DefaultLimitNOFILE=`), for programs that use `select`; none is used here.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(WANTED, |most| most.min(WANTED));
    if limit.current.is_some_and(|current| current < wanted) {
        // Where the system refuses, fewer files are kept open.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), ..limit });
    }
}
