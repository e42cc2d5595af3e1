//! `/applications` and `/servicePrincipals` (7.2): two faces of what is provisioned.

use muster_app::applications::{self, Shown};
use muster_model::application::AppRole;
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::ids;
use crate::members::needs_eventual;
use crate::page::of_all;
use crate::query::{DIRECTORY, Query, Takes, shown};
use crate::request::Call;
use crate::shape::{APPLICATION, SERVICE_PRINCIPAL, Shape};

const LIST: Takes = Takes {
    expand: &[],
    ..DIRECTORY
};

fn template_id(shown: &Shown) -> String {
    let template = shown.application.template.as_deref();
    template.map_or_else(|| ids::CUSTOM.to_owned(), ids::template)
}

fn role_object(role: &AppRole) -> Json {
    json!({
        "id": role.id.to_string(), "displayName": role.display_name,
        "description": role.display_name, "value": role.value,
        "allowedMemberTypes": ["User"], "isEnabled": true, "origin": "Application"
    })
}

/// The application object.
pub(crate) fn application_object(shown: &Shown) -> Json {
    let id = shown.application.id.to_string();
    let roles: Vec<Json> = shown.roles.iter().map(role_object).collect();
    json!({
        "id": ids::application(&id), "appId": ids::app(&id),
        "displayName": shown.application.display_name,
        "applicationTemplateId": template_id(shown),
        "createdDateTime": shown.application.created.to_string(), "deletedDateTime": null,
        "signInAudience": "AzureADMyOrg", "identifierUris": [], "tags": [], "notes": null,
        "description": null, "appRoles": roles,
        "web": { "homePageUrl": null, "redirectUris": [], "logoutUrl": null }
    })
}

/// The service principal.
pub(crate) fn service_principal_object(call: &Call, shown: &Shown) -> Json {
    let id = shown.application.id.to_string();
    let name = shown.application.display_name.as_str();
    let roles: Vec<Json> = shown.roles.iter().map(role_object).collect();
    let notified: Vec<&str> = shown
        .job
        .settings
        .notification_email
        .as_deref()
        .into_iter()
        .collect();
    json!({
        "id": id, "appId": ids::app(&id), "displayName": name, "appDisplayName": name,
        "applicationTemplateId": template_id(shown),
        "appOwnerOrganizationId": ids::tenant(call.ctx.tenant.0),
        "accountEnabled": true, "appRoleAssignmentRequired": true,
        "servicePrincipalType": "Application", "servicePrincipalNames": [ids::app(&id)],
        "createdDateTime": shown.application.created.to_string(), "deletedDateTime": null,
        "tags": ["WindowsAzureActiveDirectoryIntegratedApp"], "notes": null, "description": null,
        "homepage": null, "loginUrl": null, "notificationEmailAddresses": notified,
        "preferredSingleSignOnMode": null, "appRoles": roles
    })
}

/// The service principal that is meant: by its id, or by `appId=…`.
pub(crate) async fn service_principal(call: &Call, text: &str) -> Result<Shown, Fault> {
    let id = match text.strip_prefix("appId=") {
        Some(app) => {
            let all = applications::list(&call.ctx).await?;
            let ids = all.into_iter().map(|it| it.id.to_string());
            let mut found = ids.filter(|id| ids::app(id).eq_ignore_ascii_case(app));
            found.next().ok_or_else(|| Fault::not_found(app))?
        }
        None => text.to_owned(),
    };
    if !crate::filter::is_guid(&id) {
        return Err(Fault::not_found(text));
    }
    applications::show(&call.ctx, &id)
        .await
        .map_err(|error| match error {
            muster_app::AppError::NotFound(_) => Fault::not_found(text),
            other => other.into(),
        })
}

/// The same for an application object.
async fn application(call: &Call, text: &str) -> Result<Shown, Fault> {
    let all = applications::list(&call.ctx).await?;
    let ids = all.into_iter().map(|it| it.id.to_string());
    let mut found = ids.filter(|id| match text.strip_prefix("appId=") {
        Some(app) => ids::app(id).eq_ignore_ascii_case(app),
        None => ids::application(id).eq_ignore_ascii_case(text),
    });
    let id = found.next().ok_or_else(|| Fault::not_found(text))?;
    service_principal(call, &id).await
}

async fn every(call: &Call) -> Result<Vec<Shown>, Fault> {
    let mut all = Vec::new();
    for application in applications::list(&call.ctx).await? {
        all.push(applications::show(&call.ctx, &application.id.to_string()).await?);
    }
    Ok(all)
}

async fn list_of(
    call: &Call,
    shape: &'static Shape,
    object: impl Fn(&Shown) -> Json,
) -> Result<(Query, crate::page::Page), Fault> {
    let query = call.query(shape, &LIST)?;
    let all = every(call).await?.iter().map(object).collect();
    let mut page = of_all(all, &query)?;
    page.value = page
        .value
        .into_iter()
        .map(|object| match object {
            Json::Object(object) => query.shown(object, shape),
            other => other,
        })
        .collect();
    Ok((query, page))
}

/// `GET /applications`
pub(crate) async fn list(call: Call) -> Result<Answer, Fault> {
    let (query, page) = list_of(&call, &APPLICATION, application_object).await?;
    Ok(Answer::ok(page.answer(&call, &query, "applications")))
}

/// `GET /servicePrincipals`
pub(crate) async fn list_principals(call: Call) -> Result<Answer, Fault> {
    let object = |shown: &Shown| service_principal_object(&call, shown);
    let (query, page) = list_of(&call, &SERVICE_PRINCIPAL, object).await?;
    Ok(Answer::ok(page.answer(&call, &query, "servicePrincipals")))
}

/// `GET /applications/$count`
pub(crate) async fn count(call: Call) -> Result<Answer, Fault> {
    needs_eventual(&call)?;
    Ok(Answer::count(
        applications::list(&call.ctx).await?.len() as u64
    ))
}

fn selected(call: &Call, object: Json, shape: &Shape) -> Result<Json, Fault> {
    let query = call.query(shape, &LIST)?;
    let Json::Object(object) = object else {
        return Ok(object);
    };
    Ok(shown(object, query.select.as_deref(), &[], shape))
}

/// `GET /applications/{id}`
pub(crate) async fn get(call: Call) -> Result<Answer, Fault> {
    let found = application(&call, call.arg(0)).await?;
    let object = selected(&call, application_object(&found), &APPLICATION)?;
    Ok(Answer::ok(call.entity("applications/$entity", object)))
}

/// `GET /servicePrincipals/{id}`
pub(crate) async fn get_principal(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let object = service_principal_object(&call, &found);
    let object = selected(&call, object, &SERVICE_PRINCIPAL)?;
    Ok(Answer::ok(call.entity("servicePrincipals/$entity", object)))
}

/// `PATCH /applications/{id}`
pub(crate) async fn update(call: Call) -> Result<Answer, Fault> {
    let found = application(&call, call.arg(0)).await?;
    change(&call, &found, &APPLICATION).await
}

/// `PATCH /servicePrincipals/{id}`
pub(crate) async fn update_principal(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    change(&call, &found, &SERVICE_PRINCIPAL).await
}

/// The name and the roles; what else is known is accepted when it stays as it is.
async fn change(call: &Call, found: &Shown, shape: &'static Shape) -> Result<Answer, Fault> {
    let body: &Map<String, Json> = call.object()?;
    let now = if shape.type_name == "application" {
        application_object(found)
    } else {
        service_principal_object(call, found)
    };
    let id = found.application.id.to_string();
    for (name, value) in body.iter().filter(|(name, _)| !name.contains('@')) {
        if shape.top(name).as_ref() != Some(name) {
            return Err(Fault::invalid(name, "there is no such property"));
        }
        match name.as_str() {
            "displayName" => {
                let text = value.as_str().filter(|text| !text.trim().is_empty());
                if text.is_none() {
                    return Err(Fault::invalid(name, "a text is expected"));
                }
            }
            "appRoles" => drop(roles(value)?),
            "id" | "appId" | "createdDateTime" | "deletedDateTime" => {}
            _ if now[name.as_str()] == *value => {}
            _ => return Err(Fault::invalid(name, "it cannot be changed here")),
        }
    }
    let name = body.get("displayName").and_then(Json::as_str);
    let wanted = body.get("appRoles").map(roles).transpose()?;
    applications::change(&call.ctx, &id, name, wanted.as_deref()).await?;
    Ok(Answer::done())
}

/// Roles as somebody writes them (7.2).
fn roles(value: &Json) -> Result<Vec<AppRole>, Fault> {
    let wrong = |what: &str| Fault::invalid("appRoles", what.to_owned());
    let list = value.as_array().filter(|list| list.len() <= 1000);
    let list = list.ok_or_else(|| wrong("a list of at most 1,000 roles is expected"))?;
    list.iter()
        .map(|role| {
            let id = role["id"].as_str().and_then(|id| id.parse().ok());
            let id = id.ok_or_else(|| wrong("each role has an id, which is a GUID"))?;
            let name = role["displayName"]
                .as_str()
                .filter(|name| !name.trim().is_empty());
            let name = name.ok_or_else(|| wrong("each role has a displayName"))?;
            Ok(AppRole {
                id,
                value: role["value"].as_str().unwrap_or(name).to_owned(),
                display_name: name.to_owned(),
            })
        })
        .collect()
}

/// `DELETE /applications/{id}`
pub(crate) async fn delete(call: Call) -> Result<Answer, Fault> {
    let found = application(&call, call.arg(0)).await?;
    remove(&call, &found).await
}

/// `DELETE /servicePrincipals/{id}`
pub(crate) async fn delete_principal(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    remove(&call, &found).await
}

async fn remove(call: &Call, found: &Shown) -> Result<Answer, Fault> {
    applications::remove_anyhow(&call.ctx, &found.application).await?;
    Ok(Answer::done())
}

/// `GET /organization`
pub(crate) async fn organization(call: Call) -> Result<Answer, Fault> {
    let one = json!({
        "id": ids::tenant(call.ctx.tenant.0), "displayName": "Muster", "verifiedDomains": []
    });
    Ok(Answer::ok(call.list("organization", vec![one])))
}
