//! The pages over HTTP, with the binary: who may do what, and what others may try.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use reqwest::StatusCode;
use reqwest::header::{COOKIE, HeaderMap, SET_COOKIE};
use tokio::runtime::Runtime;

use crate::run::{Server, json, receiver, run};

const PASSWORD: &str = "correct horse battery";

/// A browser without script: it keeps its cookie, follows no redirect by itself, and reads forms.
struct Browser {
    runtime: Runtime,
    client: reqwest::Client,
    base: String,
    cookie: String,
}

/// What was answered.
struct Seen {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Seen {
    /// The hidden field of the session in the first form.
    #[track_caller]
    fn csrf(&self) -> String {
        let (_, rest) = self
            .text
            .split_once("name=\"csrf\" value=\"")
            .expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }

    fn goes_to(&self) -> &str {
        let to = self.headers.get("location");
        to.map_or("", |to| to.to_str().unwrap())
    }
}

impl Browser {
    fn new(base: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let never = reqwest::redirect::Policy::none();
        Self {
            runtime: Runtime::new().unwrap(),
            client: reqwest::Client::builder().redirect(never).build().unwrap(),
            base: base.to_owned(),
            cookie: String::new(),
        }
    }

    fn send(
        &mut self,
        path: &str,
        form: Option<&[(&str, &str)]>,
        headers: &[(&str, &str)],
    ) -> Seen {
        let url = format!("{}{path}", self.base);
        let mut request = match form {
            None => self.client.get(url),
            Some(fields) => {
                let mut form = String::new();
                for (name, value) in fields {
                    for (text, after) in [(name, '='), (value, '&')] {
                        for byte in text.bytes() {
                            let _ = write!(form, "%{byte:02X}");
                        }
                        form.push(after);
                    }
                }
                self.client
                    .post(url)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(form)
            }
        };
        if !self.cookie.is_empty() {
            request = request.header(COOKIE, &self.cookie);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let seen = self.runtime.block_on(async {
            let answer = request.send().await.unwrap();
            Seen {
                status: answer.status(),
                headers: answer.headers().clone(),
                text: answer.text().await.unwrap(),
            }
        });
        for cookie in seen.headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            assert!(
                cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
                "{cookie}"
            );
            cookie
                .split(';')
                .next()
                .unwrap()
                .clone_into(&mut self.cookie);
        }
        seen
    }

    #[track_caller]
    fn get(&mut self, path: &str) -> Seen {
        let seen = self.send(path, None, &[]);
        assert_eq!(seen.status, 200, "{path}: {}", seen.text);
        seen
    }

    /// Sends a form with the field of the session, as the page has it.
    fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let csrf = self.get("/account").csrf();
        let mut all = vec![("csrf", csrf.as_str())];
        all.extend(fields);
        self.send(path, Some(&all), &[])
    }

    fn sign_in(&mut self, name: &str, password: &str) -> Seen {
        self.send(
            "/sign-in",
            Some(&[("name", name), ("password", password)]),
            &[],
        )
    }
}

/// A server whose first administrator is signed in.
fn begun(data: &Path) -> (Server, Browser) {
    let server = Server::start(data, "127.0.0.1:0");
    let link = server.welcome.clone().expect("a link");
    let mut browser = Browser::new(&server.url);
    let path = link.strip_prefix(&server.url).unwrap();
    assert!(
        browser
            .get(path)
            .text
            .contains("Make the first administrator")
    );
    let short = [("name", "Ada"), ("password", "short"), ("again", "short")];
    assert_eq!(browser.send(path, Some(&short), &[]).status, 400);
    let other = [
        ("name", "Ada"),
        ("password", PASSWORD),
        ("again", "another one that is long"),
    ];
    assert_eq!(browser.send(path, Some(&other), &[]).status, 400);
    let fields = [("name", "Ada"), ("password", PASSWORD), ("again", PASSWORD)];
    let made = browser.send(path, Some(&fields), &[]);
    assert_eq!((made.status, made.goes_to()), (StatusCode::SEE_OTHER, "/"));
    // It is used up, also for who makes another try.
    assert_eq!(browser.send(path, Some(&fields), &[]).status, 410);
    assert_eq!(browser.send(path, None, &[]).status, 410);
    (server, browser)
}

const PAGES: [&str; 11] = [
    "/",
    "/applications",
    "/applications/new",
    "/applications/new/custom",
    "/logs",
    "/service",
    "/service/new",
    "/directory/users",
    "/directory/groups",
    "/audit",
    "/account",
];

#[test]
fn nobody_comes_in_without_a_session_and_every_page_is_protected() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut ada) = begun(folder.path());
    let mut nobody = Browser::new(&server.url);
    for page in PAGES {
        let seen = nobody.send(page, None, &[]);
        assert_eq!(seen.status, 303, "{page}");
        assert!(seen.goes_to().starts_with("/sign-in"), "{page}");
        let seen = ada.get(page);
        let header = |name: &str| seen.headers[name].to_str().unwrap();
        assert_eq!(
            (header("x-frame-options"), header("cache-control")),
            ("DENY", "no-store")
        );
        let policy = header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert!(
            !policy.contains("unsafe") && !policy.contains("http"),
            "{policy}"
        );
        // What the policy forbids is not there in the first place, and nothing comes from elsewhere.
        assert!(
            !seen.text.contains("<style") && !seen.text.contains(" style="),
            "{page}"
        );
        assert!(
            !seen.text.contains("onclick") && !seen.text.contains("<script>"),
            "{page}"
        );
        assert!(
            seen.text.len() < 150_000,
            "{page} weighs {}",
            seen.text.len()
        );
    }
    let to = nobody.send("/directory/users?q=a%20b", None, &[]);
    assert_eq!(
        to.goes_to(),
        "/sign-in?to=%2Fdirectory%2Fusers%3Fq%3Da%2520b"
    );
    // A session that somebody made up, and one that has ended.
    nobody.cookie = "muster_session=mst_0000".to_owned();
    assert_eq!(nobody.send("/", None, &[]).status, 303);
    let kept = ada.cookie.clone();
    assert_eq!(ada.post("/sign-out", &[]).goes_to(), "/sign-in");
    nobody.cookie = kept;
    assert_eq!(nobody.send("/", None, &[]).status, 303);
}

#[test]
fn signing_in_begins_another_session_and_wrong_passwords_wait() {
    let folder = tempfile::tempdir().unwrap();
    let (server, ada) = begun(folder.path());
    let mut other = Browser::new(&server.url);
    // Whoever has put a cookie there does not have the session that begins (session fixation).
    other.cookie = "muster_session=mst_planted".to_owned();
    let seen = other.sign_in("ADA", PASSWORD);
    assert_eq!(seen.status, 303);
    assert!(!other.cookie.contains("planted") && other.cookie != ada.cookie);
    other.get("/");
    // Sent on to a page of ours, and nowhere else.
    for (to, goes) in [
        ("/audit", "/audit"),
        ("//evil.example", "/"),
        ("https://evil.example", "/"),
    ] {
        let fields = [("name", "Ada"), ("password", PASSWORD), ("to", to)];
        assert_eq!(other.send("/sign-in", Some(&fields), &[]).goes_to(), goes);
    }
    let mut guess = Browser::new(&server.url);
    let wrong = guess.sign_in("Ada", "not the password");
    let unknown = guess.sign_in("Nobody", "not the password");
    assert_eq!(
        (wrong.status, unknown.status),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
    );
    let said = |seen: &Seen| seen.text.replace("Nobody", "").replace("Ada", "");
    assert_eq!(said(&wrong), said(&unknown), "nobody learns who there is");
    let last = (0..8).map(|_| guess.sign_in("ada", "not the password").status);
    assert_eq!(last.last(), Some(StatusCode::TOO_MANY_REQUESTS));
    // Sessions are listed, and ended one by one.
    let account = other.get("/account").text;
    let ids: Vec<&str> = account
        .split("name=\"id\" value=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let mut ended = ada;
    assert_eq!(ended.send("/", None, &[]).status, 200);
    for id in ids {
        other.post("/account/sessions", &[("id", id)]);
    }
    assert_eq!(ended.send("/", None, &[]).status, 303);
    other.get("/");
}

#[test]
fn forms_of_other_sites_and_other_sessions_do_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (server, mut ada) = begun(folder.path());
    let name = [("name", "Planted")];
    let csrf = ada.get("/account").csrf();
    let with = [("csrf", csrf.as_str()), ("name", "Planted")];
    let forged = [
        ada.send("/service", Some(&name), &[]),
        ada.send(
            "/service",
            Some(&[("csrf", "mst_guess"), ("name", "Planted")]),
            &[],
        ),
        ada.send("/service", Some(&with), &[("sec-fetch-site", "cross-site")]),
        ada.send(
            "/service",
            Some(&with),
            &[("origin", "https://evil.example")],
        ),
    ];
    for seen in forged {
        assert_eq!(seen.status, 403, "{}", seen.text);
    }
    // The field of one session is not that of another.
    let mut other = Browser::new(&server.url);
    other.sign_in("Ada", PASSWORD);
    assert_eq!(other.send("/service", Some(&with), &[]).status, 403);
    assert!(!ada.get("/service").text.contains("Planted"));
    assert_eq!(ada.send("/service", Some(&with), &[]).status, 200);
    assert!(ada.get("/service").text.contains("Planted"));
    // Nor can the sign-in form be sent from elsewhere.
    let fields = [("name", "Ada"), ("password", PASSWORD)];
    let seen = other.send(
        "/sign-in",
        Some(&fields),
        &[("sec-fetch-site", "cross-site")],
    );
    assert_eq!(seen.status, 403);
}

/// What somebody could write into a directory to have it run in the browser of an administrator.
const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b>";

#[test]
fn nothing_that_a_directory_holds_becomes_part_of_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (_server, mut ada) = begun(data);
    let (url, token) = receiver(data);
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let file = data.join("users.csv");
    let names = [
        "displayName",
        "givenName",
        "surname",
        "jobTitle",
        "department",
        "employeeId",
        "companyName",
        "officeLocation",
        "city",
        "country",
        "mobilePhone",
        "streetAddress",
        "extensionAttribute1",
    ];
    let row: Vec<String> = names.iter().map(|_| quoted(HOSTILE)).collect();
    let text = format!(
        "userPrincipalName,accountEnabled,{}\n<i>@x.example,true,{}\n",
        names.join(","),
        row.join(",")
    );
    std::fs::write(&file, text).unwrap();
    json(data, &["import", "--kind", "users", file.to_str().unwrap()]);
    let file = data.join("groups.csv");
    let text = format!(
        "displayName,description,securityEnabled\n{},<script>,true\n",
        quoted(HOSTILE)
    );
    std::fs::write(&file, text).unwrap();
    json(
        data,
        &["import", "--kind", "groups", file.to_str().unwrap()],
    );
    json(data, &["group", "add", HOSTILE, "<i>@x.example"]);
    let app = "<u>Proxy</u>";
    json(
        data,
        &["app", "add", "Symantec Web Security Service", "--name", app],
    );
    json(data, &["app", "scope", app, "all"]);
    json(
        data,
        &[
            "app",
            "credentials",
            app,
            "--tenant-url",
            &url,
            "--secret-token",
            &token,
        ],
    );
    json(data, &["app", "assign", app, "--user", "<i>@x.example"]);
    assert!(run(data, &["job", "run", app]).status.success());

    let id = json(data, &["app", "show", app])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let user = json(data, &["user", "show", "<i>@x.example"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let events = ada.get(&format!("/applications/{id}/logs")).text;
    let event = events
        .split(&format!("/applications/{id}/logs/"))
        .nth(1)
        .unwrap();
    let event = event.split('"').next().unwrap();
    let groups = ada.get("/directory/groups").text;
    let group = groups.split("/directory/groups/").nth(1).unwrap();
    let group = group.split('"').next().unwrap();
    let pages = [
        "/".to_owned(),
        "/logs".to_owned(),
        "/audit".to_owned(),
        "/directory/users".to_owned(),
        "/directory/users?q=%3Cscript%3E%22%3E".to_owned(),
        "/directory/groups".to_owned(),
        format!("/directory/users/{user}"),
        format!("/directory/groups/{group}"),
        format!("/applications/{id}"),
        format!("/applications/{id}/users"),
        format!("/applications/{id}/provisioning"),
        format!("/applications/{id}/mappings/User"),
        format!("/applications/{id}/details"),
        format!("/applications/{id}/logs"),
        format!("/applications/{id}/logs/{event}"),
        format!("/applications/{id}/logs?identity=%3Cscript%3E%22%3E"),
        format!("/applications/{id}/remove"),
        "/applications/new?q=%3Cscript%3E%22%3E".to_owned(),
    ];
    let mut shown = BTreeMap::new();
    for page in pages {
        let text = ada.get(&page).text;
        for raw in ["<script>", "<img", "<i>", "<u>", "onerror=alert(2)>\"'><b>"] {
            assert!(!text.contains(raw), "{page} holds {raw}");
        }
        let escaped = text.matches("&#60;script").count() + text.matches("&lt;script").count();
        shown.insert(page, escaped);
    }
    let tell = shown.values().filter(|count| **count > 0).count();
    assert!(tell >= 10, "the pages show it, escaped: {shown:?}");
}

#[test]
fn a_reader_looks_an_operator_runs_and_an_administrator_changes() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (server, mut ada) = begun(data);
    let (url, token) = receiver(data);
    crate::run::everybody(data, &url, &token);
    let id = json(data, &["app", "show", crate::run::APP])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    for role in ["reader", "operator"] {
        let fields = [("name", role), ("password", PASSWORD), ("role", role)];
        assert_eq!(
            ada.post("/account/administrators", &fields).goes_to(),
            "/account?done=created"
        );
    }
    let at = |rest: &str| format!("/applications/{id}{rest}");
    let changes: [(String, Vec<(&str, &str)>); 8] = [
        ("/service".to_owned(), vec![("name", "Another")]),
        (
            "/applications/new/custom".to_owned(),
            vec![("name", "Another")],
        ),
        (at(""), vec![("name", "Another")]),
        (at("/users"), vec![("names", "ada@x.example")]),
        (at("/provisioning"), vec![("scope", "all")]),
        (at("/mappings/User"), vec![]),
        (at("/remove"), vec![]),
        (
            "/directory/users".to_owned(),
            vec![("sign_in", "eve@x.example"), ("name", "Eve")],
        ),
    ];
    for role in ["reader", "operator"] {
        let mut browser = Browser::new(&server.url);
        assert_eq!(browser.sign_in(role, PASSWORD).status, 303);
        for page in [
            "/",
            "/applications",
            "/logs",
            "/directory/users",
            "/audit",
            "/account",
        ] {
            browser.get(page);
        }
        browser.get(&at("/provisioning"));
        for (path, fields) in &changes {
            assert_eq!(browser.post(path, fields).status, 403, "{role}: {path}");
        }
        let own = [
            ("name", "mole"),
            ("password", PASSWORD),
            ("role", "administrator"),
        ];
        assert_eq!(browser.post("/account/administrators", &own).status, 403);
        let ran = browser.post(&at("/details"), &[("act", "start")]);
        let expected = if role == "operator" { 303 } else { 403 };
        assert_eq!(ran.status, expected, "{role}: {}", ran.text);
    }
    // The last administrator stays.
    let account = ada.get("/account").text;
    let own = account.split("Role of Ada").next().unwrap();
    let own = own.rsplit("name=\"id\" value=\"").next().unwrap();
    let own = own.split('"').next().unwrap().to_owned();
    for role in ["reader", "none"] {
        let seen = ada.post("/account/administrators", &[("id", &own), ("role", role)]);
        assert_eq!(seen.status, 400, "{}", seen.text);
    }
    // Who has acted stands in the audit log by name.
    let audit = run(data, &["audit", "--limit", "50", "--json"]);
    let audit = String::from_utf8(audit.stdout).unwrap();
    assert!(
        audit.matches("\"initiatedBy\":\"Ada\"").count() >= 3,
        "{audit}"
    );
    assert_eq!(
        ada.send(
            "/applications/00000000-0000-0000-0000-000000000000",
            None,
            &[]
        )
        .status,
        404
    );
    assert_eq!(ada.send("/service/none", None, &[]).status, 404);
}
