//! A proxy between the command and ClickHouse that sees every request, and can hold it, cut it off or spoil its answer at an exact point.
//!
//! One thread a connection, one request a connection: both sides are told `connection: close`, so that a request's number means
//! something. What becomes of a request is decided by a function of the test's.

#![allow(dead_code, reason = "every test binary uses another part of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Its number, from 1.
    pub(crate) number: usize,
    /// The parameters of its URL, decoded.
    pub(crate) parameters: Vec<(String, String)>,
    /// Its body.
    pub(crate) body: String,
}

impl Request {
    /// A parameter of its URL.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The statement, and the data of an INSERT.
    pub(crate) fn sql(&self) -> String {
        format!(
            "{}\n{}",
            self.parameter("query").unwrap_or_default(),
            self.body
        )
    }

    /// The id that a statement of a migration was sent with.
    pub(crate) fn query_id(&self) -> Option<&str> {
        self.parameter("query_id")
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It goes through.
    Pass,
    /// The connection is closed, and nothing goes on.
    CutBefore,
    /// It goes on, and the connection is closed when the answer is there.
    CutAfter,
    /// It goes on, and the connection is closed in the middle of the answer.
    CutWithin,
    /// It does not go on; the test is told, and the connection stays open.
    HoldBefore,
    /// It does not go on before the test says so, whether or not anybody waits for its answer by then; the test is told.
    HoldLate,
    /// It goes on; the test is told as soon as it has been sent, and the answer is never given.
    HoldDuring,
    /// It goes on; the test is told when the answer is there, and the answer is never given.
    HoldAfter,
    /// The answer comes so much later.
    Late(Duration),
    /// It does not go on; this exception is the answer.
    Refuse(&'static str),
    /// It goes through, and when its answer comes nobody listens any more.
    Last,
    /// It does not go on; this is the answer.
    Answer(&'static str),
}

/// The proxy; it ends when it is dropped.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) url: String,
    /// What came, in order.
    pub(crate) seen: Arc<Mutex<Vec<Request>>>,
    held: Receiver<Request>,
    late: Arc<Late>,
    ended: Arc<AtomicBool>,
    address: SocketAddr,
}

impl Proxy {
    /// Listens in front of a server's URL.
    pub(crate) fn start(
        upstream: &str,
        fate: impl Fn(&Request) -> Fate + Send + Sync + 'static,
    ) -> Self {
        let upstream = upstream
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let ended = Arc::new(AtomicBool::new(false));
        let late = Arc::new(Late::default());
        let (tell, held) = channel();
        let shared = Arc::new(Shared {
            upstream,
            fate: Box::new(fate),
            seen: Arc::clone(&seen),
            number: AtomicUsize::new(0),
            late: Arc::clone(&late),
            ended: Arc::clone(&ended),
        });
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.ended.load(Ordering::Relaxed) {
                    return;
                }
                let (shared, tell) = (Arc::clone(&shared), Sender::clone(&tell));
                std::thread::spawn(move || {
                    let _ = shared.serve(client, &tell);
                });
            }
        });
        Self {
            url: format!("http://{address}"),
            seen,
            held,
            late,
            ended,
            address,
        }
    }

    /// The request that is held, if one comes to be within that time.
    pub(crate) fn held(&self, within: Duration) -> Option<Request> {
        self.held.recv_timeout(within).ok()
    }

    /// Lets the request that is held with [`Fate::HoldLate`] go on, and gives its answer.
    pub(crate) fn release(&self) -> String {
        let mut state = self.late.state.lock().unwrap();
        *state = LateState::Released;
        self.late.changed.notify_all();
        loop {
            if let LateState::Answered(answer) = &*state {
                return answer.clone();
            }
            state = self.late.changed.wait(state).unwrap();
        }
    }

    /// How many requests came.
    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // The listener wakes up and sees it.
        let _ = TcpStream::connect(self.address);
    }
}

/// How far a request is that arrives late.
#[derive(Default)]
struct Late {
    state: Mutex<LateState>,
    changed: Condvar,
}

#[derive(Default)]
enum LateState {
    #[default]
    Held,
    Released,
    Answered(String),
}

struct Shared {
    upstream: String,
    fate: Box<dyn Fn(&Request) -> Fate + Send + Sync>,
    seen: Arc<Mutex<Vec<Request>>>,
    number: AtomicUsize,
    late: Arc<Late>,
    ended: Arc<AtomicBool>,
}

impl Shared {
    fn serve(&self, mut client: TcpStream, tell: &Sender<Request>) -> std::io::Result<()> {
        client.set_nodelay(true)?;
        let Some((head, body)) = read_request(&mut client)? else {
            return Ok(());
        };
        let target = head.split(' ').nth(1).unwrap_or_default();
        let request = Request {
            number: self.number.fetch_add(1, Ordering::SeqCst) + 1,
            parameters: parameters(target),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        self.seen.lock().unwrap().push(request.clone());
        let fate = (self.fate)(&request);
        match fate {
            Fate::CutBefore => return client.shutdown(Shutdown::Both),
            Fate::Refuse(text) => {
                let length = text.len();
                let answer = format!(
                    "HTTP/1.1 403 Forbidden\r\nx-clickhouse-exception-code: 497\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
                );
                client.write_all(answer.as_bytes())?;
                return client.shutdown(Shutdown::Both);
            }
            Fate::Answer(text) => {
                let length = text.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}"
                );
                client.write_all(answer.as_bytes())?;
                return client.shutdown(Shutdown::Both);
            }
            Fate::HoldBefore => {
                let _ = tell.send(request);
                return self.hold(&client);
            }
            Fate::HoldLate => {
                let _ = tell.send(request.clone());
                let mut state = self.late.state.lock().unwrap();
                while matches!(*state, LateState::Held) {
                    state = self.late.changed.wait(state).unwrap();
                }
            }
            _ => {}
        }
        let mut server = TcpStream::connect(&self.upstream)?;
        server.set_nodelay(true)?;
        server.write_all(forwarded(&head, body.len()).as_bytes())?;
        server.write_all(&body)?;
        if fate == Fate::HoldDuring {
            let _ = tell.send(request);
            self.hold(&client)?;
            return server.shutdown(Shutdown::Both);
        }
        let mut answer = Vec::new();
        // An engine that was killed ends its answer early.
        let _ = server.read_to_end(&mut answer);
        if fate == Fate::HoldLate {
            let answer = String::from_utf8_lossy(&answer).into_owned();
            *self.late.state.lock().unwrap() = LateState::Answered(answer);
            self.late.changed.notify_all();
            return Ok(());
        }
        match fate {
            Fate::CutAfter => return client.shutdown(Shutdown::Both),
            Fate::CutWithin => {
                client.write_all(&answer[..answer.len() / 2])?;
                return client.shutdown(Shutdown::Both);
            }
            Fate::HoldAfter => {
                let _ = tell.send(request);
                return self.hold(&client);
            }
            Fate::Late(pause) => std::thread::sleep(pause),
            Fate::Last => {
                self.ended.store(true, Ordering::Relaxed);
                let door = client.local_addr()?;
                while TcpStream::connect(door).is_ok() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            _ => {}
        }
        client.write_all(&answer)?;
        client.shutdown(Shutdown::Both)
    }

    /// Until the client is gone.
    fn hold(&self, client: &TcpStream) -> std::io::Result<()> {
        client.set_read_timeout(Some(Duration::from_millis(50)))?;
        let mut client = client;
        while !self.ended.load(Ordering::Relaxed) {
            match client.read(&mut [0; 1]) {
                Ok(0) => return Ok(()),
                Err(error)
                    if !matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    return Ok(());
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The head, and the body without its chunks.
fn read_request(client: &mut TcpStream) -> std::io::Result<Option<(String, Vec<u8>)>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    let end = loop {
        if let Some(at) = find(&bytes, b"\r\n\r\n") {
            break at + 4;
        }
        let read = client.read(&mut buffer)?;
        if read == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..read]);
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut rest = bytes.split_off(end);
    let lower = head.to_ascii_lowercase();
    let mut more = |rest: &mut Vec<u8>| -> std::io::Result<bool> {
        let read = client.read(&mut buffer)?;
        rest.extend_from_slice(&buffer[..read]);
        Ok(read > 0)
    };
    if lower.contains("transfer-encoding: chunked") {
        let mut body = Vec::new();
        loop {
            let Some(at) = find(&rest, b"\r\n") else {
                if !more(&mut rest)? {
                    return Ok(None);
                }
                continue;
            };
            let size = usize::from_str_radix(&String::from_utf8_lossy(&rest[..at]), 16).unwrap();
            while rest.len() < at + 2 + size + 2 {
                if !more(&mut rest)? {
                    return Ok(None);
                }
            }
            if size == 0 {
                return Ok(Some((head, body)));
            }
            body.extend_from_slice(&rest[at + 2..at + 2 + size]);
            rest.drain(..at + 2 + size + 2);
        }
    }
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok())
        .unwrap_or(0);
    while rest.len() < length {
        if !more(&mut rest)? {
            return Ok(None);
        }
    }
    Ok(Some((head, rest)))
}

/// The head for a body that comes in one piece over a connection of its own.
fn forwarded(head: &str, length: usize) -> String {
    let mut text = String::new();
    for line in head.lines().filter(|line| !line.is_empty()) {
        let name = line
            .split(':')
            .next()
            .unwrap_or_default()
            .to_ascii_lowercase();
        if !matches!(
            name.as_str(),
            "transfer-encoding" | "content-length" | "connection"
        ) {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    text + &format!("content-length: {length}\r\nconnection: close\r\n\r\n")
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn parameters(target: &str) -> Vec<(String, String)> {
    let query = target.split_once('?').map_or("", |(_, query)| query);
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = std::str::from_utf8(&rest[..2]).unwrap();
                bytes.push(u8::from_str_radix(digits, 16).unwrap());
                rest = &rest[2..];
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
