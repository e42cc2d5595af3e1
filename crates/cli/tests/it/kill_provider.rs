//! `kill -9` while senders write: what was answered is there, what was not is wholly there or wholly not,
//! and the store is sound.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kill::client;
use crate::run::{Server, free_port, json as command, receiver};

const KILLS: usize = 20;
const SENDERS: usize = 12;

/// What may be known of a user: `None` when it is not there, else its title and whether it is a member.
type Known = Option<(String, bool)>;

/// A sender with users of its own and a group of its own.
struct Sender {
    number: usize,
    group: String,
    made: usize,
    /// By id: what was answered last, and what may be there instead, if an answer is missing.
    users: BTreeMap<String, (Known, Option<Known>)>,
    /// Users whose creation was not answered.
    unsure: Vec<String>,
}

struct Line {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Line {
    /// The status and the body; `None` when there was no answer.
    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let method = method.parse().unwrap();
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        request = request.bearer_auth(&self.token);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/scim+json")
                .body(body.to_string());
        }
        let answer = request.send().await.ok()?;
        let status = answer.status().as_u16();
        let bytes = answer.bytes().await.ok()?;
        Some((status, serde_json::from_slice(&bytes).unwrap_or_default()))
    }
}

fn patch(operations: &Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

impl Sender {
    /// Writes until there is no answer.
    async fn write(&mut self, line: &Line) {
        loop {
            let step = self.made % 4;
            let oldest = self.users.keys().next().cloned();
            let newest = self.users.keys().next_back().cloned();
            let answered = match (step, newest, oldest) {
                (1, Some(id), _) => self.retitle(line, id).await,
                (2, Some(id), _) => self.join(line, id).await,
                (3, _, Some(id)) if self.users.len() > 10 => self.delete(line, id).await,
                _ => self.create(line).await,
            };
            self.made += 1;
            if answered.is_none() {
                return;
            }
        }
    }

    async fn create(&mut self, line: &Line) -> Option<()> {
        let name = format!("user{}-{}", self.number, self.made);
        let body = json!({"userName": name, "title": "t", "nickName": "t"});
        let answer = line.send("POST", "/Users", Some(body)).await;
        let Some((status, body)) = answer else {
            self.unsure.push(name);
            return None;
        };
        assert_eq!(status, 201, "{body}");
        let id = body["id"].as_str().unwrap().to_owned();
        self.users.insert(id, (Some(("t".to_owned(), false)), None));
        Some(())
    }

    async fn retitle(&mut self, line: &Line, id: String) -> Option<()> {
        let title = format!("t{}", self.made);
        let operations = json!([
            {"op": "replace", "path": "title", "value": title},
            {"op": "replace", "path": "nickName", "value": title},
        ]);
        let body = Some(patch(&operations));
        let answer = line.send("PATCH", &format!("/Users/{id}"), body).await;
        let after = |known: &Known| known.clone().map(|(_, member)| (title.clone(), member));
        self.settle(id, answer, 200, after)
    }

    async fn join(&mut self, line: &Line, id: String) -> Option<()> {
        let operations = json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
        let path = format!("/Groups/{}", self.group);
        let answer = line.send("PATCH", &path, Some(patch(&operations))).await;
        let after = |known: &Known| known.clone().map(|(title, _)| (title, true));
        self.settle(id, answer, 204, after)
    }

    async fn delete(&mut self, line: &Line, id: String) -> Option<()> {
        let answer = line.send("DELETE", &format!("/Users/{id}"), None).await;
        self.settle(id, answer, 204, |_| None)
    }

    fn settle(
        &mut self,
        id: String,
        answer: Option<(u16, Value)>,
        expected: u16,
        after: impl Fn(&Known) -> Known,
    ) -> Option<()> {
        let (known, other) = self.users.get_mut(&id).unwrap();
        let Some((status, body)) = answer else {
            *other = Some(after(known));
            return None;
        };
        assert_eq!(status, expected, "{body}");
        *known = after(known);
        if known.is_none() {
            self.users.remove(&id);
        }
        Some(())
    }

    /// What is there is what was answered, or else what was asked for and not answered.
    async fn compare(&mut self, line: &Line) {
        let (_, group) = line
            .send("GET", &format!("/Groups/{}", self.group), None)
            .await
            .unwrap();
        let members: Vec<&str> = group["members"]
            .as_array()
            .map(|all| all.iter().filter_map(|it| it["value"].as_str()).collect())
            .unwrap_or_default();
        for (id, (known, other)) in &mut self.users {
            let (status, user) = line
                .send("GET", &format!("/Users/{id}"), None)
                .await
                .unwrap();
            let member = members.contains(&id.as_str());
            let there = (status == 200).then(|| {
                assert_eq!(user["title"], user["nickName"], "half of a PATCH");
                assert_eq!(user["groups"].is_array(), member, "one view of two");
                (user["title"].as_str().unwrap().to_owned(), member)
            });
            let fits = there == *known || other.as_ref() == Some(&there);
            assert!(fits, "{there:?} instead of {known:?} or {other:?}");
            (*known, *other) = (there, None);
        }
        self.users.retain(|_, (known, _)| known.is_some());
        for name in std::mem::take(&mut self.unsure) {
            let path = format!("/Users?filter=userName+eq+%22{name}%22");
            let (_, list) = line.send("GET", &path, None).await.unwrap();
            for user in list["Resources"].as_array().unwrap() {
                assert_eq!(user["nickName"], "t");
                let id = user["id"].as_str().unwrap().to_owned();
                self.users.insert(id, (Some(("t".to_owned(), false)), None));
            }
        }
    }
}

#[test]
fn twenty_kills_under_load_lose_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let listen = format!("127.0.0.1:{}", free_port());
    let mut server = Some(Server::start(data, &listen));
    let (url, token) = receiver(data);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let line = || Line {
        client: client(),
        url: url.clone(),
        token: token.clone(),
    };
    let mut senders: Vec<Sender> = (0..SENDERS)
        .map(|number| {
            let body = json!({"displayName": format!("group{number}")});
            let made = line();
            let made = runtime.block_on(made.send("POST", "/Groups", Some(body)));
            Sender {
                number,
                group: made.unwrap().1["id"].as_str().unwrap().to_owned(),
                made: 0,
                users: BTreeMap::new(),
                unsure: Vec::new(),
            }
        })
        .collect();
    for kill in 0..KILLS {
        let running: Vec<_> = senders
            .drain(..)
            .map(|mut sender| {
                let line = line();
                runtime.spawn(async move {
                    sender.write(&line).await;
                    sender
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(120 + (kill as u64 * 37) % 160));
        server.take().unwrap().kill();
        senders = runtime.block_on(async {
            let mut all = Vec::new();
            for one in running {
                all.push(one.await.unwrap());
            }
            all
        });
        server = Some(Server::start(data, &listen));
        let line = line();
        for sender in &mut senders {
            runtime.block_on(sender.compare(&line));
        }
        let report = command(data, &["check"]);
        assert_eq!(report["problems"], json!([]), "{report}");
    }
    let made: usize = senders.iter().map(|sender| sender.made).sum();
    assert!(made > 1000, "only {made} writes were tried");
}
