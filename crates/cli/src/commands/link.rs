//! `muster link …`

use muster_app::AppError;
use muster_app::links::{self, Filter};
use muster_app::told::{link as link_json, link_state, value as value_json};
use muster_engine::linking::Inspected;
use muster_model::directory::Kind;
use muster_model::link::{Link, LinkState};
use serde_json::{Map, Value as Json, json};

use crate::args::{KindArg, Link as Task, LinkStateArg};
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;

pub(super) async fn perform(node: &Node, task: Task, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    match task {
        Task::List {
            app,
            kind,
            state,
            target,
            after,
            limit,
        } => {
            let wrong =
                |_| AppError::Invalid("--after is the id of an object in the directory".to_owned());
            let filter = Filter {
                kind: kind.map(Kind::from),
                state: state.map(Into::into),
                target,
                after: after.map(|id| id.parse().map_err(wrong)).transpose()?,
            };
            let found = links::list(ctx, &app, filter, limit).await?;
            for (link, name) in &found {
                out.line(if out.json {
                    link_json(link, name.as_deref()).to_string()
                } else {
                    line(link, name.as_deref())
                })
                .await;
            }
            if found.is_empty() && !out.json {
                out.line("Nothing is linked").await;
            } else if found.len() as u32 == limit.min(links::PAGE)
                && let Some((last, _)) = found.last()
            {
                out.note(format!("there may be more; next: --after {}", last.anchor))
                    .await;
            }
        }
        Task::Show { app, subject } => {
            let (_, inspected) = links::inspect(ctx, &app, &subject).await?;
            show(&inspected, out).await;
        }
        Task::Drop { app, subject } => {
            let before = links::unlink(ctx, &app, &subject).await?;
            out.line(if out.json {
                link_json(&before, None).to_string()
            } else {
                format!(
                    "Dropped: {}. The next cycle matches it, if it is in scope; to undo this: \
                     muster link set … {}",
                    line(&before, None),
                    before.target
                )
            })
            .await;
        }
        Task::Set {
            app,
            subject,
            target,
        } => {
            let (found, before) = links::link(ctx, &app, &subject, &target).await?;
            let before = before.map(|it| it.target.0);
            out.line(if out.json {
                json!({ "source": found.anchor.to_string(), "target": target, "before": before })
                    .to_string()
            } else {
                let before = before.map_or_else(
                    || "it was linked to nothing".to_owned(),
                    |id| format!("it was linked to {id}, which stays as it is"),
                );
                format!(
                    "{} {} is linked to {target}; {before}. The next cycle compares the two",
                    found.kind, found.anchor
                )
            })
            .await;
        }
    }
    Ok(Exit::Done)
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::User => Self::User,
            KindArg::Group => Self::Group,
        }
    }
}

impl From<LinkStateArg> for LinkState {
    fn from(state: LinkStateArg) -> Self {
        match state {
            LinkStateArg::Managed => Self::Managed,
            LinkStateArg::Disabled => Self::Disabled,
            LinkStateArg::Leaving => Self::Leaving,
            LinkStateArg::Released => Self::Released,
        }
    }
}

async fn show(Inspected { link, at_target }: &Inspected, out: &Out) {
    if out.json {
        let mut told = link_json(link, None);
        match at_target {
            Ok(values) => {
                let values = values
                    .iter()
                    .map(|(path, it)| (path.to_owned(), value_json(it)));
                told["atTarget"] = Json::Object(values.collect::<Map<_, _>>());
            }
            Err(error) => told["error"] = error.to_string().into(),
        }
        out.line(told.to_string()).await;
        return;
    }
    out.line(line(link, None)).await;
    match at_target {
        Ok(values) => {
            out.line("At the target:".to_owned()).await;
            for (path, value) in values {
                let value = match value.as_text() {
                    Some(text) => text.to_owned(),
                    None => value_json(value).to_string(),
                };
                out.line(format!("  {path}  {value}")).await;
            }
        }
        Err(error) => out.line(format!("At the target: {error}")).await,
    }
}

fn line(link: &Link, name: Option<&str>) -> String {
    let name = name.map(|name| format!(" ({name})")).unwrap_or_default();
    format!(
        "{} {}{name} = {}  {} since {}",
        link.kind,
        link.anchor,
        link.target,
        link_state(link.state),
        link.since
    )
}
