//! A service provider under load: what it holds, and what each workload asks of it.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::body::Bytes;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::load::{Line, Measured, Round, Sent, Server, load};

/// How long each workload runs on each side, in each turn.
pub(crate) const LONG: Duration = Duration::from_secs(2);
/// Turns of each workload.
pub(crate) const TURNS: usize = 3;
/// Members of the group that members are added to.
const MEMBERS: usize = 1000;
/// Time for a server to say that it listens.
const START: Duration = Duration::from_mins(1);

// What a request may be answered with.
const CREATED: &[u16] = &[201];
pub(crate) const READ: &[u16] = &[200];
const CHANGED: &[u16] = &[200, 204];

/// A server, with what it holds.
pub(crate) struct Side {
    pub(crate) server: Server,
    users: Mutex<Vec<String>>,
    /// Made by "create user", taken by "delete user".
    spare: Mutex<Vec<String>>,
    group: String,
    /// The number of the next user.
    pub(crate) next: AtomicUsize,
    /// Does it understand PATCH as Entra sends it by default? Not all peers do.
    entra: bool,
    _child: Child,
    _folder: Option<TempDir>,
}

impl Side {
    /// Our own provider, as it is delivered: durable, on SQLite.
    pub(crate) async fn ours(users: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let muster = || -> Result<Command> {
            let program = std::env::current_exe()?.with_file_name("muster");
            let mut command = Command::new(program);
            command.args(["--json", "--data"]).arg(folder.path());
            Ok(command)
        };
        let mut command = muster()?;
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        let (child, mut server) = start(command).await?;
        let made = muster()?
            .args(["integration", "create", "bench"])
            .output()
            .await?;
        let made: Value = serde_json::from_slice(&made.stdout)?;
        let text = |name: &str| made[name].as_str().map(str::to_owned).context("a text");
        server.base = text("scimUrl")?.replace(&format!("http://{}", server.address), "");
        server.token = text("token")?;
        Self::open(child, server, Some(folder), users, true).await
    }

    /// The same, with requests that every peer understands, too.
    pub(crate) async fn ours_beside_peers(users: usize) -> Result<Self> {
        let mut ours = Self::ours(users).await?;
        ours.entra = false;
        Ok(ours)
    }

    /// The bare server.
    pub(crate) async fn bare(users: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("bare")
            .env("BARE_FILE", folder.path().join("bare.db"));
        let (child, server) = start(command).await?;
        Self::open(child, server, Some(folder), users, true).await
    }

    /// A server of others. What it does not say of its base URL's path and its token is given here.
    pub(crate) async fn peer(mut command: Command, base: &str, users: usize) -> Result<Self> {
        const TOKEN: &str = "token-of-the-peer";
        command.envs([
            ("TOKEN", TOKEN),
            ("PORT", "0"),
            ("MAX_SECONDS", "3600"),
            ("NODE_ENV", "production"),
        ]);
        let (child, mut server) = start(command).await?;
        if server.token.is_empty() {
            base.clone_into(&mut server.base);
            TOKEN.clone_into(&mut server.token);
        }
        Self::open(child, server, None, users, false).await
    }

    async fn open(
        child: Child,
        server: Server,
        folder: Option<TempDir>,
        users: usize,
        entra: bool,
    ) -> Result<Self> {
        let mut side = Self {
            server,
            users: Mutex::default(),
            spare: Mutex::default(),
            group: String::new(),
            next: AtomicUsize::new(0),
            entra,
            _child: child,
            _folder: folder,
        };
        side.fill(users).await?;
        side.check().await?;
        Ok(side)
    }

    async fn fill(&mut self, users: usize) -> Result<()> {
        let ids = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&ids);
        let round: Round = Arc::new(|n| vec![create(n)]);
        let keep = Arc::new(move |body: &Bytes| kept.lock().extend(id_of(body)));
        load(&self.server, 64, Duration::MAX, users, round, keep).await?;
        self.next.store(users, Ordering::Relaxed);
        let ids: Vec<String> = std::mem::take(&mut *ids.lock());
        let mut line = Line::open(&self.server).await?;
        let body = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "All"});
        let made = line.send(sent("POST", "/Groups", Some(body.to_string()), CREATED));
        self.group = id_of(&made.await?).context("an id")?;
        for part in ids[..MEMBERS.min(ids.len())].chunks(500) {
            line.send(add_members(&self.group, part)).await?;
        }
        *self.users.lock() = ids;
        Ok(())
    }

    /// A status alone does not say that a server did what it was asked.
    async fn check(&self) -> Result<()> {
        let mut line = Line::open(&self.server).await?;
        let (first, last) = {
            let users = self.users.lock();
            (users[0].clone(), users.len() - 1)
        };
        line.send(patch(&first, 1, self.entra)).await?;
        let read = line.send(get(&first)).await?;
        let read: Value = serde_json::from_slice(&read)?;
        ensure!(read["title"] == "Engineer 1", "not patched: {read}");
        // The bare server keeps what it is given.
        let active = read["active"] == true || read["active"] == "True";
        ensure!(active, "not patched: {read}");
        let found: Value = serde_json::from_slice(&line.send(by_name(last)).await?)?;
        let name = &found["Resources"][0]["userName"];
        ensure!(
            found["totalResults"] == 1 && *name == name_of(last),
            "not found: {found}"
        );
        let page: Value = serde_json::from_slice(&line.send(page(1)).await?)?;
        let count = page["Resources"].as_array().map_or(0, Vec::len);
        ensure!(count == 100, "a page of {count}");
        Ok(())
    }

    pub(crate) async fn measure(&self, workload: &str, connections: usize) -> Result<Measured> {
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
                Arc::new(move |n| vec![create(first + n)])
            }
            "get by id" => Arc::new(move |n| vec![get(&users[spread(n)])]),
            "filter userName" => Arc::new(move |n| vec![by_name(spread(n))]),
            "filter externalId" => Arc::new(move |n| {
                let filter = format!("externalId+eq+%22{}%22", external(spread(n)));
                vec![sent("GET", format!("/Users?filter={filter}"), None, READ)]
            }),
            "list of 100" => Arc::new(move |n| vec![page(1 + n * 100 % (count - 100))]),
            "patch user" => {
                let entra = self.entra;
                Arc::new(move |n| vec![patch(&users[spread(n)], n, entra)])
            }
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
                Arc::new(move |n| vec![sent("DELETE", format!("/Users/{}", all[n]), None, CHANGED)])
            }
            _ => Arc::new(move |n| vec![by_name(first + n), create(first + n)]),
        };
        let measured = load(&self.server, connections, LONG, most, round, keep).await?;
        self.spare.lock().append(&mut kept.lock());
        Ok(measured)
    }
}

/// Starts a server and reads what it says until it listens: a line of JSON, or `BASE=…` and
/// `TOKEN=…` if it has them, and `listening on http://…`.
async fn start(mut command: Command) -> Result<(Child, Server)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{command:?} cannot be started"))?;
    let stdout = child.stdout.take().context("the output is piped")?;
    let mut lines = BufReader::new(stdout).lines();
    let (mut base, mut token) = (String::new(), String::new());
    loop {
        let line = timeout(START, lines.next_line()).await??;
        let line = line.with_context(|| format!("{command:?} ended before it listened"))?;
        let said: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(path) = line.strip_prefix("BASE=") {
            path.clone_into(&mut base);
        } else if let Some(secret) = line.strip_prefix("TOKEN=") {
            secret.clone_into(&mut token);
        } else if let Some(url) = line.strip_prefix("listening on ").or(said["url"].as_str()) {
            let address: SocketAddr = url.trim_start_matches("http://").parse()?;
            let server = Server {
                address,
                base,
                token,
            };
            return Ok((child, server));
        }
    }
}

pub(crate) fn sent(
    method: &'static str,
    path: impl Into<String>,
    body: Option<String>,
    statuses: &'static [u16],
) -> Sent {
    Sent {
        method,
        path: path.into(),
        body,
        statuses,
    }
}

fn create(number: usize) -> Sent {
    sent("POST", "/Users", Some(user(number)), CREATED)
}

fn get(id: &str) -> Sent {
    sent("GET", format!("/Users/{id}"), None, READ)
}

fn by_name(number: usize) -> Sent {
    let filter = format!("userName+eq+%22{}%22", name_of(number));
    sent("GET", format!("/Users?filter={filter}"), None, READ)
}

fn page(start: usize) -> Sent {
    let path = format!("/Users?startIndex={start}&count=100");
    sent("GET", path, None, READ)
}

fn patch(id: &str, number: usize, entra: bool) -> Sent {
    let active = number % 2 == 1;
    let (op, active) = match (entra, active) {
        (true, true) => ("Replace", json!("True")),
        (true, false) => ("Replace", json!("False")),
        (false, active) => ("replace", json!(active)),
    };
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [
            {"op": op, "path": "active", "value": active},
            {"op": op, "path": "title", "value": format!("Engineer {number}")},
        ],
    });
    let path = format!("/Users/{id}");
    sent("PATCH", path, Some(body.to_string()), CHANGED)
}

fn add_members(group: &str, ids: &[String]) -> Sent {
    let members: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "add", "path": "members", "value": members}],
    });
    sent(
        "PATCH",
        format!("/Groups/{group}"),
        Some(body.to_string()),
        CHANGED,
    )
}

fn id_of(body: &Bytes) -> Option<String> {
    #[derive(Deserialize)]
    struct Made {
        id: String,
    }
    let made: Made = serde_json::from_slice(body).ok()?;
    Some(made.id)
}

fn name_of(number: usize) -> String {
    format!("given{number}.family{number}@fjordlight.example")
}

fn external(number: usize) -> String {
    format!("5a3c0000-0000-4000-8000-{number:012x}")
}

/// A user of about 1 kB, as Entra creates them.
pub(crate) fn user(number: usize) -> String {
    json!({
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:User",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
        ],
        "externalId": external(number),
        "userName": name_of(number),
        "active": true,
        "displayName": format!("Given{number} Family{number}"),
        "title": "Engineer",
        "preferredLanguage": "nb-NO",
        "name": {"formatted": format!("Given{number} Family{number}"), "familyName": format!("Family{number}"), "givenName": format!("Given{number}")},
        "emails": [{"primary": true, "type": "work", "value": name_of(number)}],
        "addresses": [{"type": "work", "formatted": "Oslo", "streetAddress": "Karl Johans gate 1", "locality": "Oslo", "region": "Oslo", "postalCode": "0154", "country": "Norway"}],
        "phoneNumbers": [{"type": "work", "value": "+47 22 55 00 01"}, {"type": "mobile", "value": "+47 900 00 001"}, {"type": "fax", "value": "+47 22 56 00 01"}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"employeeNumber": format!("{number:07}"), "department": "Engineering", "manager": {"value": external(number / 7)}},
    })
    .to_string()
}
