//! `/applicationTemplates` (7.1): the gallery.

use http::StatusCode;
use muster_app::applications::{self, GalleryApp, Template};
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::applications::{application_object, service_principal_object};
use crate::ids;
use crate::page::of_all;
use crate::query::{PLAIN, Takes, shown};
use crate::request::Call;
use crate::shape::TEMPLATE;

const LIST: Takes = PLAIN;

fn object(app: &GalleryApp) -> Json {
    let can_provision = app.is_scim2() && app.supports_users;
    let modes = match app.sso_supported() {
        Some(true) => json!(["saml"]),
        _ => json!([]),
    };
    json!({
        "id": ids::template(&app.id), "displayName": app.display_name,
        "publisher": app.publisher, "description": app.description, "homePageUrl": null,
        "logoUrl": null, "categories": app.categories,
        "supportedProvisioningTypes": if can_provision { json!(["sync"]) } else { json!([]) },
        "supportedSingleSignOnModes": modes
    })
}

fn custom() -> Json {
    json!({
        "id": ids::CUSTOM, "displayName": "Custom", "publisher": "",
        "description": "Any application that takes users and groups over SCIM 2.0.",
        "homePageUrl": null, "logoUrl": null, "categories": [],
        "supportedProvisioningTypes": ["sync"], "supportedSingleSignOnModes": []
    })
}

fn all() -> Result<Vec<Json>, Fault> {
    let apps = applications::gallery()?.apps().iter().map(object);
    Ok(apps.chain([custom()]).collect())
}

/// `GET /applicationTemplates`
pub(crate) async fn list(call: Call) -> Result<Answer, Fault> {
    let query = call.query(&TEMPLATE, &LIST)?;
    let mut page = of_all(all()?, &query)?;
    page.value = page
        .value
        .into_iter()
        .map(|object| match object {
            Json::Object(object) => query.shown(object, &TEMPLATE),
            other => other,
        })
        .collect();
    Ok(Answer::ok(page.answer(
        &call,
        &query,
        "applicationTemplates",
    )))
}

fn find(id: &str) -> Result<Map<String, Json>, Fault> {
    let found = all()?.into_iter().find(|it| {
        it["id"]
            .as_str()
            .is_some_and(|it| it.eq_ignore_ascii_case(id))
    });
    match found {
        Some(Json::Object(found)) => Ok(found),
        _ => Err(Fault::not_found(id)),
    }
}

/// `GET /applicationTemplates/{id}`
pub(crate) async fn get(call: Call) -> Result<Answer, Fault> {
    let query = call.query(&TEMPLATE, &LIST)?;
    let shown = shown(find(call.arg(0))?, query.select.as_deref(), &[], &TEMPLATE);
    Ok(Answer::ok(
        call.entity("applicationTemplates/$entity", shown),
    ))
}

/// `POST /applicationTemplates/{id}/instantiate`
pub(crate) async fn instantiate(call: Call) -> Result<Answer, Fault> {
    let id = call.arg(0);
    find(id)?;
    let name = call.object()?.get("displayName").and_then(Json::as_str);
    let name = name.filter(|name| !name.trim().is_empty());
    let name = name.ok_or_else(|| Fault::invalid("displayName", "a value is required for it"))?;
    let template = if id.eq_ignore_ascii_case(ids::CUSTOM) {
        Template::Custom
    } else {
        let apps = applications::gallery()?.apps().iter();
        let mut apps = apps.filter(|app| ids::template(&app.id).eq_ignore_ascii_case(id));
        let app = apps.next().ok_or_else(|| Fault::not_found(id))?;
        Template::Gallery(app.id.clone())
    };
    let added = applications::add_bare(&call.ctx, &template, Some(name)).await?;
    let shown = applications::show(&call.ctx, &added.id.to_string()).await?;
    let both = json!({
        "application": application_object(&shown),
        "servicePrincipal": service_principal_object(&call, &shown)
    });
    let answer = call.entity("microsoft.graph.applicationServicePrincipal", both);
    let mut answer = Answer::ok(answer);
    answer.status = StatusCode::CREATED;
    Ok(answer)
}
