//! A connection on which requests that are too long are refused in words: hyper answers them by itself, with a status and nothing else.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Longest address of a request (bytes): that of the `http` crate (`uri/mod.rs`, `MAX_LEN`).
const ADDRESS_MAX: usize = (u16::MAX - 1) as usize;
/// What hyper begins an answer of its own with, and what stands behind it here. The answers of this program never have these
/// statuses, and their bodies never a line break of this kind, so nothing else begins like this.
const ALONE: [(&[u8], &str); 2] = [
    (
        b"HTTP/1.1 414 URI Too Long\r\n",
        "the address is longer than {} bytes: send the parameters by POST, in a form\n",
    ),
    (
        b"HTTP/1.1 431 Request Header Fields Too Large\r\n",
        "the headers of the request are too long, or there are too many: send the parameters by POST, in a form\n",
    ),
];

/// A connection with words.
pub(super) struct Worded<S> {
    stream: S,
    /// What is sent in place of an answer without words. Nothing comes behind it.
    instead: Vec<u8>,
}

impl<S: AsyncWrite + Unpin> Worded<S> {
    /// Nothing was refused yet.
    pub(super) fn new(stream: S) -> Worded<S> {
        Worded { stream, instead: Vec::new() }
    }

    /// Whether words are said in place of what begins with these bytes.
    fn says(&mut self, bytes: &[u8]) -> bool {
        let Some((line, words)) = ALONE.iter().find(|(line, _)| bytes.starts_with(line)) else {
            return false;
        };
        let words = words.replace("{}", &ADDRESS_MAX.to_string());
        let headers = "content-type: text/plain; charset=utf-8\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n";
        let length = words.len();
        self.instead = line.to_vec();
        let rest = format!("{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{words}");
        self.instead.extend_from_slice(rest.as_bytes());
        true
    }

    /// Sends the words, if there are any.
    fn poll_words(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.instead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Worded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Worded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.says(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if slices.first().is_some_and(|first| self.says(first)) {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_words(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_words(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
