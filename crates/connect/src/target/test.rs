//! Test connection (CR-6 to CR-13): asks for somebody who cannot exist; never writes.

use muster_engine::port::{Definitions, TargetError, TestFailure};
use muster_model::directory::Kind;
use muster_model::{ObjectId, Value};
use reqwest::Method;
use serde_json::{Map, Value as Json};

use crate::target::{ScimTarget, body};

/// Users by the first matching attribute (CR-6); groups likewise when they are provisioned (CR-8).
pub(super) async fn connection(target: &ScimTarget, with_groups: bool) -> Result<(), TestFailure> {
    users(target).await?;
    if !with_groups {
        return Ok(());
    }
    match &target.group_match {
        Some(_) if !target.dialect.filters_groups => {
            let query = [("startIndex", "1"), ("count", "1")];
            target
                .list(Kind::Group, &query)
                .await
                .map(drop)
                .map_err(|error| {
                    let (category, message) = told(&target.host, Kind::Group, "count=1", &error);
                    TestFailure { category, message }
                })
        }
        Some(attribute) => probe(target, Kind::Group, attribute).await,
        None => Ok(()),
    }
}

/// Users by the first matching attribute (CR-6).
pub(super) async fn users(target: &ScimTarget) -> Result<(), TestFailure> {
    probe(target, Kind::User, &target.user_match).await
}

/// What it says it has (2.5): a list, or in older servers the documents alone.
pub(super) async fn definitions(target: &ScimTarget) -> Result<Definitions, TestFailure> {
    let schemas = target.ask(Method::GET, "/Schemas");
    let schemas = target.json(schemas).await.map_err(|error| {
        let (category, message) = told(&target.host, Kind::User, "/Schemas", &error);
        TestFailure { category, message }
    })?;
    let types = target.ask(Method::GET, "/ResourceTypes");
    let types = target.json(types).await.unwrap_or_default();
    let list = |mut answer: Map<String, Json>| match answer.remove("Resources") {
        Some(Json::Array(all)) => all,
        _ => Vec::new(),
    };
    let schemas = list(schemas);
    if schemas.is_empty() {
        return Err(TestFailure {
            category: "NotScim",
            message: format!(
                "{} lists no schemas at /Schemas; add its attributes to the mappings by hand",
                target.host
            ),
        });
    }
    Ok(Definitions {
        schemas,
        resource_types: list(types),
    })
}

async fn probe(target: &ScimTarget, kind: Kind, attribute: &str) -> Result<(), TestFailure> {
    let nobody = Value::Text(ObjectId::new().to_string());
    let filter = body::equals(attribute, &nobody);
    let failure = |category, message| Err(TestFailure { category, message });
    match target.list(kind, &[("filter", &filter)]).await {
        // CR-7
        Ok((0, resources)) if resources.is_empty() => Ok(()),
        Ok((total, resources)) => failure(
            "NotScimCompliant",
            format!(
                "the server ignores the filter: it was asked for a {kind} that cannot exist \
                 ({filter}) and answered with {} of them; it must support `eq` on {attribute}",
                total.max(resources.len() as u64)
            ),
        ),
        Err(error) => {
            let (category, message) = told(&target.host, kind, &filter, &error);
            failure(category, message)
        }
    }
}

/// One category and one sentence for each way to fail (CR-10).
fn told(host: &str, kind: Kind, filter: &str, error: &TargetError) -> (&'static str, String) {
    match error {
        TargetError::Unauthorized {
            status: 403,
            detail,
        } => (
            "Forbidden",
            format!(
                "{host} knows the token but does not allow it to read (HTTP 403: {detail}); give \
                 its account admin permissions and try again"
            ),
        ),
        TargetError::Unauthorized { status, detail } => (
            "Unauthorized",
            format!(
                "{host} refused the secret token (HTTP {status}: {detail}); copy the token again \
                 and try again"
            ),
        ),
        TargetError::NotFound => (
            "NotFound",
            format!(
                "{host} answered 404 for {kind}s; check the path of the tenant URL (a server that \
                 answers 404 when nothing matches is not SCIM compliant)"
            ),
        ),
        TargetError::Unreachable { detail, .. } if is_tls(detail) => (
            "Tls",
            format!("no secure connection to {host}: {detail}; check its certificate"),
        ),
        TargetError::Unreachable { detail, .. } => (
            "CannotConnect",
            format!("cannot connect to {host}: {detail}; check the tenant URL and the network"),
        ),
        TargetError::Timeout(limit) => (
            "Timeout",
            format!(
                "{host} did not answer within {} seconds; try again later",
                limit.as_secs()
            ),
        ),
        TargetError::Incompatible(detail) => (
            "NotScim",
            format!("{host} answered, but not in SCIM: {detail}; check the path of the tenant URL"),
        ),
        TargetError::NotAllowed(reason) => ("NotAllowed", reason.clone()),
        TargetError::NotPlanned => ("NotAllowed", error.to_string()),
        TargetError::OutOfOrder(_) | TargetError::Several(_) => ("OtherStatus", error.to_string()),
        TargetError::Throttled { .. } => (
            "OtherStatus",
            format!(
                "{host} asks us to slow down (HTTP 429, or 503 with Retry-After); try again later"
            ),
        ),
        TargetError::Conflict(detail) => (
            "OtherStatus",
            format!("{host} answered HTTP 409 to a query: {detail}"),
        ),
        TargetError::NoTarget(detail) => (
            "OtherStatus",
            format!("{host} answered HTTP 400 to the query `{filter}`: {detail}"),
        ),
        TargetError::Refused { status, detail, .. } | TargetError::Failed { status, detail } => (
            "OtherStatus",
            format!("{host} answered HTTP {status} to the query `{filter}`: {detail}"),
        ),
    }
}

fn is_tls(detail: &str) -> bool {
    let detail = detail.to_lowercase();
    [
        "certificate",
        "tls",
        "handshake",
        "corrupt message",
        "invalid peer",
    ]
    .iter()
    .any(|word| detail.contains(word))
}
