//! The event feed of an integration, and its webhooks.

use std::time::Duration;

use muster_app::webhooks::{self, From as Place};
use muster_app::{AppError, integrations};
use muster_model::Position;
use muster_model::integration::Webhook as Kept;
use serde_json::{Value, json};

use crate::args::{From, Webhook};
use crate::node::Node;
use crate::output::Out;

/// Events that are read at once.
const PAGE: u32 = 1000;
/// How often somebody who follows looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Looks after which it is tried whether anybody still listens.
const TRY_LISTENER: u32 = 25;

pub(super) async fn events(
    node: &Node,
    name: &str,
    (after, count, follow): (Option<Position>, Option<u64>, bool),
    out: &Out,
) -> Result<(), AppError> {
    let mut left = count.unwrap_or(u64::MAX);
    let mut after = match after {
        Some(after) => after,
        None if follow => integrations::last_event(&node.ctx, name).await?,
        None => Position::START,
    };
    let mut looks = 0;
    while left > 0 && !out.is_closed() {
        let limit = u32::try_from(left).map_or(PAGE, |left| left.min(PAGE));
        let page = integrations::events(&node.ctx, name, after, limit).await?;
        if page.is_empty() {
            if !follow {
                return Ok(());
            }
            looks += 1;
            if looks % TRY_LISTENER == 0 {
                out.progress_end().await;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        for (position, event) in page {
            after = position;
            left -= 1;
            if out.json {
                out.line(event.to_string()).await;
            } else {
                out.line(sentence(&event)).await;
            }
        }
    }
    Ok(())
}

/// An event in a line for people.
fn sentence(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let mut line = format!(
        "{} {} {} {}",
        text("id"),
        text("at"),
        text("type"),
        text("resource")
    );
    for name in ["paths", "members"] {
        let some: Vec<&str> = event[name]
            .as_array()
            .map(|all| all.iter().take(10).filter_map(Value::as_str).collect())
            .unwrap_or_default();
        if !some.is_empty() {
            let more = event[name].as_array().map_or(0, Vec::len) - some.len();
            line = format!("{line} {}", some.join(", "));
            if more > 0 {
                line = format!("{line} and {more} more");
            }
        }
    }
    line
}

pub(super) async fn webhook(node: &Node, task: Webhook, out: &Out) -> Result<(), AppError> {
    let ctx = &node.ctx;
    match task {
        Webhook::Add { name, url, from } => {
            let (webhook, secret) = webhooks::add(ctx, &name, &url, place(from)).await?;
            if out.json {
                let mut shown = webhook_json(&webhook);
                shown["secret"] = Value::from(secret.expose().as_str());
                out.line(shown.to_string()).await;
            } else {
                out.line(format!("Webhook: {}", webhook.id)).await;
                out.line(format!("Secret:  {}", secret.expose())).await;
                out.note("The secret is shown this once; copy it now.")
                    .await;
            }
        }
        Webhook::List { name } => {
            let all = webhooks::list(ctx, &name).await?;
            if out.json {
                let shown: Vec<Value> = all.iter().map(webhook_json).collect();
                out.line(json!(shown).to_string()).await;
                return Ok(());
            }
            if all.is_empty() {
                out.note(format!("{name} has no webhook.")).await;
            }
            for webhook in all {
                out.line(format!("{} {}", webhook.id, webhook.url)).await;
                out.line(format!("  {}", standing(&webhook))).await;
            }
        }
        Webhook::Resume { name, id, from } => {
            let from = webhooks::resume(ctx, &name, id, from.map(place)).await?;
            out.say(format!("It goes on behind event {from}.")).await;
        }
        Webhook::Remove { name, id } => {
            webhooks::remove(ctx, &name, id).await?;
            out.say(format!("The webhook {id} is removed.")).await;
        }
    }
    Ok(())
}

fn place(from: From) -> Place {
    match from {
        From::Start => Place::Start,
        From::Now => Place::Now,
        From::After(position) => Place::After(position),
    }
}

fn standing(webhook: &Kept) -> String {
    let reason = webhook.last_error.as_deref().unwrap_or_default();
    let delivered = match webhook.last_success {
        Some(_) => format!("delivered up to event {}", webhook.position),
        None => format!("begins behind event {}", webhook.position),
    };
    if webhook.stopped {
        return format!(
            "{delivered}; given up after {} attempts: {reason}; let it go on with: muster integration \
             webhook resume NAME {}",
            webhook.failures, webhook.id
        );
    }
    if webhook.failures > 0 {
        return format!(
            "{delivered}; {} attempts failed, the next one is at {}: {reason}",
            webhook.failures, webhook.next_attempt
        );
    }
    match webhook.last_success {
        Some(at) => format!("{delivered}; last delivery {at}"),
        None => format!("{delivered}; nothing sent yet"),
    }
}

fn webhook_json(webhook: &Kept) -> Value {
    json!({
        "id": webhook.id.to_string(), "url": webhook.url,
        "created": webhook.created.to_string(),
        "position": webhook.position.to_string(),
        "failures": webhook.failures, "stopped": webhook.stopped,
        "nextAttempt": (webhook.failures > 0).then(|| webhook.next_attempt.to_string()),
        "lastError": webhook.last_error,
        "lastSuccess": webhook.last_success.map(|at| at.to_string()),
    })
}
