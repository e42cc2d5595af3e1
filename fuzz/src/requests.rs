//! The SCIM provider behind its face: any sequence of requests, and what must be true after it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::{HeaderMap, Method, Request, header};
use muster_app::received::Provider;
use muster_model::integration::{Integration, Purpose, Settings, Token};
use muster_model::{Clock, IntegrationId, TenantId, TokenId};
use muster_scim::message::{ERROR, MEDIA_TYPE, PATCH_OP};
use muster_store::{Store, StoreError, StoreUrl, integrations};
use muster_testkit::{FixedClock, stores};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower::ServiceExt;

/// Requests of one input at most.
const MOST: usize = 40;
/// Resources of a page, and what of it a caller may rely on.
const PAGE: usize = 200;
/// The token of every integration.
const TOKEN: &str = "mst_fuzz";
/// Where temporary files cost least.
const MEMORY: &str = "/dev/shm";
/// What a URL must not hold as it is.
const NOT_IN_URL: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>');

/// The first letter of a line.
const METHODS: [(u8, Method); 7] = [
    (b'C', Method::POST),
    (b'R', Method::PUT),
    (b'P', Method::PATCH),
    (b'D', Method::DELETE),
    (b'G', Method::GET),
    (b'H', Method::HEAD),
    (b'O', Method::OPTIONS),
];
/// The second letter of a line; `{}` is an id.
const PLACES: [(u8, &str); 14] = [
    (b'u', "/Users"),
    (b'g', "/Groups"),
    (b'U', "/Users/{}"),
    (b'G', "/Groups/{}"),
    (b'b', "/Bulk"),
    (b's', "/.search"),
    (b'v', "/Users/.search"),
    (b'w', "/Groups/.search"),
    (b'/', "/"),
    (b'c', "/ServiceProviderConfig"),
    (b't', "/ResourceTypes"),
    (b'm', "/Schemas"),
    (b'M', "/Me"),
    // The path is what follows, up to a blank.
    (b'p', ""),
];

/// What the fourth letter of a line makes of what follows.
#[derive(Clone, Copy)]
enum Form {
    /// The body.
    Body,
    /// The name of a user or group.
    Name,
    /// Operations of a PATCH.
    Operations,
    /// Operations of a bulk request.
    Bulk,
    /// `+` adds members, `-` removes them, `=` replaces them; then one digit for each.
    Members,
    /// The query string.
    Query,
    /// A filter, in the query string and in the body.
    Filter,
}

const FORMS: [(u8, Form); 7] = [
    (b' ', Form::Body),
    (b'n', Form::Name),
    (b'o', Form::Operations),
    (b'b', Form::Bulk),
    (b'm', Form::Members),
    (b'q', Form::Query),
    (b'f', Form::Filter),
];

/// Each line is a request: letters for its method, its path, which of the resources made so far it is
/// about, the form of what follows, and its `If-Match`; then a blank, and what follows. There `@0` to `@9`
/// stand for ids.
pub fn requests(data: &[u8]) {
    thread_local! {
        // One store for all inputs of a thread; its folder goes with the thread.
        static WORLD: World = World::new();
    }
    WORLD.with(|world| {
        world.runtime.block_on(async {
            let mut sender = world.sender().await;
            for line in data.split(|byte| *byte == b'\n').take(MOST) {
                sender.line(line).await;
            }
            sender.check().await;
        });
    });
}

/// A provider on a store of its own.
struct World {
    runtime: Runtime,
    store: Store,
    clock: Arc<dyn Clock>,
    router: Router,
    _folder: TempDir,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let memory = Path::new(MEMORY);
        let mut folder = tempfile::Builder::new();
        let folder = match folder.prefix("muster-fuzz-").tempdir_in(memory) {
            Ok(folder) => folder,
            Err(_) => folder.tempdir().expect("a temporary folder"),
        };
        let url = StoreUrl::File(folder.path().join("muster.db"));
        let store = runtime
            .block_on(Store::open(&url, stores::key()))
            .expect("a new store");
        let clock: Arc<dyn Clock> = FixedClock::at("2026-03-01T09:00:00Z");
        let provider = Provider::new(store.clone(), Arc::clone(&clock));
        let router = muster_scim_api::router(provider, "https://muster.example".to_owned());
        Self {
            runtime,
            store,
            clock,
            router,
            _folder: folder,
        }
    }

    /// A new integration, and who sends to it.
    async fn sender(&self) -> Sender<'_> {
        let id = IntegrationId::new();
        let integration = Integration {
            id,
            name: id.to_string(),
            created: self.clock.now(),
            settings: Settings::default(),
        };
        let token = Token {
            id: TokenId::new(),
            integration: id,
            purpose: Purpose::Provision,
            client: None,
            created: self.clock.now(),
            expires: None,
            revoked: None,
            last_used: None,
        };
        let hash: [u8; 32] = Sha256::digest(TOKEN).into();
        let kept = self.store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                integrations::create(tx, TenantId::FIRST, &integration).await?;
                integrations::add_token(tx, TenantId::FIRST, &token, &hash).await
            })
        });
        kept.await.expect("a new integration");
        Sender {
            router: &self.router,
            base: format!("/scim/{id}/v2"),
            made: Vec::new(),
            filters: Vec::new(),
        }
    }
}

/// A request, as far as a line says it.
struct Line {
    method: Method,
    /// Path and query.
    place: String,
    body: Vec<u8>,
    versions: Option<String>,
}

/// What was answered.
struct Answer {
    status: u16,
    body: Value,
}

/// Whoever sends.
struct Sender<'w> {
    router: &'w Router,
    base: String,
    /// The ids of what it made.
    made: Vec<String>,
    /// The filters that it asked with.
    filters: Vec<String>,
}

impl Sender<'_> {
    /// Sends the request of a line, if it is one.
    async fn line(&mut self, line: &[u8]) {
        let [method, place, which, form, versions, rest @ ..] = line else {
            return;
        };
        let rest = rest.split_first().map_or(rest, |(_, rest)| rest);
        let rest = self.with_ids(rest);
        let mut line = Line {
            method: picked(&METHODS, *method),
            place: picked(&PLACES, *place).replace("{}", self.id(*which)),
            body: Vec::new(),
            versions: versions_of(*versions),
        };
        if line.place.is_empty() {
            let text = String::from_utf8_lossy(&rest);
            let (path, body) = text.split_once(' ').unwrap_or((&text, ""));
            line.place = format!("/{}", utf8_percent_encode(path, NOT_IN_URL));
            line.body = body.as_bytes().to_vec();
        } else {
            self.fill(&mut line, picked(&FORMS, *form), rest);
        }
        let Some(answer) = self.send(line).await else {
            return;
        };
        self.learn(&answer);
    }

    /// Puts what follows the letters in its place.
    fn fill(&mut self, line: &mut Line, form: Form, rest: Vec<u8>) {
        let text = String::from_utf8_lossy(&rest).into_owned();
        let body = match form {
            Form::Body => {
                line.body = rest;
                return;
            }
            Form::Name => json!({"userName": text, "displayName": text}).to_string(),
            Form::Operations => format!(r#"{{"schemas":["{PATCH_OP}"],"Operations":[{text}]}}"#),
            Form::Bulk => format!(r#"{{"Operations":[{text}]}}"#),
            Form::Members => self.members(&rest).to_string(),
            Form::Query => {
                line.place = format!("{}?{}", line.place, utf8_percent_encode(&text, NOT_IN_URL));
                return;
            }
            Form::Filter => {
                let query = utf8_percent_encode(&text, NON_ALPHANUMERIC);
                line.place = format!("{}?filter={query}", line.place);
                let body = json!({"filter": text}).to_string();
                self.filters.push(text);
                body
            }
        };
        line.body = body.into_bytes();
    }

    fn members(&self, rest: &[u8]) -> Value {
        let op = match rest.first() {
            Some(b'-') => "remove",
            Some(b'=') => "replace",
            _ => "add",
        };
        let digits = rest.iter().filter(|byte| byte.is_ascii_digit());
        let members: Vec<Value> = digits
            .map(|digit| json!({"value": self.id(*digit)}))
            .collect();
        json!({"schemas": [PATCH_OP], "Operations": [{"op": op, "path": "members", "value": members}]})
    }

    /// The id that a digit stands for.
    fn id(&self, digit: u8) -> &str {
        let at = usize::from(digit.wrapping_sub(b'0'));
        match self.made.len() {
            0 => "none",
            made => &self.made[at % made],
        }
    }

    fn with_ids(&self, text: &[u8]) -> Vec<u8> {
        let mut filled = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            match after.first() {
                Some(digit) if *byte == b'@' && digit.is_ascii_digit() => {
                    filled.extend(self.id(*digit).as_bytes());
                    rest = &after[1..];
                }
                _ => filled.push(*byte),
            }
        }
        filled
    }

    /// The ids of what was created.
    fn learn(&mut self, answer: &Answer) {
        if answer.status == 201 {
            self.made.extend(text(&answer.body["id"]));
        }
        for operation in list(&answer.body["Operations"]) {
            let status = text(&operation["status"]).unwrap_or_default();
            assert!(!status.starts_with('5'), "{operation}");
            let place = text(&operation["location"]).filter(|_| status == "201");
            let id = place.and_then(|place| Some(place.rsplit_once('/')?.1.to_owned()));
            self.made.extend(id);
        }
    }

    /// Sends a request and looks at the form of its answer; `None` when HTTP has no such request.
    async fn send(&self, line: Line) -> Option<Answer> {
        let told = format!("{} {}", line.method, line.place);
        let head_only = line.method == Method::HEAD;
        let mut request = Request::builder()
            .method(line.method)
            .uri(format!("{}{}", self.base, line.place))
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(header::CONTENT_TYPE, MEDIA_TYPE);
        if let Some(versions) = line.versions {
            request = request
                .header(header::IF_MATCH, &versions)
                .header(header::IF_NONE_MATCH, &versions);
        }
        let request = request.body(Body::from(line.body)).ok()?;
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (status, headers, body) = read(response).await;
        check_answer(&told, status, &headers, &body, head_only);
        Some(Answer { status, body })
    }

    async fn get(&self, place: String) -> Answer {
        self.ask(Method::GET, place, Value::Null).await
    }

    /// Sends a request that HTTP has.
    async fn ask(&self, method: Method, place: String, body: Value) -> Answer {
        let line = Line {
            method,
            place,
            body: body.to_string().into_bytes(),
            versions: None,
        };
        self.send(line).await.expect("a request of ours")
    }

    /// What must be true whatever was sent.
    async fn check(&self) {
        let users = self.all("/Users").await;
        let groups = self.all("/Groups").await;
        for (endpoint, name, resources) in [
            ("/Users", "userName", &users),
            ("/Groups", "displayName", &groups),
        ] {
            for resource in resources {
                self.check_found(endpoint, name, resource).await;
            }
        }
        for filter in &self.filters {
            self.check_filter("/Users", filter).await;
            self.check_filter("/Groups", filter).await;
        }
        check_memberships(&users, &groups);
        for (endpoint, resources) in [("/Users", &users), ("/Groups", &groups)] {
            for resource in resources {
                self.check_put_back(endpoint, resource).await;
            }
        }
    }

    /// Everything that a list holds, page by page; its total tells how many there are.
    async fn all(&self, endpoint: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let start = all.len() + 1;
            let page = self
                .get(format!("{endpoint}?startIndex={start}&count={PAGE}"))
                .await;
            let resources = list(&page.body["Resources"]);
            let total = page.body["totalResults"].as_u64();
            all.extend(resources.iter().cloned());
            if resources.len() < PAGE {
                let listed: BTreeSet<String> =
                    all.iter().filter_map(|it| text(&it["id"])).collect();
                assert_eq!(total, Some(all.len() as u64), "{}", page.body);
                assert_eq!(listed.len(), all.len(), "a resource is listed twice");
                return all;
            }
        }
    }

    /// A resource is found by its id and by its name, whether an index is asked or every document read.
    async fn check_found(&self, endpoint: &str, name: &str, resource: &Value) {
        let id = text(&resource["id"]).expect("an id");
        let by_id = self.get(format!("{endpoint}/{id}")).await;
        assert_eq!((by_id.status, &by_id.body), (200, resource));
        let value = &resource[name];
        let by_name = format!("{name} eq {value}");
        let found = self.search(endpoint, &by_name).await;
        assert_eq!(found, Some(vec![id]), "{by_name}");
        let folded = Value::from(muster_scim::text::fold(value.as_str().expect("a name")));
        self.check_filter(endpoint, &format!("{name} eq {folded}"))
            .await;
    }

    /// A filter finds the same whether an index is asked or every document read.
    async fn check_filter(&self, endpoint: &str, filter: &str) {
        let by_index = self.search(endpoint, filter).await;
        // No index answers a negation.
        let by_reading = self
            .search(endpoint, &format!("not (not ({filter}))"))
            .await;
        let (Some(by_index), Some(by_reading)) = (by_index, by_reading) else {
            return;
        };
        // The index of members minds upper and lower case.
        let exact = filter.to_ascii_lowercase().contains("members");
        assert!(
            by_index == by_reading || exact && by_index.iter().all(|id| by_reading.contains(id)),
            "{endpoint} {filter}: {by_index:?}, {by_reading:?}"
        );
    }

    /// The ids of what matches a filter, if it is one.
    async fn search(&self, endpoint: &str, filter: &str) -> Option<Vec<String>> {
        let place = format!("{endpoint}/.search");
        let found = self
            .ask(Method::POST, place, json!({"filter": filter}))
            .await;
        let resources = list(&found.body["Resources"]).iter();
        (found.status == 200).then(|| resources.filter_map(|it| text(&it["id"])).collect())
    }

    /// What was read can be put back, and nothing changes (profile section 5).
    async fn check_put_back(&self, endpoint: &str, resource: &Value) {
        let id = text(&resource["id"]).expect("an id");
        let place = format!("{endpoint}/{id}");
        let put = self.ask(Method::PUT, place, resource.clone()).await;
        assert_eq!((put.status, &put.body), (200, resource));
    }
}

/// What a letter stands for; one that is not in the table stands for something too.
fn picked<T: Clone>(table: &[(u8, T)], letter: u8) -> T {
    let found = table.iter().find(|(known, _)| *known == letter);
    let (_, found) = found.unwrap_or(&table[usize::from(letter) % table.len()]);
    found.clone()
}

fn versions_of(letter: u8) -> Option<String> {
    match letter {
        b'0'..=b'9' => Some(format!("W/\"{}\"", letter - b'0')),
        b'*' => Some("*".to_owned()),
        b'l' => Some(r#"W/"1", "2" , W/x,,*x"#.to_owned()),
        _ => None,
    }
}

async fn read(response: Response) -> (u16, HeaderMap, Value) {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body of ours");
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error} in {body:?}"))
    };
    (parts.status.as_u16(), parts.headers, body)
}

/// What every answer keeps to: it is JSON or nothing, and an error is told as SCIM does.
fn check_answer(told: &str, status: u16, headers: &HeaderMap, body: &Value, head_only: bool) {
    assert!(
        status < 500 || [501, 507].contains(&status),
        "{told}: {status} {body}"
    );
    if head_only || [204, 304].contains(&status) {
        assert!(body.is_null(), "{told}: {body}");
        return;
    }
    assert!(body.is_object(), "{told}: {status} {body}");
    assert_eq!(headers[header::CONTENT_TYPE], MEDIA_TYPE);
    if status >= 400 {
        assert_eq!(body["schemas"], json!([ERROR]), "{told}");
        assert_eq!(body["status"], json!(status.to_string()), "{told}");
        assert!(body["detail"].is_string(), "{told}: {body}");
    }
    let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if let (Some(tag), Some(version)) = (tag, text(&body["meta"]["version"])) {
        assert_eq!(tag, version, "{told}");
    }
}

/// What users say of their groups, and what groups say of the users among their members, is the same.
fn check_memberships(users: &[Value], groups: &[Value]) {
    let pairs = |of: &[Value], name: &str| -> BTreeSet<(String, String)> {
        of.iter()
            .flat_map(|one| list(&one[name]).iter().map(move |other| (one, other)))
            .filter_map(|(one, other)| Some((text(&one["id"])?, text(&other["value"])?)))
            .collect()
    };
    let known: BTreeSet<String> = users.iter().filter_map(|user| text(&user["id"])).collect();
    let of_users: BTreeSet<_> = pairs(users, "groups")
        .into_iter()
        .map(|(user, group)| (group, user))
        .collect();
    let mut of_groups = pairs(groups, "members");
    of_groups.retain(|(_, member)| known.contains(member));
    assert_eq!(of_users, of_groups);
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
