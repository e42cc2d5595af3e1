//! A target that does what it is asked and whose answer is lost on the way: nothing is done twice.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::kill::read_all;
use crate::run::{APP, Server, everybody, json, receiver};

const PEOPLE: usize = 12;

/// Hands requests on to a server, and swallows the answers to the first creates.
struct Lossy {
    port: u16,
    swallowed: Arc<AtomicU32>,
}

impl Lossy {
    /// Swallows the first `answers` answers to `POST /Users`: the connection ends instead.
    fn before(server: &str, answers: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = server.strip_prefix("http://").unwrap().to_owned();
        let swallowed = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&swallowed);
        // Ends with the test's process; every connection ends with the one who made it.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, counter) = (server.clone(), Arc::clone(&counter));
                std::thread::spawn(move || {
                    let _ = pass_on(&client, &server, answers, &counter);
                });
            }
        });
        Self { port, swallowed }
    }
}

/// One connection: request after request until either side ends it.
fn pass_on(
    client: &TcpStream,
    server: &str,
    answers: u32,
    swallowed: &AtomicU32,
) -> std::io::Result<()> {
    let server = TcpStream::connect(server)?;
    let (mut requests, mut replies) = (BufReader::new(client), BufReader::new(&server));
    loop {
        let request = message(&mut requests)?;
        (&server).write_all(&request)?;
        // The server has done it once its answer is here.
        let reply = message(&mut replies)?;
        let creates = request.starts_with(b"POST ") && {
            let line = request
                .split(|byte| *byte == b'\r')
                .next()
                .unwrap_or_default();
            line.ends_with(b"/Users HTTP/1.1")
        };
        if creates && swallowed.fetch_add(1, Ordering::Relaxed) < answers {
            return Ok(());
        }
        (&mut &*client).write_all(&reply)?;
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

#[test]
fn a_create_whose_answer_is_lost_is_found_again_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, "127.0.0.1:0");
    let mut users = String::from("userPrincipalName,displayName\n");
    for number in 0..PEOPLE {
        let _ = writeln!(users, "user{number}@example.test,User {number}");
    }
    let file = folder.path().join("users.csv");
    std::fs::write(&file, users).unwrap();
    json(&data, &["import", file.to_str().unwrap()]);
    let (url, token) = receiver(&data);
    let lossy = Lossy::before(&server.url, 5);
    let through = url.replace(&server.url, &format!("http://127.0.0.1:{}", lossy.port));
    everybody(&data, &through, &token);

    let cycle = json(&data, &["job", "run", APP]);
    assert!(lossy.swallowed.load(Ordering::Relaxed) >= 5, "{cycle}");
    assert_eq!(cycle["failed"], 0, "{cycle}");
    assert_eq!(cycle["created"], PEOPLE, "{cycle}");
    let there = read_all(&url, &token, "Users");
    assert_eq!(there.len(), PEOPLE);
    let told = json(&data, &["log", "list", APP, "--action", "create"]);
    let lost = told.as_array().unwrap().iter().filter(|event| {
        event["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("answer was lost"))
    });
    assert_eq!(lost.count(), 5, "{told}");
}
