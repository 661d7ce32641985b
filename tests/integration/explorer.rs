//! The explorer in a real browser: what it shows, what hostile lines cannot do, and how it fits a phone.

use crate::query_api::{Asked, escaped};
use crate::support::browser::Browser;
use crate::support::fixtures::ExportEntry;
use crate::support::or_skip;

/// All that was asked for is there.
const THERE: &str =
    "document.querySelector('#busy')?.hidden && document.querySelector('#about').innerText.length > 1";
/// So wide is a small phone (CSS pixels).
const PHONE: u32 = 400;

/// The time now (microseconds since 1970).
fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap()
}

/// An entry so many seconds ago.
fn ago(seconds: u64, unit: &str, priority: &str, text: impl AsRef<[u8]>) -> ExportEntry {
    ExportEntry::new(now() - seconds * 1_000_000)
        .message(text)
        .field("PRIORITY", priority)
        .field("_SYSTEMD_UNIT", unit)
        .field("_HOSTNAME", "oak")
        .field("SYSLOG_IDENTIFIER", unit.split('.').next().unwrap_or_default())
}

/// Goes to the explorer with a query about the last six hours.
fn explore(browser: &mut Browser, asked: &Asked, query: &str) {
    browser.go("about:blank");
    browser.go(&format!("http://127.0.0.1:{}/#q={}&range=6h", asked.port, escaped(query)));
    browser.wait(THERE);
}

/// Writes a query into the field, and asks it.
fn take(browser: &mut Browser, query: &str) {
    browser.press("/");
    browser.call("Input.insertText", serde_json::json!({"text": query}));
    browser.press("Enter");
    browser.wait(THERE);
}

fn shop() -> Vec<ExportEntry> {
    let mut entries: Vec<_> = (0..40)
        .map(|n| {
            ago(
                3600 + n,
                "shop.service",
                "6",
                format!(r#"{{"order": {n}, "status": {}}}"#, 200 + n % 2 * 300),
            )
        })
        .collect();
    entries.extend((0..7).map(|n| ago(1800 + n, "ssh.service", "3", format!("Failed password {n}"))));
    entries.push(ago(60, "ssh.service", "4", "the newest"));
    entries.sort_by_key(|entry| entry.realtime);
    entries
}

#[test]
fn lines_levels_and_labels_are_shown_and_clicks_ask() {
    let mut browser = or_skip!(Browser::start());
    let asked = or_skip!(Asked::open(&shop()));
    explore(&mut browser, &asked, r#"{job=~".+"}"#);
    browser.wait("document.querySelectorAll('#facets li').length > 4");
    browser.wait(THERE);
    assert!(browser.text("#about").contains("48 lines, the newest first"), "{}", browser.text("#about"));
    assert!(browser.text(".row:first-child .text").contains("the newest"));
    let legend = browser.text(".legend .key");
    assert_eq!(legend, "error7\nwarn1\ninfo40", "the bars count all lines by level");
    let facets = browser.text("#facets .value");
    for facet in ["shop.service40", "ssh.service8", "info40", "error7", "warning1"] {
        assert!(facets.contains(facet), "no {facet} in {facets}");
    }
    let query = "document.querySelector('#query').value";
    browser.wait(THERE);
    browser.click("#facets [title='Only unit=ssh.service']");
    browser.wait("document.querySelector('#about').innerText.startsWith('8 lines')");
    assert_eq!(browser.value(query), r#"{unit="ssh.service"}"#);
    browser.wait(THERE);
    browser.click(".legend .error");
    browser.wait("document.querySelector('#about').innerText.startsWith('7 lines')");
    assert_eq!(browser.value(query), r#"{unit="ssh.service"} | detected_level="error""#);
    // The way back is the browser's own.
    browser.wait(THERE);
    browser.value("history.back()");
    browser.wait("document.querySelector('#about').innerText.startsWith('8 lines')");

    // Fields of lines, a line in whole, and what stands beside it.
    take(&mut browser, r#"{unit="shop.service"} | json | status >= 500"#);
    browser.wait("document.querySelector('#about').innerText.startsWith('20 lines')");
    browser.press("j");
    browser.press("j");
    browser.press("Enter");
    browser.wait("!document.querySelector('#detail').hidden");
    let detail = browser.text("#detail");
    for part in [
        "\"status\": 500",
        "Labels",
        "shop.service",
        "Structured metadata",
        "identifier",
        "Parsed from the line",
        "order",
    ] {
        assert!(detail.contains(part), "no {part:?} in {detail}");
    }
    browser.press("Escape");
    assert_eq!(browser.value("document.querySelector('#detail').hidden"), true);
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn values_are_drawn_and_mistakes_are_told_in_lokis_words() {
    let mut browser = or_skip!(Browser::start());
    let asked = or_skip!(Asked::open(&shop()));
    explore(&mut browser, &asked, r#"sum by (unit) (count_over_time({job=~".+"}[30m]))"#);
    assert!(browser.text("#about").starts_with("2 series"), "{}", browser.text("#about"));
    assert_eq!(browser.value("document.querySelectorAll('#series path.line').length"), 2);
    let table = browser.text("#series tbody tr");
    assert!(table.contains(r#"unit="shop.service""#) && table.contains(r#"unit="ssh.service""#), "{table}");
    assert_eq!(browser.complaints(), [""; 0]);

    take(&mut browser, r#"{unit="shop.service"} | jso"#);
    browser.wait("!document.querySelector('#error').hidden");
    let told = browser.text("#error");
    assert!(told.contains("parse error at line 1, col") && told.contains('^'), "{told}");
    // No other time helps where the query is wrong.
    browser.wait("!document.querySelector('#about').innerText.includes('…')");
    assert!(!browser.text("#about").contains("Look at the last"), "{}", browser.text("#about"));
    // The browser itself says that an answer had the status 400.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|one| one.contains("status of 400")), "{complaints:?}");
    take(&mut browser, r#"{unit="shop.service"}"#);
    browser.wait("document.querySelector('#error').hidden");
    // Nothing at all, and a way on.
    take(&mut browser, r#"{unit="none.service"}"#);
    browser.wait("document.querySelector('#about').innerText.includes('Look at the last 24 hours')");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn what_may_come_next_is_suggested() {
    let mut browser = or_skip!(Browser::start());
    let asked = or_skip!(Asked::open(&shop()));
    explore(&mut browser, &asked, r#"{job=~".+"}"#);
    browser.wait("document.querySelectorAll('#facets li').length > 4");
    let query = "document.querySelector('#query').value";
    browser.press("/");
    let write = |browser: &mut Browser, text: &str| {
        browser.call("Input.insertText", serde_json::json!({"text": text}));
    };
    write(&mut browser, "{un");
    assert_eq!(browser.text("#complete li"), "unit");
    browser.press("Tab");
    assert_eq!(browser.value(query), r#"{unit=""#);
    assert_eq!(browser.text("#complete li"), "shop.service\nssh.service");
    write(&mut browser, "SS");
    assert_eq!(browser.text("#complete li"), "ssh.service");
    // Enter takes what was chosen with the arrows, and asks otherwise.
    browser.press("ArrowDown");
    browser.press("Enter");
    assert_eq!(browser.value(query), r#"{unit="ssh.service""#);
    write(&mut browser, "} | lo");
    assert_eq!(browser.text("#complete li"), "logfmt");
    browser.press("Escape");
    assert_eq!(browser.value("document.querySelector('#complete').hidden"), true);
    assert_eq!(browser.value("document.activeElement.id"), "query", "Esc closes the list alone");
    write(&mut browser, "gfmt");
    browser.press("Enter");
    browser.wait("document.querySelector('#about').innerText.startsWith('8 lines')");
    assert_eq!(browser.value(query), r#"{unit="ssh.service"} | logfmt"#);
    assert_eq!(browser.complaints(), [""; 0]);
}

/// What hostile lines, labels and metadata hold.
const HOSTILE: [&str; 8] = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "\"'><svg/onload=alert(1)>",
    "javascript:alert(1)",
    "{\"a\":\"</pre><script>alert(1)</script>\",\"__proto__\":{\"x\":1}}",
    "\u{202e}turned\u{202c} \u{200b}hidden \u{1b}[2J\u{1b}[31mred\u{1b}[0m \u{0}\u{7f}",
    "${alert(1)} {{alert(1)}} `",
    "constructor=1 __proto__=2 toString=3",
];

#[test]
fn hostile_lines_are_text_and_nothing_else() {
    let mut browser = or_skip!(Browser::start());
    let mut entries: Vec<_> = HOSTILE
        .iter()
        .enumerate()
        .map(|(n, text)| {
            ago(100 + n as u64, &format!("{text}.service"), "3", text).field("SYSLOG_IDENTIFIER", text)
        })
        .collect();
    entries.extend((0..10).map(|n| ago(200 + n, "long.service", "6", "<b>".repeat(350_000))));
    entries.sort_by_key(|entry| entry.realtime);
    let asked = or_skip!(Asked::open(&entries));
    for query in [r#"{job=~".+"}"#, r#"{job=~".+"} | logfmt"#, r#"{job=~".+"} | json"#] {
        explore(&mut browser, &asked, query);
        browser.wait("document.querySelectorAll('#facets li').length > 4");
        // Ten lines of a megabyte are more than an answer may hold: they come by and by.
        browser.wait("document.querySelector('#about').innerText.startsWith('18 lines')");
        // Each line, in whole.
        for _ in 0..18 {
            browser.press("j");
            browser.press("Enter");
        }
        browser.click("#detail pre button");
        // A line is cut where Loki would refuse it: at 256 KiB.
        browser.wait("document.querySelector('#detail pre').textContent.length > 250000");
        let inside = "document.querySelectorAll('main img, main script, #lines b, #lines svg, #detail img, #detail script, #detail svg, \
             #facets img, #facets script, #facets svg').length";
        assert_eq!(browser.value(inside), 0, "text became elements");
        assert_eq!(browser.complaints(), [""; 0], "{query}");
        // Another query clears what was there.
        browser.press("Escape");
    }
    explore(&mut browser, &asked, r#"{unit!="long.service", job=~".+"}"#);
    let shown = browser.text(".row");
    assert!(shown.contains("<script>alert(1)</script>"), "{shown}");
    assert!(shown.contains(r"\u{202e}turned\u{202c} \u{200b}hidden \u{1b}[2Jred \u{0}\u{7f}"), "{shown}");
    // Values of labels become part of a query, and of a table.
    for n in 0..HOSTILE.len() {
        let at = format!("document.querySelectorAll('#facets details:first-of-type .value')[{n}]?.click()");
        browser.value(&at);
        browser.wait(THERE);
        assert_eq!(
            browser.value("document.querySelector('#error').hidden"),
            true,
            "{}",
            browser.text("#error")
        );
        explore(&mut browser, &asked, r#"{unit!="long.service", job=~".+"}"#);
        browser.wait("document.querySelectorAll('#facets li').length > 4");
    }
    explore(&mut browser, &asked, r#"count by (unit, identifier) (rate({job=~".+"}[1h]))"#);
    assert!(browser.text("#series tbody").contains("<script>alert(1)</script>"));
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn ten_thousand_lines_come_once_and_scroll_smoothly() {
    const LINES: u64 = 10_000;
    // A microsecond has four of them, so that pages end within one.
    const EQUAL: u64 = 4;
    /// So far the page scrolls in a frame, and so high is a row (pixels).
    const STEP: u64 = 700;
    const ROW: u64 = 24;
    let mut browser = or_skip!(Browser::start());
    let base = now() - 3_600_000_000;
    let entries: Vec<_> = (0..LINES)
        .map(|n| {
            ExportEntry::new(base + n / EQUAL * 1000)
                .message(format!("line {n} {}", "words ".repeat(20)))
                .field("_SYSTEMD_UNIT", format!("u{}.service", n % 3))
                .field("PRIORITY", "6")
        })
        .collect();
    let asked = or_skip!(Asked::open(&entries));
    browser.size(1280, 800, false);
    explore(&mut browser, &asked, r#"{job=~".+"}"#);
    // Down to the end, as fast as it goes; every line that was in sight is remembered.
    browser.value(
        "window.seen = new Map(); new MutationObserver((all) => { for (const one of all) for (const row of one.addedNodes) \
         if (row.line) seen.set(row.line, row.line.text.split(' ')[1]); }).observe(document.querySelector('#lines'), {childList: true})",
    );
    browser.wait(
        "(scrollTo(0, document.documentElement.scrollHeight), document.querySelector('#end').innerText === 'No more lines in this time')",
    );
    assert!(browser.text("#about").contains("10,000 lines"), "{}", browser.text("#about"));
    // From the end to the beginning, a step each frame: what a frame has to do does not depend on how many lines there are.
    browser.call("Performance.enable", serde_json::json!({}));
    let before = layouts(&mut browser);
    let frames = browser.value(&format!(
        "new Promise((done) => {{ const rows = []; let made = 0; \
         new MutationObserver((all) => {{ for (const one of all) made += one.addedNodes.length; }}) \
           .observe(document.querySelector('#lines'), {{childList: true}}); \
         const frame = () => {{ rows.push(made); made = 0; scrollBy(0, -{STEP}); \
           if (scrollY > 0) requestAnimationFrame(frame); else done(rows); }}; requestAnimationFrame(frame); }})",
    ));
    let rows: Vec<u64> = frames.as_array().unwrap().iter().map(|one| one.as_u64().unwrap()).collect();
    let laid_out = layouts(&mut browser) - before;
    assert!(rows.len() > 100, "{} frames", rows.len());
    let most = rows.iter().max().unwrap();
    assert!((1..=STEP / ROW + 2).contains(most), "{most} rows were made in a frame");
    assert!(laid_out < 2.0 * rows.len() as f64, "{laid_out} layouts in {} frames", rows.len());
    // Only what is in sight is in the page.
    let elements = browser.value("document.querySelectorAll('*').length").as_u64().unwrap();
    assert!(elements < 2000, "{elements} elements");
    browser.value(
        "document.querySelectorAll('.row').forEach((row) => seen.set(row.line, row.line.text.split(' ')[1]))",
    );
    let missing = browser.value(&format!(
        "(() => {{ const n = [...seen.values()].map(Number); return [n.length, new Set(n).size, n.filter((x) => x >= {LINES}).length]; }})()"
    ));
    assert_eq!(
        missing,
        serde_json::json!([LINES, LINES, 0]),
        "lines that were in sight, different ones, foreign ones"
    );
    assert_eq!(browser.complaints(), [""; 0]);
}

/// How often the page was laid out so far.
fn layouts(browser: &mut Browser) -> f64 {
    let metrics = browser.call("Performance.getMetrics", serde_json::json!({}));
    let all = metrics["metrics"].as_array().unwrap();
    all.iter().find(|one| one["name"] == "LayoutCount").unwrap()["value"].as_f64().unwrap()
}

/// The counts come while older lines are on their way.
#[test]
fn older_lines_come_once_while_lines_are_counted() {
    const LINES: u64 = 3000;
    let mut browser = or_skip!(Browser::start());
    let asked = or_skip!(Asked::open(
        &(0..LINES).map(|n| ago(LINES - n, "a.service", "6", format!("line {n}"))).collect::<Vec<_>>()
    ));
    let late = "const real = window.fetch; window.fetch = async (...all) => { const answer = await real(...all); \
                const counts = String(all[1].body).includes('count_over_time'); \
                await new Promise((done) => setTimeout(done, counts ? 700 : 400)); return answer; }";
    browser.call("Page.addScriptToEvaluateOnNewDocument", serde_json::json!({"source": late}));
    browser.go(&format!("http://127.0.0.1:{}/#q=%7Bjob%3D~%22.%2B%22%7D&range=1h", asked.port));
    browser.wait("document.querySelector('.row')");
    browser.wait(
        "(scrollTo(0, document.documentElement.scrollHeight), document.querySelector('#end').innerText === 'No more lines in this time')",
    );
    let about = browser.text("#about");
    assert!(about.contains("3,000 lines"), "{about}");
}

#[test]
fn clicks_write_what_they_say() {
    let mut browser = or_skip!(Browser::start());
    let asked = or_skip!(Asked::open(&shop()));
    explore(&mut browser, &asked, r#"{job=~".+"}"#);
    for (call, query) in [
        (r#"toggled('{job=~".+"}', 'unit', 'a')"#, r#"{unit="a"}"#),
        (r#"toggled('{unit="a"}', 'unit', 'a')"#, r#"{job=~".+"}"#),
        // A matcher that a person has written stays.
        (r#"toggled('{unit=~".+"} |= "x"', 'host', 'oak')"#, r#"{unit=~".+", host="oak"} |= "x""#),
        (r#"toggled('{unit="a"}', 'pid', '7', '!=', 'own')"#, r#"{unit="a"} | pid!="7""#),
        (r#"toggled('{unit="a"} | pid!="7"', 'pid', '7', '!=', 'own')"#, r#"{unit="a"}"#),
        // Behind a comment, a stage would be a part of it.
        (r#"toggled('{unit="a"} # mine', 'pid', '7', '=', 'own')"#, "{unit=\"a\"} # mine\n| pid=\"7\""),
        (r#"ofLevel('{unit="a"} # mine\n| detected_level="error"', ['error'])"#, r#"{unit="a"} # mine"#),
        // Labels of streams are asked for without stages.
        (r#"selected('sum(rate({unit="}"} |= "x" [5m]))')"#, r#"{unit="}"}"#),
    ] {
        let call = format!("import('/explorer/logql.js').then((all) => all.{call})");
        assert_eq!(browser.value(&call), query, "{call}");
    }
}

#[test]
fn it_fits_a_phone_in_the_light_and_in_the_dark() {
    let mut browser = or_skip!(Browser::start());
    let mut entries = shop();
    entries.push(ago(50, &format!("{}.service", "unit".repeat(60)), "2", "x".repeat(5000)));
    let asked = or_skip!(Asked::open(&entries));
    for dark in [false, true] {
        browser.size(PHONE, 800, true);
        browser.dark(dark);
        explore(&mut browser, &asked, r#"{job=~".+"}"#);
        let ground = browser.value("getComputedStyle(document.body).backgroundColor");
        assert_eq!(ground, if dark { "rgb(18, 21, 26)" } else { "rgb(255, 255, 255)" });
        let fits =
            |browser: &mut Browser, what: &str| assert_eq!(browser.overflow(), 0, "{what}, dark: {dark}");
        fits(&mut browser, "lines");
        browser.press("j");
        browser.press("Enter");
        fits(&mut browser, "a line in whole");
        browser.press("Escape");
        browser.click("#filters");
        browser.wait("document.querySelectorAll('#facets li').length > 4");
        fits(&mut browser, "labels");
        browser.press("w");
        browser.press("s");
        fits(&mut browser, "the menu");
        browser.press("Escape");
        browser.press("?");
        fits(&mut browser, "keys and examples");
        browser.value("document.querySelector('#help').close()");
        browser.value("document.querySelector('#range').value = 'custom'; document.querySelector('#range').dispatchEvent(new Event('change'))");
        browser.wait(THERE);
        fits(&mut browser, "a time from and to");
        take(&mut browser, &format!(r#"{{unit="{}"}} |"#, "long".repeat(100)));
        browser.wait("!document.querySelector('#error').hidden");
        fits(&mut browser, "a mistake");
        take(&mut browser, r#"sum by (unit) (count_over_time({job=~".+"}[30m]))"#);
        browser.wait("document.querySelectorAll('#series path.line').length > 0");
        fits(&mut browser, "values");
        let complaints = browser.complaints();
        assert!(complaints.iter().all(|one| one.contains("status of 400")), "{complaints:?}");
    }
}

#[test]
fn a_browser_asks_for_the_token() {
    let mut browser = or_skip!(Browser::start());
    let asked = or_skip!(Asked::over(&shop(), ""));
    // The token is taken as the password of any name; it is `p` here.
    browser.go(&format!("http://any:p@127.0.0.1:{}/#range=6h", asked.port));
    browser.wait(THERE);
    assert!(browser.text("#about").contains("48 lines"), "{}", browser.text("#about"));
    browser.click("#live");
    browser.wait("document.querySelector('#about .live')?.innerText === 'live'");
    assert_eq!(browser.complaints(), [""; 0]);
}
