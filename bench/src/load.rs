//! Requests from many connections at a time, each of which waits for its answer before it sends again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A server under load.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The path of its base URL.
    pub(crate) base: String,
    pub(crate) token: String,
}

/// What is sent, and what it must be answered with.
pub(crate) struct Sent {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Option<String>,
    /// One of these is the answer's status.
    pub(crate) statuses: &'static [u16],
}

/// How a load went.
pub(crate) struct Measured {
    /// Rounds that were made.
    pub(crate) rounds: usize,
    /// Rounds a second.
    pub(crate) rate: f64,
    /// The time in which 99 of 100 rounds ended.
    pub(crate) p99: Duration,
}

impl Measured {
    /// The turn in the middle, by its rate.
    pub(crate) fn median(mut turns: Vec<Self>) -> Self {
        turns.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        turns.swap_remove(turns.len() / 2)
    }
}

/// A connection that is kept, as far as the server keeps it.
pub(crate) struct Line {
    server: Server,
    sender: SendRequest<Full<Bytes>>,
}

impl Line {
    pub(crate) async fn open(server: &Server) -> Result<Self> {
        let stream = TcpStream::connect(server.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self {
            server: server.clone(),
            sender,
        })
    }

    /// Sends and answers with the body.
    pub(crate) async fn send(&mut self, sent: Sent) -> Result<Bytes> {
        let request = Request::builder()
            .method(sent.method)
            .uri(format!("{}{}", self.server.base, sent.path))
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", self.server.token))
            .header("content-type", "application/scim+json")
            .body(Full::new(Bytes::from(sent.body.unwrap_or_default())))?;
        if self.sender.ready().await.is_err() {
            *self = Self::open(&self.server).await?;
        }
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(
            sent.statuses.contains(&status.as_u16()),
            "{} {} was answered with {status}: {}",
            sent.method,
            sent.path,
            String::from_utf8_lossy(&body[..body.len().min(500)])
        );
        Ok(body)
    }
}

/// What a connection does in its n-th round, counted over all of them.
pub(crate) type Round = Arc<dyn Fn(usize) -> Vec<Sent> + Send + Sync>;

/// How many times the length of a load a slow server may take for it.
const PATIENCE: u32 = 4;

/// Does rounds on so many connections for so long, or so many rounds; hands out every answer.
///
/// The first round goes alone. A server that takes seconds for it gets fewer connections, because
/// each of them waits for an answer.
pub(crate) async fn load(
    server: &Server,
    connections: usize,
    long: Duration,
    most: usize,
    round: Round,
    answered: Arc<dyn Fn(&Bytes) + Send + Sync>,
) -> Result<Measured> {
    ensure!(most > 0, "nothing to send");
    let mut line = Line::open(server).await?;
    let alone = Instant::now();
    for request in round(0) {
        answered(&line.send(request).await?);
    }
    let bearable = long.as_secs_f64() * f64::from(PATIENCE) / alone.elapsed().as_secs_f64();
    let connections = connections.min(bearable.ceil() as usize);

    let number = Arc::new(AtomicUsize::new(1));
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let mut line = Line::open(server).await?;
        let (number, round, answered) = (
            Arc::clone(&number),
            Arc::clone(&round),
            Arc::clone(&answered),
        );
        tasks.push(tokio::spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < long {
                let this = number.fetch_add(1, Ordering::Relaxed);
                if this >= most {
                    break;
                }
                let sent = Instant::now();
                for request in round(this) {
                    answered(&line.send(request).await?);
                }
                times.push(sent.elapsed());
            }
            anyhow::Ok(times)
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    let took = begun.elapsed();
    times.sort_unstable();
    let p99 = *times
        .get(times.len() * 99 / 100)
        .context("nothing was sent")?;
    Ok(Measured {
        // With the one that went alone.
        rounds: times.len() + 1,
        rate: times.len() as f64 / took.as_secs_f64(),
        p99,
    })
}
