//! Commands for a running server: sent over a socket in the data folder, carried out there.
//!
//! The request is one line of JSON, followed by the bytes of a file when the command reads one. The
//! answer is a line of JSON for each frame. Only the owner of the data folder can reach the socket.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio_util::io::SyncIoBridge;
use tokio_util::sync::CancellationToken;

use crate::args::Task;
use crate::commands::{Input, perform};
use crate::exit::Exit;
use crate::node::Node;
use crate::output::{Frame, Out, Printer};

/// Longest request line, in bytes.
const LONGEST: u64 = 1024 * 1024;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) task: Task,
    pub(crate) json: bool,
    /// Who asks. Only the folder's owner reaches the socket, so it is taken at its word.
    pub(crate) actor: String,
}

/// Opens the socket. The folder is ours alone, so a file that is there already is left over.
pub(crate) fn listen(path: &Path) -> Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)
        .with_context(|| format!("cannot open the command socket {}", path.display()))?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// Carries out commands until stopped. Each one lets the worker look at its jobs again.
pub(crate) async fn serve(
    listener: UnixListener,
    node: Arc<Node>,
    poke: Arc<Notify>,
    stop: CancellationToken,
) {
    let mut commands = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let (node, poke) = (Arc::clone(&node), Arc::clone(&poke));
                commands.spawn(async move {
                    if let Err(error) = answer(stream, &node).await {
                        tracing::debug!(error = %error, "a command was cut off");
                    }
                    poke.notify_one();
                });
            }
            Some(_) = commands.join_next(), if !commands.is_empty() => {}
        }
    }
    commands.shutdown().await;
}

async fn answer(stream: UnixStream, node: &Arc<Node>) -> Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = String::new();
    (&mut read).take(LONGEST).read_line(&mut line).await?;
    let request: Request = serde_json::from_str(&line)
        .context("the running server is of another version; use its own muster")?;
    let (out, mut frames) = Out::new(request.json);
    let node = node.asked_by(request.actor);
    let work = tokio::spawn(async move {
        let input: Input = Box::new(SyncIoBridge::new(read));
        let exit = perform(&node, request.task, Some(input), &out).await;
        out.end(exit).await;
    });
    while let Some(frame) = frames.recv().await {
        let mut line = serde_json::to_vec(&frame)?;
        line.push(b'\n');
        write.write_all(&line).await?;
    }
    work.await?;
    Ok(())
}

/// Sends a command to the server behind a socket and prints what it says.
pub(crate) async fn send(
    path: &Path,
    request: Request,
    input: Option<Input>,
    file: Option<&Path>,
) -> Result<Exit> {
    let mut printer = Printer::writing(file)?;
    let stream = UnixStream::connect(path)
        .await
        .with_context(|| format!("no server answers on {}", path.display()))?;
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    let feed = async move {
        if let Some(mut input) = input {
            loop {
                let (back, chunk) = tokio::task::spawn_blocking(move || {
                    let mut chunk = vec![0; 64 * 1024];
                    let count = input.read(&mut chunk);
                    (input, count.map(|count| chunk[..count].to_vec()))
                })
                .await?;
                input = back;
                let chunk = chunk?;
                if chunk.is_empty() {
                    break;
                }
                write.write_all(&chunk).await?;
            }
        }
        write.shutdown().await?;
        Ok::<(), anyhow::Error>(())
    };
    let print = async {
        let mut lines = BufReader::new(read).lines();
        while let Some(line) = lines.next_line().await? {
            let frame: Frame = serde_json::from_str(&line)?;
            if let Some(exit) = printer.print(frame) {
                return Ok(exit);
            }
        }
        bail!("the server ended before the command did")
    };
    // The server may answer before it has read everything: its answer counts.
    let (_, exit) = tokio::join!(feed, print);
    exit
}
