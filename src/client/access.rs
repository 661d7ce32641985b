//! How a server is reached: credentials, TLS, a proxy and headers; their keys, and how they are read.
//!
//! Every section with a server has the same keys. The configuration never holds a secret, only the name of a file that
//! holds it. So `check` reads no secret, and a secret that changes on disk needs no new configuration.

use std::collections::HashMap;
use std::path::PathBuf;

use url::Url;

use super::headers::{header_name, header_value};
use crate::yaml::secrets::is_suspect;
use crate::yaml::{Checker, Finding, Kind, Refusal, Section, Span, Value};

/// The longest name of a host (bytes; RFC 1035, 2.3.4).
const NAME_BYTES_MAX: usize = 253;
/// Where systemd puts the credentials of units that run. A file may be missing there: the unit may not run now.
const CREDENTIALS: &str = "/run/credentials/";

/// How a server is reached: who we are, who it must be, and by which way.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Access {
    /// Who we are. `None`: requests have no credentials.
    pub auth: Option<Auth>,
    /// Certificates, with `https`.
    pub tls: Tls,
    /// The URL of a proxy. `None`: there is no proxy between us and the server.
    pub proxy: Option<String>,
    /// Further request headers, in the order written.
    pub headers: Vec<(String, HeaderSource)>,
}

/// Where the value of a request header comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderSource {
    /// The configuration.
    Text(String),
    /// A file, which is read when it is needed: the value is a secret.
    File(PathBuf),
}

/// Credentials. Their secrets are in files, which are read when they are needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `basic_auth` (RFC 7617)
    Basic {
        /// The user's name.
        username: String,
        /// The file with the password.
        password_file: PathBuf,
    },
    /// `bearer_token_file` (RFC 6750)
    Bearer {
        /// The file with the token.
        token_file: PathBuf,
    },
}

/// `tls`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tls {
    /// The authorities that must have signed the server's certificate (PEM), instead of those that this machine trusts.
    pub ca_file: Option<PathBuf>,
    /// Our certificate, followed by the intermediate certificates (PEM).
    pub cert_file: Option<PathBuf>,
    /// The key of our certificate (PEM).
    pub key_file: Option<PathBuf>,
    /// The name that the server's certificate must have, instead of the one in the URL.
    pub server_name: Option<String>,
}

/// The keys of an item that says how a server is reached, for the table of the section that holds it.
macro_rules! access_keys {
    ($at:literal) => {
        &[
            key(concat!($at, ".basic_auth"), "section", "null"),
            key(concat!($at, ".basic_auth.username"), "string", "required"),
            key(concat!($at, ".basic_auth.password_file"), "path", "required"),
            key(concat!($at, ".bearer_token_file"), "path", "null"),
            key(concat!($at, ".tls"), "section", ""),
            key(concat!($at, ".tls.ca_file"), "path", "null"),
            key(concat!($at, ".tls.cert_file"), "path", "null"),
            key(concat!($at, ".tls.key_file"), "path", "null"),
            key(concat!($at, ".tls.server_name"), "host name", "null"),
            key(concat!($at, ".proxy_url"), "URL", "null"),
        ]
    };
}
pub(crate) use access_keys;

/// The keys of headers, where an item has them.
macro_rules! header_keys {
    ($at:literal) => {
        &[
            key(concat!($at, ".headers"), "map of strings or files", "{}"),
            key(concat!($at, ".headers.*"), "section", ""),
            key(concat!($at, ".headers.*.file"), "path", "required"),
        ]
    };
}
pub(crate) use header_keys;

/// Reads the keys of an item (`schema` in the table of keys) whose server has the URL `url`.
pub(crate) fn read(checker: &Checker<'_>, section: &Section<'_>, schema: &str, url: &str) -> Access {
    let mut access = Access::default();
    let (mut basic, mut token) = (None, None);
    section.read("basic_auth", &mut basic, |value| {
        basic_auth(checker, value, &format!("{schema}.basic_auth"), |value| file(checker, value)).map(Some)
    });
    section.read("bearer_token_file", &mut token, |value| file(checker, value).map(Some));
    section.read("tls", &mut access.tls, |value| tls(checker, value, &format!("{schema}.tls"), url));
    section.read("proxy_url", &mut access.proxy, |value| proxy(checker, value).map(Some));
    if let (Some(first), Some(second)) = (section.get("basic_auth"), section.get("bearer_token_file"))
        && basic.is_some()
        && token.is_some()
    {
        checker.note(
            Finding::at(second.key.clone(), "two ways to log in: `basic_auth` and `bearer_token_file`")
                .label("remove one of them")
                .related(first.key.clone(), "the other one"),
        );
    }
    if let (Some(_), Some(proxy)) = (&access.tls.server_name, section.get("proxy_url"))
        && access.proxy.is_some()
    {
        checker.note(
            Finding::at(proxy.key.clone(), "`proxy_url` and `tls.server_name` together do not work")
                .label("remove one of them")
                .help(
                    "a proxy looks the server up by its name: write the name of the certificate in the URL",
                ),
        );
    }
    access.auth = match (basic, token) {
        (Some(basic), _) => Some(basic),
        (None, Some(token_file)) => Some(Auth::Bearer { token_file }),
        (None, None) => None,
    };
    section.read("headers", &mut access.headers, |value| {
        headers(checker, value, &format!("{schema}.headers.*"))
    });
    let is_secret = |(name, source): &(String, HeaderSource)| match source {
        HeaderSource::File(_) => true,
        HeaderSource::Text(_) => is_suspect(name),
    };
    let login = access.auth.as_ref().map(|auth| match auth {
        Auth::Basic { .. } => "basic_auth",
        Auth::Bearer { .. } => "bearer_token_file",
    });
    let secret_headers = access.headers.iter().any(is_secret).then_some("headers");
    for key in login.into_iter().chain(secret_headers) {
        if let Some(written) = section.get(key).filter(|_| is_open(url)) {
            checker.warn(
                Finding::at(written.key.clone(), format!("`{}` goes over `http://`", written.path))
                    .label("anybody on the way can read these credentials")
                    .help("write `https://` in the URL, unless a tunnel such as WireGuard encrypts the whole way"),
            );
        }
    }
    if let (Some(written), Some(_)) = (section.get("headers"), &access.auth)
        && access.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
    {
        checker.note(
            Finding::at(
                written.key.clone(),
                "two ways to log in: the header `Authorization` and another one",
            )
            .label("remove `Authorization`, or `basic_auth` and `bearer_token_file`"),
        );
    }
    access
}

/// Whether others can read on the way what is sent to a URL: it leaves this host without encryption.
fn is_open(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    url.scheme() == "http" && !here
}

/// Reads `headers`: texts, and files that hold a secret.
fn headers(checker: &Checker<'_>, value: &Value<'_>, schema: &str) -> Option<Vec<(String, HeaderSource)>> {
    if value.node.kind == Kind::Null {
        return None;
    }
    let mut headers = Vec::new();
    let mut places: HashMap<String, Span> = HashMap::new();
    for entry in checker.entries(value, "a map: header to text, or to `{file: PATH}`")? {
        let from_file = matches!(entry.value.node.kind, Kind::Map(_));
        if let Err(refusal) = header_name(entry.name, from_file) {
            checker.refuse(entry.value.key, "", refusal);
            continue;
        }
        if let Some(first) = places.get(&entry.name.to_ascii_lowercase()) {
            let title = format!("the header `{}` stands twice", entry.name);
            checker.note(
                Finding::at(entry.value.key.clone(), title)
                    .label("letter case makes no difference")
                    .related(first.clone(), "first here"),
            );
            continue;
        }
        let source = match from_file {
            true => {
                let section = Section::open(checker, &entry.value, schema);
                let path = section.and_then(|section| {
                    section.required(checker, &entry.value, "file", |value| file(checker, value))
                });
                path.map(HeaderSource::File)
            }
            false => checker.checked(&entry.value, "a string", header_value).map(HeaderSource::Text),
        };
        places.insert(entry.name.to_ascii_lowercase(), entry.value.key);
        headers.extend(source.map(|source| (entry.name.to_owned(), source)));
    }
    Some(headers)
}

/// Reads the URL of a server. `full` makes the URL that requests go to.
pub(crate) fn url(
    checker: &Checker<'_>,
    value: &Value<'_>,
    expected: &str,
    full: impl Fn(&str) -> Result<String, Refusal>,
) -> Option<String> {
    let text = checker.text(value, expected)?;
    // There may be a password even if the URL has no scheme.
    if text.contains('@') {
        checker.hide(value.node.span.clone());
    }
    full(&text).map_err(|refusal| checker.refuse(value.place(), &value.path, refusal)).ok()
}

/// The URL of a server. No refusal repeats the text, which may hold a password.
pub(crate) fn server_url(text: &str, expected: &str) -> Result<Url, Refusal> {
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(Refusal::new("a URL holds no spaces", expected));
    }
    let has_scheme = ["http://", "https://"]
        .iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    if !has_scheme {
        let refusal = Refusal::new("the URL begins with neither `http://` nor `https://`", expected);
        let bare = !text.is_empty() && !text.contains("//") && !text.contains('@');
        return Err(if bare { refusal.help(format!("did you mean `http://{text}`?")) } else { refusal });
    }
    let url = Url::parse(text).map_err(|error| Refusal::new(format!("not a URL: {error}"), expected))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::new("the URL holds a user name or a password", "expected a URL without `user:password@`")
            .help("credentials do not belong in this file, which is often readable by everyone and in version control"));
    }
    if url.fragment().is_some() {
        return Err(Refusal::new("the URL holds a `#fragment`", "expected a URL without it")
            .help("a fragment is never sent to a server"));
    }
    Ok(url)
}

/// Reads `basic_auth`; `path` reads the path of the file with the password.
pub(crate) fn basic_auth(
    checker: &Checker<'_>,
    value: &Value<'_>,
    schema: &str,
    path: impl FnOnce(&Value<'_>) -> Option<PathBuf>,
) -> Option<Auth> {
    let section = Section::open(checker, value, schema)?;
    let username = section.required(checker, value, "username", |value| {
        checker.checked(value, "a string, the user's name", |name| {
            match name.contains([':', '\n', '\r', '\0']) {
                // RFC 7617: the first colon ends the name.
                true => Err(Refusal::new("a user's name holds no colon and no line end", "expected a name")),
                false => Ok(()),
            }
        })
    });
    let password_file = section.required(checker, value, "password_file", path);
    Some(Auth::Basic { username: username?, password_file: password_file? })
}

fn tls(checker: &Checker<'_>, value: &Value<'_>, schema: &str, url: &str) -> Option<Tls> {
    let section = Section::open(checker, value, schema)?;
    let mut tls = Tls::default();
    for (name, target) in
        [("ca_file", &mut tls.ca_file), ("cert_file", &mut tls.cert_file), ("key_file", &mut tls.key_file)]
    {
        section.read(name, target, |value| file(checker, value).map(Some));
    }
    section.read("server_name", &mut tls.server_name, |value| {
        checker.checked(value, "a string, the name in the server's certificate", server_name).map(Some)
    });
    let whose = [("cert_file", &tls.cert_file, "key_file"), ("key_file", &tls.key_file, "cert_file")];
    for (name, there, other) in whose {
        if let (Some(_), Some(written), None) = (there, section.get(name), section.get(other)) {
            checker.note(
                Finding::at(written.key.clone(), format!("`{name}` without `{other}`"))
                    .label(format!("expected `{other}: …` beside it"))
                    .help("a client certificate is of use only with its key"),
            );
        }
    }
    if tls != Tls::default() && url.starts_with("http:") {
        checker.note(
            Finding::at(value.key.clone(), "`tls` for a URL that begins with `http://`")
                .label("nothing is encrypted there")
                .help("write `https://` in the URL, or remove this section"),
        );
    }
    Some(tls)
}

/// Reads the path of a file. The file itself is read only when it is needed. If it is missing, a warning says so, because
/// the agent will wait for it.
fn file(checker: &Checker<'_>, value: &Value<'_>) -> Option<PathBuf> {
    let help = "create it, or correct the path; it is read when it is needed, not at the start";
    existing_file(checker, value, "nothing can be sent until it does", help)
}

/// Reads the path of a secret file of whatever section. If the file is missing, a warning says what cannot be done
/// `without` it, and what to do.
pub(crate) fn existing_file(
    checker: &Checker<'_>,
    value: &Value<'_>,
    without: &str,
    help: &str,
) -> Option<PathBuf> {
    let path = checker.path(value)?;
    // When a build checks a configuration, its machine has no secrets.
    let told = checker.is_at_home() && !path.starts_with(CREDENTIALS);
    if told && std::fs::metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        checker.warn(
            Finding::at(value.place(), format!("the file of `{}` does not exist", value.path))
                .label(without)
                .help(help),
        );
    }
    Some(path)
}

fn server_name(name: &str) -> Result<(), Refusal> {
    // An address needs no look-up. It belongs in the URL.
    let fits = name.parse::<std::net::Ipv4Addr>().is_err()
        && !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    match fits {
        true => Ok(()),
        false => Err(Refusal::new("not a host name", "expected a name such as `loki.example.org`")),
    }
}

/// Reads the URL of a proxy. No refusal repeats the text, which may hold a password.
fn proxy(checker: &Checker<'_>, value: &Value<'_>) -> Option<String> {
    const EXPECTED: &str = "expected a URL such as `http://proxy:3128`";
    if let Kind::Str(text) = &value.node.kind
        && text.contains('@')
    {
        checker.hide(value.node.span.clone());
    }
    checker.checked(value, "a URL such as `http://proxy:3128`", |text| {
        let url = Url::parse(text).map_err(|error| Refusal::new(format!("not a URL: {error}"), EXPECTED))?;
        if !["http", "https"].contains(&url.scheme()) {
            let what = "a proxy must be reached by http or https";
            return Err(Refusal::new(what, EXPECTED).help("SOCKS proxies are not supported"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::new("the URL holds a user name or a password", EXPECTED)
                .help("proxies that ask for a password are not supported"));
        }
        Ok(())
    })
}
