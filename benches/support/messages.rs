//! What the units of the benchmark's journal say: lines of 60 to 200 bytes, and some of 2 KB.

use std::fmt::Write as _;

use super::random::Random;
use super::units::Style;

/// Shortest and longest ordinary line, in bytes.
pub(crate) const LINE_BYTES: std::ops::RangeInclusive<usize> = 60..=200;
/// Shortest and longest of the long lines, in bytes. Past 512 bytes journald compresses.
pub(crate) const LONG_LINE_BYTES: std::ops::RangeInclusive<usize> = 1_800..=2_300;
/// Share of long lines, in per cent.
const LONG_LINES: u64 = 2;
/// Share of lines that a unit writes again and again in the same words, in per cent.
const REPEATED_LINES: u64 = 3;

const METHODS: [&str; 6] = ["GET", "GET", "GET", "POST", "PUT", "DELETE"];
const STATUS: [&str; 10] = ["200", "200", "200", "200", "200", "201", "204", "304", "404", "500"];
const PATHS: [&str; 8] = [
    "/api/v1/cart",
    "/api/v1/orders",
    "/api/v1/items",
    "/static/app.js",
    "/login",
    "/api/v2/search",
    "/healthz",
    "/img/logo.svg",
];
const AGENTS: [&str; 4] = [
    "curl/7.88.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101",
    "kube-probe/1.29",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)",
];
const SUBJECTS: [&str; 12] = [
    "connection",
    "request",
    "session",
    "checkpoint",
    "lease",
    "transaction",
    "segment",
    "worker",
    "snapshot",
    "replica",
    "device",
    "certificate",
];
const VERBS: [&str; 12] = [
    "opened",
    "closed",
    "accepted",
    "refused",
    "finished",
    "timed out",
    "was renewed",
    "was evicted",
    "started",
    "completed",
    "was reset by peer",
    "authenticated",
];
const WORDS: [&str; 24] = [
    "after",
    "for",
    "with",
    "from",
    "interface",
    "user",
    "remote",
    "local",
    "queue",
    "buffer",
    "retry",
    "address",
    "port",
    "policy",
    "cache",
    "index",
    "table",
    "partition",
    "upstream",
    "volume",
    "node",
    "zone",
    "shard",
    "tenant",
];
const LEVELS: [&str; 6] = ["info", "info", "info", "info", "warn", "debug"];
const CLASSES: [&str; 6] = [
    "com.example.ledger.posting.PostingService",
    "com.example.ledger.http.RequestHandler",
    "org.springframework.web.servlet.DispatcherServlet",
    "java.util.concurrent.ThreadPoolExecutor",
    "com.zaxxer.hikari.pool.HikariPool",
    "io.netty.channel.AbstractChannelHandlerContext",
];

/// Writes the next line of a unit over `line`. `second` is the time of the entry in RFC 3339.
pub(crate) fn write(line: &mut String, random: &mut Random, style: Style, comm: &str, second: &str) {
    line.clear();
    if random.percent(LONG_LINES) {
        let length = length(random, LONG_LINE_BYTES);
        if random.percent(50) { trace(line, random, length) } else { document(line, random, second, length) }
    } else if random.percent(REPEATED_LINES) {
        let _ =
            write!(line, "{comm}: periodic self check passed, nothing to do until the next scheduled run");
    } else {
        let length = length(random, LINE_BYTES);
        match style {
            Style::Access => access(line, random, second),
            Style::Logfmt => logfmt(line, random, second),
            Style::Json => return document(line, random, second, length),
            Style::Prose => prose(line, random),
        }
        while line.len() < length {
            let _ = match style {
                Style::Logfmt => write!(line, " {}={}", random.pick(&WORDS), random.below(1_000_000)),
                _ => write!(line, " {} {}", random.pick(&WORDS), random.below(10_000)),
            };
        }
        line.truncate(*LINE_BYTES.end());
    }
}

fn length(random: &mut Random, range: std::ops::RangeInclusive<usize>) -> usize {
    usize::try_from(random.within(*range.start() as u64, *range.end() as u64)).unwrap_or(*range.end())
}

fn access(line: &mut String, random: &mut Random, second: &str) {
    let (a, b) = (random.below(256), random.below(256));
    let _ = write!(
        line,
        "10.20.{a}.{b} - - [{second}] \"{} {}/{} HTTP/1.1\" {} {} \"-\" \"{}\"",
        random.pick(&METHODS),
        random.pick(&PATHS),
        random.below(100_000),
        random.pick(&STATUS),
        random.below(50_000),
        random.pick(&AGENTS),
    );
}

fn logfmt(line: &mut String, random: &mut Random, second: &str) {
    let _ = write!(
        line,
        "ts={second} level={} msg=\"{} {}\" duration={}ms id={:016x}",
        random.pick(&LEVELS),
        random.pick(&SUBJECTS),
        random.pick(&VERBS),
        random.below(5_000),
        random.next(),
    );
}

fn prose(line: &mut String, random: &mut Random) {
    let _ = write!(
        line,
        "{} {} {} in {}.{:03} ms",
        random.pick(&SUBJECTS),
        random.below(1_000_000),
        random.pick(&VERBS),
        random.below(900),
        random.below(1_000),
    );
}

/// A JSON object of some bytes less than `length`, and at least the shortest line.
fn document(line: &mut String, random: &mut Random, second: &str, length: usize) {
    let _ = write!(
        line,
        "{{\"ts\":\"{second}\",\"level\":\"{}\",\"id\":{}",
        random.pick(&LEVELS),
        random.below(1 << 32)
    );
    while line.len() + 26 < length || line.len() < *LINE_BYTES.start() {
        let _ = write!(line, ",\"{}\":{}", random.pick(&WORDS), random.below(100_000));
    }
    line.push('}');
}

/// A Java stack trace of `length` bytes, many lines in one message.
fn trace(line: &mut String, random: &mut Random, length: usize) {
    let _ = write!(
        line,
        "java.lang.IllegalStateException: {} {} ",
        random.pick(&SUBJECTS),
        random.below(1_000_000)
    );
    line.push_str(random.pick(&VERBS));
    while line.len() < length {
        let class = random.pick(&CLASSES);
        let file = class.rsplit('.').next().unwrap_or(class);
        let _ =
            write!(line, "\n\tat {class}.{}({file}.java:{})", random.pick(&WORDS), random.within(20, 900));
    }
    line.truncate(length);
}
