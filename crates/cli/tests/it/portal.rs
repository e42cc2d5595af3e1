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

const PAGES: [&str; 13] = [
    "/",
    "/applications",
    "/applications/new",
    "/applications/new/custom",
    "/logs",
    "/service",
    "/service/new",
    "/directory/users",
    "/directory/groups",
    "/directory/deleted",
    "/directory/import",
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
        ("/\t/evil.example", "/"),
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
    let services = ada.get("/service").text;
    let integration = services.split("href=\"/service/").nth(2).unwrap();
    let integration = integration.split('"').next().unwrap();
    let received = ada.get(&format!("/service/{integration}/users")).text;
    let resource = received
        .split(&format!("/service/{integration}/users/"))
        .nth(1)
        .unwrap();
    let resource = resource.split('"').next().unwrap();
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
        format!("/applications/{id}/mappings/User/scope"),
        format!("/applications/{id}/mappings/User/expression?target=displayName&who={user}"),
        format!("/applications/{id}/schema"),
        format!("/applications/{id}/demand?subject={user}"),
        format!("/service/{integration}/users"),
        format!("/service/{integration}/users?q=%3Cscript%3E%22%3E"),
        format!("/service/{integration}/users/{resource}"),
        format!("/service/{integration}/groups"),
        format!("/service/{integration}/events"),
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
    assert!(tell >= 18, "the pages show it, escaped: {shown:?}");
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
        let fields = [("id", own.as_str()), ("role", role), ("sure", "yes")];
        let seen = ada.post("/account/administrators", &fields);
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

/// A number that a page says behind some words.
#[track_caller]
fn number_after(text: &str, words: &str) -> u64 {
    let rest = text.split(words).nth(1).expect(words);
    let digits: String = rest
        .chars()
        .skip_while(|it| !it.is_ascii_digit())
        .take_while(|it| it.is_ascii_digit() || *it == ',')
        .filter(char::is_ascii_digit)
        .collect();
    digits.parse().expect(words)
}

/// A directory of people in two departments, all of whom are provisioned; the application's page.
fn two_departments(data: &Path) -> String {
    let (url, token) = receiver(data);
    let mut text = "userPrincipalName,displayName,department,accountEnabled\n".to_owned();
    for at in 0..12 {
        let department = if at < 5 { "Sales" } else { "Engineering" };
        let _ = writeln!(text, "p{at}@x.example,Person {at},{department},true");
    }
    let file = data.join("users.csv");
    std::fs::write(&file, text).unwrap();
    json(data, &["import", "--kind", "users", file.to_str().unwrap()]);
    crate::run::everybody(data, &url, &token);
    let shown = json(data, &["app", "show", crate::run::APP]);
    format!("/applications/{}", shown["id"].as_str().unwrap())
}

/// What a page says beforehand is what the next cycle does.
#[test]
fn a_page_says_who_enters_and_leaves_before_it_is_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (_server, mut ada) = begun(data);
    let app = two_departments(data);
    json(data, &["job", "guard", crate::run::APP, "--off"]);
    assert!(run(data, &["job", "run", crate::run::APP]).status.success());
    let scope = format!("{app}/mappings/User/scope");
    let clause = |operator, value, act| {
        [
            ("version", "1"),
            ("title0", ""),
            ("attribute0.0", "department"),
            ("operator0.0", operator),
            ("value0.0", value),
            ("act", act),
        ]
    };
    let wrong = ada.post(&scope, &clause("REGEX MATCH", "[", "review"));
    assert_eq!(wrong.status, 400);
    assert!(wrong.text.contains("Nothing was saved"), "{}", wrong.text);
    let seen = ada.post(&scope, &clause("EQUALS", "Sales", "review"));
    assert_eq!(seen.status, 200, "{}", seen.text);
    assert_eq!(number_after(&seen.text, "leave</span>"), 7);
    assert_eq!(number_after(&seen.text, "enter</span>"), 0);
    assert!(seen.text.contains("5 stay in scope"), "{}", seen.text);
    assert!(seen.text.contains("Person 11") && !seen.text.contains(">Person 1<"));
    let saved = ada.post(&scope, &clause("EQUALS", "Sales", "save"));
    assert_eq!(saved.status, 303, "{}", saved.text);
    // Somebody with the page of before does not save over that.
    let stale = ada.post(&scope, &clause("EQUALS", "Engineering", "save"));
    assert_eq!(stale.status, 400);
    assert!(stale.text.contains("somebody else") || stale.text.contains("Somebody else"));
    let ran = json(data, &["job", "run", crate::run::APP]);
    assert_eq!(ran["disabled"].as_u64(), Some(7), "{ran}");
    // Back again, from the versions.
    let schema = format!("{app}/schema");
    let back = ada.get(&format!("{schema}?version=1&against=current"));
    assert!(back.text.contains("department"), "{}", back.text);
    let went = ada.post(&schema, &[("act", "back"), ("version", "1")]);
    assert_eq!(went.status, 303, "{}", went.text);
    let ran = json(data, &["job", "run", crate::run::APP]);
    assert_eq!(ran["updated"].as_u64(), Some(7), "{ran}");
    // Only who is assigned: nobody is, and everybody would leave.
    let fields = [("act", "scope"), ("scope", "assigned"), ("minutes", "40")];
    let seen = ada.post(&format!("{app}/provisioning"), &fields);
    assert_eq!(number_after(&seen.text, "leave</span>"), 12);
}

#[test]
fn a_form_changes_what_was_changed_in_it_and_nothing_that_others_did() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (_server, mut ada) = begun(data);
    let app = two_departments(data);
    let settings = format!("{app}/provisioning");
    // The page as it was opened: on, for all, no mail.
    let opened = [
        ("was_status", "on"),
        ("status", "on"),
        ("was_scope", "all"),
        ("scope", "all"),
        ("was_minutes", "40"),
        ("minutes", "40"),
        ("was_keep", "failures"),
        ("keep", "failures"),
        ("was_most", "500"),
        ("most", "500"),
        ("was_share", ""),
        ("share", ""),
        ("was_email", ""),
        ("email", "ops@x.example"),
        ("notify", "1"),
    ];
    let url = json(data, &["app", "show", crate::run::APP])["tenantUrl"].clone();
    let url = url.as_str().unwrap().to_owned();
    // Meanwhile somebody pauses, and sets the guard.
    json(data, &["job", "start", crate::run::APP]);
    json(data, &["job", "pause", crate::run::APP]);
    json(data, &["job", "guard", crate::run::APP, "--most", "3"]);
    let mut fields = opened.to_vec();
    fields.push(("tenant_url", &url));
    let saved = ada.post(&settings, &fields);
    assert_eq!(saved.status, 303, "{}", saved.text);
    let shown = ada.get(&settings).text;
    assert!(
        shown.contains("id=\"off\" value=\"off\" checked"),
        "{shown}"
    );
    assert!(shown.contains("name=\"most\" inputmode=\"numeric\" value=\"3\""));
    assert!(shown.contains("ops@x.example"));
    // What cannot be is refused before anything is saved.
    fields.extend([("was_minutes", "40")]);
    let mut wrong: Vec<(&str, &str)> = fields
        .iter()
        .copied()
        .filter(|it| it.0 != "minutes")
        .collect();
    wrong.push(("minutes", "0.01"));
    wrong.retain(|it| it.0 != "email");
    wrong.push(("email", "others@x.example"));
    let refused = ada.post(&settings, &wrong);
    assert_eq!(refused.status, 400);
    assert!(refused.text.contains("10 seconds"));
    assert!(!ada.get(&settings).text.contains("others@x.example"));
    // A person: another title, while an import has changed the department.
    let id = json(data, &["user", "show", "p0@x.example"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    json(data, &["user", "set", "p0@x.example", "department=Legal"]);
    let fields = [
        ("sign_in", "p0@x.example"),
        ("was_sign_in", "p0@x.example"),
        ("department", "Sales"),
        ("was_department", "Sales"),
        ("displayName", "Person 0"),
        ("was_displayName", "Person 0"),
        ("jobTitle", "Counsel"),
        ("was_jobTitle", ""),
    ];
    assert_eq!(
        ada.post(&format!("/directory/users/{id}"), &fields).status,
        303
    );
    let user = json(data, &["user", "show", "p0@x.example"]);
    let told = user.to_string();
    assert!(told.contains("Legal") && told.contains("Counsel"), "{told}");
}

#[test]
fn what_takes_something_away_says_so_in_numbers_and_asks() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (_server, mut ada) = begun(data);
    let app = two_departments(data);
    json(data, &["app", "scope", crate::run::APP, "assigned"]);
    let groups = data.join("groups.csv");
    std::fs::write(&groups, "displayName\nSales\n").unwrap();
    json(
        data,
        &["import", "--kind", "groups", groups.to_str().unwrap()],
    );
    for at in 0..5 {
        json(
            data,
            &["group", "add", "Sales", &format!("p{at}@x.example")],
        );
    }
    // Who comes into scope, before they do; then they do.
    let users = format!("{app}/users");
    let fields = [
        ("names", "Sales\np0@x.example\nnobody@x.example"),
        ("act", "preview"),
    ];
    let seen = ada.post(&users, &fields);
    assert_eq!(number_after(&seen.text, "enter</span>"), 5);
    assert!(
        seen.text
            .contains("nobody@x.example: there is nobody of this name")
    );
    let assigned = ada.post(
        &users,
        &[("names", "Sales\np0@x.example"), ("act", "assign")],
    );
    assert_eq!(assigned.status, 303, "{}", assigned.text);
    assert!(run(data, &["job", "run", crate::run::APP]).status.success());
    // The group's assignment: four have nothing else, and one has.
    let page = ada.get(&users).text;
    let row = page.split("Remove Sales").next().unwrap();
    let id = row
        .rsplit("name=\"id\" value=\"")
        .next()
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let remove = format!("{app}/users/remove");
    let asked = ada.post(&remove, &[("id", id)]);
    assert_eq!(asked.status, 200);
    assert!(
        asked.text.contains("4 users and 1 group leave"),
        "{}",
        asked.text
    );
    assert!(asked.text.contains("1 stay, by other assignments"));
    assert!(
        ada.get(&users).text.contains("Remove Sales"),
        "asking does nothing"
    );
    assert_eq!(
        ada.post(&remove, &[("id", id), ("sure", "yes")]).status,
        303
    );
    assert!(!ada.get(&users).text.contains("Remove Sales"));
    // A person, a group, everything anew, all tokens.
    let user = json(data, &["user", "show", "p0@x.example"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let at = format!("/directory/users/{user}");
    let asked = ada.post(&at, &[("act", "delete")]);
    assert!(
        asked.text.contains("They lose access to 1 application,"),
        "{}",
        asked.text
    );
    assert!(!ada.get(&at).text.contains("can be restored"));
    assert_eq!(
        ada.post(&at, &[("act", "delete"), ("sure", "yes")]).status,
        303
    );
    assert!(ada.get("/directory/deleted").text.contains("p0@x.example"));
    let group = json(data, &["group", "show", "Sales"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let asked = ada.post(&format!("/directory/groups/{group}"), &[("act", "delete")]);
    assert!(
        asked
            .text
            .contains("It has 4 users as members, those of nested groups counted"),
        "{}",
        asked.text
    );
    let asked = ada.post(&format!("{app}/details"), &[("act", "restart")]);
    assert!(asked.text.contains("are looked at again"), "{}", asked.text);
    let services = ada.get("/service").text;
    let service = services
        .split("href=\"/service/")
        .nth(2)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let asked = ada.post(&format!("/service/{service}"), &[("act", "revoke")]);
    assert!(
        asked.text.contains("1 live token and 0 OAuth clients"),
        "{}",
        asked.text
    );
}

#[test]
fn passwords_are_changed_and_many_attempts_at_once_are_many() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (server, mut ada) = begun(data);
    let mut elsewhere = Browser::new(&server.url);
    assert_eq!(elsewhere.sign_in("Ada", PASSWORD).status, 303);
    let other = "another horse battery";
    let change = |old, new, again| [("old", old), ("new", new), ("again", again)];
    for (wrong, says) in [
        (
            change("not it at all", other, other),
            "That is not your password",
        ),
        (
            change(PASSWORD, other, "something else entirely"),
            "not the same",
        ),
        (change(PASSWORD, "short", "short"), "characters"),
    ] {
        let seen = ada.post("/account/password", &wrong);
        assert_eq!(seen.status, 400);
        assert!(seen.text.contains(says), "{}", seen.text);
    }
    assert_eq!(
        ada.post("/account/password", &change(PASSWORD, other, other))
            .status,
        303
    );
    // This session goes on, others do not; nor does the old password.
    ada.get("/");
    assert_eq!(elsewhere.send("/", None, &[]).status, 303);
    assert_eq!(elsewhere.sign_in("Ada", PASSWORD).status, 401);
    // One who has lost theirs gets one by the command line.
    let reset = json(data, &["administrator", "password", "ada"]);
    let given = reset["password"].as_str().unwrap().to_owned();
    assert_eq!(ada.send("/", None, &[]).status, 303);
    assert_eq!(elsewhere.sign_in("Ada", &given).status, 303);
    let listed = json(data, &["administrator", "list"]);
    assert_eq!(listed[0]["role"], "administrator");
    // As many as come at once, only a few are looked at.
    let mut statuses = Vec::new();
    std::thread::scope(|scope| {
        let tries: Vec<_> = (0..40)
            .map(|_| {
                let url = server.url.clone();
                scope.spawn(move || Browser::new(&url).sign_in("Ada", "a guess of many").status)
            })
            .collect();
        statuses.extend(tries.into_iter().map(|it| it.join().unwrap().as_u16()));
    });
    let looked_at = statuses.iter().filter(|status| **status == 401).count();
    assert!(
        looked_at <= 8,
        "{looked_at} guesses were looked at: {statuses:?}"
    );
    assert!(statuses.contains(&429));
    // A form from who is not signed in is small, and no file.
    let long = "x".repeat(20_000);
    let seen = elsewhere.send("/sign-in", Some(&[("name", &long)]), &[]);
    assert_eq!(seen.status, 413);
}

/// How many accounts the next cycle would disable, and how many it would make.
fn planned(data: &Path) -> (u64, u64) {
    let file = data.join("plan.jsonl");
    let made = run(
        data,
        &["plan", crate::run::APP, "--out", file.to_str().unwrap()],
    );
    assert!(made.status.success(), "{made:?}");
    let told = std::fs::read_to_string(file).unwrap();
    let first: serde_json::Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    let count = |name: &str| first["counts"][name].as_u64().expect(name);
    (count("disabled"), count("created"))
}

/// Nested groups, people whose account is disabled or deleted, input filters, a mapping that is switched off: what a
/// page says of them is what a plan says of the same change.
#[test]
fn a_look_beforehand_says_what_a_plan_says() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let (_server, mut ada) = begun(data);
    let app = two_departments(data);
    json(data, &["app", "scope", crate::run::APP, "assigned"]);
    json(data, &["job", "guard", crate::run::APP, "--off"]);
    let groups = data.join("groups.csv");
    std::fs::write(&groups, "displayName\nAll\nSales\n").unwrap();
    json(
        data,
        &["import", "--kind", "groups", groups.to_str().unwrap()],
    );
    json(data, &["group", "add", "All", "--group", "Sales"]);
    for at in 0..5 {
        json(
            data,
            &["group", "add", "Sales", &format!("p{at}@x.example")],
        );
    }
    for at in 5..12 {
        json(data, &["group", "add", "All", &format!("p{at}@x.example")]);
    }
    // Two who are in the groups and not in scope.
    json(
        data,
        &["user", "set", "p10@x.example", "accountEnabled=false"],
    );
    json(data, &["user", "delete", "p11@x.example"]);
    let users = format!("{app}/users");
    let far = [("names", "All"), ("role", "User"), ("nested", "1")];
    let preview = [&far[..], &[("act", "preview")]].concat();
    let seen = ada.post(&users, &preview);
    let enter = number_after(&seen.text, "enter</span>");
    let assigned = ada.post(&users, &[&far[..], &[("act", "assign")]].concat());
    assert_eq!(assigned.status, 303, "{}", assigned.text);
    // The users, and the group itself.
    assert_eq!((enter, planned(data)), (10, (0, 11)));
    assert!(run(data, &["job", "run", crate::run::APP]).status.success());

    // The same group without the nested ones: some would leave, and that is asked first.
    let near = [("names", "All"), ("role", "User"), ("act", "assign")];
    let asked = ada.post(&users, &near);
    assert_eq!(asked.status, 200);
    assert!(asked.text.contains("Not assigned yet"), "{}", asked.text);
    assert_eq!(number_after(&asked.text, "leave</span>"), 5);
    assert_eq!(planned(data).0, 0, "asking does nothing");
    let sure = [&near[..], &[("sure", "yes")]].concat();
    assert_eq!(ada.post(&users, &sure).status, 303);
    assert_eq!(planned(data).0, 5);
    assert_eq!(
        ada.post(&users, &[&far[..], &[("act", "assign")]].concat())
            .status,
        303
    );
    assert_eq!(planned(data).0, 0);

    // Whom input filters leave out is looked after no more, and loses nothing.
    let exported = ada.get(&format!("{app}/schema/export")).text;
    let mut document: serde_json::Value = serde_json::from_str(&exported).unwrap();
    let mappings = &mut document["synchronizationRules"][0]["objectMappings"];
    let mapping = mappings.as_array_mut().unwrap().iter_mut();
    let user = mapping
        .into_iter()
        .find(|it| it["sourceObjectName"] == "User")
        .unwrap();
    let clause = serde_json::json!({
        "sourceOperandName": "department", "operatorName": "EQUALS",
        "targetOperand": { "values": ["Sales"] }
    });
    user["scope"]["inputFilterGroups"] =
        serde_json::json!([{ "name": "only", "clauses": [clause] }]);
    let text = document.to_string();
    let seen = ada.post(
        &format!("{app}/schema"),
        &[("document", &text), ("act", "look")],
    );
    assert_eq!(seen.status, 200, "{}", seen.text);
    assert_eq!(number_after(&seen.text, "leave</span>"), 0);
    assert!(
        seen.text.contains("5 are not looked after any more"),
        "{}",
        seen.text
    );
    let version = [
        ("document", text.as_str()),
        ("act", "import"),
        ("version", "1"),
    ];
    let saved = ada.post(&format!("{app}/schema"), &version);
    assert_eq!(saved.status, 303, "{}", saved.text);
    assert_eq!(planned(data), (0, 0));
    // A name that no attribute has stands at its clause, and nothing typed is lost.
    let wrong = [
        ("version", "2"),
        ("title0", "Mine"),
        ("attribute0.0", "departmnt"),
        ("operator0.0", "EQUALS"),
        ("value0.0", "Sales"),
        ("act", "review"),
    ];
    let seen = ada.post(&format!("{app}/mappings/User/scope"), &wrong);
    assert_eq!(seen.status, 400);
    assert!(
        seen.text.contains("departmnt") && seen.text.contains("problem0-0"),
        "{}",
        seen.text
    );
}
