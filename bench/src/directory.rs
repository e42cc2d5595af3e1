//! The directory through the control API beside the service provider, workload by workload in turns; a page of 999;
//! a delta of ten changes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hyper::body::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;

use crate::load::{Line, Measured, Round, Sent, Server, load};
use crate::people::People;
use crate::side::{self, Kept, LONG, READ, Side, TURNS, id_of, sent};
use crate::stage::median;

/// Users of the service provider beside it.
const BESIDE: usize = 20_000;
/// What is measured on both sides, by its name on that of the service provider.
const WORKLOADS: [&str; 9] = [
    "create user",
    "get by id",
    "filter userName",
    "list of 100",
    "patch user",
    "create group",
    "add member",
    "remove member",
    "delete user",
];
/// Pages and rounds of what is measured by itself.
const ROUNDS: usize = 50;
const CHANGES: usize = 10;

const MADE: &[u16] = &[201];
const DONE: &[u16] = &[204];

pub(crate) async fn run(users: usize, connections: usize) -> Result<()> {
    let ours = Directory::open(users).await?;
    let provider = Side::ours(Kept::Sqlite, BESIDE).await?;
    println!(
        "{users} users in the directory, {BESIDE} of the service provider, {connections} connections, {TURNS} turns \
         of {} s",
        LONG.as_secs()
    );
    for workload in WORKLOADS {
        let (mut rates, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            theirs.push(provider.measure(workload, connections).await?);
            rates.push(ours.measure(workload, connections).await?);
        }
        let (us, them) = (Measured::median(rates), Measured::median(theirs));
        println!(
            "{workload:18} {:>8.0}/s beside {:>8.0}/s, {:.2}; p99 {:>6.1} ms beside {:>6.1}",
            us.rate,
            them.rate,
            us.rate / them.rate,
            us.p99.as_secs_f64() * 1e3,
            them.p99.as_secs_f64() * 1e3,
        );
    }
    ours.pages().await?;
    ours.delta().await
}

/// `muster serve` with a directory.
struct Directory {
    server: Server,
    users: usize,
    /// The number of the next user.
    next: AtomicUsize,
    /// Made by "create user", taken by "delete user".
    spare: Mutex<Vec<String>>,
    /// Made by "create user" too: who is put into a group, and taken out of it.
    added: Mutex<Vec<String>>,
    _child: Child,
    _folder: TempDir,
}

impl Directory {
    async fn open(users: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let people = People::new(users);
        let mut files = Vec::new();
        for (name, text) in [
            ("users.csv", people.users_csv()),
            ("groups.csv", people.groups_csv()),
            ("memberships.csv", people.memberships_csv()),
        ] {
            let file = folder.path().join(name);
            std::fs::write(&file, text)?;
            files.push(file);
        }
        let data = folder.path().join("data");
        let loaded = side::muster(&data, None)?
            .arg("import")
            .args(files)
            .output()
            .await?;
        ensure!(
            loaded.status.success(),
            "{}",
            String::from_utf8_lossy(&loaded.stderr)
        );
        let (child, mut server) = side::start(side::serve(&data, None)?).await?;
        let made = side::muster(&data, None)?
            .args(["token", "create", "bench"])
            .output()
            .await?;
        let made: Value = serde_json::from_slice(&made.stdout)?;
        let token = made["token"].as_str().context("a token")?;
        token.clone_into(&mut server.token);
        "/v1.0".clone_into(&mut server.base);
        Ok(Self {
            server,
            users,
            next: AtomicUsize::new(users),
            spare: Mutex::default(),
            added: Mutex::default(),
            _child: child,
            _folder: folder,
        })
    }

    async fn measure(&self, workload: &str, connections: usize) -> Result<Measured> {
        let count = self.users;
        let first = self.next.fetch_add(1_000_000, Ordering::Relaxed);
        let kept = Arc::new(Mutex::new(Vec::new()));
        let mut keep: Arc<dyn Fn(&Bytes) + Send + Sync> = Arc::new(|_| {});
        let mut most = usize::MAX;
        let spread = move |n: usize| n.wrapping_mul(7919) % count;
        let group = People::group_id(1);
        let round: Round = match workload {
            "create user" => {
                let kept = Arc::clone(&kept);
                keep = Arc::new(move |body| kept.lock().extend(id_of(body)));
                Arc::new(move |n| vec![sent("POST", "/users", Some(user(first + n)), MADE)])
            }
            "get by id" => Arc::new(move |n| {
                let path = format!("/users/{}", People::user_id(spread(n)));
                vec![sent("GET", path, None, READ)]
            }),
            "filter userName" => Arc::new(move |n| {
                let name = People::name(spread(n));
                let path = format!("/users?$filter=userPrincipalName+eq+'{name}'");
                vec![sent("GET", path, None, READ)]
            }),
            "list of 100" => Arc::new(|_| vec![sent("GET", "/users?$top=100", None, READ)]),
            "patch user" => Arc::new(move |n| vec![patch(spread(n), n)]),
            "create group" => Arc::new(move |n| {
                let body = json!({
                    "displayName": format!("Made {}", first + n), "mailEnabled": false,
                    "mailNickname": "made", "securityEnabled": true
                });
                vec![sent("POST", "/groups", Some(body.to_string()), MADE)]
            }),
            "add member" => {
                let spare = self.spare.lock().clone();
                most = spare.len() / TURNS;
                let begin = self.added.lock().len();
                let all = spare[begin..begin + most].to_vec();
                self.added.lock().extend(all.iter().cloned());
                Arc::new(move |n| vec![add(&group, &all[n])])
            }
            "remove member" => {
                let mut added = self.added.lock();
                most = added.len() / TURNS;
                let mut all = std::mem::take(&mut *added);
                *added = all.split_off(most);
                Arc::new(move |n| {
                    let path = format!("/groups/{group}/members/{}/$ref", all[n]);
                    vec![sent("DELETE", path, None, DONE)]
                })
            }
            _ => {
                let mut spare = self.spare.lock();
                most = spare.len() / TURNS;
                let mut all = std::mem::take(&mut *spare);
                *spare = all.split_off(most);
                Arc::new(move |n| vec![sent("DELETE", format!("/users/{}", all[n]), None, DONE)])
            }
        };
        let measured = load(&self.server, connections, LONG, most, round, keep).await?;
        self.spare.lock().append(&mut kept.lock());
        Ok(measured)
    }

    /// Pages of 999, one after the other, beside a read of one user.
    async fn pages(&self) -> Result<()> {
        let mut line = Line::open(&self.server).await?;
        let mut times: HashMap<&str, Vec<f64>> = HashMap::new();
        let lists = [
            ("999 users", "/users?$top=999".to_owned()),
            (
                "999 users, by name",
                "/users?$top=999&$orderby=displayName".to_owned(),
            ),
            (
                "999 users, all properties",
                "/users?$top=999&$select=*".to_owned(),
            ),
        ];
        let mut next: HashMap<&str, String> = HashMap::new();
        for n in 0..ROUNDS {
            let path = format!("/users/{}", People::user_id(n));
            let begun = Instant::now();
            line.send(sent("GET", path, None, READ)).await?;
            times.entry("one").or_default().push(millis(begun));
            for (what, first) in &lists {
                let at = next.remove(what).unwrap_or_else(|| first.clone());
                let begun = Instant::now();
                let page = line.send(sent("GET", at, None, READ)).await?;
                times.entry(what).or_default().push(millis(begun));
                let page: Value = serde_json::from_slice(&page)?;
                let found = page["value"].as_array().map_or(0, Vec::len);
                if let Some(link) = page["@odata.nextLink"].as_str() {
                    ensure!(found == 999, "a page of {found}");
                    next.insert(what, self.path(link)?);
                }
            }
        }
        let one = median(times.remove("one").unwrap_or_default());
        for (what, _) in &lists {
            let took = median(times.remove(what).unwrap_or_default());
            println!(
                "{what:26} {took:>6.1} ms a page, median of {ROUNDS}: {:.0} times one user ({one:.2} ms)",
                took / one
            );
        }
        Ok(())
    }

    /// Ten changes, and the page that tells of them.
    async fn delta(&self) -> Result<()> {
        let mut line = Line::open(&self.server).await?;
        let latest = "/users/delta?$deltatoken=latest".to_owned();
        let told = line.send(sent("GET", latest, None, READ)).await?;
        let link = |page: &Value| -> Result<String> {
            self.path(page["@odata.deltaLink"].as_str().context("a delta link")?)
        };
        let mut at = link(&serde_json::from_slice(&told)?)?;
        let (mut times, mut ones, mut bytes) = (Vec::new(), Vec::new(), 0);
        for n in 0..ROUNDS {
            for k in 0..CHANGES {
                let number = (n * CHANGES + k) * 31 % self.users;
                line.send(patch(number, 1_000_000 + n * CHANGES + k))
                    .await?;
            }
            let path = format!("/users/{}", People::user_id(n));
            let begun = Instant::now();
            line.send(sent("GET", path, None, READ)).await?;
            ones.push(millis(begun));
            let begun = Instant::now();
            let page = line.send(sent("GET", at, None, READ)).await?;
            times.push(millis(begun));
            bytes = page.len();
            let page: Value = serde_json::from_slice(&page)?;
            let found = page["value"].as_array().map_or(0, Vec::len);
            ensure!(found == CHANGES, "a delta of {found}");
            at = link(&page)?;
        }
        let (took, one) = (median(times), median(ones));
        println!(
            "delta of {CHANGES} changes       {took:>6.1} ms, {bytes} bytes, median of {ROUNDS}: {:.1} times one user",
            took / one
        );
        Ok(())
    }

    /// What follows the base in a link.
    fn path(&self, link: &str) -> Result<String> {
        let (_, path) = link
            .split_once(&self.server.base)
            .context("a link of ours")?;
        Ok(path.to_owned())
    }
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

/// A user of about 1 kB.
fn user(number: usize) -> String {
    json!({
        "accountEnabled": true, "userPrincipalName": People::name(number),
        "displayName": format!("Given{number} Family{number}"), "givenName": format!("Given{number}"),
        "surname": format!("Family{number}"), "mail": People::name(number),
        "mailNickname": format!("given{number}"), "jobTitle": "Engineer", "department": "Engineering",
        "employeeId": format!("{number:07}"), "mobilePhone": "+47 900 00 001",
        "businessPhones": ["+47 22 55 00 01"], "faxNumber": "+47 22 56 00 01", "officeLocation": "Oslo/1",
        "streetAddress": "Karl Johans gate 1", "city": "Oslo", "state": "Oslo", "postalCode": "0154",
        "country": "Norway", "preferredLanguage": "nb-NO", "companyName": "Fjordlight",
        "passwordProfile": { "password": "w8!Kest-rel-09", "forceChangePasswordNextSignIn": true }
    })
    .to_string()
}

fn patch(number: usize, round: usize) -> Sent {
    let body = json!({ "accountEnabled": round % 2 == 1, "jobTitle": format!("Engineer {round}") });
    let path = format!("/users/{}", People::user_id(number));
    sent("PATCH", path, Some(body.to_string()), DONE)
}

fn add(group: &str, member: &str) -> Sent {
    let url = format!("http://localhost/v1.0/directoryObjects/{member}");
    let body = json!({ "@odata.id": url }).to_string();
    sent(
        "POST",
        format!("/groups/{group}/members/$ref"),
        Some(body),
        DONE,
    )
}
