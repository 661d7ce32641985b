//! An HTTP client of one server: who we are, who it must be, and by which way it is reached.
//!
//! Passwords, tokens and certificates come from files. Each file is looked at before a request (one `stat`) and
//! read again when it has changed, so a rotated secret needs no restart. When a file cannot be read, the agent waits
//! and does not end: secrets may be mounted late.

pub(crate) mod access;
mod failure;
mod files;
mod headers;
mod pauses;
mod reply;
mod secrets;

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::header::{ACCEPT_ENCODING, HOST, HeaderMap, HeaderName, HeaderValue};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder, Identity, Method, Proxy, RequestBuilder};
use url::Url;

pub use self::access::{Access, Auth, HeaderSource, Tls};
pub(crate) use self::files::{Content, Version, read_secret, version};
use self::files::{Contents, Secret};
pub use self::pauses::Backoff;
pub(crate) use self::pauses::Pauses;
use self::reply::{ANSWER_MAX, exchange};
pub(crate) use self::reply::{NoReply, Reply};
use self::secrets::Secrets;
use crate::yaml::secrets::is_suspect;

/// Why no request can be sent as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AccessError(String);

/// Sends requests to one server.
#[derive(Debug)]
pub struct Client {
    access: Access,
    timeout: Duration,
    /// The URL of requests. With `tls.server_name`, that name is its host.
    url: Url,
    /// The configured host, if `url` has another one.
    host: Option<HeaderValue>,
    built: Option<Built>,
}

/// What was made of the files when they were read last.
#[derive(Debug)]
struct Built {
    http: reqwest::Client,
    secret: Option<Secret>,
    headers: HeaderMap,
    /// All secrets in every form in which a server may repeat them.
    secrets: Secrets,
    seen: Vec<Option<Version>>,
}

impl Client {
    /// A client that has read nothing yet.
    ///
    /// # Errors
    /// `url` is not a valid URL.
    pub fn new(url: &str, access: &Access, timeout: Duration) -> Result<Client, AccessError> {
        let mut url: Url = url.parse().map_err(|error| AccessError(format!("not a URL: {error}")))?;
        let mut host = None;
        if let Some(name) = &access.tls.server_name {
            let written = authority(&url);
            host = HeaderValue::from_str(&written).ok();
            url.set_host(Some(name)).map_err(|error| AccessError(format!("tls.server_name: {error}")))?;
        }
        // A program that uses this as a library may have installed a provider. That one is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Client { access: access.clone(), timeout, url, host, built: None })
    }

    /// Sends a request of this client and reads what comes back, without our secrets if the server repeats them.
    pub(crate) async fn exchange(&self, request: RequestBuilder) -> Result<Reply, NoReply> {
        self.exchange_within(request, ANSWER_MAX).await
    }

    /// As [`Client::exchange`], for an answer of at most so many bytes.
    pub(crate) async fn exchange_within(
        &self,
        request: RequestBuilder,
        max: usize,
    ) -> Result<Reply, NoReply> {
        let conceal = |text: &mut String| {
            if let Some(built) = &self.built {
                built.secrets.conceal(text);
            }
        };
        let mut answer = exchange(request, max).await;
        match &mut answer {
            Ok(reply) => {
                conceal(&mut reply.text);
                reply.location.iter_mut().for_each(conceal);
            }
            Err(NoReply { words, .. }) => conceal(words),
        }
        answer
    }

    /// A POST request to the server, with what proves who we are.
    ///
    /// # Errors
    /// When a file cannot be read or does not hold what it should; the next call looks again.
    pub fn post(&mut self) -> Result<RequestBuilder, AccessError> {
        self.request(Method::POST, self.url.clone())
    }

    /// A GET request for what stands below the URL of this client, with what proves who we are. `path` begins with a slash.
    ///
    /// # Errors
    /// As [`Client::post`].
    pub(crate) fn get(
        &mut self,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<RequestBuilder, AccessError> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        url.query_pairs_mut().extend_pairs(parameters);
        self.request(Method::GET, url)
    }

    fn request(&mut self, method: Method, url: Url) -> Result<RequestBuilder, AccessError> {
        let seen = self.files().map(|(_, path)| version(path)).collect::<Vec<_>>();
        let built = match self.built.take() {
            Some(built) if built.seen == seen => built,
            _ => self.build(seen)?,
        };
        // Answers are read as text: compression would only be in the way.
        let identity = HeaderValue::from_static("identity");
        let mut request = built.http.request(method, url).headers(built.headers.clone());
        request = request.header(ACCEPT_ENCODING, identity);
        if let Some(host) = &self.host {
            request = request.header(HOST, host);
        }
        request = match (&self.access.auth, &built.secret) {
            (Some(Auth::Basic { username, .. }), Some(secret)) => {
                request.basic_auth(username, Some(&secret.0))
            }
            (Some(Auth::Bearer { .. }), Some(secret)) => request.bearer_auth(&secret.0),
            _ => request,
        };
        self.built = Some(built);
        Ok(request)
    }

    /// The files of the configuration, each with its key.
    fn files(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let auth = self.access.auth.as_ref().map(|auth| match auth {
            Auth::Basic { password_file, .. } => ("basic_auth.password_file", password_file),
            Auth::Bearer { token_file } => ("bearer_token_file", token_file),
        });
        let tls = &self.access.tls;
        let tls = [
            ("tls.ca_file", &tls.ca_file),
            ("tls.cert_file", &tls.cert_file),
            ("tls.key_file", &tls.key_file),
        ];
        let tls = tls.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?)));
        let headers = self.access.headers.iter().filter_map(|(_, source)| match source {
            HeaderSource::File(path) => Some(("headers", path)),
            HeaderSource::Text(_) => None,
        });
        auth.into_iter().chain(tls).chain(headers).map(|(key, path)| (key, path.as_path()))
    }

    /// Reads the files, and makes of them what requests are sent with.
    fn build(&self, seen: Vec<Option<Version>>) -> Result<Built, AccessError> {
        let contents = Contents::read(self.files())?;
        let mut secrets = Secrets::default();
        let password = contents.of("basic_auth.password_file").or_else(|| contents.of("bearer_token_file"));
        let secret = password.map(Content::secret).transpose()?;
        if let Some(Secret(secret)) = &secret {
            secrets.add(secret);
            if let Some(Auth::Basic { username, .. }) = &self.access.auth {
                secrets.add(&BASE64.encode(format!("{username}:{secret}")));
            }
        }
        let headers = self.headers(&contents, &mut secrets)?;
        let http = self.trust(self.way()?, &contents)?.build().map_err(|error| {
            AccessError(format!(
                "https cannot be prepared: {}; the CA certificates of this machine come with its package \
                 ca-certificates, or from the file that SSL_CERT_FILE names, or from tls.ca_file",
                chain(&error)
            ))
        })?;
        Ok(Built { http, secret, headers, secrets, seen })
    }

    /// The headers of the configuration. What is secret in them is added to `secrets`.
    fn headers(&self, contents: &Contents, secrets: &mut Secrets) -> Result<HeaderMap, AccessError> {
        let mut headers = HeaderMap::new();
        for (name, source) in &self.access.headers {
            let value = match source {
                HeaderSource::Text(text) => {
                    if is_suspect(name) {
                        secrets.add(text);
                    }
                    HeaderValue::from_str(text)
                        .map_err(|error| AccessError(format!("header `{name}`: {error}")))?
                }
                HeaderSource::File(file) => {
                    let Some(found) = contents.at("headers", file) else { continue };
                    let Secret(text) = found.secret()?;
                    secrets.add(&text);
                    let mut value = HeaderValue::from_str(&text)
                        .map_err(|_| found.wrong("holds characters that HTTP does not take"))?;
                    value.set_sensitive(true);
                    value
                }
            };
            let name = HeaderName::from_bytes(name.as_bytes());
            headers.insert(name.map_err(|error| AccessError(format!("headers: {error}")))?, value);
        }
        Ok(headers)
    }

    /// How the server is reached: timeout, proxy, and where its name is looked up.
    fn way(&self) -> Result<ClientBuilder, AccessError> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("journal-ship/", env!("CARGO_PKG_VERSION")))
            .timeout(self.timeout)
            // A redirect could send the logs, and credentials, to a host that the configuration does not name.
            .redirect(Policy::none());
        if let Some(host) = self.host.as_ref().and_then(|host| host.to_str().ok()) {
            builder = builder.dns_resolver(Elsewhere(host_of(host).to_owned()));
        }
        match &self.access.proxy {
            Some(proxy) => {
                let proxy = Proxy::all(proxy.as_str())
                    .map_err(|error| AccessError(format!("proxy_url: {}", chain(&error))))?;
                Ok(builder.proxy(proxy))
            }
            // The variables for proxies are meant for shells. They must not decide where a service sends its logs.
            None => Ok(builder.no_proxy()),
        }
    }

    /// Which certificates the server must have, and our own certificate.
    fn trust(&self, mut builder: ClientBuilder, contents: &Contents) -> Result<ClientBuilder, AccessError> {
        if let Some(found) = contents.of("tls.ca_file") {
            let certificates = Certificate::from_pem_bundle(&found.bytes)
                .map_err(|error| found.wrong(format!("holds no certificates in PEM: {}", chain(&error))))?;
            if certificates.is_empty() {
                return Err(found.wrong("holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"));
            }
            builder = builder.tls_certs_only(certificates);
        } else if self.url.scheme() == "http" {
            // Otherwise a machine without CA certificates could not even use http.
            builder = builder.tls_certs_only([]);
        }
        if let (Some(certificate), Some(key)) = (contents.of("tls.cert_file"), contents.of("tls.key_file")) {
            let pem = [key.bytes.as_slice(), b"\n", certificate.bytes.as_slice()].concat();
            let identity = Identity::from_pem(&pem).map_err(|error| {
                let why = "is no certificate with its key in PEM";
                certificate.wrong(format!("with {} {why}: {}", key.path.display(), chain(&error)))
            })?;
            builder = builder.identity(identity);
        }
        Ok(builder)
    }
}

/// Looks up the configured host, although requests name another one.
struct Elsewhere(String);

impl Resolve for Elsewhere {
    fn resolve(&self, _: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            // reqwest replaces the port 0 by that of the URL.
            let found: Vec<_> = match host.parse::<IpAddr>() {
                Ok(address) => vec![(address, 0).into()],
                Err(_) => tokio::net::lookup_host((host.as_str(), 0)).await?.collect(),
            };
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// `host` or `host:port`, as a `Host` header has it.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The host in a text of [`authority`]. An IPv6 address loses its brackets.
fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// A URL for the log, without its query, which may hold a key.
pub fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(url, _)| url)
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn bearer(path: &Path) -> Access {
        Access { auth: Some(Auth::Bearer { token_file: path.to_owned() }), ..Access::default() }
    }

    fn sent(client: &mut Client) -> Result<String, String> {
        let request = client.post().map_err(|error| error.to_string())?.build().unwrap();
        Ok(request.headers()["authorization"].to_str().unwrap().to_owned())
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_missing_one_waited_for() {
        let home = tempfile::tempdir().unwrap();
        let (link, one, two) = (home.path().join("token"), home.path().join("one"), home.path().join("two"));
        let mut client = Client::new("http://h/", &bearer(&link), Duration::from_secs(1)).unwrap();
        assert!(sent(&mut client).unwrap_err().contains("bearer_token_file"));
        fs::write(&one, "first\n").unwrap();
        fs::write(&two, "other\n").unwrap();
        std::os::unix::fs::symlink(&one, &link).unwrap();
        assert_eq!(sent(&mut client).unwrap(), "Bearer first");
        assert_eq!(sent(&mut client).unwrap(), "Bearer first");
        // As secrets are rotated: a link that points elsewhere.
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&two, &link).unwrap();
        assert_eq!(sent(&mut client).unwrap(), "Bearer other");
        fs::write(&two, "").unwrap();
        assert_eq!(sent(&mut client).unwrap_err(), format!("bearer_token_file: {} is empty", link.display()));
        fs::write(&two, "third").unwrap();
        assert_eq!(sent(&mut client).unwrap(), "Bearer third");
        fs::remove_file(&two).unwrap();
        assert!(sent(&mut client).unwrap_err().contains("cannot be read"));
        let mut folder = Client::new("http://h/", &bearer(home.path()), Duration::from_secs(1)).unwrap();
        assert!(sent(&mut folder).unwrap_err().contains("not a file"));
    }

    #[test]
    fn certificates_that_are_none_are_said() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("x.pem");
        for (content, part) in
            [("", "holds no certificate in PEM"), ("-----BEGIN CERTIFICATE-----\n!\n", "in PEM")]
        {
            fs::write(&file, content).unwrap();
            let mut access = Access::default();
            access.tls.ca_file = Some(file.clone());
            let error =
                Client::new("https://h/", &access, Duration::from_secs(1)).unwrap().post().unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
            access.tls =
                Tls { cert_file: Some(file.clone()), key_file: Some(file.clone()), ..Default::default() };
            let error =
                Client::new("https://h/", &access, Duration::from_secs(1)).unwrap().post().unwrap_err();
            assert!(error.to_string().contains("tls.cert_file"), "{error}");
        }
    }

    #[test]
    fn another_name_keeps_the_host() {
        for (url, sent_to, host, connected) in [
            (
                "https://10.0.0.1:3100/a?b=c",
                "https://loki.example.org:3100/a?b=c",
                "10.0.0.1:3100",
                "10.0.0.1",
            ),
            ("https://[::1]/", "https://loki.example.org/", "[::1]", "::1"),
            ("https://gateway/", "https://loki.example.org/", "gateway", "gateway"),
        ] {
            let mut access = Access::default();
            access.tls.server_name = Some("loki.example.org".into());
            let client = Client::new(url, &access, Duration::from_secs(1)).unwrap();
            let written = client.host.as_ref().unwrap().to_str().unwrap();
            assert_eq!((client.url.as_str(), written, host_of(written)), (sent_to, host, connected));
        }
    }
}
