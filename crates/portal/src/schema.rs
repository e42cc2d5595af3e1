//! The mappings of an application as a document: its versions, what each changed, out, in, and back.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderValue, Uri, header};
use muster_app::{AppError, Ctx, mappings, turnover};
use muster_model::administrator::Role;
use muster_rules::schema::SchemaChange;

use crate::Face;
use crate::application::{Tabs, find};
use crate::ask::{Question, ask, is_sure};
use crate::crowd::{Crowd, turn};
use crate::failure::{Failure, capital};
use crate::form::{Form, query};
use crate::shell::{Shell, page, protect, refused_page};
use crate::who::Who;
use crate::words::{ago, number};

/// Versions, and changes, that a page shows.
const SHOWN: usize = 200;

struct Version {
    number: u32,
    when: String,
    by: String,
    note: String,
    is_current: bool,
}

/// One difference between two documents.
struct Change {
    place: String,
    property: &'static str,
    before: Option<String>,
    after: Option<String>,
}

impl Change {
    fn of(changes: Vec<SchemaChange>) -> Vec<Self> {
        let shown = changes.into_iter().take(SHOWN).map(|it| Self {
            place: it.place,
            property: it.property,
            before: it.before,
            after: it.after,
        });
        shown.collect()
    }
}

/// What is looked at: a version, or a document that somebody brings.
struct Looked {
    title: String,
    total: String,
    changes: Vec<Change>,
    /// Puts this version in force again.
    version: Option<u32>,
    crowd: Option<Crowd>,
}

#[derive(Template)]
#[template(path = "schema.html")]
struct Versions {
    shell: Shell,
    tabs: Tabs,
    all: Vec<Version>,
    current: u32,
    looked: Option<Looked>,
    /// The document that somebody brings.
    document: String,
    problem: Option<String>,
    may_change: bool,
}

async fn built(who: &Who, id: &str) -> Result<Versions, Failure> {
    let of = find(who, id).await?;
    let (history, now) = (mappings::history(&who.ctx, id).await?, who.ctx.clock.now());
    let current = history.first().map_or(0, |it| it.number);
    let versions = history.into_iter().take(SHOWN).map(|it| Version {
        number: it.number,
        when: ago(it.saved, now),
        by: it.saved_by,
        note: it.note,
        is_current: it.number == current,
    });
    Ok(Versions {
        shell: Shell::new("Schema", "applications", who),
        tabs: Tabs::of(&of, "provisioning"),
        all: versions.collect(),
        current,
        looked: None,
        document: String::new(),
        problem: None,
        may_change: who.may(Role::Administrator),
    })
}

/// `GET /applications/{id}/schema?version=…&against=…`: the versions; what one changed against the one before it, or
/// what going back to it would change.
pub(crate) async fn show(
    State(face): State<Face>,
    who: Who,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Failure> {
    let fields = query(&uri)?;
    let mut built = built(&who, &id).await?;
    if let Ok(version) = fields.text("version").parse::<u32>() {
        let goes_back = fields.text("against") == "current";
        let (from, to) = if goes_back {
            (Some(built.current), Some(version))
        } else {
            (None, Some(version))
        };
        let changes = mappings::diff(&who.ctx, &id, from, to).await?;
        let crowd = if goes_back && built.may_change && version != built.current {
            let document = mappings::export(&who.ctx, &id, to).await?;
            let _turn = turn(&face.looks).await?;
            Some(Crowd::of(
                turnover::of_schema(&who.ctx, &id, document).await?,
            ))
        } else {
            None
        };
        built.looked = Some(Looked {
            title: if goes_back {
                format!("What going back to version {version} changes")
            } else {
                format!("What version {version} changed")
            },
            total: number(changes.len() as u64),
            changes: Change::of(changes),
            version: (goes_back && version != built.current).then_some(version),
            crowd,
        });
    }
    Ok(page(&built))
}

/// `GET /applications/{id}/schema/export?version=…`
pub(crate) async fn export(
    who: Who,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Failure> {
    let version = query(&uri)?.text("version").parse().ok();
    let text = mappings::export(&who.ctx, &id, version).await?;
    let name = version.map_or_else(
        || "schema.json".to_owned(),
        |it| format!("schema-{it}.json"),
    );
    let mut response = text.into_response();
    protect(&mut response);
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, kind);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// What a document changes, and what would be in force with it.
async fn looked(
    ctx: &Ctx,
    id: &str,
    document: &str,
) -> Result<(Vec<SchemaChange>, String), AppError> {
    let changes = mappings::diff_with(ctx, id, document).await?;
    Ok((changes, mappings::merged(ctx, id, document).await?))
}

/// `POST /applications/{id}/schema`: goes back to a version, restores the defaults, looks at a document, or puts it in
/// force.
pub(crate) async fn act(
    State(face): State<Face>,
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let mut built = built(&who, &id).await?;
    let version = fields.text("version").parse().unwrap_or(0);
    let document = match &fields.upload {
        Some(upload) => String::from_utf8_lossy(&upload.bytes).into_owned(),
        None => fields.raw("document").to_owned(),
    };
    let (ctx, note) = (&who.ctx, fields.text("note"));
    if fields.text("act") == "defaults" && !is_sure(&fields) {
        let document = mappings::defaults(ctx, &id).await?;
        let changes = mappings::diff_with(ctx, &id, &document).await?;
        let _turn = turn(&face.looks).await?;
        let turnover = turnover::of_schema(ctx, &id, document).await?;
        let question = Question {
            section: "applications",
            title: "Restore the default mappings?".to_owned(),
            says: vec![
                format!(
                    "{} changes of mappings and filters; version {} is kept.",
                    number(changes.len() as u64),
                    built.current
                ),
                "An initial cycle begins: everybody is looked at again.".to_owned(),
            ],
            crowd: Some(Crowd::of(turnover)),
            button: "Restore default mappings",
            action: &format!("/applications/{id}/schema"),
            back: &format!("/applications/{id}/schema"),
        };
        return Ok(ask(&who, &fields, question));
    }
    let done = match fields.text("act") {
        "back" => mappings::roll_back(ctx, &id, version).await.map(|_| true),
        "defaults" => mappings::restore(ctx, &id).await.map(|_| true),
        "import" => {
            let based_on = Some(version);
            let saved = mappings::import_over(ctx, &id, &document, note, based_on).await;
            saved.map(|_| true)
        }
        _ => match looked(ctx, &id, &document).await {
            Ok((changes, merged)) => {
                let _turn = turn(&face.looks).await?;
                let turnover = turnover::of_schema(ctx, &id, merged).await;
                turnover.map(|turnover| {
                    built.looked = Some(Looked {
                        title: "What this document changes".to_owned(),
                        total: number(changes.len() as u64),
                        changes: Change::of(changes),
                        version: None,
                        crowd: Some(Crowd::of(turnover)),
                    });
                    false
                })
            }
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(true) => {
            face.poke.notify_one();
            Ok(Redirect::to(&format!("/applications/{id}/schema?done=saved")).into_response())
        }
        Ok(false) => {
            built.document = document;
            Ok(page(&built))
        }
        Err(AppError::Invalid(said) | AppError::Refused(said)) => {
            built.problem = Some(capital(&said));
            built.document = document;
            Ok(refused_page(&built))
        }
        Err(error) => Err(error.into()),
    }
}
