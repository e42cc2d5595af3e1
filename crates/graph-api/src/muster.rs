//! `/muster`: what Microsoft Graph has no shape for. Plans, explanations, links, what is held back, notices, and the
//! receiving side. What is answered is what the command line prints with `--json`.

use std::time::Duration;

use http::{StatusCode, header};
use muster_app::applications::Shown;
use muster_app::links::{self, Filter};
use muster_app::plans::{self, At, Kept};
use muster_app::{AppError, explain, integrations, jobs, notices, told};
use muster_model::directory::Kind;
use muster_model::integration::{Integration, Purpose};
use muster_model::link::LinkState;
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use crate::answer::{Answer, Content, Fault};
use crate::applications::service_principal;
use crate::page::{Page, open};
use crate::query::{OPTIONS, Query};
use crate::request::Call;
use crate::route::Right;

/// How long a request waits for the end of a cycle; the cycle goes on.
const PATIENCE: Duration = Duration::from_secs(25);
/// Objects of a page, unless something else is asked for.
const USUAL: u32 = 100;

impl Call {
    /// What an option says.
    fn option(&self, name: &str) -> Option<&str> {
        let mut pairs = self.pairs.iter();
        let found = pairs.find(|(it, _)| it.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn top(&self, most: u32) -> Result<u32, Fault> {
        let Some(text) = self.option("top") else {
            return Ok(USUAL);
        };
        let top = text.parse().ok().filter(|top| (1..=most).contains(top));
        top.ok_or_else(|| Fault::bad_request(format!("'$top' is between 1 and {most} here.")))
    }

    /// Where a page begins. These lists take no other option of OData, and say so.
    fn place(&self) -> Result<Option<Json>, Fault> {
        let taken = ["top", "skiptoken", "format"];
        for (name, _) in &self.pairs {
            if OPTIONS.contains(&name.as_str()) && !taken.contains(&name.as_str()) {
                return Err(Fault::unsupported(format!(
                    "'${name}' is not supported here."
                )));
            }
        }
        let token = self.option("skiptoken");
        token.map(|token| open(token, "skiptoken")).transpose()
    }

    /// A page, with a link to the next one that repeats the options.
    fn page(&self, name: &str, value: Vec<Json>, next: Option<Json>) -> Answer {
        let repeats = |(it, _): &&(String, String)| it != "skiptoken";
        let query = Query {
            repeated: self.pairs.iter().filter(repeats).cloned().collect(),
            ..Query::default()
        };
        let page = Page {
            value,
            next,
            count: None,
        };
        Answer::ok(page.answer(self, &query, &format!("muster/{name}")))
    }

    fn text(&self, name: &str) -> Result<&str, Fault> {
        let value = self.object()?.get(name).and_then(Json::as_str);
        value.ok_or_else(|| Fault::invalid(name, "a text is expected"))
    }
}

fn id_of(found: &Shown) -> String {
    found.application.id.to_string()
}

/// `GET /muster/servicePrincipals/{id}/explanation?subject=…`
pub(crate) async fn explanation(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let subject = call.option("subject").filter(|it| !it.trim().is_empty());
    let subject = subject.ok_or_else(|| {
        Fault::bad_request("'subject' is missing: a sign-in name, an id, or the id of an event.")
    })?;
    let application = id_of(&found);
    let explained = explain::explain(&call.ctx, &application, subject);
    let (_, subject, explanation) = Box::pin(explained).await?;
    // It tells what the directory holds of them.
    let right = match subject.kind {
        Kind::User => Right::ReadUsers,
        Kind::Group => Right::ReadGroups,
    };
    right.allow(&call.token)?;
    let mut answer = explanation
        .as_ref()
        .map_or_else(|| json!({}), told::explanation);
    answer["event"] = subject.event.map(|event| event.id.to_string()).into();
    Ok(Answer::ok(call.entity("muster/explanation", answer)))
}

fn plan_object(kept: &Kept) -> Json {
    json!({ "id": kept.id, "plan": plans::told(kept) })
}

/// `POST /muster/servicePrincipals/{id}/plans`
pub(crate) async fn plan(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let (progress, _) = watch::channel(None);
    let (_, kept) = Box::pin(plans::make(&call.ctx, &id_of(&found), &progress)).await?;
    let location = format!("{}/muster/plans/{}", call.base, kept.id);
    let plan = call.entity("muster/plans/$entity", plan_object(&kept));
    Ok(Answer::created(plan, location))
}

/// `GET /muster/plans/{id}`
pub(crate) async fn get_plan(call: Call) -> Result<Answer, Fault> {
    let kept = plans::find(&call.ctx, call.arg(0)).await?;
    Ok(Answer::ok(
        call.entity("muster/plans/$entity", plan_object(&kept)),
    ))
}

/// `GET /muster/plans/{id}/operations`
pub(crate) async fn operations(call: Call) -> Result<Answer, Fault> {
    let kept = plans::find(&call.ctx, call.arg(0)).await?;
    let top = call.top(500)?;
    let after = call.place()?.map_or_else(At::default, |place| At {
        place: place["place"].as_str().unwrap_or_default().to_owned(),
        number: place["number"].as_i64().unwrap_or(0),
    });
    let mut page = plans::operations(&call.ctx, &kept, &after, top + 1).await?;
    let has_more = page.len() > top as usize;
    page.truncate(top as usize);
    let next = page
        .last()
        .filter(|_| has_more)
        .map(|last| json!({ "place": last.at.place, "number": last.at.number }));
    let value: Result<Vec<Json>, _> = page
        .iter()
        .map(|it| serde_json::from_str(&it.body))
        .collect();
    let value = value.map_err(|error| Fault::from(AppError::Refused(error.to_string())))?;
    Ok(call.page("operations", value, next))
}

/// `POST /muster/plans/{id}/apply`: 200 with the cycle when it ends soon, else 202; it goes on by itself.
pub(crate) async fn apply(call: Call) -> Result<Answer, Fault> {
    let kept = plans::find(&call.ctx, call.arg(0)).await?;
    let (ctx, plan) = (call.ctx.clone(), kept.clone());
    let applied = tokio::spawn(async move { plans::apply(&ctx, &plan).await });
    let Ok(ended) = tokio::time::timeout(PATIENCE, applied).await else {
        let mut answer = Answer::done();
        answer.status = StatusCode::ACCEPTED;
        let location = format!("{}/muster/plans/{}", call.base, kept.id);
        answer.headers.push((header::LOCATION, location));
        return Ok(answer);
    };
    let cycle = ended
        .map_err(|error| Fault::from(AppError::Refused(error.to_string())))?
        .map_err(moved)?;
    Ok(Answer::ok(call.entity(
        "muster/cycles/$entity",
        crate::synchronization::execution(&cycle),
    )))
}

/// What a plan rests on is not so any more, or the guard holds it back: nothing was done.
fn moved(error: AppError) -> Fault {
    match error {
        error if error.is_outdated() => {
            Fault::new(StatusCode::CONFLICT, "Request_Conflict", error.to_string())
        }
        other => other.into(),
    }
}

/// `GET /muster/servicePrincipals/{id}/links`
pub(crate) async fn list_links(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let top = call.top(links::PAGE - 1)?;
    let kind = match call.option("type").map(str::to_ascii_lowercase).as_deref() {
        None => None,
        Some("user") => Some(Kind::User),
        Some("group") => Some(Kind::Group),
        Some(_) => return Err(Fault::bad_request("'type' is User or Group.")),
    };
    let state = match call.option("state") {
        None => None,
        Some(word) => {
            let mut all = LinkState::ALL.into_iter();
            let state = all.find(|it| told::state_word(*it) == word);
            Some(state.ok_or_else(|| {
                Fault::bad_request("'state' is managed, disabled, leaving or released.")
            })?)
        }
    };
    let place = call.place()?;
    let after = place.and_then(|place| place["id"].as_str()?.parse().ok());
    let filter = Filter {
        kind,
        state,
        target: call.option("target").map(str::to_owned),
        after,
    };
    let mut page = links::list(&call.ctx, &id_of(&found), filter, top + 1).await?;
    let has_more = page.len() > top as usize;
    page.truncate(top as usize);
    let last = page.last().filter(|_| has_more);
    let next = last.map(|(last, _)| json!({ "id": last.anchor.to_string() }));
    let value = page
        .iter()
        .map(|(link, name)| told::link(link, name.as_deref()));
    Ok(call.page("links", value.collect(), next))
}

/// `PUT /muster/servicePrincipals/{id}/links/{subject}`
pub(crate) async fn set_link(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let target = call.text("target")?;
    links::link(&call.ctx, &id_of(&found), call.arg(1), target).await?;
    Ok(Answer::done())
}

/// `DELETE /muster/servicePrincipals/{id}/links/{subject}`
pub(crate) async fn drop_link(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    links::unlink(&call.ctx, &id_of(&found), call.arg(1)).await?;
    Ok(Answer::done())
}

/// `GET /muster/servicePrincipals/{id}/heldBack`
pub(crate) async fn held(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let top = call.top(999)?;
    let place = call.place()?;
    let after = place.and_then(|place| place["id"].as_str()?.parse().ok());
    let application = id_of(&found);
    let held = jobs::held_back(&call.ctx, &application, after, top + 1);
    let (mut some, count) = held.await?;
    let has_more = some.len() > top as usize;
    some.truncate(top as usize);
    let last = some.last().filter(|_| has_more);
    let next = last.map(|last| json!({ "id": last.anchor.to_string() }));
    let value = some.iter().map(told::withdrawal).collect();
    let mut answer = call.page("heldBack", value, next);
    if let Content::Json(body) = &mut answer.body {
        body["count"] = count.into();
    }
    Ok(answer)
}

/// `POST /muster/servicePrincipals/{id}/heldBack/allow`
pub(crate) async fn allow(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let expected = call.object()?.get("count").and_then(Json::as_u64);
    let expected = expected.ok_or_else(|| {
        Fault::invalid(
            "count",
            "how many are allowed, as they were listed, is expected",
        )
    })?;
    let application = id_of(&found);
    let allowed = jobs::allow(&call.ctx, &application, Some(expected));
    let (_, count) = allowed.await.map_err(|error| match error {
        AppError::Refused(said) => Fault::new(StatusCode::CONFLICT, "Request_Conflict", said),
        other => other.into(),
    })?;
    Ok(Answer::ok(
        call.entity("muster/allowed", json!({ "count": count })),
    ))
}

/// `GET /muster/notices`
pub(crate) async fn list_notices(call: Call) -> Result<Answer, Fault> {
    call.place()?;
    let all = notices::list(&call.ctx).await?;
    let value = all.iter().map(|(of, notice)| {
        let mut told = told::notice(of, notice);
        told["servicePrincipalId"] = of.id.to_string().into();
        told
    });
    Ok(Answer::ok(call.list("muster/notices", value.collect())))
}

/// `POST /muster/servicePrincipals/{id}/acknowledge`
pub(crate) async fn acknowledge(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    notices::acknowledge(&call.ctx, &id_of(&found)).await?;
    Ok(Answer::done())
}

/// Where the receiving side is reached.
fn origin(call: &Call) -> &str {
    let base = call.base.trim_end_matches("/beta");
    base.trim_end_matches("/v1.0")
}

/// The integration in the path: by its id, or by its name.
async fn integration(call: &Call) -> Result<Integration, Fault> {
    let wanted = call.arg(0);
    let all = integrations::list(&call.ctx).await?;
    let mut all = all.into_iter().map(|(it, _)| it);
    let found = all.find(|it| it.id.to_string() == wanted || it.name == wanted);
    found.ok_or_else(|| Fault::not_found(wanted))
}

/// `GET /muster/integrations`
pub(crate) async fn list_integrations(call: Call) -> Result<Answer, Fault> {
    call.place()?;
    let all = integrations::list(&call.ctx).await?;
    let value = all
        .iter()
        .map(|(it, tokens)| told::integration(it, tokens, origin(&call)));
    Ok(Answer::ok(
        call.list("muster/integrations", value.collect()),
    ))
}

/// `POST /muster/integrations`
pub(crate) async fn create_integration(call: Call) -> Result<Answer, Fault> {
    let issued = integrations::create(&call.ctx, call.text("name")?).await?;
    let location = format!(
        "{}/muster/integrations/{}",
        call.base, issued.integration.id
    );
    let made = call.entity(
        "muster/integrations/$entity",
        told::issued(&issued, origin(&call)),
    );
    Ok(Answer::created(made, location))
}

/// `GET /muster/integrations/{id}`
pub(crate) async fn get_integration(call: Call) -> Result<Answer, Fault> {
    let wanted = integration(&call).await?;
    let all = integrations::list(&call.ctx).await?;
    let mut all = all.iter().filter(|(it, _)| it.id == wanted.id);
    let (it, tokens) = all.next().ok_or_else(|| Fault::not_found(call.arg(0)))?;
    let shown = told::integration(it, tokens, origin(&call));
    Ok(Answer::ok(
        call.entity("muster/integrations/$entity", shown),
    ))
}

/// `POST /muster/integrations/{id}/rotate`
pub(crate) async fn rotate(call: Call) -> Result<Answer, Fault> {
    let of = integration(&call).await?;
    let (issued, _) = integrations::rotate(&call.ctx, &of.name, Purpose::Provision, None).await?;
    let shown = told::issued(&issued, origin(&call));
    Ok(Answer::ok(
        call.entity("muster/integrations/$entity", shown),
    ))
}

/// `POST /muster/integrations/{id}/revoke`
pub(crate) async fn revoke(call: Call) -> Result<Answer, Fault> {
    let of = integration(&call).await?;
    integrations::revoke(&call.ctx, &of.name).await?;
    Ok(Answer::done())
}

/// `GET /muster/integrations/{id}/dialect`
pub(crate) async fn dialect(call: Call) -> Result<Answer, Fault> {
    call.place()?;
    let of = integration(&call).await?;
    let seen = integrations::dialect(&call.ctx, &of.name).await?;
    let value = seen
        .iter()
        .map(|(deviation, seen)| told::dialect(*deviation, seen));
    Ok(Answer::ok(call.list("muster/dialect", value.collect())))
}
