//! The control API over HTTP, with the binary (chapters 1 to 10 of its reference).

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::kill::client;
use crate::run::{Server, json as muster_json, receiver, run};

/// Somebody who speaks to the API.
struct Api {
    runtime: Runtime,
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    fn new(data: &Path, server: &Server, scopes: &[&str]) -> Self {
        let name = format!("test {}", scopes.join(" "));
        let mut args = vec!["token", "create", &name];
        for scope in scopes {
            args.extend(["--scope", scope]);
        }
        let made = muster_json(data, &args);
        Self {
            runtime: Runtime::new().unwrap(),
            client: client(),
            base: format!("{}/v1.0", server.url),
            token: made["token"].as_str().unwrap().to_owned(),
        }
    }

    /// Status and body; null without one.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (status, _, body) = self.exchange(method, path, body, &[]);
        (status, body)
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> (u16, reqwest::header::HeaderMap, Value) {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.base)
        };
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            let bytes = answer.bytes().await.unwrap();
            let body = if bytes.is_empty() {
                assert!(!headers.contains_key("content-type"), "{status}");
                Value::Null
            } else {
                serde_json::from_slice(&bytes)
                    .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned()))
            };
            (status, headers, body)
        })
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask("POST", path, Some(body));
        assert!(matches!(status, 200 | 201), "{path}: {status} {answer}");
        answer
    }

    #[track_caller]
    fn done(&self, method: &str, path: &str, body: Option<&Value>) {
        let (status, answer) = self.ask(method, path, body);
        assert_eq!((status, answer), (204, Value::Null), "{method} {path}");
    }

    /// A refusal: its status, code and message.
    #[track_caller]
    fn refused(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, String, String) {
        let (status, headers, body) = self.exchange(method, path, body, &[]);
        assert!(status >= 400, "{method} {path}: {status} {body}");
        let error = &body["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        assert_eq!(
            error["innerError"]["request-id"],
            headers["request-id"].to_str().unwrap()
        );
        assert!(!text("message").is_empty(), "{body}");
        (status, text("code"), text("message"))
    }

    fn user(&self, number: usize) -> String {
        let name = format!("ada{number}");
        let body = json!({
            "accountEnabled": true, "displayName": format!("Ada Quill {number}"),
            "givenName": "Ada", "surname": format!("Quill {number}"), "mailNickname": name,
            "userPrincipalName": format!("{name}@contoso.example"),
            "mail": format!("{name}@contoso.example"), "department": "Engineering",
            "@odata.type": "#microsoft.graph.user",
            "passwordProfile": { "password": "w8!Kest-rel-09", "forceChangePasswordNextSignIn": true }
        });
        self.post("/users", &body)["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }
}

fn started() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), "127.0.0.1:0");
    (folder, server)
}

#[test]
fn users_and_groups_are_made_found_changed_and_deleted() {
    let (folder, server) = started();
    let data = folder.path().join("data");
    let api = Api::new(&data, &server, &[]);
    let ids: Vec<String> = (0..7).map(|number| api.user(number)).collect();
    // 6.1: the usual properties and no others.
    let user = api.get(&format!("/users/{}", ids[0]));
    assert_eq!(user["displayName"], "Ada Quill 0");
    assert_eq!(
        (&user["department"], &user["businessPhones"]),
        (&Value::Null, &json!([]))
    );
    assert_eq!(user.as_object().unwrap().len(), 12, "{user}");
    let some = api.get("/users/ada0%40contoso.example?$select=department,accountEnabled");
    assert_eq!(
        (&some["department"], &some["accountEnabled"]),
        (&json!("Engineering"), &json!(true))
    );
    assert_eq!(some.as_object().unwrap().len(), 4, "{some}");
    // 4.1: pages by links, each user once.
    let (mut seen, mut next) = (Vec::new(), Some("/users?$top=3&$select=id".to_owned()));
    while let Some(link) = next {
        let page = api.get(&link);
        for user in page["value"].as_array().unwrap() {
            assert_eq!(user.as_object().unwrap().len(), 1);
            seen.push(user["id"].as_str().unwrap().to_owned());
        }
        next = page["@odata.nextLink"].as_str().map(str::to_owned);
    }
    seen.sort();
    let mut all = ids.clone();
    all.sort();
    assert_eq!(seen, all);
    // 3.2 to 3.5
    let found = |path: &str| -> usize {
        let eventual = [("ConsistencyLevel", "eventual")];
        let (status, _, body) = api.exchange("GET", path, None, &eventual);
        assert_eq!(status, 200, "{path}: {body}");
        body["value"].as_array().unwrap().len()
    };
    assert_eq!(
        found("/users?$filter=userPrincipalName eq 'ADA3@contoso.example'"),
        1
    );
    assert_eq!(
        found(
            "/users?$filter=startswith(displayName,'ada quill') and surname ne 'Quill 2'&$count=true"
        ),
        6
    );
    assert_eq!(
        found(
            "/users?$filter=department eq 'Engineering' and (surname eq 'Quill 1' or surname in ('Quill 2', 'x'))"
        ),
        2
    );
    assert_eq!(found("/users?$search=\"displayName:quill 4\""), 1);
    assert_eq!(
        found(&format!("/users?$filter=id in ('{}','{}')", ids[1], ids[2])),
        2
    );
    let ordered = api.get("/users?$orderby=displayName desc&$top=2&$select=displayName");
    assert_eq!(ordered["value"][0]["displayName"], "Ada Quill 6");
    let then = api.get(ordered["@odata.nextLink"].as_str().unwrap());
    assert_eq!(then["value"][0]["displayName"], "Ada Quill 4");
    let eventual = [("ConsistencyLevel", "eventual")];
    let (_, headers, count) = api.exchange("GET", "/users/$count", None, &eventual);
    assert_eq!(
        (count, &headers["content-type"]),
        (json!(7), &"text/plain".parse().unwrap())
    );
    // References, and groups.
    let url = format!("https://graph.microsoft.com/v1.0/users/{}", ids[1]);
    api.done(
        "PUT",
        &format!("/users/{}/manager/$ref", ids[0]),
        Some(&json!({ "@odata.id": url })),
    );
    let manager = api.get(&format!("/users/{}/manager", ids[0]));
    assert_eq!(
        (&manager["id"], &manager["@odata.type"]),
        (&json!(ids[1]), &json!("#microsoft.graph.user"))
    );
    assert_eq!(
        api.get(&format!("/users/{}/directReports", ids[1]))["value"][0]["id"],
        ids[0]
    );
    let group = api.post(
        "/groups",
        &json!({
            "displayName": "Proxy users", "mailEnabled": false, "securityEnabled": true,
            "mailNickname": "proxyusers", "groupTypes": [], "members@odata.bind": [url]
        }),
    );
    let group = format!("/groups/{}", group["id"].as_str().unwrap());
    let add = json!({ "@odata.id": format!("{}/directoryObjects/{}", api.base, ids[2]) });
    api.done("POST", &format!("{group}/members/$ref"), Some(&add));
    assert_eq!(
        api.refused("POST", &format!("{group}/members/$ref"), Some(&add))
            .0,
        400
    );
    let members = api.get(&format!("{group}/members"));
    assert_eq!(members["value"].as_array().unwrap().len(), 2);
    assert_eq!(
        api.get(&format!("{group}/members/microsoft.graph.user?$select=id"))["value"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        api.get(&format!("{group}?$expand=members"))["members"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    api.done("DELETE", &format!("{group}/members/{}/$ref", ids[2]), None);
    assert_eq!(
        api.refused("DELETE", &format!("{group}/members/{}/$ref", ids[2]), None)
            .0,
        404
    );
    assert_eq!(
        api.get(&format!("/users/{}/memberOf", ids[1]))["value"][0]["displayName"],
        "Proxy users"
    );
    // 6.4
    api.done("DELETE", &format!("/users/{}", ids[3]), None);
    assert_eq!(
        api.refused("GET", &format!("/users/{}", ids[3]), None).0,
        404
    );
    let deleted = api.get("/directory/deletedItems/microsoft.graph.user");
    assert_eq!(deleted["value"][0]["id"], ids[3]);
    assert!(
        deleted["value"][0]["deletedDateTime"].is_string(),
        "{deleted}"
    );
    let restored = api.post(
        &format!("/directory/deletedItems/{}/restore", ids[3]),
        &json!({}),
    );
    assert_eq!(restored["@odata.type"], "#microsoft.graph.user");
    api.done("DELETE", &format!("/users/{}", ids[3]), None);
    api.done(
        "DELETE",
        &format!("/directory/deletedItems/{}", ids[3]),
        None,
    );
    assert_eq!(
        api.refused("GET", &format!("/directory/deletedItems/{}", ids[3]), None)
            .0,
        404
    );
    api.done(
        "PATCH",
        &format!("/users/{}", ids[4]),
        Some(&json!({ "jobTitle": "Analyst", "department": null })),
    );
    // Each change, by whom, before and after.
    let audit = api.get("/auditLogs/directoryAudits?$top=1");
    let entry = &audit["value"][0];
    assert_eq!(entry["activityDisplayName"], "Update user");
    assert_eq!(entry["initiatedBy"]["app"]["displayName"], "test");
    let changed = entry["targetResources"][0]["modifiedProperties"]
        .as_array()
        .unwrap();
    assert_eq!(changed.len(), 2, "{entry}");
    assert_eq!(
        changed[0],
        json!({ "displayName": "department", "oldValue": "\"Engineering\"", "newValue": "null" })
    );
    let problems = muster_json(&data, &["check"]);
    assert_eq!(problems["problems"], json!([]), "{problems}");
}

#[test]
fn lists_come_in_the_order_of_names_and_by_how_they_begin() {
    let (folder, server) = started();
    let api = Api::new(&folder.path().join("data"), &server, &[]);
    for number in 0..7 {
        let id = api.user(number);
        // Names that two share, of either case, and one that is not there before it is asked for.
        let name = ["Bo", "ada", "Ada", "bo", "Ärla", "ada x", "Zoe"][number];
        let body = json!({ "displayName": name, "mail": format!("{name}@mail.example") });
        api.done("PATCH", &format!("/users/{id}"), Some(&body));
        let body = json!({
            "displayName": name, "mailEnabled": false, "mailNickname": "x", "securityEnabled": true
        });
        api.post("/groups", &body);
    }
    let names = |first: &str, headers: &[(&str, &str)]| {
        let (mut names, mut ids, mut at) = (Vec::new(), Vec::new(), first.to_owned());
        loop {
            let (status, _, page) = api.exchange("GET", &at, None, headers);
            assert_eq!(status, 200, "{at}: {page}");
            for object in page["value"].as_array().unwrap() {
                names.push(object["displayName"].as_str().unwrap().to_lowercase());
                ids.push(object["id"].as_str().unwrap().to_owned());
            }
            match page["@odata.nextLink"].as_str() {
                Some(next) => next.clone_into(&mut at),
                None => break,
            }
        }
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), names.len(), "{first}: nobody comes twice");
        names.join(" ")
    };
    let all = "ada ada ada x bo bo zoe ärla";
    let back = "ärla zoe bo bo ada x ada ada";
    let eventual = [("consistencylevel", "eventual")];
    for of in ["users", "groups"] {
        for top in [1, 2, 3, 7] {
            let list = format!("/{of}?$top={top}&");
            assert_eq!(names(&format!("{list}$orderby=displayName"), &[]), all);
            assert_eq!(
                names(&format!("{list}$orderby=displayName desc"), &[]),
                back
            );
            let begins = format!("{list}$filter=startswith(displayName,'AD')");
            assert_eq!(names(&begins, &[]), "ada ada ada x");
            let both = format!("{begins}&$orderby=displayName desc&$count=true");
            assert_eq!(names(&both, &eventual), "ada x ada ada");
            let begins =
                format!("{list}$filter=startsWith(displayName,'a') and id ne 'x'&$count=true");
            assert_eq!(names(&begins, &eventual), "ada ada ada x");
            assert_eq!(
                names(&format!("{list}$filter=displayName eq 'BO'"), &[]),
                "bo bo"
            );
            let none = format!("{list}$filter=displayName eq 'b'");
            assert_eq!(names(&none, &[]), "");
        }
    }
    let users = "/users?$top=2&";
    assert_eq!(
        names(&format!("{users}$filter=mail eq 'bo@mail.example'"), &[]),
        "bo bo"
    );
    assert_eq!(
        names(
            &format!("{users}$filter=startswith(userPrincipalName,'ada1')"),
            &[]
        ),
        "ada"
    );
    let other =
        format!("{users}$filter=startswith(mail,'a')&$orderby=displayName desc&$count=true");
    assert_eq!(names(&other, &eventual), "ada x ada ada");
    let by_name = format!("{users}$orderby=userPrincipalName desc");
    assert_eq!(names(&by_name, &[]), "zoe ada x ärla bo ada ada bo");
    let counted = "/users?$count=true&$top=1&$filter=startswith(displayName,'ad')";
    let (_, _, page) = api.exchange("GET", counted, None, &eventual);
    assert_eq!(page["@odata.count"], 3);
    // Somebody who is deleted is in no list.
    let ada = api.get("/users?$filter=displayName eq 'ada x'")["value"][0]["id"].clone();
    api.done("DELETE", &format!("/users/{}", ada.as_str().unwrap()), None);
    assert_eq!(
        names("/users?$filter=startswith(displayName,'ad')", &[]),
        "ada ada"
    );
    assert_eq!(
        api.refused("GET", "/users?$filter=displayName eq 'a%00'", None)
            .0,
        400
    );
}

#[test]
fn a_delta_says_what_has_changed_also_after_a_restart() {
    // 4.2
    let (folder, server) = started();
    let data = folder.path().join("data");
    let api = Api::new(&data, &server, &[]);
    let ids: Vec<String> = (0..5).map(|number| api.user(number)).collect();
    let group = api.post(
        "/groups",
        &json!({
            "displayName": "Proxy users", "mailEnabled": false, "securityEnabled": true,
            "mailNickname": "p", "members@odata.bind": [format!("{}/users/{}", api.base, ids[0])]
        }),
    );
    let group = group["id"].as_str().unwrap().to_owned();
    let round = |api: &Api, from: &str| -> (Vec<Value>, String) {
        let (mut all, mut next) = (Vec::new(), from.to_owned());
        loop {
            let page = api.get(&next);
            all.extend(page["value"].as_array().unwrap().clone());
            assert!(page["@odata.nextLink"].is_null() != page["@odata.deltaLink"].is_null());
            if let Some(link) = page["@odata.deltaLink"].as_str() {
                // The address may be another one after a restart.
                let path = link.split_once("/v1.0").unwrap().1;
                return (all, path.to_owned());
            }
            page["@odata.nextLink"]
                .as_str()
                .unwrap()
                .clone_into(&mut next);
        }
    };
    let (all, users) = round(&api, "/users/delta()?$select=displayName,jobTitle&$top=2");
    assert_eq!(all.len(), 5);
    assert_eq!(all[0].as_object().unwrap().len(), 3, "{all:?}");
    let (all, groups) = round(&api, "/groups/microsoft.graph.delta");
    assert_eq!(all[0]["members@delta"][0]["id"], ids[0], "{all:?}");
    let (none, users) = round(&api, &users);
    assert!(none.is_empty(), "{none:?}");
    api.done(
        "PATCH",
        &format!("/users/{}", ids[1]),
        Some(&json!({ "jobTitle": "Analyst" })),
    );
    api.done(
        "PATCH",
        &format!("/users/{}", ids[1]),
        Some(&json!({ "jobTitle": "Clerk" })),
    );
    api.done("DELETE", &format!("/users/{}", ids[2]), None);
    api.done("DELETE", &format!("/users/{}", ids[3]), None);
    api.done(
        "DELETE",
        &format!("/directory/deletedItems/{}", ids[3]),
        None,
    );
    let add = json!({ "@odata.id": format!("{}/users/{}", api.base, ids[4]) });
    api.done("POST", &format!("/groups/{group}/members/$ref"), Some(&add));
    api.done(
        "DELETE",
        &format!("/groups/{group}/members/{}/$ref", ids[0]),
        None,
    );
    // Tokens outlive the process.
    let token = api.token.clone();
    server.stop();
    let server = Server::start(&data, "127.0.0.1:0");
    let api = Api {
        base: format!("{}/v1.0", server.url),
        runtime: Runtime::new().unwrap(),
        client: client(),
        token,
    };
    let (changed, _) = round(&api, &users);
    let told: Vec<(&Value, &Value, &Value)> = changed
        .iter()
        .map(|it| (&it["id"], &it["jobTitle"], &it["@removed"]["reason"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!(ids[1]), &json!("Clerk"), &Value::Null),
            (&json!(ids[2]), &Value::Null, &json!("changed")),
            (&json!(ids[3]), &Value::Null, &json!("deleted"))
        ]
    );
    let (changed, groups) = round(&api, &groups);
    let members = changed[0]["members@delta"].as_array().unwrap();
    assert_eq!(members.len(), 2, "{changed:?}");
    let of = |id: &str| members.iter().find(|it| it["id"] == id).unwrap();
    assert_eq!(of(&ids[4])["@removed"], Value::Null);
    assert_eq!(of(&ids[0])["@removed"]["reason"], "deleted");
    api.done("DELETE", &format!("/groups/{group}"), None);
    let (changed, _) = round(&api, &groups);
    assert_eq!(
        changed,
        [json!({ "id": group, "@removed": { "reason": "deleted" } })]
    );
    let latest = api.get("/users/delta?$deltatoken=latest");
    assert_eq!(latest["value"], json!([]));
    let (status, code, _) = api.refused("GET", "/users/delta?$deltatoken=AAAA", None);
    assert_eq!((status, code.as_str()), (400, "Request_BadRequest"));
    for wrong in [
        "$orderby=displayName",
        "$search=\"displayName:a\"",
        "$filter=displayName eq 'a'",
    ] {
        assert_eq!(
            api.refused("GET", &format!("/users/delta?{wrong}"), None).0,
            400,
            "{wrong}"
        );
    }
}

#[test]
fn wrong_input_is_refused_by_its_place_and_changes_nothing() {
    let (folder, server) = started();
    let data = folder.path().join("data");
    let api = Api::new(&data, &server, &[]);
    let id = api.user(0);
    let user = |change: Value| {
        let mut body = json!({
            "accountEnabled": true, "displayName": "Bo", "mailNickname": "bo",
            "userPrincipalName": "bo@contoso.example", "passwordProfile": { "password": "w8!Kest-rel-09" }
        });
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        body
    };
    for (change, says) in [
        (json!({ "userPrincipalName": null }), "userPrincipalName"),
        (json!({ "userPrincipalName": "bo" }), "local@domain"),
        (json!({ "passwordProfile": null }), "passwordProfile"),
        (json!({ "job_title": null }), "job_title"),
        (json!({ "displayName": 7 }), "displayName"),
        (json!({ "businessPhones": ["1", "2"] }), "businessPhones"),
        (
            json!({ "userPrincipalName": "ADA0@contoso.example" }),
            "userPrincipalName already exists",
        ),
        (
            json!({ "manager@odata.bind": "https://x/users/nobody@x.example" }),
            "nobody@x.example",
        ),
    ] {
        let (status, code, message) = api.refused("POST", "/users", Some(&user(change)));
        assert!(matches!(status, 400 | 404), "{status}");
        assert!(code.starts_with("Request_"), "{code}");
        assert!(message.contains(says), "{message}");
    }
    assert_eq!(api.get("/users")["value"].as_array().unwrap().len(), 1);
    for (path, code, says) in [
        (
            "/users?$filter=displayName eq",
            "Request_BadRequest",
            "Invalid filter clause",
        ),
        (
            "/users?$filter=nonsense eq 'a'",
            "Request_BadRequest",
            "nonsense",
        ),
        (
            "/users?$filter=accountEnabled eq 'a'",
            "Request_BadRequest",
            "accountEnabled",
        ),
        (
            "/users?$filter=displayName ne 'a'",
            "Request_UnsupportedQuery",
            "ConsistencyLevel",
        ),
        (
            "/users?$filter=endswith(mail,'a')&$count=true",
            "Request_UnsupportedQuery",
            "ConsistencyLevel",
        ),
        (
            "/users?$search=\"displayName:a\"",
            "Request_UnsupportedQuery",
            "ConsistencyLevel",
        ),
        ("/users?$select=nonsense", "Request_BadRequest", "nonsense"),
        ("/users?$top=1000", "Request_BadRequest", "page size"),
        ("/users?$skip=1", "Request_BadRequest", "$skip"),
        ("/users?$nonsense=1", "Request_BadRequest", "$nonsense"),
        ("/users?$skiptoken=abcd", "Request_BadRequest", "$skiptoken"),
        ("/users/$count", "Request_BadRequest", "ConsistencyLevel"),
    ] {
        let (status, of, message) = api.refused("GET", path, None);
        assert_eq!((status, of.as_str()), (400, code), "{path}: {message}");
        assert!(message.contains(says), "{path}: {message}");
    }
    // A name that begins as a type is written is nobody else's.
    assert_eq!(
        api.refused("DELETE", "/users/graph.ada0@contoso.example", None)
            .0,
        404
    );
    api.get("/users/ada0@contoso.example");
    let nested = format!(
        "/users?$filter={}displayName eq 'a'",
        "tolower(".repeat(900)
    );
    assert_eq!(api.refused("GET", &nested, None).0, 400);
    let keys = format!("/users?$orderby={}city", "city,".repeat(50));
    assert_eq!(api.refused("GET", &keys, None).0, 400);
    let twice = format!("/users?$filter=id in ('{id}','{id}')");
    assert_eq!(api.get(&twice)["value"].as_array().unwrap().len(), 1);
    for (method, path, status) in [
        ("GET", "/users/nobody@contoso.example", 404),
        ("GET", "/nonsense", 404),
        ("GET", "/me", 501),
        ("PUT", "/users", 405),
        ("DELETE", "/auditLogs/provisioning/1", 405),
        ("GET", "/directory/deletedItems", 400),
    ] {
        assert_eq!(api.refused(method, path, None).0, status, "{method} {path}");
    }
    // Not JSON; and a password is nowhere.
    let (status, body) = {
        let url = format!("{}/users/{id}", api.base);
        let request = api.client.patch(url).bearer_auth(&api.token).body("{");
        api.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        })
    };
    assert!(status == 400 && body.contains("BadRequest"), "{body}");
    let all = run(&data, &["audit", "--json"]);
    let all = String::from_utf8_lossy(&all.stdout).into_owned();
    assert!(all.contains("Add user"), "{all}");
    assert!(!all.contains("Kest-rel"));
}

#[test]
fn a_token_may_do_what_it_was_made_for_and_no_more() {
    let (folder, server) = started();
    let data = folder.path().join("data");
    let reads = Api::new(&data, &server, &["User.Read.All"]);
    let logs = Api::new(&data, &server, &["AuditLog.Read.All"]);
    reads.get("/users");
    for (api, method, path) in [
        (&reads, "POST", "/users"),
        (
            &reads,
            "DELETE",
            "/users/00000000-0000-0000-0000-000000000001",
        ),
        (&reads, "GET", "/groups"),
        (&reads, "GET", "/applications"),
        (&reads, "GET", "/auditLogs/provisioning"),
        (&logs, "GET", "/users"),
    ] {
        let (status, code, message) = api.refused(method, path, None);
        assert_eq!(
            (status, code.as_str()),
            (403, "Authorization_RequestDenied"),
            "{path}"
        );
        assert!(message.contains("needs one of"), "{message}");
    }
    // Of members whom it may not read it sees who they are, and nothing more.
    let all = Api::new(&data, &server, &["Directory.ReadWrite.All"]);
    let group = all.post(
        "/groups",
        &json!({
            "displayName": "Team", "mailEnabled": false, "securityEnabled": true, "mailNickname": "t",
            "members@odata.bind": [format!("{}/users/{}", all.base, all.user(0))]
        }),
    );
    let group = format!("/groups/{}", group["id"].as_str().unwrap());
    let members = Api::new(&data, &server, &["GroupMember.Read.All"]);
    for path in [
        format!("{group}/members?$select=id,mail"),
        format!("{group}/members?$filter=startswith(displayName,'Ada')"),
        format!("{group}/transitiveMembers"),
    ] {
        let seen = members.get(&path)["value"].clone();
        assert!(!seen.to_string().contains("ada"), "{path}: {seen}");
    }
    assert_eq!(reads.refused("GET", "/directoryObjects/1", None).0, 403);
    // Nor within a batch.
    let batch = json!({ "requests": [
        { "id": "1", "method": "GET", "url": "/users" },
        { "id": "2", "method": "GET", "url": "/groups" },
        { "id": "3", "method": "GET", "url": "https://graph.microsoft.com/v1.0/users", "dependsOn": ["2"] }
    ]});
    let answer = reads.post("/$batch", &batch);
    let statuses: Vec<&Value> = answer["responses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["status"])
        .collect();
    assert_eq!(statuses, [200, 403, 424]);
    assert_eq!(
        answer["responses"][0]["headers"]["Content-Type"],
        "application/json"
    );
    for wrong in ["", "nonsense", "mst_AAAA"] {
        let api = Api {
            runtime: Runtime::new().unwrap(),
            client: client(),
            base: reads.base.clone(),
            token: wrong.to_owned(),
        };
        let (status, headers, body) = api.exchange("GET", "/users", None, &[]);
        assert_eq!(
            (status, &body["error"]["code"]),
            (401, &json!("InvalidAuthenticationToken"))
        );
        assert_eq!(headers["www-authenticate"], "Bearer realm=\"\"");
    }
    let listed = muster_json(&data, &["token", "list"]);
    assert!(!listed.to_string().contains("mst_"));
    assert!(listed[0]["lastUsed"].is_string(), "{listed}");
    muster_json(&data, &["token", "revoke", "test User.Read.All"]);
    assert_eq!(reads.refused("GET", "/users", None).0, 401);
}

#[test]
fn the_tutorial_is_walked_through_the_api() {
    // Chapter 14
    let (folder, server) = started();
    let data = folder.path().join("data");
    let api = Api::new(&data, &server, &[]);
    let (scim, token) = receiver(&data);
    let templates = api.get("/applicationTemplates?$filter=contains(displayName,'Symantec')");
    let template = templates["value"].as_array().unwrap();
    let template = template
        .iter()
        .find(|it| it["displayName"] == "Symantec Web Security Service")
        .unwrap();
    let template = template["id"].as_str().unwrap();
    let made = api.post(
        &format!("/applicationTemplates/{template}/instantiate"),
        &json!({ "displayName": "Web proxy" }),
    );
    let principal = &made["servicePrincipal"];
    let id = principal["id"].as_str().unwrap();
    let (at, app) = (
        format!("/servicePrincipals/{id}"),
        principal["appId"].as_str().unwrap(),
    );
    assert_eq!(made["application"]["appId"], app);
    assert_ne!(made["application"]["id"], id);
    assert_eq!(
        api.get(&format!("/servicePrincipals(appId='{app}')"))["id"],
        id
    );
    let people: Vec<String> = (0..3).map(|number| api.user(number)).collect();
    let group = api.post("/groups", &json!({
        "displayName": "Proxy users", "mailEnabled": false, "securityEnabled": true, "mailNickname": "p",
        "members@odata.bind": [format!("{}/users/{}", api.base, people[1])]
    }));
    let group = group["id"].as_str().unwrap();
    let role = principal["appRoles"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["displayName"] == "User")
        .unwrap();
    let assign =
        |who: &str| json!({ "principalId": who, "resourceId": id, "appRoleId": role["id"] });
    let assigned = api.post(&format!("{at}/appRoleAssignedTo"), &assign(&people[0]));
    api.post(
        &format!("/groups/{group}/appRoleAssignments"),
        &assign(group),
    );
    let again = api.refused(
        "POST",
        &format!("{at}/appRoleAssignedTo"),
        Some(&assign(&people[0])),
    );
    assert!(again.2.contains("already exists"), "{again:?}");
    let unknown = json!({ "principalId": people[2], "resourceId": id, "appRoleId": people[2] });
    let unknown = api.refused("POST", &format!("{at}/appRoleAssignedTo"), Some(&unknown));
    assert!(
        unknown.2.contains("not found on application"),
        "{unknown:?}"
    );
    assert_eq!(
        api.get(&format!("{at}/appRoleAssignedTo"))["value"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    let s = format!("{at}/synchronization");
    assert_eq!(api.get(&format!("{s}/jobs"))["value"], json!([]));
    let of_job = api.get(&format!("{s}/templates"))["value"][0]["id"].clone();
    assert_eq!(
        api.refused(
            "POST",
            &format!("{s}/jobs"),
            Some(&json!({ "templateId": "x" }))
        )
        .1,
        "TemplateNotFound"
    );
    let job = api.post(&format!("{s}/jobs"), &json!({ "templateId": of_job }));
    assert_eq!(
        (&job["status"]["code"], &job["schedule"]["state"]),
        (&json!("NotConfigured"), &json!("Disabled"))
    );
    let job = format!("{s}/jobs/{}", job["id"].as_str().unwrap());
    let wrong = json!({ "credentials": [
        { "key": "BaseAddress", "value": scim }, { "key": "SecretToken", "value": "wrong" }
    ]});
    let refused = api.refused("POST", &format!("{job}/validateCredentials"), Some(&wrong));
    assert_eq!(
        refused.1,
        "SystemForCrossDomainIdentityManagementCredentialValidationFailure"
    );
    assert!(!refused.2.contains("wrong"), "{refused:?}");
    let secrets = json!({ "value": [
        { "key": "BaseAddress", "value": scim }, { "key": "SecretToken", "value": token },
        { "key": "SyncNotificationSettings",
          "value": "{\"Enabled\":true,\"Recipients\":\"ana@contoso.example\",\"DeleteThresholdEnabled\":true,\"DeleteThresholdValue\":500}" },
        { "key": "SyncAll", "value": "false" }
    ]});
    api.done(
        "POST",
        &format!("{job}/validateCredentials"),
        Some(&json!({ "credentials": secrets["value"] })),
    );
    api.done("PUT", &format!("{s}/secrets"), Some(&secrets));
    // What is wrong with one of them keeps all of them out.
    let wrong = json!({ "value": [
        { "key": "BaseAddress", "value": "https://elsewhere.example" },
        { "key": "SyncAll", "value": "true" },
        { "key": "SyncNotificationSettings", "value": "{\"Enabled\":true,\"Recipients\":\"nobody\"}" }
    ]});
    assert_eq!(
        api.refused("PUT", &format!("{s}/secrets"), Some(&wrong)).0,
        400
    );
    let listed = api.get(&format!("{s}/secrets"));
    assert_eq!(listed["value"].as_array().unwrap().len(), 4, "{listed}");
    assert!(!listed.to_string().contains(&token), "{listed}");
    // What is masked is for the address before, and goes nowhere else.
    let elsewhere = json!([
        { "key": "BaseAddress", "value": "https://elsewhere.example" },
        { "key": "SecretToken", "value": "*" }
    ]);
    for (method, path, body) in [
        ("PUT", format!("{s}/secrets"), json!({ "value": elsewhere })),
        (
            "POST",
            format!("{job}/validateCredentials"),
            json!({ "credentials": elsewhere }),
        ),
    ] {
        assert_eq!(api.refused(method, &path, Some(&body)).0, 400);
    }
    // What is masked stays.
    api.done(
        "PUT",
        &format!("{s}/secrets"),
        Some(&json!({ "value": listed["value"] })),
    );
    api.done(
        "POST",
        &format!("{job}/validateCredentials"),
        Some(&json!({ "useSavedCredentials": true })),
    );
    assert_eq!(api.get(&job)["status"]["code"], "Paused");

    let functions = api.get(&format!("{job}/schema/functions()"));
    assert!(
        functions["value"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["name"] == "Append")
    );
    assert_eq!(
        api.get(&format!("{job}/schema/filterOperators"))["value"]
            .as_array()
            .unwrap()
            .len(),
        14
    );
    let parsed = api.post(
        &format!("{job}/schema/parseExpression"),
        &json!({
            "expression": "Append([givenName], \"-wss\")",
            "testInputObject": { "properties": [{ "key": "givenName", "value": "Ada" }] }
        }),
    );
    assert_eq!(parsed["evaluationResult"], json!(["Ada-wss"]), "{parsed}");
    let parsed = api.post(
        &format!("{job}/schema/parseExpression"),
        &json!({ "expression": "Append([givenName]" }),
    );
    assert_eq!(
        (
            &parsed["parsingSucceeded"],
            parsed["error"]["message"].is_string()
        ),
        (&json!(false), true)
    );
    let mut schema = api.get(&format!("{job}/schema"));
    let rows = "/synchronizationRules/0/objectMappings/0/attributeMappings";
    let rows_of = |schema: &mut Value| {
        schema
            .pointer_mut(rows)
            .unwrap()
            .as_array_mut()
            .unwrap()
            .clone()
    };
    let mut changed = rows_of(&mut schema);
    let title = changed
        .iter_mut()
        .find(|it| it["targetAttributeName"] == "displayName")
        .unwrap();
    title["source"] = json!({ "expression": "Append([displayName], \" (proxy)\")" });
    *schema.pointer_mut(rows).unwrap() = changed.clone().into();
    api.done("PUT", &format!("{job}/schema"), Some(&schema));
    title_broken(&api, &job, &mut schema, rows);

    api.done("POST", &format!("{job}/start"), None);
    let begun = Instant::now();
    let now = loop {
        let now = api.get(&job);
        if now["status"]["code"] == "Active" {
            break now;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{now}");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(
        now["status"]["lastExecution"]["state"], "Succeeded",
        "{now}"
    );
    assert_eq!(now["status"]["lastExecution"]["countExported"], 3, "{now}");
    let id_of = now["id"].as_str().unwrap();
    let filter = format!("jobId eq '{id_of}' and provisioningAction eq 'create'");
    let log = api.get(&format!("/auditLogs/provisioning?$filter={filter}"));
    assert_eq!(log["value"].as_array().unwrap().len(), 3, "{log}");
    let event = &log["value"][0];
    assert_eq!(event["provisioningSteps"][0]["name"], "EntryImportAdd");
    assert_eq!(
        api.get(&format!(
            "/auditLogs/provisioning/{}",
            event["id"].as_str().unwrap()
        ))["id"],
        event["id"]
    );
    let names = crate::kill::read_all(&scim, &token, "Users");
    assert!(
        names
            .iter()
            .any(|it| it["displayName"] == "Ada Quill 0 (proxy)"),
        "{names:?}"
    );

    // On demand: one who is not assigned, and one who is.
    let rule = schema["synchronizationRules"][0]["id"].clone();
    let demand = |who: &str| {
        api.post(&format!("{job}/provisionOnDemand"), &json!({
        "parameters": [{ "ruleId": rule, "subjects": [{ "objectId": who, "objectTypeName": "User" }] }]
    }))
    };
    let told = demand(&people[2]);
    let key: Value = serde_json::from_str(told["key"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&key["result"], &key["details"]["errorCode"]),
        (&json!("Skipped"), &json!("NotEffectivelyEntitled"))
    );
    api.post(
        &format!("/users/{}/appRoleAssignments", people[2]),
        &assign(&people[2]),
    );
    // Somebody is unassigned, and loses the account with the next cycle.
    api.done(
        "DELETE",
        &format!(
            "{at}/appRoleAssignedTo/{}",
            assigned["id"].as_str().unwrap()
        ),
        None,
    );
    let begun = Instant::now();
    loop {
        let users = crate::kill::read_all(&scim, &token, "Users");
        let active = users.iter().filter(|it| it["active"] == true).count();
        if users.len() == 3 && active == 2 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{users:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    api.done("POST", &format!("{job}/pause"), None);
    let paused = api.get(&job);
    assert_eq!(
        (&paused["status"]["code"], &paused["schedule"]["state"]),
        (&json!("Paused"), &json!("Paused"))
    );
    api.done(
        "PATCH",
        &job,
        Some(&json!({ "schedule": { "interval": "0:05:00" } })),
    );
    assert_eq!(api.get(&job)["schedule"]["interval"], "PT5M");
    assert_eq!(
        api.refused(
            "POST",
            &format!("{job}/restart"),
            Some(&json!({ "criteria": { "resetScope": "All" } }))
        )
        .0,
        400
    );
    api.done(
        "POST",
        &format!("{job}/restart"),
        Some(&json!({ "criteria": {} })),
    );
    api.done("DELETE", &job, None);
    assert_eq!(api.refused("GET", &job, None).1, "ResourceNotFound");
    assert_eq!(api.get(&format!("{s}/jobs"))["value"], json!([]));
    api.done("DELETE", &at, None);
    assert_eq!(api.refused("GET", &at, None).0, 404);
    let problems = muster_json(&data, &["check"]);
    assert_eq!(problems["problems"], json!([]), "{problems}");
}

/// A schema with a broken expression is refused by its place, and the one in force stays.
fn title_broken(api: &Api, job: &str, schema: &mut Value, rows: &str) {
    let version = api.get(&format!("{job}/schema"))["version"].clone();
    schema.pointer_mut(rows).unwrap()[0]["source"] =
        json!({ "expression": "Append([displayName]" });
    let (status, body) = api.ask("PUT", &format!("{job}/schema"), Some(schema));
    assert_eq!(
        (status, &body["error"]["code"]),
        (400, &json!("InvalidSchema")),
        "{body}"
    );
    let place = body["error"]["details"][0]["target"].as_str().unwrap();
    assert!(place.contains("attributeMappings/0"), "{body}");
    assert_eq!(api.get(&format!("{job}/schema"))["version"], version);
}

/// An integration made through the API, and an application that provisions two users into it: its place below
/// `/muster`, its place in Graph, its job.
fn provisioned(api: &Api) -> (String, String, String) {
    let made = api.post("/muster/integrations", &json!({ "name": "Proxy" }));
    let found = api.get("/applicationTemplates?$filter=startswith(displayName,'Symantec Web')");
    let template = found["value"][0]["id"].as_str().unwrap();
    let path = format!("/applicationTemplates/{template}/instantiate");
    let made_app = api.post(&path, &json!({ "displayName": "Web proxy" }));
    let principal = made_app["servicePrincipal"]["id"].as_str().unwrap();
    let role = &made_app["servicePrincipal"]["appRoles"][0]["id"];
    for number in 0..2 {
        let who = api.user(number);
        let body = json!({ "principalId": who, "resourceId": principal, "appRoleId": role });
        api.post(
            &format!("/servicePrincipals/{principal}/appRoleAssignedTo"),
            &body,
        );
    }
    let place = format!("/servicePrincipals/{principal}/synchronization");
    let template = api.get(&format!("{place}/templates"))["value"][0]["id"].clone();
    let job = api.post(&format!("{place}/jobs"), &json!({ "templateId": template }));
    let secrets = json!({ "value": [
        { "key": "BaseAddress", "value": made["scimUrl"] },
        { "key": "SecretToken", "value": made["token"] }
    ]});
    api.done("PUT", &format!("{place}/secrets"), Some(&secrets));
    let job = format!("{place}/jobs/{}", job["id"].as_str().unwrap());
    (
        format!("/muster/servicePrincipals/{principal}"),
        job,
        made["id"].as_str().unwrap().to_owned(),
    )
}

#[test]
fn what_graph_has_no_shape_for_is_below_muster() {
    let (folder, server) = started();
    let data = folder.path().join("data");
    let api = Api::new(&data, &server, &[]);
    let (at, job, integration) = provisioned(&api);
    let subject = format!("{at}/explanation?subject=ada0@contoso.example");
    let before = api.get(&subject);
    assert_eq!(before["decision"]["action"], "create", "{before}");

    let plan = api.post(&format!("{at}/plans"), &json!({}));
    assert_eq!(plan["plan"]["counts"]["created"], 2, "{plan}");
    let plan = plan["id"].as_str().unwrap();
    let operations = |top: u32| {
        let mut names = Vec::new();
        let mut next = format!("/muster/plans/{plan}/operations?$top={top}");
        loop {
            let page = api.get(&next);
            names.extend(
                page["value"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|it| it["name"].clone()),
            );
            match page["@odata.nextLink"].as_str() {
                Some(link) => link.clone_into(&mut next),
                None => return names,
            }
        }
    };
    assert_eq!(operations(1), operations(500));
    assert!(operations(500).len() >= 2);

    let cycle = api.post(&format!("/muster/plans/{plan}/apply"), &json!({}));
    assert_eq!(
        (&cycle["state"], &cycle["countExported"]),
        (&"Succeeded".into(), &2.into())
    );
    // What it rested on is not so any more.
    let again = api.refused("POST", &format!("/muster/plans/{plan}/apply"), None);
    assert_eq!((again.0, again.1.as_str()), (409, "Request_Conflict"));
    assert_eq!(
        api.refused("GET", "/muster/plans/0123456789ab", None).0,
        404
    );

    let links = api.get(&format!("{at}/links?$top=1"));
    let first = links["value"][0].clone();
    assert_eq!(
        (&first["type"], &first["state"]),
        (&"User".into(), &"managed".into())
    );
    let rest = api.get(links["@odata.nextLink"].as_str().unwrap());
    assert_ne!(rest["value"][0]["source"], first["source"]);
    let narrowed = api.get(&format!("{at}/links?type=User&state=managed&$top=1"));
    let rest = api.get(narrowed["@odata.nextLink"].as_str().unwrap());
    assert_ne!(rest["value"][0]["source"], narrowed["value"][0]["source"]);
    assert_eq!(rest["value"][0]["type"], "User");
    let filtered = api.refused("GET", &format!("{at}/links?$filter=state eq 'x'"), None);
    assert_eq!(
        (filtered.0, filtered.1.as_str()),
        (400, "Request_UnsupportedQuery")
    );
    // What the directory holds of somebody is told to who may read that.
    let blind = Api::new(&data, &server, &["Synchronization.Read.All"]);
    assert_eq!(blind.refused("GET", &subject, None).0, 403);
    assert_eq!(
        api.get(&format!("{at}/links?state=released"))["value"],
        json!([])
    );
    assert_eq!(
        api.refused("GET", &format!("{at}/links?state=none"), None)
            .0,
        400
    );
    let one = format!("{at}/links/{}", first["source"].as_str().unwrap());
    api.done("DELETE", &one, None);
    assert_eq!(api.refused("DELETE", &one, None).0, 400);
    api.done("PUT", &one, Some(&json!({ "target": first["target"] })));
    let links = api.get(&format!(
        "{at}/links?target={}",
        first["target"].as_str().unwrap()
    ));
    assert_eq!(links["value"][0]["source"], first["source"]);
    let held = api.get(&format!("{at}/heldBack"));
    assert_eq!((&held["count"], &held["value"]), (&0.into(), &json!([])));
    let allow = format!("{at}/heldBack/allow");
    assert_eq!(api.post(&allow, &json!({ "count": 0 }))["count"], 0);
    assert_eq!(
        api.refused("POST", &allow, Some(&json!({ "count": 1 }))).0,
        409
    );
    assert_eq!(api.get("/muster/notices")["value"], json!([]));
    api.done("POST", &format!("{at}/acknowledge"), None);

    // 9.8: our own receiving side has more than the template maps.
    let schema = api.get(&format!("{job}/schema"));
    let directories = schema["directories"].as_array().unwrap();
    let source = format!(
        "{job}/schema/directories/{}",
        directories[0]["id"].as_str().unwrap()
    );
    let target = format!(
        "{job}/schema/directories/{}",
        directories[1]["id"].as_str().unwrap()
    );
    let same = api.post(&format!("{source}/discover"), &json!({}));
    assert_eq!(same["objects"], directories[0]["objects"]);
    let found = api.post(&format!("{target}/discover"), &json!({}));
    assert!(
        found["discoveryDateTime"].is_string() && found["version"].is_string(),
        "{found}"
    );
    let names = |directory: &Value| -> Vec<String> {
        let all = directory["objects"][0]["attributes"].as_array().unwrap();
        all.iter()
            .map(|it| it["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let (before, after) = (names(&directories[1]), names(&found));
    assert!(
        after.starts_with(&before) && after.contains(&"nickName".to_owned()),
        "{after:?}"
    );
    let now = api.get(&format!("{job}/schema"));
    assert_eq!(now["synchronizationRules"], schema["synchronizationRules"]);
    let again = muster_json(&data, &["schema", "discover", "Web proxy"]);
    assert_eq!(again["added"], json!([]));
    // The job goes on as it was.
    let cycles = muster_json(&data, &["job", "run", "Web proxy"]);
    assert_eq!(cycles["kind"], "incremental", "{cycles}");

    let at = format!("/muster/integrations/{integration}");
    assert_eq!(api.get("/muster/integrations")["value"][0], {
        let mut one = api.get(&at);
        one.as_object_mut().unwrap().remove("@odata.context");
        one
    });
    let other = api.post(&format!("{at}/rotate"), &json!({}));
    assert!(other["token"].as_str().unwrap().starts_with("mst_"));
    assert_eq!(
        api.get("/muster/integrations/Proxy")["tokens"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    api.get(&format!("{at}/dialect"));
    api.done("POST", &format!("{at}/revoke"), None);
    let taken = api.refused(
        "POST",
        "/muster/integrations",
        Some(&json!({ "name": "proxy" })),
    );
    assert_eq!(taken.0, 400, "{taken:?}");
    let audits =
        api.get("/auditLogs/directoryAudits?$filter=activityDisplayName eq 'Update integration'");
    let told: Vec<&str> = audits["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["resultReason"].as_str().unwrap())
        .collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert_eq!(told[0], "Proxy: all tokens and clients revoked");
    assert_eq!(told[2], "Proxy: created, with a token");
}
