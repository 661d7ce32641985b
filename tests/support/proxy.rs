//! A proxy that misbehaves: it stands between the agent and the double, and does to each request what it is told.
//!
//! One request a connection, so that each has a fate of its own. What the double stored and the agent was not told is
//! the case that matters most: delivered, and not acknowledged.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It passes.
    None,
    /// The connection is reset before anything is read.
    Refuse,
    /// The connection is reset in the middle of the request.
    ResetInRequest,
    /// The request arrives and is answered; the connection is reset before the answer comes back.
    ResetBeforeAnswer,
    /// As before, but the connection is closed in order.
    CloseBeforeAnswer,
    /// The request arrives; half of the answer comes back.
    HalfAnswer,
    /// The request arrives; nothing comes back for so long that the agent gives up.
    Stall,
    /// The request arrives; what comes back is no HTTP.
    Garbage,
    /// Nothing arrives; what comes back is no HTTP.
    GarbageAtOnce,
    /// The request arrives; the answer comes back one byte at a time.
    Drip,
    /// The request is taken one byte at a time for a while.
    SlowRequest,
    /// Nothing arrives; these bytes come back.
    Says(&'static [u8]),
    /// The request arrives; these bytes come back.
    PassesAndSays(&'static [u8]),
}

impl Fault {
    /// All but [`Fault::None`].
    pub const ALL: [Fault; 10] = [
        Fault::Refuse,
        Fault::ResetInRequest,
        Fault::ResetBeforeAnswer,
        Fault::CloseBeforeAnswer,
        Fault::HalfAnswer,
        Fault::Stall,
        Fault::Garbage,
        Fault::GarbageAtOnce,
        Fault::Drip,
        Fault::SlowRequest,
    ];
}

/// How long a stalled request gets no answer.
pub const STALL: Duration = Duration::from_secs(3);

/// What becomes of a request that has no fate of its own, by the whole of it, head and body.
type Rule = Box<dyn FnMut(&[u8]) -> Fault + Send>;

/// A running proxy; it ends when this is dropped.
pub struct Proxy {
    pub address: SocketAddr,
    rule: Arc<Mutex<Rule>>,
    requests: Arc<AtomicUsize>,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens on `at`, before a server at `http://HOST:PORT`.
    pub fn start(at: IpAddr, server: &str) -> Proxy {
        let server: SocketAddr = server.trim_start_matches("http://").parse().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((at, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (faults, (end, ended)) = (Arc::<Mutex<VecDeque<Fault>>>::default(), oneshot::channel());
        let next = faults.clone();
        let rule: Arc<Mutex<Rule>> = Arc::new(Mutex::new(Box::new(|_| Fault::None)));
        let requests = Arc::<AtomicUsize>::default();
        let (rules, count) = (rule.clone(), requests.clone());
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fault = next.lock().unwrap().pop_front().unwrap_or(Fault::None);
                count.fetch_add(1, Relaxed);
                let rules = rules.clone();
                tokio::spawn(async move {
                    // Whoever hangs up has what was wanted.
                    let _ = pass(stream, server, fault, &rules).await;
                });
            }
        };
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! { () = serve => {}, _ = ended => {} }
            });
        });
        Proxy { address, rule, requests, faults, end: Some(end), thread: Some(thread) }
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The fates of the next requests, after those that still wait.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    /// What becomes of requests from now on.
    pub fn rule(&self, rule: impl FnMut(&[u8]) -> Fault + Send + 'static) {
        *self.rule.lock().unwrap() = Box::new(rule);
    }

    /// Connections so far: one for each request.
    pub fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// Fates not met yet.
    pub fn pending(&self) -> usize {
        self.faults.lock().unwrap().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn pass(
    mut client: TcpStream,
    server: SocketAddr,
    mut fault: Fault,
    rule: &Mutex<Rule>,
) -> io::Result<()> {
    match fault {
        Fault::Refuse => return client.set_zero_linger(),
        Fault::GarbageAtOnce => return client.write_all(b"\x16\x03\x01 no HTTP at all\r\n\r\n").await,
        _ => {}
    }
    let Some(request) = request(&mut client, fault).await? else { return client.set_zero_linger() };
    if fault == Fault::None {
        fault = rule.lock().unwrap()(&request);
    }
    if let Fault::Says(answer) = fault {
        return client.write_all(answer).await;
    }
    let mut upstream = TcpStream::connect(server).await?;
    upstream.write_all(&request).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    match fault {
        Fault::ResetBeforeAnswer => client.set_zero_linger(),
        Fault::CloseBeforeAnswer => client.shutdown().await,
        Fault::HalfAnswer => client.write_all(&answer[..answer.len() / 3]).await,
        Fault::PassesAndSays(answer) => client.write_all(answer).await,
        Fault::Garbage => client.write_all(&[0, 255, 13, 10, 13, 10, 7]).await,
        Fault::Stall => {
            tokio::time::sleep(STALL).await;
            Ok(())
        }
        Fault::Drip => {
            for byte in answer {
                client.write_all(&[byte]).await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        }
        _ => client.write_all(&answer).await,
    }
}

/// Reads a whole request and asks for a connection that ends with its answer; `None` where it was to break off.
async fn request(client: &mut TcpStream, fault: Fault) -> io::Result<Option<Vec<u8>>> {
    let (mut bytes, mut slow) = (Vec::new(), 200);
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        bytes.push(client.read_u8().await?);
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length =
        text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let whole = head + 4 + length.unwrap_or(0);
    let wanted = if fault == Fault::ResetInRequest { (head + 4 + whole) / 2 } else { whole };
    let mut piece = [0; 8192];
    while bytes.len() < wanted {
        let room = (wanted - bytes.len()).min(piece.len());
        let room = if fault == Fault::SlowRequest && slow > 0 { 1 } else { room };
        let read = client.read(&mut piece[..room]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..read]);
        if fault == Fault::SlowRequest && slow > 0 {
            slow -= 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    if fault == Fault::ResetInRequest {
        return Ok(None);
    }
    bytes.splice(head..head, b"\r\nconnection: close".iter().copied());
    Ok(Some(bytes))
}
