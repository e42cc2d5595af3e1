//! OAuth clients of an integration, and links that set one up.

use muster_app::{AppError, integrations};
use serde_json::json;

use crate::args::OauthClient;
use crate::node::Node;
use crate::output::Out;

pub(super) async fn perform(node: &Node, task: OauthClient, out: &Out) -> Result<(), AppError> {
    let ctx = &node.ctx;
    match task {
        OauthClient::Add { name } => {
            let issued = integrations::add_client(ctx, &name).await?;
            let url = format!("{}/oauth/{}/token", node.public_url, issued.integration);
            let (id, secret) = (issued.client.id.to_string(), issued.secret.expose());
            if out.json {
                let shown = json!({"clientId": id, "clientSecret": secret, "tokenUrl": url});
                out.line(shown.to_string()).await;
            } else {
                out.line(format!("Token URL:     {url}")).await;
                out.line(format!("Client id:     {id}")).await;
                out.line(format!("Client secret: {secret}")).await;
                out.note("The secret is shown this once; copy it now.")
                    .await;
            }
        }
        OauthClient::List { name } => {
            let all = integrations::clients(ctx, &name).await?;
            if out.json {
                let shown: Vec<_> = all
                    .iter()
                    .map(|it| json!({"clientId": it.id.to_string(), "created": it.created.to_string()}))
                    .collect();
                out.line(json!(shown).to_string()).await;
                return Ok(());
            }
            if all.is_empty() {
                out.note(format!("{name} has no OAuth client.")).await;
            }
            for client in all {
                out.line(format!("{}  made {}", client.id, client.created))
                    .await;
            }
        }
        OauthClient::Remove { name, id } => {
            integrations::remove_client(ctx, &name, id).await?;
            out.say(format!("The OAuth client {id} is removed.")).await;
        }
    }
    Ok(())
}

pub(super) async fn setup_link(
    node: &Node,
    name: &str,
    days: u32,
    out: &Out,
) -> Result<(), AppError> {
    let (code, expires) = integrations::setup_link(&node.ctx, name, days).await?;
    let url = format!("{}/setup/{}", node.public_url, code.expose());
    if out.json {
        let shown = json!({"url": url, "expires": expires.to_string()});
        out.line(shown.to_string()).await;
    } else {
        out.line(url).await;
        out.note(format!(
            "Whoever opens it gets a token, once, until {expires}; send it to nobody else."
        ))
        .await;
    }
    Ok(())
}
