//! A connection whose client has to read: an answer that nobody takes would keep its memory and the place of its query.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// While an answer waits for its client, the client must take [`TAKEN_MIN`] in this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a client takes at least in [`PATIENCE`] (bytes): a slow line does, and the largest answers take minutes.
const TAKEN_MIN: usize = 1 << 20;

/// A stream on which writing fails once the other side reads too slowly.
pub(super) struct Reader<S> {
    stream: S,
    /// Runs from the first write that had to wait until all is written.
    patience: Option<Pin<Box<Sleep>>>,
    /// What was taken since it runs (bytes).
    taken: usize,
}

impl<S> Reader<S> {
    /// Nothing waits yet.
    pub(super) fn new(stream: S) -> Reader<S> {
        Reader { stream, patience: None, taken: 0 }
    }

    /// What comes of a write: if it has to wait, only as long as there is patience.
    fn watched(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = written {
            self.taken = self.taken.saturating_add(*written.as_ref().unwrap_or(&0));
            return Poll::Ready(written);
        }
        let (patience, taken) = (&mut self.patience, &mut self.taken);
        let sleeping = patience.get_or_insert_with(|| {
            *taken = 0;
            Box::pin(sleep(PATIENCE))
        });
        while sleeping.as_mut().poll(context).is_ready() {
            if std::mem::take(taken) < TAKEN_MIN {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            sleeping.as_mut().reset(Instant::now() + PATIENCE);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Reader<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Reader<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watched(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.watched(context, written)
    }

    /// An answer is sent from where it is, and not copied first: its place is free as soon as it is sent.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(context));
        self.patience = None;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Reads so many bytes every second from a stream to which 4 MiB are written.
    async fn written(bytes_a_second: usize) -> io::Result<()> {
        let (mut near, far) = tokio::io::duplex(4096);
        let mut far = Reader::new(far);
        let reading = async {
            let mut buffer = vec![0; bytes_a_second];
            loop {
                sleep(Duration::from_secs(1)).await;
                if near.read_exact(&mut buffer).await.is_err() {
                    return;
                }
            }
        };
        let writing = async {
            far.write_all(&vec![1; 4 << 20]).await?;
            far.flush().await
        };
        tokio::select! { written = writing => written, () = reading => Ok(()) }
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_too_slowly_is_left() {
        let begun = Instant::now();
        assert_eq!(written(1).await.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
        assert_eq!(written(30_000).await.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
        written(64_000).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_nothing_to_read_may_wait() {
        let (mut near, far) = tokio::io::duplex(4096);
        let mut far = Reader::new(far);
        for _ in 0..3 {
            far.write_all(b"answer").await.unwrap();
            far.flush().await.unwrap();
            sleep(PATIENCE * 10).await;
        }
        let mut text = [0; 18];
        near.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"answeransweranswer");
    }
}
