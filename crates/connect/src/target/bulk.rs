//! Several writes in one request (RFC 7644, 3.7), for targets that want it so.
//!
//! Whoever writes leaves the write in a queue and waits at the door. Who is let in sends what is there by then,
//! its own with that of others, and hands out what was answered; while it is under way, the next ones gather.

use std::collections::VecDeque;
use std::time::Duration;

use muster_engine::port::{Over, TargetError};
use muster_engine::trail;
use muster_model::plan::Request;
use muster_scim::message::BULK_REQUEST;
use parking_lot::Mutex;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value as Json, json};
use tokio::sync::oneshot::{self, error::TryRecvError};

use super::ScimTarget;
use super::answer::{self, Answer};
use super::told::Telling;

/// So long others may join.
const SOON: Duration = Duration::from_millis(1);

/// Said of a target that knows no bulk requests.
const MISSING: &str = "it has no /Bulk; switch that off with: muster job dialect --bulk 0";

/// What came of one write; its status need not be 2xx.
type Done = Result<Answer, TargetError>;

/// Writes that wait to be sent together.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    queue: Mutex<VecDeque<(Request, oneshot::Sender<Done>)>>,
    door: tokio::sync::Mutex<()>,
}

impl ScimTarget {
    /// Sends a write together with others.
    pub(super) async fn put_in_bulk(&self, write: Request) -> Done {
        let telling = Telling::of_part(&self.base, &write, &self.hidden, self.auth.secrets());
        let done = self.join(write).await;
        if let Some(telling) = telling {
            telling.tell(&self.hidden, &done);
        }
        let answer = done?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(answer::refusal(&self.host, answer))
    }

    async fn join(&self, write: Request) -> Done {
        let (tell, mut told) = oneshot::channel();
        self.bulk.queue.lock().push_back((write, tell));
        let _inside = self.bulk.door.lock().await;
        loop {
            match told.try_recv() {
                Ok(done) => return done,
                Err(TryRecvError::Empty) => {}
                // Who sent it was broken off: it may have arrived.
                Err(TryRecvError::Closed) => {
                    return Err(TargetError::Unreachable {
                        host: self.host.clone(),
                        detail: "the bulk request was broken off".to_owned(),
                    });
                }
            }
            tokio::time::sleep(SOON).await;
            let (writes, tells): (Vec<Request>, Vec<_>) = {
                let mut queue = self.bulk.queue.lock();
                // Who does not wait any more does not want it any more.
                queue.retain(|(_, tell)| !tell.is_closed());
                let most = usize::from(self.dialect.bulk).min(queue.len());
                queue.drain(..most).unzip()
            };
            // It is told of in parts, to whom each is about.
            let sent = trail::aside(self.send_bulk(&writes)).await;
            for (tell, done) in tells.into_iter().zip(sent) {
                // Who does not wait any more needs no answer.
                let _ = tell.send(done);
            }
        }
    }

    /// Sends writes in one request; answers what came of each.
    async fn send_bulk(&self, writes: &[Request]) -> Vec<Done> {
        let operations: Vec<Json> = writes.iter().enumerate().map(operation).collect();
        let body = json!({ "schemas": [BULK_REQUEST], "Operations": operations });
        let request = self
            .ask(Method::POST, "/Bulk")
            .header("content-type", "application/scim+json")
            .body(body.to_string());
        let error = match self.json(request).await {
            Ok(answer) => return parts(&answer, writes),
            Err(error) => error,
        };
        if matches!(error, TargetError::Refused { status: 413, .. }) && writes.len() > 1 {
            let (first, second) = writes.split_at(writes.len() / 2);
            let mut done = Box::pin(self.send_bulk(first)).await;
            done.extend(Box::pin(self.send_bulk(second)).await);
            return done;
        }
        writes
            .iter()
            .map(|write| Err(of_all(&error, write, writes.len())))
            .collect()
    }
}

/// What a request that was refused as a whole means for one of its writes: nothing of what it says is about
/// somebody. Some of it may have been done all the same, which counts for what must not be done twice.
fn of_all(error: &TargetError, write: &Request, count: usize) -> TargetError {
    let (status, detail) = match error {
        TargetError::NotFound
        | TargetError::Refused { status: 405, .. }
        | TargetError::Failed { status: 501, .. } => {
            return TargetError::Refused {
                status: 404,
                over: Over::Other,
                detail: MISSING.to_owned(),
            };
        }
        TargetError::Conflict(_) => (409, "a bulk request was refused as a whole"),
        TargetError::NoTarget(_) => (400, "a bulk request was refused as a whole"),
        TargetError::Refused { status, .. } => (*status, "a bulk request was refused as a whole"),
        TargetError::Throttled { .. } if write.method == "POST" && count > 1 => {
            (429, "a bulk request was throttled as a whole")
        }
        other => return other.clone(),
    };
    let detail = detail.to_owned();
    if write.method == "POST" && count > 1 {
        TargetError::Failed { status, detail }
    } else {
        let over = Over::Other;
        TargetError::Refused {
            status,
            over,
            detail,
        }
    }
}

fn operation((number, write): (usize, &Request)) -> Json {
    let mut operation = json!({
        "method": write.method, "path": write.path, "bulkId": number.to_string()
    });
    let data = write.body.as_deref().map(serde_json::from_str::<Json>);
    if let Some(Ok(data)) = data {
        operation["data"] = data;
    }
    operation
}

/// What a BulkResponse says of each of these. They are told by their ids; what a server leaves without one, by
/// its place, unless it was created: somebody would be taken for somebody else.
fn parts(answer: &Map<String, Json>, writes: &[Request]) -> Vec<Done> {
    let operations = answer.get("Operations").and_then(Json::as_array);
    let operations = operations.map_or(&[][..], Vec::as_slice);
    let id = |it: &Json| match &it["bulkId"] {
        Json::String(id) => id.parse().ok(),
        id => id.as_u64(),
    };
    let by_place = operations.len() == writes.len()
        && operations.iter().enumerate().all(|(place, it)| {
            let is_same = id(it).is_none_or(|id| id == place as u64);
            is_same
                && it["method"]
                    .as_str()
                    .is_none_or(|it| it == writes[place].method)
        });
    let find = |number: usize| {
        let named = operations.iter().find(|it| id(it) == Some(number as u64));
        let may = by_place && writes[number].method != "POST";
        named.or_else(|| operations.get(number).filter(|_| may))
    };
    let part = |number| {
        find(number).and_then(part).ok_or_else(|| {
            TargetError::Incompatible("its BulkResponse leaves an operation out".to_owned())
        })
    };
    (0..writes.len()).map(part).collect()
}

/// The answer to one operation, as if it had been sent alone.
fn part(told: &Json) -> Option<Answer> {
    let status = &told["status"];
    let status = status.get("code").unwrap_or(status);
    let number = status.as_u64().or_else(|| status.as_str()?.parse().ok())?;
    let status = StatusCode::from_u16(number.try_into().ok()?).ok()?;
    let mut body = told["response"].clone();
    if status.is_success() && body["id"].is_null() {
        // What was created is told by its place alone.
        let location = told["location"].as_str().unwrap_or_default();
        let id = location.rsplit('/').next().unwrap_or_default();
        let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy();
        body = json!({ "id": id });
    }
    Some(Answer::of(status, body.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(methods: &[&'static str], operations: Json, expected: &[Option<u16>]) {
        let answer = json!({ "Operations": operations })
            .as_object()
            .unwrap()
            .clone();
        let writes: Vec<Request> = methods
            .iter()
            .map(|method| Request::new(method, "/Users".to_owned(), None))
            .collect();
        let done = parts(&answer, &writes).into_iter();
        let done: Vec<Option<u16>> = done
            .map(|it| it.ok().map(|answer| answer.status().as_u16()))
            .collect();
        assert_eq!(done, expected);
    }

    #[test]
    fn each_operation_finds_its_answer() {
        let (post, patch) = ("POST", "PATCH");
        let told = json!([
            { "bulkId": "1", "status": "409", "response": { "detail": "taken" } },
            { "bulkId": 0, "status": 201, "location": "https://scim.example/Users/a%20b" },
        ]);
        check(&[post, post, post], told, &[Some(201), Some(409), None]);
        // Without ids, by their places; some say the status as SCIM 1.1 did.
        let told = json!([{ "status": { "code": "204" } }, { "status": "400" }]);
        check(&[patch, patch], told.clone(), &[Some(204), Some(400)]);
        check(&[patch, patch, patch], told.clone(), &[None, None, None]);
        // Nobody is taken for somebody else.
        check(&[post, patch], told, &[None, Some(400)]);
        let told = json!([{ "bulkId": "0", "status": "201" }, { "status": "204" }]);
        check(&[post, patch], told, &[Some(201), Some(204)]);
        check(&[patch], json!([]), &[None]);
    }

    #[test]
    fn what_is_refused_as_a_whole_is_about_nobody_and_may_have_been_done() {
        let write = |method| Request::new(method, "/Users".to_owned(), None);
        let throttled = TargetError::Throttled {
            wait: None,
            said: None,
        };
        for error in [
            throttled.clone(),
            TargetError::Conflict("x".to_owned()),
            TargetError::NoTarget("x".to_owned()),
        ] {
            assert!(of_all(&error, &write("POST"), 2).may_have_arrived());
        }
        assert_eq!(of_all(&throttled, &write("PATCH"), 2), throttled);
        assert_eq!(of_all(&throttled, &write("POST"), 1), throttled);
        let missing = of_all(&TargetError::NotFound, &write("POST"), 2);
        assert!(!missing.may_have_arrived() && missing.to_string().contains("--bulk 0"));
    }

    #[test]
    fn what_was_created_is_told_by_its_place() {
        let told = json!({ "status": "201", "location": "https://scim.example/Users/a%20b" });
        let id = answer::created("scim.example", part(&told).unwrap()).unwrap();
        assert_eq!(id.0, "a b");
    }
}
