//! Our service provider beside the bare server, workload by workload, in turns.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::body::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::load::{Line, Measured, Round, Sent, Server, load};

/// How long each workload runs on each side, in each turn.
const LONG: Duration = Duration::from_secs(2);
/// Turns of each workload.
const TURNS: usize = 3;
/// Members of the group that members are added to.
const MEMBERS: usize = 1000;

const WORKLOADS: [&str; 9] = [
    "create user",
    "get by id",
    "filter userName",
    "filter externalId",
    "list of 100",
    "patch user",
    "add member",
    "delete user",
    "match, create",
];

/// One of the two servers, with what it holds.
struct Side {
    server: Server,
    users: Mutex<Vec<String>>,
    /// Made by "create user", taken by "delete user".
    spare: Mutex<Vec<String>>,
    group: String,
    next: AtomicUsize,
    _child: Child,
    _folder: TempDir,
}

pub(crate) async fn run(users: usize, connections: usize, only: Option<&str>) -> Result<()> {
    let ours = Side::open(true, users).await?;
    let bare = Side::open(false, users).await?;
    println!(
        "{users} users, {connections} connections, {TURNS} turns of {} s",
        LONG.as_secs()
    );
    for workload in WORKLOADS
        .into_iter()
        .filter(|it| only.is_none_or(|only| only == *it))
    {
        let (mut rates, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            theirs.push(bare.measure(workload, connections).await?);
            rates.push(ours.measure(workload, connections).await?);
        }
        let (us, them) = (median(rates), median(theirs));
        println!(
            "{workload:18} {:>8.0}/s beside {:>8.0}/s, {:.2}; p99 {:>6.1} ms beside {:>6.1}",
            us.rate,
            them.rate,
            us.rate / them.rate,
            us.p99.as_secs_f64() * 1e3,
            them.p99.as_secs_f64() * 1e3,
        );
    }
    if only.is_some() {
        return Ok(());
    }
    bulk(&ours, connections).await
}

fn median(mut all: Vec<Measured>) -> Measured {
    all.sort_by(|a, b| a.rate.total_cmp(&b.rate));
    all.swap_remove(all.len() / 2)
}

/// A thousand creates in one request, beside single ones.
async fn bulk(ours: &Side, connections: usize) -> Result<()> {
    let single = ours.measure("create user", connections).await?;
    let first = ours.next.fetch_add(100_000, Ordering::Relaxed);
    let round: Round = Arc::new(move |n| {
        let operations: Vec<Value> = (0..1000)
            .map(|i| {
                let body: Value =
                    serde_json::from_str(&user(first + n * 1000 + i)).unwrap_or_default();
                json!({"method": "POST", "path": "/Users", "bulkId": i.to_string(), "data": body})
            })
            .collect();
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": operations,
        });
        vec![sent(
            "POST",
            "/Bulk".to_owned(),
            Some(body.to_string()),
            200,
        )]
    });
    let bulk = load(&ours.server, 2, LONG * 2, 90, round, Arc::new(|_| {})).await?;
    let rate = bulk.rate * 1000.0;
    println!(
        "bulk of 1,000      {rate:>8.0}/s beside {:>8.0}/s one by one, {:.2}",
        single.rate,
        rate / single.rate
    );
    Ok(())
}

impl Side {
    async fn open(ours: bool, users: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let own = std::env::current_exe()?;
        let mut command = if ours {
            let mut command = Command::new(own.with_file_name("muster"));
            command.args(["--json", "--data"]).arg(folder.path());
            command.args(["serve", "--listen", "127.0.0.1:0"]);
            command
        } else {
            let mut command = Command::new(own);
            command
                .arg("bare")
                .env("BARE_FILE", folder.path().join("bare.db"));
            command
        };
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdout = child.stdout.take().context("the output is piped")?;
        let line = BufReader::new(stdout).lines().next_line().await?;
        let said: Value = serde_json::from_str(&line.context("the server says nothing")?)?;
        let url = said["url"].as_str().context("a URL")?;
        let address: SocketAddr = url.trim_start_matches("http://").parse()?;
        let mut server = Server {
            address,
            base: String::new(),
            token: String::new(),
        };
        if ours {
            let made = Command::new(std::env::current_exe()?.with_file_name("muster"))
                .args(["--json", "--data"])
                .arg(folder.path())
                .args(["integration", "create", "bench"])
                .output()
                .await?;
            let made: Value = serde_json::from_slice(&made.stdout)?;
            let text = |name: &str| made[name].as_str().map(str::to_owned).context("a text");
            server.base = text("scimUrl")?.replace(url, "");
            server.token = text("token")?;
        }
        let mut side = Self {
            server,
            users: Mutex::default(),
            spare: Mutex::default(),
            group: String::new(),
            next: AtomicUsize::new(0),
            _child: child,
            _folder: folder,
        };
        side.fill(users).await?;
        Ok(side)
    }

    async fn fill(&mut self, users: usize) -> Result<()> {
        let ids = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&ids);
        let round: Round =
            Arc::new(|n| vec![sent("POST", "/Users".to_owned(), Some(user(n)), 201)]);
        let keep = Arc::new(move |body: &Bytes| kept.lock().extend(id_of(body)));
        load(&self.server, 64, Duration::MAX, users, round, keep).await?;
        self.next.store(users, Ordering::Relaxed);
        let ids: Vec<String> = std::mem::take(&mut *ids.lock());
        let mut line = Line::open(&self.server).await?;
        let body = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "All"});
        let made = line.send(sent(
            "POST",
            "/Groups".to_owned(),
            Some(body.to_string()),
            201,
        ));
        self.group = id_of(&made.await?).context("an id")?;
        for part in ids[..MEMBERS.min(ids.len())].chunks(500) {
            line.send(add_members(&self.group, part)).await?;
        }
        *self.users.lock() = ids;
        Ok(())
    }

    async fn measure(&self, workload: &str, connections: usize) -> Result<Measured> {
        let users = Arc::new(self.users.lock().clone());
        let count = users.len();
        let first = self.next.fetch_add(1_000_000, Ordering::Relaxed);
        let kept = Arc::new(Mutex::new(Vec::new()));
        let mut keep: Arc<dyn Fn(&Bytes) + Send + Sync> = Arc::new(|_| {});
        let mut most = usize::MAX;
        let spread = move |n: usize| n.wrapping_mul(7919) % count;
        let round: Round = match workload {
            "create user" => {
                let kept = Arc::clone(&kept);
                keep = Arc::new(move |body| kept.lock().extend(id_of(body)));
                Arc::new(move |n| {
                    vec![sent(
                        "POST",
                        "/Users".to_owned(),
                        Some(user(first + n)),
                        201,
                    )]
                })
            }
            "get by id" => Arc::new(move |n| {
                vec![sent(
                    "GET",
                    format!("/Users/{}", users[spread(n)]),
                    None,
                    200,
                )]
            }),
            "filter userName" => Arc::new(move |n| vec![by_name(spread(n))]),
            "filter externalId" => Arc::new(move |n| {
                let filter = format!("externalId+eq+%22{}%22", external(spread(n)));
                vec![sent("GET", format!("/Users?filter={filter}"), None, 200)]
            }),
            "list of 100" => Arc::new(move |n| {
                let start = 1 + n * 100 % (count - 100);
                vec![sent(
                    "GET",
                    format!("/Users?startIndex={start}&count=100"),
                    None,
                    200,
                )]
            }),
            "patch user" => Arc::new(move |n| {
                let body = json!({
                    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                    "Operations": [
                        {"op": "Replace", "path": "active", "value": if n % 2 == 0 { "False" } else { "True" }},
                        {"op": "Replace", "path": "title", "value": format!("Engineer {n}")},
                    ],
                });
                let path = format!("/Users/{}", users[spread(n)]);
                vec![sent("PATCH", path, Some(body.to_string()), 200)]
            }),
            "add member" => {
                let group = self.group.clone();
                Arc::new(move |n| {
                    let id = format!("10000000-0000-4000-8000-{:012x}", first + n);
                    vec![add_members(&group, &[id])]
                })
            }
            "delete user" => {
                let spare = Mutex::new(std::mem::take(&mut *self.spare.lock()));
                // What is deleted in this turn was created in the turns before.
                most = spare.lock().len() / TURNS.max(1);
                let mut all = spare.into_inner();
                *self.spare.lock() = all.split_off(most);
                Arc::new(move |n| vec![sent("DELETE", format!("/Users/{}", all[n]), None, 204)])
            }
            _ => Arc::new(move |n| {
                vec![
                    by_name(first + n),
                    sent("POST", "/Users".to_owned(), Some(user(first + n)), 201),
                ]
            }),
        };
        let measured = load(&self.server, connections, LONG, most, round, keep).await?;
        self.spare.lock().append(&mut kept.lock());
        Ok(measured)
    }
}

fn sent(method: &'static str, path: String, body: Option<String>, status: u16) -> Sent {
    Sent {
        method,
        path,
        body,
        status,
    }
}

fn by_name(number: usize) -> Sent {
    let filter = format!("userName+eq+%22{}%22", name(number));
    sent("GET", format!("/Users?filter={filter}"), None, 200)
}

fn add_members(group: &str, ids: &[String]) -> Sent {
    let members: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "Add", "path": "members", "value": members}],
    });
    sent(
        "PATCH",
        format!("/Groups/{group}"),
        Some(body.to_string()),
        204,
    )
}

fn id_of(body: &Bytes) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let behind = &text[text.find("\"id\":\"")? + 6..];
    Some(behind[..behind.find('"')?].to_owned())
}

fn name(number: usize) -> String {
    format!("given{number}.family{number}@fjordlight.example")
}

fn external(number: usize) -> String {
    format!("5a3c0000-0000-4000-8000-{number:012x}")
}

/// A user of about 1 kB, as Entra creates them.
fn user(number: usize) -> String {
    json!({
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        ],
        "externalId": external(number),
        "userName": name(number),
        "active": true,
        "displayName": format!("Given{number} Family{number}"),
        "title": "Engineer",
        "preferredLanguage": "nb-NO",
        "name": {"formatted": format!("Given{number} Family{number}"), "familyName": format!("Family{number}"), "givenName": format!("Given{number}")},
        "emails": [{"primary": true, "type": "work", "value": name(number)}],
        "addresses": [{"type": "work", "formatted": "Oslo", "streetAddress": "Karl Johans gate 1", "locality": "Oslo", "region": "Oslo", "postalCode": "0154", "country": "Norway"}],
        "phoneNumbers": [{"type": "work", "value": "+47 22 55 00 01"}, {"type": "mobile", "value": "+47 900 00 001"}, {"type": "fax", "value": "+47 22 56 00 01"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": format!("{number:07}"), "department": "Engineering", "manager": {"value": external(number / 7)}},
    })
    .to_string()
}
