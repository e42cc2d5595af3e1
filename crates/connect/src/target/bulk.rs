//! Several writes in one request (RFC 7644, 3.7), for targets that want it so.
//!
//! Whoever writes leaves the write in a queue and waits at the door. Who is let in sends what is there by then,
//! its own with that of others, and hands out what was answered; while it is under way, the next ones gather.

use std::collections::VecDeque;
use std::time::Duration;

use muster_engine::port::TargetError;
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
        let telling = Telling::of_part(&self.base, &write, &self.hidden);
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
            Ok(answer) => return parts(&answer, writes.len()),
            // As a whole: nobody is found or missing because of it.
            Err(TargetError::NotFound | TargetError::Refused { status: 405, .. }) => {
                TargetError::Refused {
                    status: 404,
                    detail: "it has no /Bulk; switch that off with: muster job dialect --bulk 0"
                        .to_owned(),
                }
            }
            Err(error) => error,
        };
        writes.iter().map(|_| Err(error.clone())).collect()
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

/// What a BulkResponse says of each of so many operations. They are told by their ids; where a server leaves these
/// out, by their order.
fn parts(answer: &Map<String, Json>, count: usize) -> Vec<Done> {
    let operations = answer.get("Operations").and_then(Json::as_array);
    let operations = operations.map_or(&[][..], Vec::as_slice);
    let by_order = operations.len() == count && operations.iter().all(|it| it["bulkId"].is_null());
    let find = |number: usize| {
        let is = |it: &&Json| it["bulkId"].as_str() == number.to_string().get(..);
        let named = operations.iter().find(is);
        named.or_else(|| operations.get(number).filter(|_| by_order))
    };
    let part = |number| {
        find(number).and_then(part).ok_or_else(|| {
            TargetError::Incompatible("its BulkResponse leaves an operation out".to_owned())
        })
    };
    (0..count).map(part).collect()
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

    fn statuses(answer: Json, count: usize) -> Vec<Option<u16>> {
        let answer = answer.as_object().unwrap().clone();
        let parts = parts(&answer, count).into_iter();
        parts
            .map(|it| it.ok().map(|answer| answer.status().as_u16()))
            .collect()
    }

    #[test]
    fn each_operation_finds_its_answer() {
        let answer = json!({ "Operations": [
            { "bulkId": "1", "status": "409", "response": { "detail": "taken" } },
            { "bulkId": "0", "status": 201, "location": "https://scim.example/Users/a%20b" },
        ] });
        assert_eq!(statuses(answer, 3), [Some(201), Some(409), None]);
        // Without ids, in their order; some say the status as SCIM 1.1 did.
        let answer =
            json!({ "Operations": [{ "status": { "code": "204" } }, { "status": "400" }] });
        assert_eq!(statuses(answer.clone(), 2), [Some(204), Some(400)]);
        assert_eq!(statuses(answer, 3), [None, None, None]);
        assert_eq!(statuses(json!({}), 1), [None]);
    }

    #[test]
    fn what_was_created_is_told_by_its_place() {
        let told = json!({ "status": "201", "location": "https://scim.example/Users/a%20b" });
        let id = answer::created("scim.example", part(&told).unwrap()).unwrap();
        assert_eq!(id.0, "a b");
    }
}
