//! Import of users, groups and memberships from a file: first what it would do, then doing it.

use std::io::Cursor;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use muster_app::AppError;
use muster_app::import::{self, Format, Report, What};
use muster_model::SessionId;
use muster_model::administrator::Role;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::Face;
use crate::crowd::turn;
use crate::failure::{Failure, capital};
use crate::form::Form;
use crate::shell::{Shell, page, refused_page};
use crate::who::Who;

/// Files that wait for a decision at most: of each session one.
const WAITING: usize = 4;
/// How long one waits.
const PATIENCE: Duration = Duration::from_mins(15);
/// Lines that are looked at beforehand, about.
const PREVIEWED: usize = 5000;
/// Broken lines that are shown.
const SHOWN: usize = 100;

/// A file that was looked at, and waits for a decision.
#[derive(Clone, Debug)]
struct Waiting {
    of: SessionId,
    /// By which the page names it.
    number: u64,
    since: Instant,
    name: String,
    what: What,
    format: Format,
    bytes: Arc<Vec<u8>>,
}

/// Files that wait, in memory only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uploads(Arc<Mutex<Vec<Waiting>>>, Arc<AtomicU64>);

impl Uploads {
    fn put(&self, waiting: Waiting) {
        let mut all = self.0.lock();
        all.retain(|it| it.of != waiting.of && it.since.elapsed() < PATIENCE);
        if all.len() >= WAITING {
            all.remove(0);
        }
        all.push(waiting);
    }

    fn take(&self, of: SessionId, number: u64) -> Option<Waiting> {
        let mut all = self.0.lock();
        all.retain(|it| it.since.elapsed() < PATIENCE);
        let at = all
            .iter()
            .position(|it| it.of == of && it.number == number)?;
        Some(all.remove(at))
    }
}

/// What an import did, or would do.
struct Told {
    name: String,
    kind: String,
    /// Of the file that waits; 0 when it was imported.
    number: u64,
    created: String,
    updated: String,
    unchanged: String,
    failed: String,
    bad: Vec<String>,
    more: bool,
    /// Are these the first lines alone?
    is_part: bool,
    does_nothing: bool,
}

impl Told {
    fn of(report: &Report, name: &str, what: What, waiting: u64) -> Self {
        Self {
            name: name.to_owned(),
            kind: what.to_string(),
            number: waiting,
            created: crate::words::number(report.created),
            updated: crate::words::number(report.updated),
            unchanged: crate::words::number(report.unchanged),
            failed: crate::words::number(report.failed),
            bad: report
                .bad
                .iter()
                .take(SHOWN)
                .map(|it| capital(&it.to_string()))
                .collect(),
            more: report.failed > SHOWN as u64,
            is_part: false,
            does_nothing: report.created + report.updated == 0,
        }
    }
}

#[derive(Template)]
#[template(path = "import.html")]
struct Import {
    shell: Shell,
    what: &'static str,
    told: Option<Told>,
    problem: Option<String>,
    may_change: bool,
}

fn built(who: &Who) -> Import {
    Import {
        shell: Shell::new("Import", "directory", who),
        what: "import",
        told: None,
        problem: None,
        may_change: who.may(Role::Administrator),
    }
}

/// `GET /directory/import`
pub(crate) async fn show(who: Who) -> Result<Response, Failure> {
    Ok(page(&built(&who)))
}

/// What a file holds: as it is said, or as it looks.
fn kind(said: &str, name: &str, format: Format, bytes: &[u8]) -> Option<What> {
    match said {
        "users" => Some(What::Users),
        "groups" => Some(What::Groups),
        "memberships" => Some(What::Memberships),
        _ => {
            let first = String::from_utf8_lossy(bytes.get(..4096).unwrap_or(bytes)).into_owned();
            let first = match format {
                Format::Csv => first.lines().next().unwrap_or_default().to_owned(),
                Format::JsonLines => first,
            };
            What::guess(name, &first)
        }
    }
}

/// `POST /directory/import`: says what a file would do, or imports the one that was looked at.
pub(crate) async fn act(
    State(face): State<Face>,
    Form(who, mut fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let mut built = built(&who);
    let done = if fields.text("act") == "import" {
        let number = fields.text("number").parse().unwrap_or(0);
        let Some(waiting) = face.uploads.take(who.session.id, number) else {
            let said = "The file is not here any more: choose it again.";
            return Ok(refused(built, said.to_owned()));
        };
        let (name, of) = (waiting.name.clone(), (waiting.what, waiting.format));
        let input = Box::new(Cursor::new(waiting.bytes.to_vec()));
        let done = import::import_for(&who.ctx, &name, of, input, &|_| {}).await;
        face.poke.notify_one();
        if done.is_err() {
            face.uploads.put(waiting);
        }
        done.map(|report| Told::of(&report, &name, of.0, 0))
    } else if let Some(upload) = fields.upload.take() {
        let format = Format::guess(&upload.name, &upload.bytes);
        let Some(what) = kind(fields.text("kind"), &upload.name, format, &upload.bytes) else {
            let said = format!(
                "It cannot be told what {} holds: say whether these are users, groups or \
                 memberships, and choose it again.",
                upload.name
            );
            return Ok(refused(built, said));
        };
        let (ctx, bytes) = (&who.ctx, upload.bytes.clone());
        let of = (what, format);
        let _turn = turn(&face.looks).await?;
        let (store, clock) = (&ctx.store, &ctx.clock);
        let report = import::preview(store, ctx.tenant, clock, of, bytes, PREVIEWED).await;
        report.map(|(report, is_whole)| {
            let number = face.uploads.1.fetch_add(1, Ordering::Relaxed) + 1;
            let mut told = Told::of(&report, &upload.name, what, number);
            told.is_part = !is_whole;
            face.uploads.put(Waiting {
                of: who.session.id,
                number,
                since: Instant::now(),
                name: upload.name,
                what,
                format,
                bytes: Arc::new(upload.bytes),
            });
            told
        })
    } else {
        return Ok(refused(built, "Choose a file.".to_owned()));
    };
    match done {
        Ok(told) => {
            built.told = Some(told);
            Ok(page(&built))
        }
        Err(AppError::Invalid(said) | AppError::Refused(said)) => {
            Ok(refused(built, capital(&said)))
        }
        Err(error) => Err(error.into()),
    }
}

fn refused(built: Import, said: String) -> Response {
    refused_page(&Import {
        problem: Some(said),
        ..built
    })
}
