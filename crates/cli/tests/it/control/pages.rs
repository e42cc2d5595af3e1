//! The pages of one tenant never show or change what another has.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::Request;
use muster_app::administrators;
use muster_app::applications::{self, Principal};
use muster_model::TenantId;
use muster_model::administrator::Session;
use muster_testkit::{FixedClock, sqlite_store};
use tokio::sync::Notify;
use tower::ServiceExt as _;

use super::api::Api;
use super::tenants::{Owned, owned, picture};

/// Everything that a form of the pages can ask for.
const ACTS: [&str; 27] = [
    "add", "allow", "apply", "back", "client", "defaults", "delete", "disable", "enable", "forget",
    "import", "link", "look", "pause", "preview", "purge", "refuse", "remove", "restart",
    "restore", "resume", "review", "revoke", "rotate", "save", "start", "test",
];

/// Paths of the pages, as the router has them.
fn routes() -> Vec<&'static str> {
    let text = include_str!("../../../../portal/src/lib.rs");
    let begins = text.split(".route(").skip(1);
    let paths: Vec<&str> = begins.map(|rest| rest.split('"').nth(1).unwrap()).collect();
    assert!(paths.len() > 40 && paths.iter().all(|it| it.starts_with('/')));
    paths
}

/// An administrator of a tenant with a browser.
struct Pages {
    router: Router,
    cookie: String,
    session: Session,
    own: String,
}

impl Pages {
    async fn of(api: &Api) -> Self {
        let ctx = &api.ctx;
        let code = administrators::welcome(ctx).await.unwrap().unwrap();
        let who = administrators::begin(ctx, code.expose(), "Eve", "correct horse battery");
        let who = who.await.unwrap();
        let signed = administrators::open(ctx, who.id, "test").await.unwrap();
        let url = "http://localhost".to_owned();
        Self {
            router: muster_portal::router(ctx.clone(), url, false, Arc::new(Notify::new()), None),
            cookie: format!("muster_session={}", signed.token.expose()),
            session: signed.session,
            own: who.id.to_string(),
        }
    }

    async fn ask(&self, path: &str, fields: Option<&[(&str, &str)]>) -> (u16, String) {
        let mut request = Request::builder().uri(path).header("cookie", &self.cookie);
        let mut body = format!("csrf={}", self.session.csrf);
        if let Some(fields) = fields {
            request = request
                .method("POST")
                .header("content-type", "application/x-www-form-urlencoded");
            for (name, value) in fields {
                body.extend(["&", name, "=", value]);
            }
        }
        let request = request.body(Body::from(body)).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        (parts.status.as_u16(), text)
    }
}

/// The path of a page with what is in braces filled in by what a tenant has.
fn at(path: &str, of: &Owned) -> String {
    let one = match path.split('/').nth(1).unwrap() {
        "service" => &of.integration,
        "directory" if path.contains("/groups/") => &of.group,
        "directory" => &of.user,
        _ => &of.principal,
    };
    path.replace("{id}", one)
        .replace("{object}", "User")
        .replace("{what}", "users")
        .replace("{event}", &of.user)
        .replace("{resource}", &of.user)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_page_shows_or_changes_what_another_tenant_has() {
    let test = sqlite_store().await;
    let clock = FixedClock::at("2026-03-01T09:00:00Z");
    let (one, other) = (
        Api::of(&test, &clock, TenantId::FIRST).await,
        Api::of(&test, &clock, TenantId(2)).await,
    );
    let (theirs, ours) = (owned(&one, "ada").await, owned(&other, "bo").await);
    let (owner, stranger) = (Pages::of(&one).await, Pages::of(&other).await);
    let before = picture(&one, &theirs).await;
    let ids = theirs.ids();

    let (mut own, mut foreign) = (0, 0);
    for path in routes() {
        // What is the same for everybody, and what lets somebody in.
        if [
            "/assets",
            "/setup",
            "/welcome",
            "/sign",
            "/applications/new/",
        ]
        .iter()
        .any(|it| path.starts_with(it))
        {
            continue;
        }
        let place = at(path, &theirs);
        if path.ends_with("/stream") {
            assert_eq!(stranger.ask(&place, None).await.0, 404, "{place}");
            continue;
        }
        let (status, text) = stranger.ask(&place, None).await;
        if path.contains('{') {
            // Some are for forms alone.
            assert!(matches!(status, 404 | 405), "{place}: {status} {text}");
            foreign += 1;
            // Whose it is sees it, unless it names what is in no directory.
            if !path.contains("{event}") && !path.contains("{resource}") {
                let (status, _) = owner.ask(&place, None).await;
                own += u32::from(status == 200);
            }
        }
        for id in ids {
            // A refusal names what was asked for.
            let is_asked = status == 404 && place.contains(id.as_str());
            assert!(
                is_asked || !text.contains(id.as_str()),
                "{place} tells of {id}"
            );
        }
        // Forms, with what is theirs in the path and in the fields; and one's own path with what is theirs.
        for act in ACTS {
            let fields = [
                ("act", act),
                ("sure", "yes"),
                ("id", theirs.assignments[0].as_str()),
                ("names", theirs.user.as_str()),
                ("member", theirs.user.as_str()),
                ("plan", "0123456789abcdef"),
                ("webhook", theirs.user.as_str()),
                ("client", theirs.user.as_str()),
                ("url", "https://hooks.example"),
                ("days", "1"),
                ("version", "1"),
                ("name", "Taken"),
                ("was_name", ""),
                ("sign_in", "taken@contoso.example"),
                ("subject", theirs.user.as_str()),
                ("status", "on"),
                ("scope", "all"),
                ("minutes", "40"),
            ];
            let (status, text) = stranger.ask(&place, Some(&fields)).await;
            if path.contains('{') {
                assert!(
                    matches!(status, 404 | 405),
                    "{act} {place}: {status} {text}"
                );
            }
            if path.contains("{id}") && path.ends_with("/users") {
                stranger.ask(&at(path, &ours), Some(&fields)).await;
            }
        }
    }
    assert!(foreign > 20, "{foreign} pages are of one");
    assert!(own > 14, "{own} pages are there for whose they are");
    for (path, id) in [
        ("/directory/deleted", &theirs.deleted),
        ("/account/sessions", &owner.session.id.to_string()),
        ("/account/administrators", &owner.own),
    ] {
        for act in ["restore", "purge", ""] {
            let fields = [
                ("id", id.as_str()),
                ("act", act),
                ("sure", "yes"),
                ("role", "none"),
            ];
            let (status, text) = stranger.ask(path, Some(&fields)).await;
            // To end a session that one does not have does nothing.
            assert!(
                status >= 400 || path.ends_with("sessions"),
                "{path}: {status} {text}"
            );
        }
    }
    let found = applications::principal(&other.ctx, &theirs.user, false).await;
    assert!(!matches!(found, Ok(Principal::User(_))), "{found:?}");
    assert_eq!(
        owner.ask("/", None).await.0,
        200,
        "whose session it is has it"
    );
    assert_eq!(picture(&one, &theirs).await, before);
}
