//! `muster log exchanges`: what was said to a target, for people and for other programs.

use muster_app::{AppError, har, log};
use muster_model::event::Event;
use muster_model::exchange::{Body, Exchange};
use serde_json::json;

use super::log::event_line;
use crate::node::Node;
use crate::output::Out;

/// How exchanges are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    Har,
    Curl,
}

pub(super) async fn print(
    node: &Node,
    events: &[Event],
    form: Form,
    out: &Out,
) -> Result<(), AppError> {
    if form == Form::Har {
        out.line(har::head()).await;
    }
    let mut printed = 0;
    // In the order in which they were sent, object by object.
    for event in events.iter().rev() {
        let said = log::exchanges(&node.ctx, event).await?;
        if matches!(form, Form::Text | Form::Curl) && !said.is_empty() {
            let line = event_line(event).replace(char::is_control, " ");
            let comment = if form == Form::Curl { "# " } else { "" };
            out.line(format!("{comment}{line}")).await;
        }
        let attempts = Exchange::attempts(&said);
        for (exchange, attempt) in said.iter().zip(attempts) {
            match form {
                Form::Har => {
                    let comma = if printed > 0 { "," } else { "" };
                    let entry = har::entry(event.id, exchange, attempt);
                    out.line(format!("{comma}{entry}")).await;
                }
                Form::Json => {
                    let mut entry = json(exchange, attempt);
                    entry["eventId"] = json!(event.id.to_string());
                    out.line(entry.to_string()).await;
                }
                Form::Text => text(exchange, attempt, out).await,
                Form::Curl => {
                    let outcome = har::outcome(exchange, attempt);
                    let outcome = outcome.replace(char::is_control, " ");
                    out.line(format!("# {} {outcome}", exchange.at)).await;
                    out.line(har::curl(exchange)).await;
                }
            }
            printed += 1;
        }
    }
    if form == Form::Har {
        out.line(har::TAIL).await;
    } else if printed == 0 {
        out.note("No requests are kept of these events; see: muster job exchanges")
            .await;
    }
    Ok(())
}

async fn text(exchange: &Exchange, attempt: usize, out: &Out) {
    let Exchange {
        at, method, url, ..
    } = exchange;
    let outcome = har::outcome(exchange, attempt);
    out.line(format!("  {at}  {method} {url}: {outcome}")).await;
    for (sign, body) in [('>', &exchange.sent), ('<', &exchange.answered)] {
        if let Some(Body { text, size, is_cut }) = body {
            let more = if *is_cut {
                format!(" … cut, of {size} bytes")
            } else {
                String::new()
            };
            out.line(format!("    {sign} {text}{more}")).await;
        }
    }
}

fn json(exchange: &Exchange, attempt: usize) -> serde_json::Value {
    let body = |body: &Option<Body>| {
        body.as_ref()
            .map(|body| json!({ "text": body.text, "size": body.size, "cut": body.is_cut }))
    };
    let headers = exchange.headers.iter();
    let headers = headers.map(|(name, value)| (name.clone(), json!(value)));
    json!({
        "at": exchange.at.to_string(), "attempt": attempt, "milliseconds": exchange.millis,
        "method": exchange.method, "url": exchange.url, "sent": body(&exchange.sent),
        "status": exchange.status,
        "headers": headers.collect::<serde_json::Map<_, _>>(),
        "answered": body(&exchange.answered), "failure": exchange.failure
    })
}
