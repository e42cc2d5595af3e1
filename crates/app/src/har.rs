//! Exchanges with a target as others read them: HAR 1.2, and commands for curl.

use muster_model::EventId;
use muster_model::exchange::{Body, Exchange, HIDDEN};
use serde_json::{Value as Json, json};

/// What a HAR file begins with; entries follow, separated by commas.
pub fn head() -> String {
    let creator = json!({ "name": "Muster", "version": env!("CARGO_PKG_VERSION") });
    format!(r#"{{"log":{{"version":"1.2","creator":{creator},"entries":["#)
}

/// What a HAR file ends with.
pub const TAIL: &str = "]}}";

/// One entry: an exchange of an event, and which attempt at its request it was. What HAR has no name for begins
/// with an underscore, as HAR wants it.
pub fn entry(event: EventId, exchange: &Exchange, attempt: usize) -> Json {
    let Exchange {
        at,
        millis,
        method,
        url,
        sent,
        status,
        headers,
        answered,
        failure,
        ..
    } = exchange;
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let query = query.split('&').filter(|pair| !pair.is_empty());
    let query: Vec<Json> = query
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            json!({ "name": decoded(name), "value": decoded(value) })
        })
        .collect();
    let header = |(name, value): &(String, String)| json!({ "name": name, "value": value });
    let said = |name: &str| headers.iter().find(|(it, _)| it == name);
    let text = |name: &str| said(name).map_or("", |(_, value)| value.as_str());
    let shown: Vec<Json> = sent_headers(exchange)
        .into_iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    let mut request = json!({
        "method": method, "url": url, "httpVersion": "HTTP/1.1", "cookies": [],
        "headers": shown, "queryString": query, "headersSize": -1,
        "bodySize": sent.as_ref().map_or(0, |body| body.size)
    });
    if let Some(body) = sent {
        request["postData"] = json!({
            "mimeType": SCIM, "params": [], "text": body.text, "comment": cut(body)
        });
    }
    let body = answered.as_ref();
    let content = json!({
        "size": body.map_or(0, |body| body.size), "mimeType": text("content-type"),
        "text": body.map_or("", |body| &body.text), "comment": body.map_or("", cut)
    });
    json!({
        "startedDateTime": at.to_string(), "time": millis, "request": request,
        "response": {
            "status": status.unwrap_or(0), "statusText": "", "httpVersion": "HTTP/1.1",
            "cookies": [], "headers": headers.iter().map(header).collect::<Vec<_>>(),
            "content": content, "redirectURL": text("location"), "headersSize": -1,
            "bodySize": body.map_or(0, |body| body.size)
        },
        "cache": {}, "timings": { "send": 0, "wait": millis, "receive": 0 },
        "comment": failure.as_deref().unwrap_or(""),
        "_event": event.to_string(), "_attempt": attempt
    })
}

/// The command that sends the same request once more. It takes what gives access from `$TOKEN`. Of one whose
/// values were left out, or that was cut, it is a comment: it would write something else.
pub fn curl(exchange: &Exchange) -> String {
    let is_whole = |body: &Body| !body.text.contains(HIDDEN) && cut(body).is_empty();
    let is_same = !exchange.url.contains(HIDDEN) && exchange.sent.as_ref().is_none_or(is_whole);
    let mark = if is_same {
        ""
    } else {
        "# not as it was sent: "
    };
    let head = format!(
        "{mark}curl -gsS -X {} {}",
        exchange.method,
        quoted(&exchange.url)
    );
    let shown = sent_headers(exchange).into_iter();
    let shown = shown.map(|(name, value)| match name {
        "Authorization" => "-H \"Authorization: Bearer $TOKEN\"".to_owned(),
        _ => format!("-H {}", quoted(&format!("{name}: {value}"))),
    });
    let body = exchange.sent.iter();
    let body = body.map(|body| format!("--data-raw {}", quoted(&body.text)));
    let words: Vec<String> = std::iter::once(head).chain(shown).chain(body).collect();
    words.join(" ")
}

/// What came of an exchange, in a few words.
pub fn outcome(exchange: &Exchange, attempt: usize) -> String {
    let answer = match (exchange.status, &exchange.failure) {
        (Some(status), None) => status.to_string(),
        (Some(status), Some(failure)) => format!("{status}, {failure}"),
        (None, failure) => failure.clone().unwrap_or_else(|| "no answer".to_owned()),
    };
    let attempt = match attempt {
        1 => String::new(),
        more => format!(", attempt {more}"),
    };
    format!("{answer} in {} ms{attempt}", exchange.millis)
}

const SCIM: &str = "application/scim+json";

/// The headers of a request that have to do with what it means.
fn sent_headers(exchange: &Exchange) -> Vec<(&str, &str)> {
    let mut headers = vec![
        ("Authorization", HIDDEN),
        ("Accept", "application/scim+json, application/json"),
    ];
    headers.extend(exchange.sent.as_ref().map(|_| ("Content-Type", SCIM)));
    let with = exchange.asked_with.iter();
    headers.extend(with.map(|(name, value)| (name.as_str(), value.as_str())));
    headers
}

/// Says so when a body is not told to its end.
fn cut(body: &Body) -> &'static str {
    if body.is_cut {
        "not all of it was kept"
    } else {
        ""
    }
}

fn decoded(text: &str) -> String {
    let spaces = text.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaces).decode_utf8_lossy();
    decoded.into_owned()
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use muster_model::Timestamp;

    use super::*;

    fn exchange() -> Exchange {
        Exchange {
            at: Timestamp::from_micros(0),
            millis: 12,
            method: "PATCH".to_owned(),
            url: "https://scim.example/Users/1?a=b%20c+d".to_owned(),
            asked_with: vec![("If-Match".to_owned(), "W/\"1\"".to_owned())],
            sent: Some(Body {
                text: r#"{"it":"isn't"}"#.to_owned(),
                size: 14,
                is_cut: false,
            }),
            status: Some(204),
            headers: vec![("etag".to_owned(), "W/\"1\"".to_owned())],
            answered: None,
            failure: None,
        }
    }

    #[test]
    fn a_command_is_one_that_a_shell_takes_as_it_is_meant() {
        assert_eq!(
            curl(&exchange()),
            "curl -gsS -X PATCH 'https://scim.example/Users/1?a=b%20c+d' \
             -H \"Authorization: Bearer $TOKEN\" \
             -H 'Accept: application/scim+json, application/json' \
             -H 'Content-Type: application/scim+json' -H 'If-Match: W/\"1\"' \
             --data-raw '{\"it\":\"isn'\\''t\"}'"
        );
        let mut hidden = exchange();
        hidden.url.push_str("&[redacted]");
        assert!(curl(&hidden).starts_with("# not as it was sent: curl"));
    }

    #[test]
    fn an_entry_says_what_har_asks_for() {
        let entry = entry(EventId::from_bytes([1; 16]), &exchange(), 2);
        assert_eq!(entry["request"]["queryString"][0]["value"], "b c d");
        assert_eq!(entry["request"]["postData"]["text"], r#"{"it":"isn't"}"#);
        assert_eq!(entry["response"]["status"], 204);
        assert_eq!(entry["_attempt"], 2);
        assert_eq!(outcome(&exchange(), 2), "204 in 12 ms, attempt 2");
    }
}
