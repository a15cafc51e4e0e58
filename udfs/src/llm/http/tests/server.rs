//! A server that does as a test says.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does with a request.
pub enum Act {
    /// Answers with a status, more header lines, and a body.
    Answer(u16, String, String),
    /// Announces a body and closes the connection before its end.
    Cut,
    /// Answers only after so long.
    Late(Duration, Box<Act>),
}

impl Act {
    pub fn json(status: u16, body: Value) -> Self {
        Self::Answer(status, String::new(), body.to_string())
    }
}

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    pub head: String,
    pub body: Value,
}

/// What happened so far.
#[derive(Debug, Default)]
struct Log {
    seen: Mutex<Vec<Seen>>,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    left: AtomicUsize,
}

pub struct TestServer {
    /// Where a model of its own is.
    pub url: String,
    log: Arc<Log>,
}

impl TestServer {
    /// Does to request `i`, whose body is given, what `act` says.
    pub async fn start(act: impl Fn(usize, &Value) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let log = Arc::new(Log::default());
        let (act, kept) = (Arc::new(act), Arc::clone(&log));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (act, log) = (Arc::clone(&act), Arc::clone(&kept));
                tokio::spawn(async move { serve(stream, &*act, &log).await });
            }
        });
        Self { url, log }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.log.seen.lock().unwrap().clone()
    }

    /// The most requests that were in flight at once.
    pub fn peak(&self) -> usize {
        self.log.peak.load(SeqCst)
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.log.in_flight.load(SeqCst)
    }

    /// How many clients left before their answer.
    pub fn left(&self) -> usize {
        self.log.left.load(SeqCst)
    }
}

async fn serve(mut stream: TcpStream, act: &(impl Fn(usize, &Value) -> Act + Sync), log: &Log) {
    let Some(seen) = request(&mut stream).await else {
        return;
    };
    let act = {
        let mut all = log.seen.lock().unwrap();
        all.push(seen.clone());
        act(all.len() - 1, &seen.body)
    };
    let now = log.in_flight.fetch_add(1, SeqCst) + 1;
    log.peak.fetch_max(now, SeqCst);
    answer(&mut stream, act, log).await;
    log.in_flight.fetch_sub(1, SeqCst);
}

/// Reads a request up to the end of its body.
async fn request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse::<usize>().unwrap())
        });
        if body.len() == length? {
            return Some(Seen {
                line: head.lines().next()?.to_owned(),
                head: head.to_lowercase(),
                body: serde_json::from_str(body).unwrap(),
            });
        }
    }
}

async fn answer(stream: &mut TcpStream, mut act: Act, log: &Log) {
    while let Act::Late(time, then) = act {
        let mut nothing = [0];
        tokio::select! {
            () = tokio::time::sleep(time) => act = *then,
            // A client that waits sends nothing: this ends when it leaves.
            _ = stream.read(&mut nothing) => {
                log.left.fetch_add(1, SeqCst);
                return;
            }
        }
    }
    let response = match act {
        Act::Answer(status, headers, body) => format!(
            "HTTP/1.1 {status} Status\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        ),
        _ => "HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n{\"choices\"".to_owned(),
    };
    // The client may be gone.
    let _ = stream.write_all(response.as_bytes()).await;
}
