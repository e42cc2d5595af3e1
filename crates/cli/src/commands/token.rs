//! `muster token …`

use muster_app::AppError;
use muster_app::api_tokens::{self, ApiToken, PERMISSIONS};
use serde_json::json;

use crate::args::Token;
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;

pub(super) async fn perform(node: &Node, task: Token, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    match task {
        Token::Create { name, scopes, days } => {
            let now = ctx.clock.now();
            let expires = days.map(|days| now.plus_seconds(i64::from(days) * 86_400));
            let (token, secret) = api_tokens::create(ctx, &name, &scopes, expires).await?;
            let shown = json!({
                "id": token.id.to_string(), "name": token.name, "token": secret.expose(),
                "scopes": token.scopes, "expires": token.expires.map(|at| at.to_string())
            });
            let text = format!(
                "{}\n  may {}; it is shown this once. Use it at {}/v1.0",
                secret.expose(),
                allowed(&token),
                node.public_url
            );
            out.tell(&shown, text).await;
        }
        Token::List => {
            let tokens = api_tokens::list(ctx).await?;
            if out.json {
                let shown: Vec<_> = tokens.iter().map(token_json).collect();
                out.line(json!(shown).to_string()).await;
                return Ok(Exit::Done);
            }
            if tokens.is_empty() {
                out.line("There is no token; make one with: muster token create NAME")
                    .await;
            }
            let now = ctx.clock.now();
            for token in &tokens {
                let state = match (token.revoked, token.expires) {
                    (Some(at), _) => format!("revoked {at}"),
                    (None, Some(at)) if at <= now => format!("expired {at}"),
                    (None, Some(at)) => format!("good until {at}"),
                    (None, None) => "good".to_owned(),
                };
                let used = token.last_used.map(|at| format!(", used last {at}"));
                let used = used.unwrap_or_default();
                out.line(format!(
                    "{}  {state}{used}: may {}",
                    token.name,
                    allowed(token)
                ))
                .await;
            }
        }
        Token::Revoke { name } => {
            api_tokens::revoke(ctx, &name).await?;
            out.tell(&json!({ "revoked": name }), format!("{name} is revoked"))
                .await;
        }
    }
    Ok(Exit::Done)
}

fn allowed(token: &ApiToken) -> String {
    if token.scopes.len() == PERMISSIONS.len() {
        "do everything".to_owned()
    } else {
        token.scopes.join(", ")
    }
}

fn token_json(token: &ApiToken) -> serde_json::Value {
    json!({
        "id": token.id.to_string(), "name": token.name, "scopes": token.scopes,
        "created": token.created.to_string(),
        "expires": token.expires.map(|at| at.to_string()),
        "revoked": token.revoked.map(|at| at.to_string()),
        "lastUsed": token.last_used.map(|at| at.to_string())
    })
}
