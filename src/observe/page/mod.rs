//! The status page, and what the pages of this program have in common: the headers that keep a browser from doing more with them than they need.
//!
//! A page loads nothing from elsewhere, may not stand in a frame, and cannot turn text into markup: its policy leaves the
//! browser no way to do that (Trusted Types, <https://www.w3.org/TR/trusted-types/>).

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue};

/// The rules of a page whose scripts and styles are files beside it (Content Security Policy, level 3).
pub(crate) const WITH_FILES: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// What else a browser is told with each answer: take the type that is said, tell no other site from which page somebody
/// comes, share nothing with pages of other sites, keep no copy.
pub(crate) const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// A file of a page.
#[derive(Debug)]
pub(crate) struct File {
    /// The path at which it is served.
    pub path: &'static str,
    /// `Content-Type`
    pub content_type: &'static str,
    /// What is in it.
    pub text: &'static str,
}

impl File {
    /// The answer that shows it.
    pub(crate) fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from_static(self.text.as_bytes())));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(WITH_FILES));
        headers.extend(HEADERS);
        response
    }
}

/// The status page: one document, so it can be kept as one file. Its script asks `/status` again and again.
static STATUS: LazyLock<(Bytes, HeaderValue)> = LazyLock::new(|| {
    let (style, script) = (include_str!("status.css"), include_str!("status.js"));
    let page = include_str!("status.html").replace("/*style*/", style).replace("/*script*/", script);
    let hash = |text: &str| STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        hash(script),
        hash(style)
    );
    // Base64 and words are what a header may have.
    let policy = HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    (Bytes::from(page), policy)
});

/// The answer that shows the status page.
pub(super) fn status() -> Response<Full<Bytes>> {
    let (page, policy) = &*STATUS;
    let mut response = Response::new(Full::new(page.clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, policy.clone());
    headers.extend(HEADERS);
    response
}
