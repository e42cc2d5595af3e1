//! A service provider under load: what it holds, and what each workload asks of it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

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
/// Bulk requests that are under way at a time.
const BULKS: usize = 8;
/// Operations of a bulk request.
pub(crate) const BULK: usize = 1000;
/// Where the bare server learns where its rows are kept.
pub(crate) const PLACE: &str = "BARE_PLACE";
/// Time for a server to say that it listens.
const START: Duration = Duration::from_mins(1);

// What a request may be answered with.
const CREATED: &[u16] = &[201];
pub(crate) const READ: &[u16] = &[200];
const CHANGED: &[u16] = &[200, 204];

/// Where rows are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In a file of its own.
    Sqlite,
    /// In a new database of the PostgreSQL that `xtask with-postgres` starts.
    Postgres,
}

/// A server, with what it holds.
pub(crate) struct Side {
    pub(crate) server: Server,
    pub(crate) users: Mutex<Vec<String>>,
    /// Made by "create user", taken by "delete user".
    spare: Mutex<Vec<String>>,
    /// Group and member: what "add member" added, taken by "remove member".
    added: Mutex<Vec<(String, String)>>,
    /// The group that members are added to.
    pub(crate) group: String,
    /// The number of the next user.
    pub(crate) next: AtomicUsize,
    /// Does it understand PATCH as Entra sends it by default? Not all peers do.
    entra: bool,
    child: Child,
    folder: Option<TempDir>,
}

/// Is a workload to be measured? All are, unless some are named.
pub(crate) fn is_wanted(only: Option<&str>, name: &str) -> bool {
    only.is_none_or(|only| only.split(';').any(|one| one == name))
}

impl Side {
    /// Our own provider, as it is delivered: durable.
    pub(crate) async fn ours(kept: Kept, users: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let database = database(kept, "ours").await?;
        let (child, mut server) = start(serve(folder.path(), database.as_deref())?).await?;
        let mut command = muster(folder.path(), database.as_deref())?;
        let made = command.args(["integration", "create", "bench"]);
        let made: Value = serde_json::from_slice(&made.output().await?.stdout)?;
        let text = |name: &str| made[name].as_str().map(str::to_owned).context("a text");
        server.base = text("scimUrl")?.replace(&format!("http://{}", server.address), "");
        server.token = text("token")?;
        Self::open(child, server, Some(folder), users, true).await
    }

    /// The same, with requests that every peer understands, too.
    pub(crate) async fn ours_beside_peers(users: usize) -> Result<Self> {
        let mut ours = Self::ours(Kept::Sqlite, users).await?;
        ours.entra = false;
        Ok(ours)
    }

    /// The bare server.
    pub(crate) async fn bare(kept: Kept, users: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare");
        match database(kept, "bare").await? {
            Some(url) => command.env(PLACE, url),
            None => command.env(PLACE, folder.path().join("bare.db")),
        };
        let (child, server) = start(command).await?;
        Self::open(child, server, Some(folder), users, true).await
    }

    /// Ends our server in an orderly way and starts it again on the same file; answers how long it took from
    /// there to the first answer.
    pub(crate) async fn restart(&mut self) -> Result<Duration> {
        let pid = self.child.id().context("it runs")?;
        Command::new("kill").arg(pid.to_string()).status().await?;
        timeout(START, self.child.wait()).await??;
        let folder = self.folder.as_ref().context("a folder")?;
        let command = serve(folder.path(), None)?;
        let begun = Instant::now();
        let (child, server) = start(command).await?;
        (self.child, self.server.address) = (child, server.address);
        let first = self.users.lock().first().cloned();
        let asked = first.map_or_else(|| page(1), |id| get(&id));
        Line::open(&self.server).await?.send(asked).await?;
        Ok(begun.elapsed())
    }

    /// Resident memory of the server now, and at most so far, in MiB.
    pub(crate) fn memory(&self) -> Result<(u64, u64)> {
        let pid = self.child.id().context("it runs")?;
        let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let of = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        let now = of("VmRSS:").context("resident memory")?;
        let most = of("VmHWM:").context("resident memory at most")?;
        Ok((now / 1024, most / 1024))
    }

    /// Processor time that the server has taken so far, in all its threads.
    pub(crate) fn busy(&self) -> Result<Duration> {
        let pid = self.child.id().context("it runs")?;
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Behind the name, which may hold anything: user time and system time are the 12th and 13th, in hundredths.
        let (_, behind) = text.rsplit_once(')').context("a name")?;
        let times = behind.split_whitespace().skip(11).take(2);
        let ticks = times
            .map(str::parse::<u64>)
            .sum::<Result<u64, std::num::ParseIntError>>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Gives each worker of the server a core of its own. Beside the load's threads, which sleep and wake all the time,
    /// the kernel else keeps two workers on one core for seconds, with the other core partly idle.
    pub(crate) async fn spread(&self) -> Result<()> {
        let pid = self.child.id().context("it runs")?;
        let mut workers = Vec::new();
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?;
            let name = std::fs::read_to_string(thread.path().join("comm"))?;
            if name.trim_end() == "tokio-rt-worker" {
                let id = thread.file_name().to_string_lossy().parse::<u32>()?;
                workers.push(id);
            }
        }
        workers.sort_unstable();
        // Those behind them are threads that may wait.
        let cores = std::thread::available_parallelism()?.get();
        ensure!(
            workers.len() >= cores,
            "{} workers on {cores} cores",
            workers.len()
        );
        for (core, worker) in workers.into_iter().take(cores).enumerate() {
            let mut command = Command::new("taskset");
            let arguments = ["-pc".to_owned(), core.to_string(), worker.to_string()];
            let pinned = command.args(arguments).output().await?;
            let error = String::from_utf8_lossy(&pinned.stderr);
            ensure!(pinned.status.success(), "taskset: {error}");
        }
        Ok(())
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
            added: Mutex::default(),
            group: String::new(),
            next: AtomicUsize::new(0),
            entra,
            child,
            folder,
        };
        if users > 0 {
            side.fill(users).await?;
            side.check().await?;
        }
        Ok(side)
    }

    async fn fill(&mut self, users: usize) -> Result<()> {
        let ids = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&ids);
        let round: Round = Arc::new(|n| vec![create(n)]);
        let keep = Arc::new(move |body: &Bytes| kept.lock().extend(id_of(body)));
        load(&self.server, 64, Duration::MAX, users, round, keep).await?;
        self.next.store(users, Ordering::Relaxed);
        *self.users.lock() = std::mem::take(&mut *ids.lock());
        self.group = self.group_of("All", MEMBERS).await?;
        Ok(())
    }

    /// Adds users a thousand at a time, as bulk requests: faster, where the server understands them.
    pub(crate) async fn fill_in_bulk(&mut self, users: usize) -> Result<()> {
        let ids = Arc::new(Mutex::new(Vec::with_capacity(users)));
        let kept = Arc::clone(&ids);
        let keep = Arc::new(move |body: &Bytes| {
            let answer: Value = serde_json::from_slice(body).unwrap_or_default();
            let made = answer["Operations"].as_array().into_iter().flatten();
            let made = made.filter_map(|it| it["location"].as_str()?.rsplit('/').next());
            kept.lock().extend(made.map(str::to_owned));
        });
        let round: Round = Arc::new(|n| vec![bulk(n * BULK)]);
        let parts = users.div_ceil(BULK);
        load(&self.server, 2, Duration::MAX, parts, round, keep).await?;
        self.next.store(parts * BULK, Ordering::Relaxed);
        *self.users.lock() = std::mem::take(&mut *ids.lock());
        ensure!(self.users.lock().len() == parts * BULK, "not all were made");
        Ok(())
    }

    /// A new group of the first users.
    pub(crate) async fn group_of(&self, name: &str, members: usize) -> Result<String> {
        let mut line = Line::open(&self.server).await?;
        let group = id_of(&line.send(create_group(name)).await?).context("an id")?;
        let users = self.users.lock().clone();
        for part in users[..members.min(users.len())].chunks(500) {
            line.send(add_members(&group, part)).await?;
        }
        Ok(group)
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

    /// Rounds a second of a workload on so many connections.
    pub(crate) async fn measure(&self, workload: &str, connections: usize) -> Result<Measured> {
        let mut connections = connections;
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
                Arc::new(move |n| vec![add_members(&group, &[member(first + n)])])
            }
            "create group" => {
                Arc::new(move |n| vec![create_group(&format!("Group {}", first + n))])
            }
            "remove member" => {
                let mut added = self.added.lock();
                let group = self.group.clone();
                let (mut all, others): (Vec<_>, Vec<_>) =
                    added.drain(..).partition(|(of, _)| *of == group);
                *added = others;
                most = all.len() / TURNS;
                added.extend(all.split_off(most));
                Arc::new(move |n| vec![remove_member(&group, &all[n].1)])
            }
            "bulk of 1,000" => {
                connections = connections.min(BULKS);
                Arc::new(move |n| vec![bulk(first + n * BULK)])
            }
            "delete user" => {
                let spare = Mutex::new(std::mem::take(&mut *self.spare.lock()));
                // What is deleted in this turn was created in the turns before.
                most = spare.lock().len() / TURNS;
                let mut all = spare.into_inner();
                *self.spare.lock() = all.split_off(most);
                Arc::new(move |n| vec![sent("DELETE", format!("/Users/{}", all[n]), None, CHANGED)])
            }
            _ => Arc::new(move |n| vec![by_name(first + n), create(first + n)]),
        };
        let measured = load(&self.server, connections, LONG, most, round, keep).await?;
        self.spare.lock().append(&mut kept.lock());
        if workload == "add member" {
            let new = (0..measured.rounds).map(|n| (self.group.clone(), member(first + n)));
            self.added.lock().extend(new);
        }
        Ok(measured)
    }
}

/// A command of the program that stands beside this one.
pub(crate) fn muster(folder: &Path, database: Option<&str>) -> Result<Command> {
    let program = std::env::current_exe()?.with_file_name("muster");
    let mut command = Command::new(program);
    command.args(["--json", "--data"]).arg(folder);
    if let Some(url) = database {
        command.args(["--database", url]);
    }
    Ok(command)
}

pub(crate) fn serve(folder: &Path, database: Option<&str>) -> Result<Command> {
    let mut command = muster(folder, database)?;
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    Ok(command)
}

#[expect(clippy::disallowed_methods, reason = "said by who starts PostgreSQL")]
/// A new database, if rows are kept in PostgreSQL.
async fn database(kept: Kept, name: &str) -> Result<Option<String>> {
    if kept == Kept::Sqlite {
        return Ok(None);
    }
    let url = std::env::var("MUSTER_TEST_POSTGRES")
        .context("run this under `xtask with-postgres --`, which starts PostgreSQL")?;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    for sql in [
        format!("DROP DATABASE IF EXISTS {name}"),
        format!("CREATE DATABASE {name}"),
    ] {
        client.batch_execute(&sql).await?;
    }
    let (server, _) = url.rsplit_once('/').context("the URL names a database")?;
    Ok(Some(format!("{server}/{name}")))
}

/// Starts a server and reads what it says until it listens: a line of JSON, or `BASE=…` and
/// `TOKEN=…` if it has them, and `listening on http://…`.
pub(crate) async fn start(mut command: Command) -> Result<(Child, Server)> {
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

fn create_group(name: &str) -> Sent {
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": name,
    });
    sent("POST", "/Groups", Some(body.to_string()), CREATED)
}

/// A thousand creates in one request. Put together as text: the client shares the machine.
fn bulk(first: usize) -> Sent {
    let operations: Vec<String> = (0..BULK)
        .map(|i| {
            let data = user(first + i);
            format!(r#"{{"method":"POST","path":"/Users","bulkId":"{i}","data":{data}}}"#)
        })
        .collect();
    let body = format!(
        r#"{{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{}]}}"#,
        operations.join(",")
    );
    sent("POST", "/Bulk", Some(body), READ)
}

fn get(id: &str) -> Sent {
    sent("GET", format!("/Users/{id}"), None, READ)
}

fn by_name(number: usize) -> Sent {
    let filter = format!("userName+eq+%22{}%22", name_of(number));
    sent("GET", format!("/Users?filter={filter}"), None, READ)
}

/// A page of a hundred.
pub(crate) fn page(start: usize) -> Sent {
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

/// A member that is nobody else.
fn member(number: usize) -> String {
    format!("10000000-0000-4000-8000-{number:012x}")
}

fn add_members(group: &str, ids: &[String]) -> Sent {
    members(group, "add", ids)
}

fn remove_member(group: &str, id: &str) -> Sent {
    members(group, "remove", &[id.to_owned()])
}

fn members(group: &str, op: &str, ids: &[String]) -> Sent {
    let members: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    let body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": op, "path": "members", "value": members}],
    });
    sent(
        "PATCH",
        format!("/Groups/{group}"),
        Some(body.to_string()),
        CHANGED,
    )
}

pub(crate) fn id_of(body: &Bytes) -> Option<String> {
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

/// A user of about 1 kB, as Entra creates them. Put together as text, as bulk requests are.
pub(crate) fn user(number: usize) -> String {
    const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let (name, external, manager) = (name_of(number), external(number), external(number / 7));
    format!(
        r#"{{"schemas":["{CORE}","{ENTERPRISE}"],"externalId":"{external}","userName":"{name}","active":true,"displayName":"Given{number} Family{number}","title":"Engineer","preferredLanguage":"nb-NO","name":{{"formatted":"Given{number} Family{number}","familyName":"Family{number}","givenName":"Given{number}"}},"emails":[{{"primary":true,"type":"work","value":"{name}"}}],"addresses":[{{"type":"work","formatted":"Oslo","streetAddress":"Karl Johans gate 1","locality":"Oslo","region":"Oslo","postalCode":"0154","country":"Norway"}}],"phoneNumbers":[{{"type":"work","value":"+47 22 55 00 01"}},{{"type":"mobile","value":"+47 900 00 001"}},{{"type":"fax","value":"+47 22 56 00 01"}}],"{ENTERPRISE}":{{"employeeNumber":"{number:07}","department":"Engineering","manager":{{"value":"{manager}"}}}}}}"#
    )
}
