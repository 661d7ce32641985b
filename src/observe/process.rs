//! The process itself, by the names that Prometheus' client libraries give
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::fs;

use rustix::param;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::metrics::Registry;

/// What the kernel says of this process.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Usage {
    cpu_seconds: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
    /// Since the machine has started.
    started_seconds: f64,
}

impl Usage {
    /// Reads `/proc/self/stat` (proc_pid_stat(5)). The name of the program, which may hold anything, ends with the last `)`.
    fn of(stat: &str, ticks: f64, page: f64) -> Option<Usage> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        // The state is the third field; it is the first one here.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        Some(Usage {
            cpu_seconds: (field(14)? + field(15)?) / ticks,
            started_seconds: field(22)? / ticks,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * page,
        })
    }

    fn now() -> Option<Usage> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        Usage::of(&stat, param::clock_ticks_per_second() as f64, param::page_size() as f64)
    }
}

/// How long the process runs, and the memory that it takes: seconds and bytes. `None`: the kernel does not say.
pub(super) fn figures() -> Option<(f64, f64)> {
    let usage = Usage::now()?;
    let up = clock_gettime(ClockId::Boottime);
    let up = up.tv_sec as f64 + up.tv_nsec as f64 / 1e9;
    Some(((up - usage.started_seconds).max(0.0), usage.resident_bytes))
}

/// The metrics of the process, as Prometheus' own clients name them: processor time, resident memory, address space, start, open
/// descriptors, and their limit.
pub(super) const NAMES: [&str; 6] = [
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_virtual_memory_bytes",
    "process_start_time_seconds",
    "process_open_fds",
    "process_max_fds",
];

/// Shows the process, and which version it is, in `registry`.
pub fn register(registry: &Registry) {
    let build = registry.gauge("journalship_build_info", "The version that runs; always 1.");
    build.set(vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())], 1.0);
    let [cpu, resident, size, started, open, most] = NAMES;
    let cpu = registry.counter(cpu, "CPU time of the process, in user and system mode.");
    let resident = registry.gauge(resident, "Memory of the process.");
    let size = registry.gauge(size, "Address space of the process.");
    let started = registry.gauge(started, "When the process was started, since 1970.");
    let open = registry.gauge(open, "Open file descriptors.");
    let most = registry.gauge(most, "The limit of open file descriptors.");
    registry.on_scrape(move |now| {
        let set = |family: &super::metrics::Family, value: f64| _ = family.set(Vec::new(), value);
        if let Some(usage) = Usage::now() {
            let up = clock_gettime(ClockId::Boottime);
            let up = up.tv_sec as f64 + up.tv_nsec as f64 / 1e9;
            set(&cpu, usage.cpu_seconds);
            set(&resident, usage.resident_bytes);
            set(&size, usage.virtual_bytes);
            // Whole seconds: the clocks are not read at the same moment.
            set(&started, (now as f64 / 1e9 - (up - usage.started_seconds)).round());
        }
        if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
            // One of them reads the folder.
            set(&open, descriptors.count().saturating_sub(1) as f64);
        }
        set(&most, getrlimit(Resource::Nofile).current.map_or(f64::INFINITY, |limit| limit as f64));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 12345 1048576 256 18446744073709551615";
        let usage = Usage {
            cpu_seconds: 3.0,
            resident_bytes: 1_048_576.0,
            virtual_bytes: 1_048_576.0,
            started_seconds: 123.45,
        };
        assert_eq!(Usage::of(stat, 100.0, 4096.0), Some(usage));
        for broken in ["", "7 (a", "7 (a) S 1", &stat.replace("250", "x")] {
            assert_eq!(Usage::of(broken, 100.0, 4096.0), None, "{broken}");
        }
    }

    #[test]
    fn this_process_is_shown() {
        let registry = Registry::default();
        register(&registry);
        let now = 1_800_000_000_000_000_000;
        let text = registry.text(now);
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!((1.0..=value("process_max_fds")).contains(&value("process_open_fds")));
        // Tests run for less than an hour.
        assert!((1.8e9 - 3600.0..=1.8e9).contains(&value("process_start_time_seconds")));
    }
}
