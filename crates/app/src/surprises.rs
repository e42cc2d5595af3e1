//! Where a target does other than it was taken to do: found in what it answered when something failed, and told
//! with that as evidence. Nothing is changed because of it: what it is spoken to like is somebody's choice.

use muster_model::exchange::Exchange;
use muster_model::job::{Dialect, PatchStyle};
use muster_model::{EventId, Timestamp};
use muster_store::events::{self, EventQuery};
use serde_json::Value as Json;

use crate::applications::{find, job_of};
use crate::{AppError, Ctx, log};

/// Events that are looked through at most, from the newest back.
const LOOKED_AT: usize = 5000;

/// What a target does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surprise {
    /// What it is.
    pub what: String,
    /// Options of `muster job dialect` with which it is spoken to as it wants, if there are any.
    pub options: Option<String>,
    /// How often it was seen.
    pub count: u64,
    /// The latest event that shows it.
    pub event: EventId,
    /// What it answered then.
    pub evidence: Exchange,
}

/// What the events of an application since an instant show, as far as their exchanges are kept.
pub async fn list(
    ctx: &Ctx,
    application: &str,
    since: Timestamp,
) -> Result<Vec<Surprise>, AppError> {
    let application = find(ctx, application).await?;
    let (tenant, job) = (ctx.tenant, application.job);
    let mut found: Vec<Surprise> = Vec::new();
    for status in ["failure", "warning"] {
        let mut query = EventQuery {
            status: Some(status.to_owned()),
            since: Some(since),
            has_exchanges: true,
            ..EventQuery::default()
        };
        let mut looked_at = 0;
        while looked_at < LOOKED_AT {
            let asked = query.clone();
            let page = ctx.store.read::<_, AppError, _>(|tx| {
                Box::pin(async move { Ok(events::list(tx, tenant, job, &asked, log::PAGE).await?) })
            });
            let page = page.await?;
            let Some(last) = page.last() else { break };
            (query.beyond, looked_at) = (Some(last.id), looked_at + page.len());
            for event in &page {
                let said = log::exchanges(ctx, event).await?;
                for (what, options, evidence) in shown(&said) {
                    match found.iter_mut().find(|it| it.what == what) {
                        Some(known) => known.count += 1,
                        None => found.push(Surprise {
                            what,
                            options,
                            count: 1,
                            event: event.id,
                            evidence: evidence.clone(),
                        }),
                    }
                }
            }
        }
    }
    let dialect = job_of(ctx, &application).await?.settings.dialect;
    found.retain(|it| !it.options.as_deref().is_some_and(|it| is_so(it, dialect)));
    Ok(found)
}

/// Is the target spoken to so already?
fn is_so(options: &str, dialect: Dialect) -> bool {
    match options.split_once(' ') {
        Some(("--write", _)) => dialect.puts,
        Some(("--bulk", _)) => dialect.bulk < 2,
        Some(("--group-filter", _)) => !dialect.filters_groups,
        Some(("--patch", _)) => dialect.patch == Some(PatchStyle::Aad2017),
        Some(("--members", most)) => most.parse().is_ok_and(|most| dialect.members <= most),
        _ => false,
    }
}

type Shown<'e> = (String, Option<String>, &'e Exchange);

/// What the exchanges of one event show, each thing once.
fn shown(said: &[Exchange]) -> Vec<Shown<'_>> {
    let mut all: Vec<Shown<'_>> = Vec::new();
    for exchange in said {
        let told = by_itself(exchange).or_else(|| fewer_members(exchange, said));
        let Some((what, options)) = told else {
            continue;
        };
        if all.iter().all(|(known, ..)| *known != what) {
            all.push((what, options, exchange));
        }
    }
    all
}

/// What one answer shows.
fn by_itself(exchange: &Exchange) -> Option<(String, Option<String>)> {
    let Exchange {
        method,
        url,
        status,
        headers,
        failure,
        ..
    } = exchange;
    let is_bulk_missing = failure
        .as_ref()
        .is_some_and(|failure| failure.contains("it has no /Bulk"));
    if is_bulk_missing {
        let what = "it takes no bulk requests".to_owned();
        return Some((what, Some("--bulk 0".to_owned())));
    }
    let status = (*status)?;
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let is =
        |what: &str, options: Option<&str>| Some((what.to_owned(), options.map(str::to_owned)));
    let has_filter = query.contains("filter=");
    let is_html = headers
        .iter()
        .any(|(name, value)| name == "content-type" && value.starts_with("text/html"));
    match (method.as_str(), status) {
        ("PATCH", 405 | 501) => is("it knows no PATCH", Some("--write put")),
        ("DELETE", 405 | 501) => is("it deletes nothing", None),
        ("GET", 400 | 501) if has_filter && place.ends_with("/Groups") => {
            is("it finds no groups by a filter", Some("--group-filter off"))
        }
        ("GET", 404) if has_filter => is("it answers 404 when nobody is found", None),
        ("PATCH", 400) if removes_by_filter(exchange) && !says_no_target(exchange) => is(
            "it does not know members[value eq …] in a PATCH",
            Some("--patch 2017"),
        ),
        (_, 200..=299) if is_html => is("it answers with a page for people", None),
        _ => None,
    }
}

fn operations(exchange: &Exchange) -> Vec<Json> {
    let body = exchange.sent.as_ref().map(|body| body.text.as_str());
    let body: Json = serde_json::from_str(body.unwrap_or_default()).unwrap_or_default();
    body["Operations"].as_array().cloned().unwrap_or_default()
}

fn removes_by_filter(exchange: &Exchange) -> bool {
    let is = |it: &Json| {
        let path = it["path"].as_str().unwrap_or_default();
        it["op"] == "remove" && path.starts_with("members[")
    };
    operations(exchange).iter().any(is)
}

/// There was nothing to remove: that is no surprise.
fn says_no_target(exchange: &Exchange) -> bool {
    let body = exchange.answered.as_ref();
    body.is_some_and(|body| body.text.contains("noTarget"))
}

fn members(exchange: &Exchange) -> usize {
    let of = |it: &Json| match it["path"].as_str() {
        Some("members") => it["value"].as_array().map_or(0, Vec::len),
        Some(path) if path.starts_with("members[") => 1,
        _ => 0,
    };
    operations(exchange).iter().map(of).sum()
}

/// Many members were refused, and fewer of them taken.
fn fewer_members(exchange: &Exchange, said: &[Exchange]) -> Option<(String, Option<String>)> {
    if exchange.method != "PATCH" || !matches!(exchange.status, Some(400 | 413)) {
        return None;
    }
    let many = members(exchange);
    let is_taken = |it: &&Exchange| {
        it.url == exchange.url && matches!(it.status, Some(200..=299)) && members(it) > 0
    };
    let most = said.iter().filter(is_taken).map(members).max()?;
    // Unless one of them alone was to blame.
    let is_refused = |it: &&Exchange| {
        it.url == exchange.url && matches!(it.status, Some(400 | 413)) && members(it) > 0
    };
    let fewest = said.iter().filter(is_refused).map(members).min()?;
    (most < many && most < fewest).then(|| {
        let what = "it takes fewer members in a request".to_owned();
        (what, Some(format!("--members {most}")))
    })
}

#[cfg(test)]
mod tests {
    use muster_model::exchange::Body;

    use super::*;

    fn exchange(method: &str, url: &str, status: u16, body: &str) -> Exchange {
        Exchange {
            at: Timestamp::from_micros(0),
            millis: 1,
            method: method.to_owned(),
            url: format!("https://scim.example{url}"),
            asked_with: Vec::new(),
            sent: Some(Body {
                text: body.to_owned(),
                size: 0,
                is_cut: false,
            }),
            status: Some(status),
            headers: Vec::new(),
            answered: None,
            failure: None,
        }
    }

    fn options(said: &[Exchange]) -> Vec<Option<String>> {
        shown(said)
            .into_iter()
            .map(|(_, options, _)| options)
            .collect()
    }

    #[test]
    fn what_a_target_answers_shows_how_it_wants_to_be_spoken_to() {
        let one = |method, url, status, body| options(&[exchange(method, url, status, body)]);
        let some = |text: &str| vec![Some(text.to_owned())];
        assert_eq!(one("PATCH", "/Users/1", 501, "{}"), some("--write put"));
        let mut bulk = exchange("POST", "/Users", 0, "{}");
        (bulk.status, bulk.failure) = (None, Some("it has no /Bulk; switch it off".to_owned()));
        assert_eq!(options(&[bulk]), some("--bulk 0"));
        let query = "/Groups?excludedAttributes=members&filter=displayName+eq+%22a%22";
        assert_eq!(one("GET", query, 400, ""), some("--group-filter off"));
        let removal = r#"{"Operations":[{"op":"remove","path":"members[value eq \"1\"]"}]}"#;
        assert_eq!(
            one("PATCH", "/Groups/1", 400, removal),
            some("--patch 2017")
        );
        assert_eq!(one("PATCH", "/Users/1", 400, "{}"), []);
        assert_eq!(one("POST", "/Users", 409, "{}"), []);
    }

    #[test]
    fn members_that_are_taken_in_smaller_portions_tell_how_many() {
        let add = |count: usize| {
            let members = vec![r#"{"value":"1"}"#; count].join(",");
            format!(r#"{{"Operations":[{{"op":"add","path":"members","value":[{members}]}}]}}"#)
        };
        let said = [
            exchange("PATCH", "/Groups/1", 400, &add(100)),
            exchange("PATCH", "/Groups/1", 204, &add(50)),
            exchange("PATCH", "/Groups/1", 204, &add(25)),
        ];
        assert_eq!(options(&said), [Some("--members 50".to_owned())]);
        // One member is to blame, however many there are.
        let one = exchange("PATCH", "/Groups/1", 400, &add(1));
        let said_of_one = [said[0].clone(), said[1].clone(), one];
        assert_eq!(options(&said_of_one), []);
        // All were taken in the end, or none.
        assert_eq!(options(&said[1..]), []);
        assert_eq!(options(&said[..1]), []);
    }
}
