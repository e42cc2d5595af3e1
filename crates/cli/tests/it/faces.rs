//! What integrations offer beside SCIM itself, over HTTP and by commands: events, states, limits, OAuth,
//! setup links, webhooks; and hostile requests.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kill::client;
use crate::run::{Server, free_port, json as command, muster, receiver, run};

struct Here {
    folder: tempfile::TempDir,
    server: Server,
    url: String,
    token: String,
    runtime: tokio::runtime::Runtime,
}

impl Here {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(folder.path(), &format!("127.0.0.1:{}", free_port()));
        let (url, token) = receiver(folder.path());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        Self {
            folder,
            server,
            url,
            token,
            runtime,
        }
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Status, headers and body of a request.
    fn send(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let (status, _, text) = self.raw(method, &format!("{}{path}", self.url), |request| {
            let request = request.bearer_auth(&self.token);
            match body {
                Some(body) => request
                    .header("content-type", "application/scim+json")
                    .body(body.to_string()),
                None => request,
            }
        });
        (status, serde_json::from_str(&text).unwrap_or_default())
    }

    fn raw(
        &self,
        method: &str,
        url: &str,
        fill: impl FnOnce(reqwest::RequestBuilder) -> reqwest::RequestBuilder,
    ) -> (u16, reqwest::header::HeaderMap, String) {
        self.runtime.block_on(async {
            let request = client().request(method.parse().unwrap(), url);
            let answer = fill(request).send().await.unwrap();
            let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
            (status, headers, answer.text().await.unwrap())
        })
    }

    fn create(&self, body: Value) -> String {
        let (status, made) = self.send("POST", "/Users", Some(body));
        assert_eq!(status, 201, "{made}");
        made["id"].as_str().unwrap().to_owned()
    }

    /// The store is sound in the end.
    fn end(self) {
        let report = command(self.data(), &["check"]);
        assert_eq!(report["problems"], json!([]), "{report}");
        assert_eq!(self.server.stop(), Some(0));
    }
}

#[test]
fn events_states_and_members_are_read_over_http() {
    let here = Here::new();
    let id = here.create(json!({"userName": "ana", "shoeSize": 43}));
    let group = json!({"displayName": "G", "members": [{"value": id}]});
    let (_, group) = here.send("POST", "/Groups", Some(group));
    let (_, events) = here.send("GET", "/Events?count=2", None);
    let types = |events: &Value| -> Vec<String> {
        let all = events["events"].as_array().unwrap().iter();
        all.map(|it| it["type"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(types(&events), ["user.created", "group.created"]);
    let next = events["next"].as_str().unwrap();
    let (_, rest) = here.send("GET", &format!("/Events?after={next}"), None);
    assert_eq!(types(&rest), ["group.members.added"]);
    assert_eq!(rest["events"][0]["members"], json!([id]));
    let (_, end) = here.send("GET", "/Events?after=end", None);
    assert_eq!((&end["events"], &end["next"]), (&json!([]), &rest["next"]));
    let (status, _) = here.send("GET", "/Events?after=9000000000000000000.9999", None);
    assert_eq!(status, 400);
    let (_, state) = here.send("GET", &format!("/Users/{id}/state"), None);
    assert_eq!(
        (&state["active"], &state["complete"], &state["extras"]),
        (&json!(true), &json!(true), &json!({"shoeSize": 43}))
    );
    assert_eq!(state["groups"][0]["value"], group["id"]);
    let path = format!("/Groups/{}/members?count=1", group["id"].as_str().unwrap());
    let (_, members) = here.send("GET", &path, None);
    assert_eq!(members["members"], json!([{"value": id, "type": "User"}]));
    let last = rest["next"].as_str().unwrap().to_owned();
    // Whoever waits is told at once, and does not hold up the end of the server.
    let waiting = {
        let (url, token) = (here.url.clone(), here.token.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let began = Instant::now();
            let url = format!("{url}/Events?after={last}&wait=30");
            let answer = runtime.block_on(async {
                let answer = client().get(url).bearer_auth(token).send().await.unwrap();
                answer.text().await.unwrap()
            });
            (began.elapsed(), answer)
        })
    };
    std::thread::sleep(Duration::from_millis(300));
    here.create(json!({"userName": "ben"}));
    let (waited, answer) = waiting.join().unwrap();
    assert!(
        waited < Duration::from_secs(5) && answer.contains("user.created"),
        "{answer}"
    );
    let followed = muster(
        here.data(),
        &[
            "integration",
            "events",
            "Receiver",
            "--count",
            "3",
            "--json",
        ],
    )
    .output()
    .unwrap();
    assert_eq!(String::from_utf8_lossy(&followed.stdout).lines().count(), 3);
    here.end();
}

#[test]
fn limits_answer_with_what_to_do() {
    let here = Here::new();
    let set = |args: &[&str]| {
        let all = [&["integration", "set", "Receiver"], args].concat();
        command(here.data(), &all);
        // Longer than settings are remembered.
        std::thread::sleep(Duration::from_millis(1100));
    };
    set(&["--max-body", "2000", "--rate", "3"]);
    let long = json!({"userName": "a", "title": "x".repeat(3000)});
    let (status, error) = here.send("POST", "/Users", Some(long));
    assert_eq!(status, 413);
    assert!(error["detail"].as_str().unwrap().contains("2000 bytes"));
    let (_, config) = here.send("GET", "/ServiceProviderConfig", None);
    assert_eq!(config["bulk"]["maxPayloadSize"], 2000);
    let url = format!("{}/Users", here.url);
    let statuses: Vec<u16> = (0..6)
        .map(|_| {
            let (status, headers, _) = here.raw("GET", &url, |it| it.bearer_auth(&here.token));
            assert!(status != 429 || headers["retry-after"] == "1");
            status
        })
        .collect();
    assert!(
        statuses.contains(&200) && statuses.contains(&429),
        "{statuses:?}"
    );
    set(&["--rate", "none", "--allow", "203.0.113.0/24"]);
    assert_eq!(here.send("GET", "/Users", None).0, 403);
    set(&["--allow", "127.0.0.0/8", "--max-resources", "1"]);
    here.create(json!({"userName": "a"}));
    let (status, error) = here.send("POST", "/Users", Some(json!({"userName": "b"})));
    assert_eq!(status, 403);
    assert!(error["detail"].as_str().unwrap().contains("may hold 1"));
    let huge = run(
        here.data(),
        &[
            "integration",
            "set",
            "Receiver",
            "--max-resources",
            "10000000000000000000",
        ],
    );
    assert_eq!(huge.status.code(), Some(2));
    here.end();
}

#[test]
fn oauth_clients_and_setup_links_open_an_integration() {
    let here = Here::new();
    let made = command(here.data(), &["integration", "client", "add", "Receiver"]);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let (url, id, secret) = (text("tokenUrl"), text("clientId"), text("clientSecret"));
    let ask = |body: String, basic: Option<(&str, &str)>| {
        let (status, headers, text) = here.raw("POST", &url, |request| {
            let request = request
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body);
            match basic {
                Some((id, secret)) => request.basic_auth(id, Some(secret)),
                None => request,
            }
        });
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(headers["cache-control"], "no-store");
        (status, body)
    };
    let grant = "grant_type=client_credentials";
    let (status, given) = ask(
        format!("{grant}&client_id={id}&client_secret={secret}"),
        None,
    );
    assert_eq!((status, &given["token_type"]), (200, &json!("Bearer")));
    let (status, given) = ask(grant.to_owned(), Some((&id, &secret)));
    assert_eq!(status, 200);
    let access = given["access_token"].as_str().unwrap();
    let users = format!("{}/Users", here.url);
    let (status, _, _) = here.raw("GET", &users, |it| it.bearer_auth(access));
    assert_eq!(status, 200, "a new token is good at once");
    for (body, error, expected) in [
        (
            "grant_type=password".to_owned(),
            "unsupported_grant_type",
            400,
        ),
        (String::new(), "invalid_request", 400),
        (
            format!("{grant}&client_id={id}&client_secret=x"),
            "invalid_client",
            401,
        ),
        (grant.to_owned(), "invalid_client", 401),
    ] {
        let (status, answer) = ask(body, None);
        assert_eq!((status, &answer["error"]), (expected, &json!(error)));
    }
    let link = command(here.data(), &["integration", "setup-link", "Receiver"]);
    let link = link["url"].as_str().unwrap();
    let (status, headers, page) = here.raw("GET", link, |it| it);
    assert!(status == 200 && page.contains("Get SCIM URL and token"));
    assert_eq!(headers["referrer-policy"], "no-referrer");
    let (status, _, page) = here.raw("POST", link, |it| it);
    let token = &page[page.find("mst_").unwrap()..][..68];
    assert!(status == 200 && page.contains(&here.url));
    let (status, _, _) = here.raw("GET", &users, |it| it.bearer_auth(token));
    assert_eq!(status, 200);
    assert_eq!(here.raw("POST", link, |it| it).0, 410);
    command(here.data(), &["integration", "revoke", "Receiver"]);
    let (status, answer) = ask(
        format!("{grant}&client_id={id}&client_secret={secret}"),
        None,
    );
    assert_eq!((status, &answer["error"]), (401, &json!("invalid_client")));
    here.end();
}

#[test]
fn a_webhook_brings_events_to_a_real_receiver() {
    let here = Here::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let receiver = std::thread::spawn(move || {
        let mut bodies = Vec::new();
        while bodies.len() < 2 {
            let (mut stream, _) = listener.accept().unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(10)))
                .unwrap();
            let mut text = String::new();
            let mut buffer = [0; 4096];
            loop {
                let count = stream.read(&mut buffer).unwrap();
                text.push_str(&String::from_utf8_lossy(&buffer[..count]));
                if count == 0 || text.trim_end().ends_with("}}") {
                    break;
                }
            }
            let answer = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).unwrap();
            bodies.push(text);
        }
        bodies
    });
    let added = command(
        here.data(),
        &["integration", "webhook", "add", "Receiver", &url],
    );
    assert!(added["secret"].as_str().unwrap().starts_with("whsec_"));
    let id = here.create(json!({"userName": "ana"}));
    let patch = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": false}]});
    assert_eq!(
        here.send("PATCH", &format!("/Users/{id}"), Some(patch)).0,
        200
    );
    let bodies = receiver.join().unwrap();
    assert!(bodies[0].contains("user.created") && bodies[1].contains("user.disabled"));
    assert!(
        bodies
            .iter()
            .all(|it| it.contains("webhook-signature: v1,"))
    );
    let refused = run(
        here.data(),
        &[
            "integration",
            "webhook",
            "add",
            "Receiver",
            "http://169.254.169.254/x",
        ],
    );
    assert_eq!(refused.status.code(), Some(2));
    here.end();
}

// Profile section 17; the issue of the provider, Reliability.
#[test]
fn hostile_requests_are_refused_and_others_do_not_notice() {
    let here = Here::new();
    here.create(json!({"userName": "ana"}));
    let many: Vec<Value> = (0..10_000)
        .map(|at| json!({"method": "POST", "path": "/Users", "bulkId": at.to_string(), "data": {"userName": at.to_string()}}))
        .collect();
    let bulk = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": many});
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let filter = format!("{}userName+pr{}", "(".repeat(2000), ")".repeat(2000));
    let long = format!("userName+eq+%22{}%22", "x".repeat(17_000));
    let began = Instant::now();
    for (method, path, body, expected) in [
        (
            "POST",
            "/Bulk".to_owned(),
            bulk.to_string().into_bytes(),
            &[413][..],
        ),
        ("POST", "/Users".to_owned(), deep.into_bytes(), &[400]),
        ("POST", "/Users".to_owned(), vec![b' '; 100 << 20], &[413]),
        (
            "POST",
            "/Users".to_owned(),
            b"{\"userName\": \"\xff\xfe\"}".to_vec(),
            &[400],
        ),
        ("GET", format!("/Users?filter={filter}"), Vec::new(), &[400]),
        (
            "GET",
            format!("/Users?filter={long}"),
            Vec::new(),
            &[400, 414],
        ),
        (
            "GET",
            "/Users?filter=userName+eq+%22%ff%22".to_owned(),
            Vec::new(),
            &[400],
        ),
    ] {
        let url = format!("{}{path}", here.url);
        let answer = here.runtime.block_on(async {
            let request = client().request(method.parse().unwrap(), &url);
            let request = request.bearer_auth(&here.token).body(body);
            request.send().await.map(|answer| answer.status().as_u16())
        });
        // A server that stops reading may close before the client has sent everything.
        if let Ok(status) = answer {
            assert!(expected.contains(&status), "{method} {path:.60}: {status}");
        }
        let fine = Instant::now();
        assert_eq!(here.send("GET", "/Users?count=1", None).0, 200);
        assert!(fine.elapsed() < Duration::from_secs(2));
    }
    assert!(began.elapsed() < Duration::from_mins(1));
    // Connections that send nothing more, while others are served.
    let address = here.url.trim_start_matches("http://");
    let (host, base) = address.split_once('/').unwrap();
    let slow: Vec<TcpStream> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(host).unwrap();
            let head = format!(
                "POST /{base}/Users HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n{{",
                here.token
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    for _ in 0..20 {
        let fine = Instant::now();
        assert_eq!(here.send("GET", "/Users?count=1", None).0, 200);
        assert!(fine.elapsed() < Duration::from_secs(2));
    }
    // Each is answered when its time is up.
    let mut first = &slow[0];
    first
        .set_read_timeout(Some(Duration::from_secs(40)))
        .unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    drop(slow);
    here.end();
}
