//! What the exchange log gets to see of a request and its answer: everything but what nobody should.

use std::time::Instant;

use muster_engine::port::TargetError;
use muster_engine::trail;
use muster_model::exchange::{Body, Exchange};
use reqwest::Request;
use serde_json::Value as Json;

use super::answer::Answer;

/// What stands where something was left out.
const HIDDEN: &str = "[redacted]";
/// Bytes of a body that are kept at most.
const LONGEST: usize = 32 * 1024;
/// Headers of an answer that are kept at most, and characters of one.
const HEADERS: (usize, usize) = (32, 300);

/// Attributes whose values are not told, in lower case.
#[derive(Debug)]
pub(super) struct Hidden(Vec<String>);

impl Hidden {
    /// By paths of attributes. Of a complex attribute all is left out, whichever part is meant: it is better to
    /// tell too little.
    pub(super) fn new(paths: &[String]) -> Self {
        let mut names: Vec<String> = paths.iter().map(|path| name(path)).collect();
        names.extend(["password", "client_secret"].map(str::to_owned));
        if names.iter().any(|name| name == "displayname") {
            // What refers to an object shows its name so (RFC 7643, 2.4).
            names.push("display".to_owned());
        }
        Self(names)
    }

    fn holds(&self, path: &str) -> bool {
        self.0.contains(&name(path))
    }

    /// Is there anything in this text that may have to be left out?
    fn is_in(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        self.0.iter().any(|name| text.contains(name.as_str()))
    }

    /// Leaves out what is hidden in a SCIM message; adds the texts that were there to `seen`.
    fn hide(&self, json: &mut Json, seen: &mut Vec<String>) {
        match json {
            Json::Array(items) => items.iter_mut().for_each(|item| self.hide(item, seen)),
            Json::Object(members) => {
                let path = members.get("path").and_then(Json::as_str);
                let is_meant = path.is_some_and(|path| self.holds(path));
                for (key, value) in members.iter_mut() {
                    if self.holds(key) || (is_meant && key == "value") {
                        collect(value, seen);
                        *value = HIDDEN.into();
                    } else if is_meant && key == "path" {
                        // A filter in it may hold a value.
                        let attribute = value.as_str().unwrap_or_default();
                        let attribute = attribute.split('[').next().unwrap_or_default();
                        *value = attribute.into();
                    } else {
                        self.hide(value, seen);
                    }
                }
            }
            _ => {}
        }
    }

    /// What may be told of a body.
    fn body(&self, bytes: &[u8], seen: &mut Vec<String>) -> Body {
        let text = String::from_utf8_lossy(bytes);
        let mut told = match serde_json::from_slice::<Json>(bytes) {
            _ if !self.is_in(&text) => text.into_owned(),
            Ok(mut json) => {
                self.hide(&mut json, seen);
                json.to_string()
            }
            // Nobody knows what it is.
            Err(_) => HIDDEN.to_owned(),
        };
        for secret in seen {
            told = told.replace(secret.as_str(), HIDDEN);
        }
        let end = told.floor_char_boundary(LONGEST);
        told.truncate(end);
        Body {
            text: told,
            size: bytes.len() as u64,
        }
    }
}

/// The name of the attribute that a path begins with, in lower case: `emails` of `emails[type eq "work"].value`,
/// `costcenter` of `urn:…:User:costCenter`.
fn name(path: &str) -> String {
    let head = path.split('[').next().unwrap_or_default();
    let last = head.rsplit(':').next().unwrap_or_default();
    let name = last.split('.').next().unwrap_or_default();
    name.trim().to_ascii_lowercase()
}

/// The texts in a value that are long enough to be told from others.
fn collect(value: &Json, seen: &mut Vec<String>) {
    match value {
        Json::String(text) if text.len() >= 4 => seen.push(text.clone()),
        Json::Array(items) => items.iter().for_each(|item| collect(item, seen)),
        Json::Object(members) => members.values().for_each(|item| collect(item, seen)),
        _ => {}
    }
}

/// A request that is under way, and will be told of.
pub(super) struct Telling {
    began: Instant,
    method: String,
    url: String,
    sent: Option<Body>,
    seen: Vec<String>,
}

impl Telling {
    /// Of a request; `None` when nobody listens.
    pub(super) fn of(request: &Request, hidden: &Hidden) -> Option<Self> {
        if !trail::is_heard() {
            return None;
        }
        let mut url = request.url().clone();
        if url.query().is_some_and(|query| hidden.is_in(query)) {
            url.set_query(Some(HIDDEN));
        }
        let mut seen = Vec::new();
        let body = request.body().and_then(|body| body.as_bytes());
        Some(Self {
            began: Instant::now(),
            method: request.method().to_string(),
            url: url.to_string(),
            sent: body.map(|bytes| hidden.body(bytes, &mut seen)),
            seen,
        })
    }

    /// Tells what was answered.
    pub(super) fn tell(self, hidden: &Hidden, answer: &Result<Answer, TargetError>) {
        let took = self.began.elapsed();
        let Self {
            method,
            url,
            sent,
            mut seen,
            ..
        } = self;
        trail::tell(took, |at| {
            let (status, headers, answered, failure) = match answer {
                Ok(answer) => {
                    let (body, failure) = match answer.body() {
                        Ok(body) => (body, None),
                        Err(failure) => (&[][..], Some(failure)),
                    };
                    let body = (!body.is_empty()).then(|| hidden.body(body, &mut seen));
                    let status = Some(answer.status().as_u16());
                    (status, headers(answer), body, failure)
                }
                Err(error) => (None, Vec::new(), None, Some(error.to_string())),
            };
            Exchange {
                at,
                millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                method,
                url,
                sent,
                status,
                headers,
                answered,
                failure,
            }
        });
    }
}

fn headers(answer: &Answer) -> Vec<(String, String)> {
    let told = answer.headers().iter().take(HEADERS.0);
    told.map(|(name, value)| {
        let text = match name.as_str() {
            "set-cookie" | "authorization" => HIDDEN.to_owned(),
            _ => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        let text = text.chars().take(HEADERS.1).collect();
        (name.as_str().to_owned(), text)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hidden: &[&str], body: &str, expected: &str) {
        let paths: Vec<String> = hidden.iter().map(|&path| path.to_owned()).collect();
        let told = Hidden::new(&paths).body(body.as_bytes(), &mut Vec::new());
        assert_eq!(told.text, expected);
        assert_eq!(told.size, body.len() as u64);
    }

    #[test]
    fn hidden_attributes_are_left_out_wherever_they_stand() {
        check(&[], r#"{"a":"b"}"#, r#"{"a":"b"}"#);
        check(
            &[],
            r#"{"password":"s3cret"}"#,
            r#"{"password":"[redacted]"}"#,
        );
        check(
            &["phoneNumbers[type eq \"work\"].value"],
            r#"{"phoneNumbers":[{"type":"work","value":"+1 555"}],"userName":"a"}"#,
            r#"{"phoneNumbers":"[redacted]","userName":"a"}"#,
        );
        let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        check(
            &[&format!("{urn}:costCenter")],
            &format!(r#"{{"{urn}":{{"costCenter":"4711","division":"x"}}}}"#),
            &format!(r#"{{"{urn}":{{"costCenter":"[redacted]","division":"x"}}}}"#),
        );
    }

    #[test]
    fn hidden_attributes_are_left_out_of_patches() {
        check(
            &["phoneNumbers[type eq \"work\"].value"],
            r#"{"Operations":[{"op":"replace","path":"phoneNumbers[type eq \"work\"].value","value":"+1 555"}]}"#,
            r#"{"Operations":[{"op":"replace","path":"phoneNumbers","value":"[redacted]"}]}"#,
        );
        check(
            &["name.familyName"],
            r#"{"Operations":[{"op":"replace","value":{"name.familyName":"Roe","title":"x"}}]}"#,
            r#"{"Operations":[{"op":"replace","value":{"name.familyName":"[redacted]","title":"x"}}]}"#,
        );
        check(
            &["emails[type eq \"work\"].value"],
            r#"{"Operations":[{"op":"remove","path":"emails[value eq \"a@b.c\"]"}]}"#,
            r#"{"Operations":[{"op":"remove","path":"emails"}]}"#,
        );
    }

    #[test]
    fn what_was_left_out_of_a_request_is_left_out_of_its_answer() {
        let hidden = Hidden::new(&["nickName".to_owned()]);
        let mut seen = Vec::new();
        hidden.body(br#"{"nickName":"Moxie"}"#, &mut seen);
        let answer = hidden.body(br#"{"detail":"Moxie is taken"}"#, &mut seen);
        assert_eq!(answer.text, r#"{"detail":"[redacted] is taken"}"#);
        let answer = hidden.body(b"<b>nickName</b> too long", &mut seen);
        assert_eq!(answer.text, "[redacted]");
    }

    #[test]
    fn a_long_body_is_cut_and_its_size_is_told() {
        let long = "ä".repeat(LONGEST);
        let told = Hidden::new(&[]).body(long.as_bytes(), &mut Vec::new());
        assert_eq!((told.text.len(), told.size), (LONGEST, 2 * LONGEST as u64));
    }
}
