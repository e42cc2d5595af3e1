//! Hands requests on to a server, remembers them, and makes trouble as it is told.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Nothing.
    None,
    /// It is answered so without being handed on, with a header or without.
    Answer(u16, &'static str),
    /// A page for people, as a proxy shows it.
    Html(u16),
    /// It is not handed on, and the connection ends.
    Cut,
    /// It is carried out, and the connection ends.
    LostAnswer,
    /// It is carried out, and half of its answer comes.
    HalfAnAnswer,
    /// It is carried out, and its answer comes later.
    Late(Duration),
    /// What it names is deleted instead.
    Deletes,
}

/// Tells the trouble of each request, which are counted from 0.
type Script = dyn Fn(usize, &Seen) -> Trouble + Send + Sync;

/// A place between a client and a server.
pub(crate) struct Relay {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    inner: Arc<Inner>,
}

struct Inner {
    server: String,
    script: Box<Script>,
    /// Of requests before it begins, nothing is known here.
    begun: AtomicBool,
    seen: Mutex<Vec<Seen>>,
    troubles: Mutex<Vec<Trouble>>,
}

impl Relay {
    /// Hands everything on.
    pub(crate) fn before(server: &str) -> Self {
        Self::scripted(server, |_, _| Trouble::None)
    }

    /// Makes trouble.
    pub(crate) fn scripted(
        server: &str,
        script: impl Fn(usize, &Seen) -> Trouble + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            server: server.strip_prefix("http://").unwrap().to_owned(),
            script: Box::new(script),
            begun: AtomicBool::new(true),
            seen: Mutex::default(),
            troubles: Mutex::default(),
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

    /// Hands everything on, and counts nothing, until it is to begin.
    pub(crate) fn begin(&self, on: bool) {
        self.inner.begun.store(on, Ordering::Relaxed);
    }

    /// All that went wrong so far.
    pub(crate) fn troubles(&self) -> Vec<Trouble> {
        self.inner.troubles.lock().unwrap().clone()
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
            let trouble = {
                let mut all = self.seen.lock().unwrap();
                if self.begun.load(Ordering::Relaxed) {
                    let trouble = (self.script)(all.len(), &seen);
                    all.push(seen);
                    trouble
                } else {
                    Trouble::None
                }
            };
            if trouble != Trouble::None {
                self.troubles.lock().unwrap().push(trouble);
            }
            let mut client = client;
            match trouble {
                Trouble::Answer(status, header) => {
                    let told = answer(status, header, "");
                    client.write_all(told.as_bytes())?;
                    continue;
                }
                Trouble::Html(status) => {
                    let page = "<!doctype html><title>Oops</title><p>Something went wrong";
                    let told = answer(status, "Content-Type: text/html\r\n", page);
                    client.write_all(told.as_bytes())?;
                    continue;
                }
                Trouble::Cut => return Ok(()),
                _ => {}
            }
            match trouble {
                Trouble::Deletes => (&server).write_all(&deletion(&request))?,
                _ => (&server).write_all(&request)?,
            }
            // The server has done it once its answer is here.
            let reply = message(&mut replies)?;
            match trouble {
                Trouble::LostAnswer => return Ok(()),
                Trouble::HalfAnAnswer => return client.write_all(&reply[..reply.len() - 5]),
                Trouble::Late(by) => std::thread::sleep(by),
                _ => {}
            }
            client.write_all(&reply)?;
        }
    }
}

fn answer(status: u16, header: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} Trouble\r\n{header}Content-Length: {length}\r\n\r\n{body}")
}

/// The deletion of what a request names.
fn deletion(request: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(request);
    let (head, _) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let (_, rest) = head.split_once(' ').unwrap_or_default();
    let is_of_body = |line: &&str| !line.to_ascii_lowercase().starts_with("content-");
    let lines: Vec<&str> = rest.split("\r\n").filter(is_of_body).collect();
    format!("DELETE {}\r\n\r\n", lines.join("\r\n")).into_bytes()
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
