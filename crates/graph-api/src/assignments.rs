//! App role assignments (chapter 8): one set, seen from the application, the user and the group.

use data_encoding::BASE64URL_NOPAD;
use muster_app::applications::{self, Assigning, Shown};
use muster_app::directory::read;
use muster_model::application::Assignment;
use muster_model::directory::Kind;
use muster_model::{AssignmentId, ObjectId, RoleId};
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::applications::service_principal;
use crate::page::of_all;
use crate::query::DIRECTORY;
use crate::request::Call;
use crate::shape::ASSIGNMENT;

fn opaque(id: AssignmentId) -> String {
    let hex: String = id.to_string().chars().filter(|it| *it != '-').collect();
    let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes());
    bytes.map_or(hex, |bytes| BASE64URL_NOPAD.encode(&bytes))
}

fn id_of(text: &str) -> Result<AssignmentId, Fault> {
    let read = || {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let bytes: [u8; 16] = bytes.try_into().ok()?;
        Some(AssignmentId::from_bytes(bytes))
    };
    read()
        .or_else(|| text.parse().ok())
        .ok_or_else(|| Fault::not_found(text))
}

fn object(assignment: &Assignment, principal: &str, resource: &str) -> Json {
    json!({
        "id": opaque(assignment.id), "deletedDateTime": null,
        "appRoleId": assignment.role.to_string(),
        "createdDateTime": assignment.created.to_string(),
        "principalDisplayName": principal, "principalId": assignment.principal.to_string(),
        "principalType": assignment.kind.as_str(), "resourceDisplayName": resource,
        "resourceId": assignment.application.to_string()
    })
}

async fn name_of(call: &Call, principal: ObjectId) -> Result<String, Fault> {
    let found = read::objects(&call.ctx, &[principal]).await?;
    Ok(match found.first() {
        Some(read::Object::User(user)) => user.name().to_owned(),
        Some(read::Object::Group(group)) => group.display_name.clone(),
        None => String::new(),
    })
}

fn answer(call: &Call, all: Vec<Json>, of: &str) -> Result<Answer, Fault> {
    let query = call.query(&ASSIGNMENT, &DIRECTORY)?;
    let mut page = of_all(all, &query)?;
    page.value = page
        .value
        .into_iter()
        .map(|object| match object {
            Json::Object(object) => query.shown(object, &ASSIGNMENT),
            other => other,
        })
        .collect();
    Ok(Answer::ok(page.answer(call, &query, of)))
}

/// `GET /servicePrincipals/{id}/appRoleAssignedTo`
pub(crate) async fn of_application(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let id = found.application.id.to_string();
    let assigned = applications::assignments(&call.ctx, &id).await?;
    let name = &found.application.display_name;
    let all = assigned
        .iter()
        .map(|(it, principal)| object(it, principal, name))
        .collect();
    answer(
        &call,
        all,
        &format!("servicePrincipals('{id}')/appRoleAssignedTo"),
    )
}

/// `POST /servicePrincipals/{id}/appRoleAssignedTo`
pub(crate) async fn assign(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let body = call.object()?;
    let resource = id_in(body, "resourceId")?;
    if resource != found.application.id.to_string() {
        return Err(Fault::invalid(
            "resourceId",
            "it is another one than in the path",
        ));
    }
    let principal = id_in(body, "principalId")?;
    create(&call, &found, &principal).await
}

fn id_in(body: &Map<String, Json>, name: &str) -> Result<String, Fault> {
    let text = body.get(name).and_then(Json::as_str);
    let text = text.ok_or_else(|| Fault::invalid(name, "a value is required for it"))?;
    if !crate::filter::is_guid(text) {
        return Err(Fault::invalid(name, format!("'{text}' is no GUID")));
    }
    Ok(text.to_ascii_lowercase())
}

async fn create(call: &Call, found: &Shown, principal: &str) -> Result<Answer, Fault> {
    let body = call.object()?;
    let role = id_in(body, "appRoleId")?;
    let role: RoleId = role
        .parse()
        .map_err(|_| Fault::invalid("appRoleId", "it is no GUID"))?;
    let id: ObjectId = principal.parse().map_err(|_| Fault::not_found(principal))?;
    let kind = match read::objects(&call.ctx, &[id]).await?.first() {
        Some(read::Object::User(_)) => Kind::User,
        Some(read::Object::Group(_)) => Kind::Group,
        None => return Err(Fault::not_found(principal)),
    };
    let is_known = role == RoleId::DEFAULT_ACCESS || found.roles.iter().any(|it| it.id == role);
    if !is_known {
        return Err(Fault::bad_request(format!(
            "Permission being assigned was not found on application '{}'.",
            found.application.id
        )));
    }
    let asked = Assigning {
        principal: id,
        kind,
        role,
        transitive: false,
    };
    let made = applications::assign_role(&call.ctx, &found.application, asked).await?;
    let Some(made) = made else {
        return Err(Fault::bad_request(
            "Permission being assigned already exists on the object",
        ));
    };
    let name = name_of(call, id).await?;
    let shown = object(&made, &name, &found.application.display_name);
    let of = format!(
        "servicePrincipals('{}')/appRoleAssignedTo",
        found.application.id
    );
    let location = format!("{}/{of}/{}", call.base, opaque(made.id));
    Ok(Answer::created(
        call.entity(&format!("{of}/$entity"), shown),
        location,
    ))
}

async fn one(call: &Call, found: &Shown, text: &str) -> Result<Assignment, Fault> {
    let id = id_of(text)?;
    let one = applications::assignment(&call.ctx, &found.application, id).await?;
    one.ok_or_else(|| Fault::not_found(text))
}

/// `GET /servicePrincipals/{id}/appRoleAssignedTo/{assignment}`
pub(crate) async fn get(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let one = one(&call, &found, call.arg(1)).await?;
    let name = name_of(&call, one.principal).await?;
    let shown = object(&one, &name, &found.application.display_name);
    let of = format!(
        "servicePrincipals('{}')/appRoleAssignedTo/$entity",
        found.application.id
    );
    Ok(Answer::ok(call.entity(&of, shown)))
}

/// `DELETE /servicePrincipals/{id}/appRoleAssignedTo/{assignment}`
pub(crate) async fn unassign(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let one = one(&call, &found, call.arg(1)).await?;
    applications::unassign_role(&call.ctx, &found.application, &one).await?;
    Ok(Answer::done())
}

/// `GET /servicePrincipals/{id}/appRoleAssignments`: an application is assigned to nothing here.
pub(crate) async fn as_principal(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let of = format!(
        "servicePrincipals('{}')/appRoleAssignments",
        found.application.id
    );
    answer(&call, Vec::new(), &of)
}

/// The user or group in the path, and where its assignments stand.
async fn principal(call: &Call) -> Result<(ObjectId, String, String), Fault> {
    let is_user = call.path.to_ascii_lowercase().starts_with("/users");
    if is_user {
        let user = crate::users::find(call, call.arg(0)).await?;
        let of = format!("users('{}')/appRoleAssignments", user.id);
        return Ok((user.id.into(), user.name().to_owned(), of));
    }
    let group = crate::groups::find(call, call.arg(0)).await?;
    let of = format!("groups('{}')/appRoleAssignments", group.id);
    Ok((group.id.into(), group.display_name, of))
}

/// `GET /users/{id}/appRoleAssignments` and `GET /groups/{id}/appRoleAssignments`
pub(crate) async fn of_principal(call: Call) -> Result<Answer, Fault> {
    let (id, name, of) = principal(&call).await?;
    let assigned = applications::assignments_of(&call.ctx, id).await?;
    let all = assigned
        .iter()
        .map(|(it, resource)| object(it, &name, resource))
        .collect();
    answer(&call, all, &of)
}

/// `POST /users/{id}/appRoleAssignments` and `POST /groups/{id}/appRoleAssignments`
pub(crate) async fn assign_principal(call: Call) -> Result<Answer, Fault> {
    let (id, _, _) = principal(&call).await?;
    let body = call.object()?;
    let given = id_in(body, "principalId")?;
    if given != id.to_string() {
        return Err(Fault::invalid(
            "principalId",
            "it is another one than in the path",
        ));
    }
    let found = service_principal(&call, &id_in(body, "resourceId")?).await?;
    create(&call, &found, &given).await
}

async fn of_this_principal(call: &Call) -> Result<(Assignment, Shown), Fault> {
    let (id, _, _) = principal(call).await?;
    let wanted = id_of(call.arg(1))?;
    let assigned = applications::assignments_of(&call.ctx, id).await?;
    let one = assigned.into_iter().find(|(it, _)| it.id == wanted);
    let (one, _) = one.ok_or_else(|| Fault::not_found(call.arg(1)))?;
    let found = service_principal(call, &one.application.to_string()).await?;
    Ok((one, found))
}

/// `GET /users/{id}/appRoleAssignments/{assignment}` and the same of groups
pub(crate) async fn get_of_principal(call: Call) -> Result<Answer, Fault> {
    let (_, name, of) = principal(&call).await?;
    let (one, found) = of_this_principal(&call).await?;
    let shown = object(&one, &name, &found.application.display_name);
    Ok(Answer::ok(call.entity(&format!("{of}/$entity"), shown)))
}

/// `DELETE /users/{id}/appRoleAssignments/{assignment}` and the same of groups
pub(crate) async fn unassign_principal(call: Call) -> Result<Answer, Fault> {
    let (one, found) = of_this_principal(&call).await?;
    applications::unassign_role(&call.ctx, &found.application, &one).await?;
    Ok(Answer::done())
}
