//! One tenant never sees another.

use muster_model::TenantId;
use muster_testkit::{FixedClock, sqlite_store};
use serde_json::{Value, json};

use super::api::{Api, id, operations};

/// What a tenant has.
pub(crate) struct Owned {
    pub(crate) user: String,
    pub(crate) group: String,
    pub(crate) deleted: String,
    application: String,
    pub(crate) principal: String,
    role: String,
    template: String,
    job: String,
    pub(crate) integration: String,
    directory: String,
    pub(crate) assignments: [String; 2],
}

pub(crate) async fn owned(api: &Api, name: &str) -> Owned {
    let (user, group) = (api.user(name).await, api.group(name).await);
    let reference = json!({ "@odata.id": format!("http://localhost/v1.0/users/{user}") });
    api.done(
        "POST",
        &format!("/groups/{group}/members/$ref"),
        Some(&reference),
    )
    .await;
    let deleted = api.user(&format!("{name}.gone")).await;
    api.done("DELETE", &format!("/users/{deleted}"), None).await;
    let found = api
        .get("/applicationTemplates?$filter=startswith(displayName,'Symantec')")
        .await;
    let template = id(&found["value"][0]);
    let path = format!("/applicationTemplates/{template}/instantiate");
    let made = api
        .done("POST", &path, Some(&json!({ "displayName": name })))
        .await;
    let principal = id(&made["servicePrincipal"]);
    let role = id(&made["servicePrincipal"]["appRoles"][0]);
    let mut assignments = Vec::new();
    for who in [&user, &group] {
        let body = json!({ "principalId": who, "resourceId": principal, "appRoleId": role });
        let path = format!("/servicePrincipals/{principal}/appRoleAssignedTo");
        assignments.push(id(&api.done("POST", &path, Some(&body)).await));
    }
    let place = format!("/servicePrincipals/{principal}/synchronization");
    let template = id(&api.get(&format!("{place}/templates")).await["value"][0]);
    let body = json!({ "templateId": template });
    let job = id(&api
        .done("POST", &format!("{place}/jobs"), Some(&body))
        .await);
    let schema = api.get(&format!("{place}/jobs/{job}/schema")).await;
    let body = json!({ "name": format!("Integration of {name}") });
    let integration = api.done("POST", "/muster/integrations", Some(&body)).await;
    Owned {
        user,
        group,
        deleted,
        application: id(&made["application"]),
        principal,
        role,
        template,
        job,
        integration: id(&integration),
        directory: id(&schema["directories"][0]),
        assignments: assignments.try_into().unwrap(),
    }
}

impl Owned {
    /// The path with what is in braces filled in.
    fn at(&self, path: &str) -> String {
        let first = path.split('/').nth(1).unwrap();
        let of_user = first == "users";
        let one = match first {
            "users" | "directoryObjects" => &self.user,
            "groups" => &self.group,
            "directory" => &self.deleted,
            "applications" => &self.application,
            "muster" if path.starts_with("/muster/integrations") => &self.integration,
            _ => &self.principal,
        };
        let assignment = &self.assignments[usize::from(!of_user)];
        path.replace("{id}", one)
            .replace("{member}", &self.user)
            .replace("{assignment}", assignment)
            .replace("{template}", &self.template)
            .replace("{job}", &self.job)
            .replace("{directory}", &self.directory)
            .replace("{subject}", &self.user)
            .replace("{plan}", "0123456789abcdef")
    }

    /// What somebody sends who means what the tenant has, by what the operation takes: a whole body, so that nothing
    /// but the tenant is in its way.
    fn body(&self, takes: &str) -> Value {
        let reference = format!("http://localhost/v1.0/directoryObjects/{}", self.user);
        match takes {
            "user" | "group" | "application" | "servicePrincipal" | "named" => {
                json!({ "displayName": "Taken over" })
            }
            "reference" => json!({ "@odata.id": reference }),
            "newAssignment" => json!({
                "principalId": self.user, "resourceId": self.principal, "appRoleId": self.role
            }),
            "newJob" => json!({ "templateId": self.template }),
            "schedule" => json!({ "schedule": { "interval": "PT5M" } }),
            "restart" => json!({ "criteria": { "resetScope": "Full" } }),
            "expression" => json!({ "expression": "[mail]" }),
            "secrets" => json!({ "value": [] }),
            "memberGroups" => json!({ "securityEnabledOnly": false }),
            "ids" => json!({ "ids": [self.user, self.group, self.deleted] }),
            "linked" => json!({ "target": "x" }),
            "allowed" => json!({ "count": 0 }),
            "newIntegration" => json!({ "name": "Taken over" }),
            _ => json!({}),
        }
    }

    pub(crate) fn ids(&self) -> [&String; 9] {
        let [first, second] = &self.assignments;
        [
            &self.user,
            &self.group,
            &self.deleted,
            &self.application,
            &self.principal,
            &self.job,
            &self.integration,
            first,
            second,
        ]
    }
}

/// Everything that a tenant can read of its own.
pub(crate) async fn picture(api: &Api, owned: &Owned) -> Vec<(String, Value)> {
    let mut picture = Vec::new();
    for (method, path, _) in operations() {
        // A delta's link tells the time, and a job when it was looked at.
        let moves = ["delta", "/jobs", "/jobs/{job}", "directoryAudits"];
        if method == "GET" && !moves.iter().any(|it| path.ends_with(it)) {
            let at = owned.at(&path);
            let (status, _, answer) = api.exchange("GET", &at, None).await;
            // A refusal has an id of its own.
            let answer = if status < 300 { answer } else { Value::Null };
            picture.push((format!("{at} {status}"), answer));
        }
    }
    picture
}

/// Every operation with what another tenant has, in the path and in the body; and every list.
#[tokio::test(flavor = "multi_thread")]
async fn no_operation_reaches_what_another_tenant_has() {
    let test = sqlite_store().await;
    let clock = FixedClock::at("2026-03-01T09:00:00Z");
    let (one, other) = (
        Api::of(&test, &clock, TenantId::FIRST).await,
        Api::of(&test, &clock, TenantId(2)).await,
    );
    let (theirs, ours) = (owned(&one, "ada").await, owned(&other, "bo").await);
    let before = picture(&one, &theirs).await;
    let read = before.iter().filter(|(at, _)| at.ends_with("200")).count();
    assert!(read > 40, "{read} of {}", before.len());

    for (method, path, operation) in operations() {
        let (status, _, answer) = one
            .exchange_with(&other.token, &method, &theirs.at(&path), None)
            .await;
        assert_eq!(
            status, 401,
            "{method} {path}: the token of another tenant: {answer}"
        );

        let schema = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        let takes = schema
            .as_str()
            .unwrap_or_default()
            .rsplit('/')
            .next()
            .unwrap();
        let body = theirs.body(takes);
        let mut at = theirs.at(&path);
        if path.ends_with("members/$ref") && method == "DELETE" {
            at = format!("{at}?@id=http://localhost/v1.0/users/{}", theirs.user);
        }
        if path == "/muster/servicePrincipals/{id}/explanation" {
            at = format!("{at}?subject={}", theirs.user);
        }
        let names_theirs = path.contains('{') && !path.starts_with("/applicationTemplates");
        let (status, _, answer) = other.exchange(&method, &at, Some(&body)).await;
        if names_theirs {
            assert_eq!(status, 404, "{method} {at}: {answer}");
        }
        let told = answer.to_string();
        for id in theirs.ids() {
            // A refusal names what was asked for.
            let is_refusal = status >= 400
                && (at.contains(id.as_str()) || body.to_string().contains(id.as_str()));
            assert!(
                is_refusal || !told.contains(id.as_str()),
                "{method} {at} tells of {id}: {told}"
            );
        }
        // What is one's own, with what the other has in the body: nobody else comes in.
        if method == "POST" && path.contains('{') && !path.ends_with("restore") {
            let (status, _, answer) = other.exchange(&method, &ours.at(&path), Some(&body)).await;
            let told = answer.to_string();
            assert!(
                status >= 400 || !told.contains(&theirs.user),
                "{method} {path}: {status} {told}"
            );
        }
    }
    let members = other.get(&format!("/groups/{}/members", ours.group)).await;
    assert_eq!(members["value"].as_array().unwrap().len(), 1, "{members}");
    let assigned = other
        .get(&format!(
            "/servicePrincipals/{}/appRoleAssignedTo",
            ours.principal
        ))
        .await;
    assert_eq!(assigned["value"].as_array().unwrap().len(), 2, "{assigned}");
    let batch = json!({ "requests": [
        { "id": "1", "method": "GET", "url": format!("/users/{}", theirs.user) },
        { "id": "2", "method": "DELETE", "url": format!("/groups/{}", theirs.group) }
    ]});
    let told = other.done("POST", "/$batch", Some(&batch)).await;
    for answer in told["responses"].as_array().unwrap() {
        assert_eq!(answer["status"], 404, "{told}");
    }
    for (after, before) in picture(&one, &theirs).await.into_iter().zip(before) {
        assert_eq!(after, before, "nothing of theirs has changed");
    }
}
