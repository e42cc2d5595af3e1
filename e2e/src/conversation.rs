//! Conversations with our service provider, as files: what a client sends, and what it must get.
//!
//! A file holds sections, each a conversation with an integration of its own:
//!
//! ```text
//! ## 5/2 duplicate userName: 409 with uniqueness
//! POST /Users
//! {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ana@example.net"}
//! --> 201
//! id <- /id
//! Location: <base>/Users/<id>
//!
//! POST /Users
//! Content-Type: application/json
//! {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ANA@example.net"}
//! --> 409
//! /scimType = "uniqueness"
//! ```
//!
//! A request is its line, headers and a body. It is sent with the integration's token and
//! `application/scim+json` unless its headers say otherwise; `Authorization: none` leaves the token out.
//! `<name>` stands for a value that was kept, `<base>` for the SCIM URL, `<token>` for the token.
//!
//! Behind the arrow stand the status (or two, as `200|204`), and what must hold besides:
//!
//! | Line | Holds when |
//! |---|---|
//! | `/pointer = JSON` | the value there is this one |
//! | `/pointer ~ "text"` | the text there contains this one |
//! | `/pointer has JSON` | the list there has an element with at least these members, or the text itself |
//! | `/pointer lacks JSON` | it has none |
//! | `/pointer count N` | the list there has so many elements |
//! | `/pointer present`, `/pointer absent` | there is something, or nothing |
//! | `Header: value` | the header has this value |
//! | `no body` | there is none |
//! | `name <- /pointer`, `name <- Header` | always; the value is kept |

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Client, Method};
use serde_json::Value;

/// A conversation.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Where it stands: file and heading.
    pub title: String,
    /// The requirement that it shows, section and row, such as `5/2`.
    pub requirement: String,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, Default)]
struct Step {
    line: usize,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
    statuses: Vec<u16>,
    wants: Vec<(usize, String)>,
}

/// Reads every file of a folder, in the order of their names.
pub fn conversations(folder: &Path) -> Result<Vec<Conversation>> {
    let mut files: Vec<_> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(&file)?;
        all.extend(read(&name, &text).with_context(|| name.to_string())?);
    }
    Ok(all)
}

fn read(file: &str, text: &str) -> Result<Vec<Conversation>> {
    let mut all: Vec<Conversation> = Vec::new();
    let mut answering = true;
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        let at = || format!("line {number}: {line}");
        if let Some(heading) = line.strip_prefix("## ") {
            answering = true;
            all.push(Conversation {
                title: format!("{file}: {heading}"),
                requirement: heading.split(' ').next().unwrap_or_default().to_owned(),
                steps: Vec::new(),
            });
            continue;
        }
        let Some(conversation) = all.last_mut() else {
            ensure!(
                line.is_empty() || line.starts_with('#'),
                "{}: outside of a section",
                at()
            );
            continue;
        };
        if let Some(statuses) = line.strip_prefix("--> ") {
            let step = conversation.steps.last_mut().with_context(at)?;
            for status in statuses.split('|') {
                step.statuses.push(status.trim().parse().with_context(at)?);
            }
            answering = true;
        } else if answering {
            let method = line.split(' ').next().unwrap_or_default();
            if line.trim().is_empty() || line.starts_with("# ") {
            } else if !method.is_empty()
                && method.bytes().all(|byte| byte.is_ascii_uppercase())
                && line.contains(" /")
            {
                conversation.steps.push(Step {
                    line: number,
                    method: method.to_owned(),
                    path: line[method.len()..].trim().to_owned(),
                    ..Step::default()
                });
                answering = false;
            } else {
                let step = conversation.steps.last_mut().with_context(at)?;
                step.wants.push((number, line.to_owned()));
            }
        } else {
            let step = conversation.steps.last_mut().with_context(at)?;
            match header(line) {
                Some((name, value)) if step.body.is_empty() => {
                    step.headers.push((name.to_owned(), value.to_owned()));
                }
                _ => {
                    step.body.push_str(line);
                    step.body.push('\n');
                }
            }
        }
    }
    Ok(all)
}

/// `Name: value`; a name begins with a letter and has no blanks or quotes.
fn header(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(plain))
        .then(|| (name, value.trim()))
}

impl Conversation {
    /// Holds it; an error says which line failed, and what was answered.
    pub async fn hold(&self, client: &Client, base: &str, token: &str) -> Result<()> {
        let mut kept = HashMap::from([
            ("base".to_owned(), base.to_owned()),
            ("token".to_owned(), token.to_owned()),
        ]);
        for step in &self.steps {
            step.take(client, base, &mut kept)
                .await
                .with_context(|| format!("{}, line {}", self.title, step.line))?;
        }
        Ok(())
    }
}

impl Step {
    async fn take(
        &self,
        client: &Client,
        base: &str,
        kept: &mut HashMap<String, String>,
    ) -> Result<()> {
        ensure!(!self.statuses.is_empty(), "no `-->` line");
        let address = format!("{base}{}", filled(&self.path, kept));
        let method = Method::from_bytes(self.method.as_bytes())?;
        let mut request = client.request(method, address);
        let given = |name: &str| {
            let found = self
                .headers
                .iter()
                .find(|(it, _)| it.eq_ignore_ascii_case(name));
            found.is_some()
        };
        if !given("authorization") {
            request = request.bearer_auth(&kept["token"]);
        }
        if !self.body.is_empty() && !given("content-type") {
            request = request.header("content-type", "application/scim+json");
        }
        for (name, value) in &self.headers {
            if value != "none" {
                request = request.header(name, filled(value, kept));
            }
        }
        if !self.body.is_empty() {
            request = request.body(filled(&self.body, kept));
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let bytes = response.bytes().await?;
        let text = String::from_utf8_lossy(&bytes);
        let shown: String = text.chars().take(2000).collect();
        ensure!(
            self.statuses.contains(&status),
            "answered {status} instead of {:?}: {shown}",
            self.statuses
        );
        let body: Option<Value> = serde_json::from_slice(&bytes).ok();
        for (line, want) in &self.wants {
            let want = filled(want, kept);
            let answer = Answer {
                headers: &headers,
                text: &text,
                body: body.as_ref(),
            };
            answer
                .meets(&want, kept)
                .with_context(|| format!("line {line}: {want}\nanswered {status}: {shown}"))?;
        }
        Ok(())
    }
}

struct Answer<'a> {
    headers: &'a reqwest::header::HeaderMap,
    text: &'a str,
    body: Option<&'a Value>,
}

impl Answer<'_> {
    fn meets(&self, want: &str, kept: &mut HashMap<String, String>) -> Result<()> {
        if want == "no body" {
            ensure!(self.text.is_empty(), "there is a body");
            return Ok(());
        }
        if let Some((name, place)) = want.split_once(" <- ") {
            let value = match self.at(place) {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => self.header(place).context("there is nothing")?.to_owned(),
            };
            kept.insert(name.to_owned(), value);
            return Ok(());
        }
        if let Some((name, value)) = header(want) {
            let found = self.header(name);
            ensure!(found == Some(value), "the header is {found:?}");
            return Ok(());
        }
        let mut words = want.splitn(3, ' ');
        let (pointer, verb) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let rest = words.next().unwrap_or("").trim();
        ensure!(
            pointer.is_empty() || pointer.starts_with('/'),
            "what is this?"
        );
        let found = self.at(pointer);
        let json = || serde_json::from_str::<Value>(rest).context("that is not JSON");
        match verb {
            "=" => ensure!(found == Some(&json()?), "it is {found:?}"),
            "present" => ensure!(found.is_some(), "there is nothing"),
            "absent" => ensure!(found.is_none(), "it is {found:?}"),
            "~" => {
                let (text, part) = (found.and_then(Value::as_str), json()?);
                let part = part.as_str().context("a text to look for")?;
                ensure!(
                    text.is_some_and(|text| text.contains(part)),
                    "it is {found:?}"
                );
            }
            "has" | "lacks" => {
                let wanted = json()?;
                let has = found
                    .and_then(Value::as_array)
                    .is_some_and(|items| items.iter().any(|item| covers(item, &wanted)));
                ensure!(has == (verb == "has"), "it is {found:?}");
            }
            "count" => {
                let count = found.and_then(Value::as_array).map_or(0, Vec::len);
                ensure!(Ok(count) == rest.parse(), "there are {count}");
            }
            _ => bail!("what is this?"),
        }
        Ok(())
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The value at a JSON pointer.
    fn at(&self, pointer: &str) -> Option<&Value> {
        self.body?.pointer(pointer)
    }
}

/// Has the value at least what is wanted?
fn covers(value: &Value, wanted: &Value) -> bool {
    match (value, wanted) {
        (Value::Object(value), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| value.get(name).is_some_and(|value| covers(value, wanted))),
        (value, wanted) => value == wanted,
    }
}

fn filled(text: &str, kept: &HashMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in kept {
        text = text.replace(&format!("<{name}>"), value);
    }
    text
}
