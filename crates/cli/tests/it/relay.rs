//! Hands requests on to a server, remembers them, and may swallow answers.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

/// A place between a client and a server.
pub(crate) struct Relay {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    inner: Arc<Inner>,
}

struct Inner {
    server: String,
    swallow: u32,
    swallowed: AtomicU32,
    seen: Mutex<Vec<Seen>>,
}

impl Relay {
    /// Swallows the first `swallow` answers to `POST /Users`: the connection ends instead.
    pub(crate) fn before(server: &str, swallow: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            server: server.strip_prefix("http://").unwrap().to_owned(),
            swallow,
            swallowed: AtomicU32::new(0),
            seen: Mutex::default(),
        });
        let shared = Arc::clone(&inner);
        // Ends with the test's process; every connection ends with the one who made it.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let inner = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let _ = inner.pass_on(&client);
                });
            }
        });
        Self { url, inner }
    }

    pub(crate) fn swallowed(&self) -> u32 {
        self.inner.swallowed.load(Ordering::Relaxed)
    }

    /// Requests that change something, in the order in which they came.
    pub(crate) fn writes(&self) -> Vec<Seen> {
        let seen = self.inner.seen.lock().unwrap();
        seen.iter()
            .filter(|it| it.method != "GET")
            .cloned()
            .collect()
    }
}

impl Inner {
    /// One connection: request after request until either side ends it.
    fn pass_on(&self, client: &TcpStream) -> std::io::Result<()> {
        let server = TcpStream::connect(&self.server)?;
        let (mut requests, mut replies) = (BufReader::new(client), BufReader::new(&server));
        loop {
            let request = message(&mut requests)?;
            let seen = read(&request);
            let creates = seen.method == "POST" && seen.path.ends_with("/Users");
            self.seen.lock().unwrap().push(seen);
            (&server).write_all(&request)?;
            // The server has done it once its answer is here.
            let reply = message(&mut replies)?;
            if creates && self.swallowed.fetch_add(1, Ordering::Relaxed) < self.swallow {
                return Ok(());
            }
            (&mut &*client).write_all(&reply)?;
        }
    }
}

fn read(request: &[u8]) -> Seen {
    let text = String::from_utf8_lossy(request);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut line = head.split([' ', '\r']);
    let mut word = || line.next().unwrap_or_default().to_owned();
    Seen {
        method: word(),
        path: word(),
        body: body.to_owned(),
    }
}

/// A whole HTTP message; all here have a Content-Length or no body.
fn message(from: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let (mut message, mut length) = (Vec::new(), 0);
    loop {
        let begin = message.len();
        if from.read_until(b'\n', &mut message)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&message[begin..]).to_ascii_lowercase();
        if let Some(number) = line.strip_prefix("content-length:") {
            length = number.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let begin = message.len();
    message.resize(begin + length, 0);
    from.read_exact(&mut message[begin..])?;
    Ok(message)
}
