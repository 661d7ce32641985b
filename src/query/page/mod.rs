//! The explorer: a page that asks queries and shows what comes. It is a client of the API as any other, so it holds no data of
//! its own. Its scripts are modules as browsers take them; nothing is built.

use crate::observe::page::File;

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A script of the page, served under its own name.
macro_rules! script {
    ($name:literal) => {
        File { path: concat!("/explorer/", $name), content_type: SCRIPT, text: include_str!($name) }
    };
}

/// All files of the page.
const FILES: &[File] = &[
    File { path: "/", content_type: HTML, text: include_str!("explorer.html") },
    File { path: "/explorer/explorer.css", content_type: CSS, text: include_str!("explorer.css") },
    File { path: "/explorer/icon.svg", content_type: SVG, text: include_str!("icon.svg") },
    script!("api.js"),
    script!("complete.js"),
    script!("dom.js"),
    script!("explorer.js"),
    script!("facets.js"),
    script!("histogram.js"),
    script!("keys.js"),
    script!("lines.js"),
    script!("logql.js"),
    script!("series.js"),
    script!("detail.js"),
    script!("span.js"),
    script!("tail.js"),
];

/// The file of a path.
pub(super) fn file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}
