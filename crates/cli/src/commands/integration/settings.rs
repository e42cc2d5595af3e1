//! What an integration accepts, and what its senders really send.

use muster_app::{AppError, integrations};
use muster_model::integration::{self as model, Integration};
use serde_json::json;

use super::is_live;
use crate::args::Settings;
use crate::commands::{Input, schema};
use crate::node::Node;
use crate::output::Out;
use muster_app::told::{purpose, token as token_json};

pub(super) async fn show(node: &Node, name: &str, out: &Out) -> Result<(), AppError> {
    let wanted = integrations::find(&node.ctx, name).await?;
    let all = integrations::list(&node.ctx).await?;
    let found = all.into_iter().find(|(one, _)| one.id == wanted.id);
    let tokens = found.map(|(_, tokens)| tokens).unwrap_or_default();
    let url = format!("{}{}", node.public_url, integrations::scim_path(wanted.id));
    let now = node.ctx.clock.now();
    if out.json {
        let mut shown = settings_json(&wanted);
        shown["scimUrl"] = url.into();
        shown["tokens"] = tokens.iter().map(token_json).collect();
        out.line(shown.to_string()).await;
        return Ok(());
    }
    out.line(format!("Integration: {}", wanted.name)).await;
    out.line(format!("SCIM URL:    {url}")).await;
    print_settings(&wanted.settings, out).await;
    for token in tokens.iter().filter(|token| is_live(token, now)) {
        let until = token.expires.map_or_else(
            || "does not expire".to_owned(),
            |at| format!("expires {at}"),
        );
        let used = token
            .last_used
            .map_or_else(|| "never used".to_owned(), |at| format!("last used {at}"));
        let of = purpose(token);
        out.line(format!(
            "Token:       {of}, made {}, {until}, {used}",
            token.created
        ))
        .await;
    }
    Ok(())
}

pub(super) async fn set(
    node: &Node,
    name: &str,
    wanted: Settings,
    out: &Out,
) -> Result<(), AppError> {
    if let Some(rate) = wanted.rate.and_then(|rate| rate.0)
        && u32::try_from(rate).is_err()
    {
        return Err(AppError::Invalid(format!(
            "a rate of {rate} is no limit; use none"
        )));
    }
    let change = |settings: &mut model::Settings| {
        if let Some(strict) = wanted.strict {
            settings.strict = strict;
        }
        if let Some(rate) = wanted.rate {
            settings.requests_per_second = rate.0.and_then(|rate| u32::try_from(rate).ok());
        }
        if let Some(most) = wanted.max_resources {
            settings.max_resources = most.0;
        }
        if let Some(most) = wanted.max_body {
            settings.max_body = most.0;
        }
        if !wanted.allow.is_empty() {
            let any = wanted.allow.iter().any(|one| one == "any");
            settings.allowed_networks = if any { Vec::new() } else { wanted.allow };
        }
    };
    let changed = integrations::set_settings(&node.ctx, name, change).await?;
    if out.json {
        out.line(settings_json(&changed).to_string()).await;
    } else {
        print_settings(&changed.settings, out).await;
    }
    Ok(())
}

fn settings_json(integration: &Integration) -> serde_json::Value {
    let settings = &integration.settings;
    json!({
        "id": integration.id.to_string(), "name": integration.name,
        "strict": settings.strict,
        "requestsPerSecond": settings.requests_per_second,
        "maxResources": settings.max_resources,
        "maxBody": settings.max_body,
        "allowedNetworks": settings.allowed_networks,
    })
}

async fn print_settings(settings: &model::Settings, out: &Out) {
    let strict = if settings.strict {
        "refused"
    } else {
        "kept beside the resource"
    };
    out.line(format!("Undeclared attributes: {strict}")).await;
    let limits = [
        (
            "Requests a second",
            settings.requests_per_second.map(u64::from),
        ),
        ("Resources", settings.max_resources),
        ("Bytes of a body", settings.max_body),
    ];
    for (what, limit) in limits {
        let limit = limit.map_or_else(
            || "no limit of its own".to_owned(),
            |it| format!("{it} at most"),
        );
        out.line(format!("{what}: {limit}")).await;
    }
    let from = if settings.allowed_networks.is_empty() {
        "anywhere".to_owned()
    } else {
        settings.allowed_networks.join(", ")
    };
    out.line(format!("Requests may come from: {from}")).await;
}

pub(super) async fn schema(
    node: &Node,
    name: &str,
    (set, clear): (bool, bool),
    input: Option<Input>,
    out: &Out,
) -> Result<(), AppError> {
    if set {
        let text = schema::document(input).await?;
        integrations::set_definitions(&node.ctx, name, Some(&text)).await?;
    } else if clear {
        integrations::set_definitions(&node.ctx, name, None).await?;
    }
    let written = integrations::definitions(&node.ctx, name).await?;
    match written {
        Some(written) if out.json => out.line(written.to_string()).await,
        Some(written) => out.line(format!("{written:#}")).await,
        None if out.json => out.line("null").await,
        None => {
            out.note("It has User, with the enterprise extension, and Group.")
                .await;
        }
    }
    Ok(())
}

pub(super) async fn dialect(node: &Node, name: &str, out: &Out) -> Result<(), AppError> {
    let all = integrations::dialect(&node.ctx, name).await?;
    if out.json {
        let shown: Vec<_> = all
            .iter()
            .map(|(deviation, seen)| muster_app::told::dialect(*deviation, seen))
            .collect();
        out.line(json!(shown).to_string()).await;
        return Ok(());
    }
    if all.is_empty() {
        out.note("Nothing that departs from the RFCs was received so far.")
            .await;
    }
    let mut client = None;
    for (deviation, seen) in all {
        if client.as_ref() != Some(&seen.client) {
            let shown = if seen.client.is_empty() {
                "(a client without a name)"
            } else {
                &seen.client
            };
            out.line(shown).await;
            client = Some(seen.client.clone());
        }
        let name = if seen.name.is_empty() {
            String::new()
        } else {
            format!(" ({})", seen.name)
        };
        out.line(format!(
            "  {}{name}: {}",
            deviation.code(),
            deviation.says()
        ))
        .await;
        out.line(format!(
            "    {}; {}, first {}, last {}",
            deviation.clause(),
            times(seen.count),
            seen.first,
            seen.last
        ))
        .await;
    }
    Ok(())
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        count => format!("in {count} requests"),
    }
}
