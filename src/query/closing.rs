//! Noticing that a client has gone while its query runs.
//!
//! hyper looks for the end of a connection between requests, and during a request only as long as no byte stands behind it: with a
//! second request there, or an empty line, a query would run to its end for nobody. The kernel tells of it in any case
//! (`EPOLLRDHUP`, epoll_ctl(2)).

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::net::UnixStream;

/// The other end of a connection. Nothing is read or written here, so this type of tokio's serves for sockets of any kind.
#[derive(Debug, Clone)]
pub(super) struct Client(Arc<UnixStream>);

impl Client {
    /// Of a connection that does not block, whose descriptor it shares.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub(super) fn of(connection: &impl AsFd) -> io::Result<Client> {
        let shared = connection.as_fd().try_clone_to_owned()?;
        Ok(Client(Arc::new(UnixStream::from_std(shared.into())?)))
    }

    /// Returns when it has closed the connection, or will send nothing more: hyper takes that for the same.
    pub(super) async fn gone(&self) {
        while let Ok(ready) = self.0.ready(Interest::READABLE).await {
            if ready.is_read_closed() {
                return;
            }
            // Bytes that hyper reads in its time. Whoever finds that it would block waits for news, which comes with what follows them.
            let _ =
                self.0.try_io(Interest::READABLE, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
        }
        // Nothing is told any more. hyper notices most ends.
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::Shutdown;
    use std::time::Duration;
    use tokio::time::timeout;

    /// Far more than the kernel needs to tell.
    const PATIENCE: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn who_has_gone_is_noticed_whatever_was_sent_before() {
        for (sent, end) in [
            (&b""[..], None),
            (b"", Some(Shutdown::Both)),
            (b"\r\n", Some(Shutdown::Both)),
            (b"GET / HTTP/1.1\r\n\r\n", Some(Shutdown::Both)),
            (b"\r\n", Some(Shutdown::Write)),
        ] {
            let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
            near.set_nonblocking(true).unwrap();
            let client = Client::of(&near).unwrap();
            far.write_all(sent).unwrap();
            assert!(
                timeout(Duration::from_millis(20), client.gone()).await.is_err(),
                "it is there: {sent:?}"
            );
            match end {
                Some(how) => far.shutdown(how).unwrap(),
                None => drop(far),
            }
            assert!(timeout(PATIENCE, client.gone()).await.is_ok(), "{sent:?} {end:?}");
        }
    }
}
