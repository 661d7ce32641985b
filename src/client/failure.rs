//! Why there was no answer, in words for a person. The causes that a library names, one inside the other, say how it failed;
//! these words say what failed, and what to do about it.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, Error as TlsError};

use super::chain;

/// Why there was no answer.
#[derive(Debug)]
pub(super) struct Failure {
    /// In words, without the address.
    pub(super) words: String,
    /// A person must mend it: a certificate, ours or theirs, or an address that speaks no TLS.
    pub(super) mend: bool,
}

impl Failure {
    /// Of a request that failed.
    pub(super) fn of(error: reqwest::Error) -> Failure {
        let host = error.url().and_then(|url| url.host_str()).unwrap_or("the server").to_owned();
        let timeout = error.is_timeout();
        let error = error.without_url();
        if let Some(tls) = find::<TlsError>(&error)
            && let Some(words) = of_tls(tls, &host)
        {
            return Failure { words, mend: true };
        }
        let words = match find::<io::Error>(&error).and_then(|error| of_connection(error.kind())) {
            Some(words) => words.to_owned(),
            None if timeout => "no answer in time (timeout)".to_owned(),
            None => of_text(&chain(&error), &host),
        };
        Failure { words, mend: false }
    }
}

/// The first cause of this type. What is inside an I/O error is not among its causes.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut cause = Some(error);
    let mut found = None;
    while let Some(error) = cause {
        // The innermost one says most.
        found = error.downcast_ref::<T>().or(found);
        let inner = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
        cause = inner.map(|inner| inner as &(dyn Error + 'static)).or(error.source());
    }
    found
}

/// What TLS says; `None`: nothing that a person could mend.
fn of_tls(error: &TlsError, host: &str) -> Option<String> {
    use CertificateError as Bad;
    Some(match error {
        TlsError::InvalidCertificate(why) => match why {
            Bad::UnknownIssuer | Bad::BadSignature => {
                format!("the certificate of {host} is not signed by a known authority: set tls.ca_file")
            }
            Bad::Expired | Bad::ExpiredContext { .. } => {
                format!("the certificate of {host} has expired: renew it there")
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                format!("the certificate of {host} is not valid yet: is the clock of this host right?")
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => format!(
                "the certificate is not for {host}: write a name that it has in the url, or set tls.server_name ({error})"
            ),
            _ => format!("the certificate of {host} is not accepted ({error})"),
        },
        TlsError::InvalidMessage(_) => format!("{host} speaks no TLS at this port: write http:// in the url"),
        TlsError::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired => {
                format!("{host} wants a certificate from us: set tls.cert_file and tls.key_file")
            }
            AlertDescription::ProtocolVersion
            | AlertDescription::HandshakeFailure
            | AlertDescription::InsufficientSecurity => {
                format!("{host} has no version of TLS or no cipher that this program has, too ({error})")
            }
            _ => format!("{host} does not accept our certificate: see tls.cert_file ({error})"),
        },
        _ => return None,
    })
}

fn of_connection(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset",
        io::ErrorKind::ConnectionAborted => "connection aborted",
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => "the connection was closed",
        io::ErrorKind::HostUnreachable => "no route to the host",
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => "the network is not reachable",
        io::ErrorKind::TimedOut => "no answer in time (timeout)",
        _ => return None,
    })
}

/// Of the words of other errors, what says most.
fn of_text(words: &str, host: &str) -> String {
    // How libc says it (glibc and musl), behind the words of hyper-util.
    if let Some((_, why)) = words.split_once("failed to lookup address information: ") {
        return format!("the name {host} cannot be looked up: {why}");
    }
    for (part, said) in [
        ("connection closed before message completed", "the connection was closed before the answer"),
        ("connection error", "the connection broke"),
        ("proxy authentication required", "the proxy wants a login: see proxy_url"),
    ] {
        if words.to_ascii_lowercase().contains(part) {
            return said.to_owned();
        }
    }
    // What the libraries put before the cause.
    let mut rest = words;
    while let Some(after) = [
        "error sending request: ",
        "client error (Connect): ",
        "client error (SendRequest): ",
        "tcp connect error: ",
    ]
    .iter()
    .find_map(|prefix| rest.strip_prefix(prefix))
    {
        rest = after;
    }
    rest.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_must_mend_is_said_in_their_words() {
        for (error, words) in [
            (
                TlsError::InvalidCertificate(CertificateError::UnknownIssuer),
                "the certificate of h is not signed by a known authority: set tls.ca_file",
            ),
            (
                TlsError::InvalidCertificate(CertificateError::Expired),
                "the certificate of h has expired: renew it there",
            ),
            (
                TlsError::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
                "h speaks no TLS at this port: write http:// in the url",
            ),
            (
                TlsError::AlertReceived(AlertDescription::CertificateRequired),
                "h wants a certificate from us: set tls.cert_file and tls.key_file",
            ),
        ] {
            let inside = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
            assert_eq!(find::<TlsError>(&inside).and_then(|tls| of_tls(tls, "h")).as_deref(), Some(words));
        }
    }

    #[test]
    fn what_libraries_say_is_left_out() {
        for (said, words) in [
            (
                "error sending request: client error (Connect): dns error: failed to lookup address information: Name or service not known",
                "the name h cannot be looked up: Name or service not known",
            ),
            ("error sending request: client error (Connect): tcp connect error: x", "x"),
            ("something else", "something else"),
        ] {
            assert_eq!(of_text(said, "h"), words);
        }
    }
}
