//! `muster integration …`

mod clients;
mod feed;
mod settings;

use muster_app::integrations::{self, Issued};
use muster_app::{AppError, told};
use muster_model::Timestamp;
use muster_model::integration::{Purpose, Token};
use serde_json::json;

use crate::args::Integration;
use crate::commands::Input;
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;

pub(super) async fn perform(
    node: &Node,
    task: Integration,
    input: Option<Input>,
    out: &Out,
) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    match task {
        Integration::Create { name } => {
            let issued = integrations::create(ctx, &name).await?;
            print(node, &issued, out).await;
        }
        Integration::Rotate { name, read, days } => {
            let purpose = if read {
                Purpose::Read
            } else {
                Purpose::Provision
            };
            let expires = days.map(|days| ctx.clock.now().plus_seconds(i64::from(days) * 86_400));
            let (issued, revoked) = integrations::rotate(ctx, &name, purpose, expires).await?;
            print(node, &issued, out).await;
            if revoked > 0 {
                out.note("An integration has two live tokens at most: the oldest one is revoked.")
                    .await;
            }
        }
        Integration::Revoke { name } => {
            let revoked = integrations::revoke(ctx, &name).await?;
            if out.json {
                out.line(json!({ "revoked": revoked }).to_string()).await;
            } else {
                out.line(format!("{revoked} tokens of {name} are revoked"))
                    .await;
            }
        }
        Integration::List => list(node, out).await?,
        Integration::Show { name } => settings::show(node, &name, out).await?,
        Integration::Set { name, settings } => settings::set(node, &name, settings, out).await?,
        Integration::Schema { name, set, clear } => {
            settings::schema(node, &name, (set.is_some(), clear), input, out).await?;
        }
        Integration::Dialect { name } => settings::dialect(node, &name, out).await?,
        Integration::Events {
            name,
            after,
            count,
            follow,
        } => feed::events(node, &name, (after, count, follow), out).await?,
        Integration::Webhook(task) => feed::webhook(node, task, out).await?,
        Integration::Client(task) => clients::perform(node, task, out).await?,
        Integration::SetupLink { name, days } => {
            clients::setup_link(node, &name, days, out).await?;
        }
    }
    Ok(Exit::Done)
}

/// The SCIM URL of an integration.
pub(super) fn scim_url(node: &Node, issued: &Issued) -> String {
    format!(
        "{}{}",
        node.public_url,
        integrations::scim_path(issued.integration.id)
    )
}

async fn print(node: &Node, issued: &Issued, out: &Out) {
    let url = scim_url(node, issued);
    let (integration, token) = (&issued.integration, issued.token.expose());
    if out.json {
        let shown = told::issued(issued, &node.public_url);
        out.line(shown.to_string()).await;
    } else {
        out.line(format!("Integration: {}", integration.name)).await;
        out.line(format!("SCIM URL:    {url}")).await;
        out.line(format!("Token:       {token}")).await;
        out.note("The token is shown this once; copy it now.").await;
    }
}

async fn list(node: &Node, out: &Out) -> Result<(), AppError> {
    let all = integrations::list(&node.ctx).await?;
    if out.json {
        let shown: Vec<_> = all
            .iter()
            .map(|(it, tokens)| told::integration(it, tokens, &node.public_url))
            .collect();
        out.line(json!(shown).to_string()).await;
        return Ok(());
    }
    if all.is_empty() {
        out.note("There is no integration yet; make one with: muster integration create NAME")
            .await;
    }
    for (integration, tokens) in all {
        let now = node.ctx.clock.now();
        let live = tokens.iter().filter(|token| is_live(token, now)).count();
        let used = tokens.iter().filter_map(|token| token.last_used).max();
        let used = used.map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
        let path = integrations::scim_path(integration.id);
        out.line(format!(
            "{:<30} {}{path}  {live} live tokens, {used}",
            integration.name, node.public_url
        ))
        .await;
    }
    Ok(())
}

/// Can it still be used?
fn is_live(token: &Token, now: Timestamp) -> bool {
    token.revoked.is_none() && token.expires.is_none_or(|at| now < at)
}
