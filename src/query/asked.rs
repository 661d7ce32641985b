//! What a request asks for: its parameters, of the address and of a form, as Go reads them (net/http, `request.go`, `ParseForm`), and
//! how lines are to be encoded.

use std::time::Duration;

use http::request::Parts;
use http_body_util::{BodyExt, Limited};
use hyper::Method;
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use tokio::time::timeout;

use super::api::{Params, Reply, Request};

/// Longest form in the body of a request (bytes): Loki takes queries of less than 128 KiB, which may be escaped.
const FORM_MAX: usize = 1 << 20;
/// How long a form may take to come: a client that has gone on the way would keep its connection. A slow line brings the longest one in
/// this time.
const FORM_WAIT: Duration = Duration::from_secs(30);
/// The type of a form; Go reads no other body.
const FORM: &str = "application/x-www-form-urlencoded";
/// The header that says how lines are to be encoded, by flags between commas (grafana/loki, `pkg/util/httpreq/encoding_flags.go`).
const ENCODING: &str = "x-loki-response-encoding-flags";
/// Flags that are looked at (count): Loki knows one, and each is repeated in the answer.
const FLAGS_MAX: usize = 16;
/// A parameter that asks for the same; Loki does not have it.
const ENCODING_PARAMETER: &str = "encodingFlags";

/// Reads what is asked for.
///
/// # Errors
/// The reply to a request that cannot be read.
pub(super) async fn read<B: Body<Data = Bytes>>(head: &Parts, body: B) -> Result<Request, Reply>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let is_form = head.method == Method::POST && is_form(&head.headers);
    let form = if is_form { whole(body).await? } else { Bytes::new() };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let params = Params::read(head.uri.query().unwrap_or_default(), &form);
    let params = params.map_err(|error| Reply::text(400, error))?;
    Ok(Request {
        path: head.uri.path().to_owned(),
        flags: flags(&head.headers, &params),
        params,
        now: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
    })
}

/// Whether the body is a form by its type, with or without parameters.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(FORM)
}

/// A form that has come whole.
async fn whole<B: Body<Data = Bytes>>(body: B) -> Result<Bytes, Reply>
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match timeout(FORM_WAIT, Limited::new(body, FORM_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(Reply::text(
            413,
            format!("the form is longer than {FORM_MAX} bytes, or did not come whole\n"),
        )),
        Err(_) => Err(Reply::text(408, format!("the form did not come within {} s\n", FORM_WAIT.as_secs()))),
    }
}

/// The flags of a request, each once.
fn flags(headers: &HeaderMap, params: &Params) -> Vec<String> {
    let named = headers.get_all(ENCODING).iter().filter_map(|value| value.to_str().ok());
    // A browser's web socket has no headers of its own.
    let named = named.chain(params.all(ENCODING_PARAMETER)).flat_map(|flags| flags.split(',')).map(str::trim);
    let mut flags: Vec<String> = Vec::new();
    for flag in named.filter(|flag| !flag.is_empty()).take(FLAGS_MAX) {
        if flags.iter().all(|known| known != flag) {
            flags.push(flag.to_owned());
        }
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use http_body_util::Full;
    use hyper::body::Frame;

    /// A body that never comes.
    struct Never;

    impl Body for Never {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut request =
            hyper::Request::builder().method("POST").uri("/loki/api/v1/query?a=1&encodingFlags=z");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[tokio::test(start_paused = true)]
    async fn a_form_that_does_not_come_is_not_waited_for_long() {
        let begun = tokio::time::Instant::now();
        let reply = read(&head(&[("content-type", FORM)]), Never).await;
        assert_eq!(reply.err().map(|reply| reply.status), Some(408));
        assert_eq!(begun.elapsed(), FORM_WAIT);
        // What is no form is not waited for at all.
        let asked = read(&head(&[("content-type", "text/plain")]), Never).await.unwrap();
        assert_eq!(asked.params.get("a"), "1");
        let long = Full::new(Bytes::from(vec![b'x'; FORM_MAX + 1]));
        let reply = read(&head(&[("content-type", FORM)]), long).await;
        assert_eq!(reply.err().map(|reply| reply.status), Some(413));
    }

    #[tokio::test]
    async fn flags_are_of_headers_and_of_the_address() {
        let header = |value| ("x-loki-response-encoding-flags", value);
        for (headers, expected) in [
            (&[][..], &["z"][..]),
            (&[header("a, b,,a")], &["a", "b", "z"]),
            (&[header("z"), header("a")], &["z", "a"]),
        ] {
            let asked = read(&head(headers), Full::new(Bytes::new())).await.unwrap();
            assert_eq!(asked.flags, expected, "{headers:?}");
        }
    }
}
