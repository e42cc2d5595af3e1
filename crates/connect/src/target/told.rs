//! What the exchange log gets to see of a request and its answer: everything but what nobody should.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_engine::port::TargetError;
use muster_engine::trail;
use muster_model::exchange::{Body, Exchange, HIDDEN};
use muster_model::plan::Request as Write;
use reqwest::Request;
use serde_json::Value as Json;

use super::answer::Answer;

/// Bytes of a body that are kept at most.
const LONGEST: usize = 32 * 1024;
/// Headers of an answer that are kept at most, and characters of one.
const HEADERS: (usize, usize) = (32, 300);
/// Hidden values that are looked for in an answer at most.
const VALUES: usize = 200;

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

    /// Leaves out what is hidden in a SCIM message, and remembers it.
    fn hide(&self, json: &mut Json, seen: &mut Seen) {
        match json {
            Json::Array(items) => items.iter_mut().for_each(|item| self.hide(item, seen)),
            Json::Object(members) => {
                let path = members.get("path").and_then(Json::as_str);
                let is_meant = path.is_some_and(|path| self.holds(path));
                for (key, value) in members.iter_mut() {
                    if self.holds(key) || (is_meant && key == "value") {
                        seen.collect(value);
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

    /// Leaves out of a message what was hidden before, and whatever mentions a hidden attribute.
    fn hide_echoes(&self, json: &mut Json, seen: &Seen, budget: &mut usize) {
        match json {
            Json::String(text) if *budget == 0 => text.clear(),
            Json::String(text) => {
                *budget = budget.saturating_sub(text.len());
                let mentions = text.len() > HIDDEN.len() && self.is_in(text);
                *text = if mentions && text.contains([' ', '"']) {
                    HIDDEN.to_owned()
                } else {
                    seen.out_of(text)
                };
            }
            Json::Array(items) => {
                for item in items {
                    self.hide_echoes(item, seen, budget);
                }
            }
            Json::Object(members) => {
                for value in members.values_mut() {
                    self.hide_echoes(value, seen, budget);
                }
            }
            _ => {}
        }
    }

    /// What may be told of a body.
    fn body(&self, bytes: &[u8], seen: &mut Seen) -> Body {
        let text = String::from_utf8_lossy(bytes);
        // What is escaped may be anything.
        let is_plain = !text.contains('\\')
            && !self.is_in(&text)
            && seen.values.is_empty()
            && !seen.shows(&text);
        let (mut told, mut is_cut) = if is_plain {
            (text.into_owned(), false)
        } else {
            self.partly(bytes, &text, seen)
        };
        is_cut |= told.len() > LONGEST;
        let end = told.floor_char_boundary(LONGEST);
        told.truncate(end);
        Body {
            text: told,
            size: bytes.len() as u64,
            is_cut,
        }
    }

    /// A body without what is hidden in it; whether that is not all of it.
    fn partly(&self, bytes: &[u8], text: &str, seen: &mut Seen) -> (String, bool) {
        match serde_json::from_slice::<Json>(bytes) {
            Ok(mut json) => {
                let mut budget = LONGEST;
                self.hide(&mut json, seen);
                self.hide_echoes(&mut json, seen, &mut budget);
                (json.to_string(), budget == 0)
            }
            // Nobody knows what it is.
            Err(_) if self.is_in(text) => (HIDDEN.to_owned(), false),
            Err(_) => {
                let end = text.floor_char_boundary(LONGEST);
                let (mut told, is_cut) = (seen.out_of(&text[..end]), end < text.len());
                if is_cut {
                    // What stands at the end may be the beginning of what is hidden.
                    let rest = told.len().saturating_sub(seen.longest());
                    told.truncate(told.floor_char_boundary(rest));
                }
                (told, is_cut)
            }
        }
    }
}

/// Texts that were left out and must not come back.
#[derive(Debug, Default)]
struct Seen {
    /// What gave access.
    secrets: Vec<String>,
    /// Values of hidden attributes.
    values: Vec<String>,
}

impl Seen {
    /// What a request shows to be let in.
    fn of(request: &Request) -> Self {
        let shown = request.headers().get("authorization");
        let shown = shown.and_then(|value| value.to_str().ok());
        let Some((scheme, secret)) = shown.and_then(|it| it.split_once(' ')) else {
            return Self::default();
        };
        let mut secrets = vec![secret.to_owned()];
        if scheme.eq_ignore_ascii_case("basic")
            && let Ok(pair) = STANDARD.decode(secret)
            && let Some((_, password)) = String::from_utf8_lossy(&pair).split_once(':')
        {
            secrets.push(password.to_owned());
        }
        secrets.retain(|secret| secret.len() >= 4);
        Self {
            secrets,
            values: Vec::new(),
        }
    }

    fn shows(&self, text: &str) -> bool {
        self.secrets
            .iter()
            .any(|secret| text.contains(secret.as_str()))
    }

    /// Remembers a text that is long enough to be told from others.
    fn add(&mut self, text: &str) {
        if text.len() >= 4 && self.values.len() < VALUES && !self.values.iter().any(|it| it == text)
        {
            self.values.push(text.to_owned());
            // Longer ones first: a short one may be a part of them.
            self.values.sort_by_key(|it| std::cmp::Reverse(it.len()));
        }
    }

    /// Remembers the texts in a value, but for what kind of value it is.
    fn collect(&mut self, value: &Json) {
        match value {
            Json::String(text) => self.add(text),
            Json::Array(items) => items.iter().for_each(|item| self.collect(item)),
            Json::Object(members) => {
                let told = ["type", "primary", "$ref"];
                let others = members
                    .iter()
                    .filter(|(name, _)| !told.contains(&name.as_str()));
                others.for_each(|(_, item)| self.collect(item));
            }
            _ => {}
        }
    }

    /// Remembers what a filter compares with.
    fn collect_filter(&mut self, url: &reqwest::Url) {
        for (name, value) in url.query_pairs() {
            if name.eq_ignore_ascii_case("filter") {
                value
                    .split('"')
                    .skip(1)
                    .step_by(2)
                    .for_each(|it| self.add(it));
            }
        }
    }

    /// Bytes of the longest of these.
    fn longest(&self) -> usize {
        let all = self.secrets.iter().chain(&self.values);
        all.map(String::len).max().unwrap_or_default()
    }

    /// A text without any of these.
    fn out_of(&self, text: &str) -> String {
        let mut told = text.to_owned();
        for secret in self.secrets.iter().chain(&self.values) {
            if told.contains(secret.as_str()) {
                told = told.replace(secret.as_str(), HIDDEN);
            }
        }
        told
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

/// A request that is under way, and will be told of.
pub(super) struct Telling {
    began: Instant,
    method: String,
    url: String,
    asked_with: Vec<(String, String)>,
    sent: Option<Body>,
    seen: Seen,
}

impl Telling {
    /// Of a request; `None` when nobody listens.
    pub(super) fn of(request: &Request, hidden: &Hidden) -> Option<Self> {
        if !trail::is_heard() {
            return None;
        }
        let mut seen = Seen::of(request);
        let mut url = request.url().clone();
        if url.query().is_some_and(|query| hidden.is_in(query)) {
            seen.collect_filter(&url);
            url.set_query(Some(HIDDEN));
        }
        let body = request.body().and_then(|body| body.as_bytes());
        let sent = body.map(|bytes| hidden.body(bytes, &mut seen));
        let version = request.headers().get("if-match");
        let version = version.and_then(|value| value.to_str().ok());
        Some(Self {
            began: Instant::now(),
            method: request.method().to_string(),
            url: seen.out_of(url.as_str()),
            asked_with: version
                .map(|value| ("If-Match".to_owned(), value.to_owned()))
                .into_iter()
                .collect(),
            sent,
            seen,
        })
    }

    /// Of a write that is sent with others.
    pub(super) fn of_part(
        base: &str,
        write: &Write,
        hidden: &Hidden,
        secrets: Vec<String>,
    ) -> Option<Self> {
        if !trail::is_heard() {
            return None;
        }
        let mut seen = Seen {
            secrets,
            values: Vec::new(),
        };
        let body = write.body.as_ref();
        let sent = body.map(|body| hidden.body(body.as_bytes(), &mut seen));
        Some(Self {
            began: Instant::now(),
            method: write.method.clone(),
            url: seen.out_of(&format!("{base}{}", write.path)),
            asked_with: Vec::new(),
            sent,
            seen,
        })
    }

    /// Tells what was answered.
    pub(super) fn tell(self, hidden: &Hidden, answer: &Result<Answer, TargetError>) {
        let took = self.began.elapsed();
        let Self {
            method,
            url,
            asked_with,
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
                    (status, headers(answer, &seen), body, failure)
                }
                Err(error) => (None, Vec::new(), None, Some(error.to_string())),
            };
            Exchange {
                at,
                millis: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
                method,
                url,
                asked_with,
                sent,
                status,
                headers,
                answered,
                failure: failure.map(|it| seen.out_of(&it)),
            }
        });
    }
}

fn headers(answer: &Answer, seen: &Seen) -> Vec<(String, String)> {
    let told = answer.headers().iter().take(HEADERS.0);
    told.map(|(name, value)| {
        let text = match name.as_str() {
            "set-cookie" | "authorization" => HIDDEN.to_owned(),
            _ => seen.out_of(&String::from_utf8_lossy(value.as_bytes())),
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
        let told = Hidden::new(&paths).body(body.as_bytes(), &mut Seen::default());
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
        let mut seen = Seen::default();
        hidden.body(br#"{"nickName":"Moxie"}"#, &mut seen);
        let answer = hidden.body(br#"{"detail":"Moxie is taken"}"#, &mut seen);
        assert_eq!(answer.text, r#"{"detail":"[redacted] is taken"}"#);
        let answer = hidden.body(b"<b>nickName</b> too long", &mut seen);
        assert_eq!(answer.text, "[redacted]");
    }

    #[test]
    fn a_long_body_is_cut_and_its_size_is_told() {
        let tell = |text: &str, seen: &Seen| {
            let mut seen = Seen {
                secrets: seen.secrets.clone(),
                values: seen.values.clone(),
            };
            let told = Hidden::new(&[]).body(text.as_bytes(), &mut seen);
            assert_eq!(told.size, text.len() as u64);
            (told.text, told.is_cut)
        };
        let none = Seen::default();
        let long = "ä".repeat(LONGEST);
        assert_eq!(tell(&long, &none), ("ä".repeat(LONGEST / 2), true));
        let just = "x".repeat(LONGEST);
        assert_eq!(tell(&just, &none), (just.clone(), false));
        assert_eq!(tell(&format!("{just}y"), &none), (just, true));

        // What is left out makes it shorter; it was cut all the same.
        let secret = "s".repeat(100);
        let seen = Seen {
            secrets: vec![secret.clone()],
            values: Vec::new(),
        };
        let json = format!(r#"{{"a":"{}","b":"end"}}"#, secret.repeat(400));
        let (told, is_cut) = tell(&json, &seen);
        assert!(is_cut && !told.contains("ss"), "{told}");
        // One that stands where the text is cut is not begun.
        for before in 0..150 {
            let text = format!("{}{}", "-".repeat(before), secret.repeat(400));
            let (told, is_cut) = tell(&text, &seen);
            assert!(is_cut && !told.contains('s'), "{before}: {told}");
        }
    }

    #[test]
    fn what_holds_nothing_to_hide_is_told_as_it_is() {
        check(
            &[],
            r#"{ "a" : 1.0, "a" : 2 }"#,
            r#"{ "a" : 1.0, "a" : 2 }"#,
        );
        check(&[], "<p>none</p>", "<p>none</p>");
    }

    #[test]
    fn what_gives_access_is_left_out_where_nothing_else_is() {
        for (answer, told) in [
            (
                r#"{"detail":"no such token mst/token"}"#,
                r#"{"detail":"no such token [redacted]"}"#,
            ),
            (
                r#"{"detail":"no such token mst\/token"}"#,
                r#"{"detail":"no such token [redacted]"}"#,
            ),
            ("<p>mst/token</p>", "<p>[redacted]</p>"),
        ] {
            let mut seen = Seen {
                secrets: vec!["mst/token".to_owned()],
                values: Vec::new(),
            };
            let body = Hidden::new(&[]).body(answer.as_bytes(), &mut seen);
            assert_eq!((body.text.as_str(), body.is_cut), (told, false));
        }
        check(
            &[],
            r#"{"pass\u0077ord":"s3cret"}"#,
            r#"{"password":"[redacted]"}"#,
        );
    }

    #[test]
    fn what_a_target_echoes_is_left_out() {
        let hidden = Hidden::new(&["nickName".to_owned()]);
        let mut seen = Seen {
            secrets: vec!["mst_token".to_owned()],
            values: Vec::new(),
        };
        hidden.body(br#"{"nickName":"J\u00f6rg \"Moxie\""}"#, &mut seen);
        for (answer, told) in [
            (
                r#"{"detail":"J\u00f6rg \"Moxie\" is taken"}"#,
                r#"{"detail":"[redacted] is taken"}"#,
            ),
            (
                r#"{"detail":"invalid filter: nickName eq \"else\""}"#,
                r#"{"detail":"[redacted]"}"#,
            ),
            (
                r#"{"detail":"no such token mst_token"}"#,
                r#"{"detail":"no such token [redacted]"}"#,
            ),
            ("<p>mst_token is none</p>", "<p>[redacted] is none</p>"),
        ] {
            assert_eq!(hidden.body(answer.as_bytes(), &mut seen).text, told);
        }
        // What kind of value it is, is nobody's secret.
        let hidden = Hidden::new(&["phoneNumbers".to_owned()]);
        let mut seen = Seen::default();
        let body =
            br#"{"phoneNumbers":[{"type":"work","value":"+1 555"}],"emails":[{"type":"work"}]}"#;
        let told = hidden.body(body, &mut seen).text;
        assert_eq!(
            told,
            r#"{"phoneNumbers":"[redacted]","emails":[{"type":"work"}]}"#
        );
    }

    #[test]
    fn what_gives_access_is_known_and_so_is_what_a_filter_asks_for() {
        let client = crate::Http::new(crate::OutboundPolicy::default()).unwrap();
        let request = client.client().get("https://scim.example/Users");
        let basic = request
            .try_clone()
            .unwrap()
            .basic_auth("ana", Some("geheim"));
        let basic = Seen::of(&basic.build().unwrap());
        assert!(basic.secrets.contains(&"geheim".to_owned()), "{basic:?}");
        let filtered = request
            .query(&[("filter", "nickName eq \"Moxie\"")])
            .build();
        let mut seen = Seen::default();
        seen.collect_filter(filtered.unwrap().url());
        assert_eq!(seen.values, ["Moxie"]);
    }
}
