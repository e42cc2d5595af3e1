//! Plans: what a cycle would do, kept until it is done or forgotten. Written by the engine.
//!
//! An operation is kept as JSON text, which is what its digest is of, and what people and programs get
//! to see.

use data_encoding::HEXLOWER;
use muster_model::directory::Kind;
use muster_model::event::Modified;
use muster_model::job::Held;
use muster_model::link::TargetId;
use muster_model::plan::{Operation, Plan, Request};
use muster_model::{Position, Secret, TenantId, Timestamp, Value};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::cycles::{counts_from_json, counts_to_json};
use crate::json::{print, value_from_json};
use crate::{FromRow, Row, SealingKey, StoreError, Tx, Val};

/// A plan as JSON text: what its id is a digest of.
pub fn to_json(plan: &Plan) -> String {
    let counts: Json = serde_json::from_str(&counts_to_json(&plan.counts)).unwrap_or_default();
    let held = plan.held.map(|held| {
        json!({
            "withdrawn": held.objects, "memberships": held.memberships, "recent": held.recent,
            "managed": held.managed
        })
    });
    let waiting = plan.waiting.map(|(count, next)| {
        json!({
            "objects": count, "next": next.to_string(), "nextMicros": next.as_micros()
        })
    });
    json!({
        "job": plan.job.to_string(), "cycle": plan.kind.as_str(),
        "made": plan.made.to_string(), "madeMicros": plan.made.as_micros(),
        "from": plan.from.map(|at| at.to_string()), "until": plan.until.to_string(),
        "configuration": plan.configuration, "operations": plan.operations,
        "counts": counts, "waiting": waiting, "heldByGuard": held
    })
    .to_string()
}

/// The id of a plan, of its JSON text.
pub fn id_of(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text))
}

/// The digest of a plan's operations: of their texts, each with a line end.
#[derive(Debug, Default)]
pub struct Digester(Sha256);

impl Digester {
    /// Takes in the next operation.
    pub fn add(&mut self, operation: &str) {
        self.0.update(operation);
        self.0.update("\n");
    }

    /// The digest, in hexadecimal digits.
    pub fn end(self) -> String {
        HEXLOWER.encode(&self.0.finalize())
    }
}

/// What [`to_json`] made.
pub fn read(text: &str) -> Option<Plan> {
    let json: Json = serde_json::from_str(text).ok()?;
    let position = |json: &Json| json.as_str()?.parse::<Position>().ok();
    let (held, waiting) = (&json["heldByGuard"], &json["waiting"]);
    let next = waiting["nextMicros"].as_i64().map(Timestamp::from_micros);
    Some(Plan {
        job: json["job"].as_str()?.parse().ok()?,
        kind: json["cycle"].as_str()?.parse().ok()?,
        made: Timestamp::from_micros(json["madeMicros"].as_i64()?),
        from: position(&json["from"]),
        until: position(&json["until"])?,
        configuration: json["configuration"].as_str()?.to_owned(),
        operations: json["operations"].as_str()?.to_owned(),
        counts: counts_from_json(&json["counts"].to_string())?,
        waiting: waiting["objects"].as_u64().zip(next),
        held: read_held(held),
    })
}

fn read_held(json: &Json) -> Option<Held> {
    Some(Held {
        objects: json["withdrawn"].as_u64()?,
        memberships: json["memberships"].as_u64()?,
        recent: json["recent"].as_u64()?,
        managed: json["managed"].as_u64()?,
    })
}

/// An operation as JSON text.
pub fn operation_to_json(operation: &Operation) -> String {
    let value = |value: &Value| {
        let mut text = String::new();
        print(value, &mut text);
        serde_json::from_str::<Json>(&text).unwrap_or_default()
    };
    let modified = operation
        .modified
        .iter()
        .map(|it| json!({ "name": it.name, "before": value(&it.old), "after": value(&it.new) }));
    let requests = operation.requests.iter().map(|it| {
        let mut request = Map::new();
        request.insert("method".to_owned(), it.method.as_str().into());
        request.insert("path".to_owned(), it.path.as_str().into());
        let optional = [("body", &it.body), ("bodyDigest", &it.digest)];
        for (name, text) in optional {
            if let Some(text) = text {
                request.insert(name.to_owned(), text.as_str().into());
            }
        }
        Json::Object(request)
    });
    json!({
        "action": operation.action.as_str(), "status": operation.status.as_str(),
        "type": operation.kind.as_str(), "source": operation.source.to_string(),
        "name": operation.name, "target": operation.target.as_ref().map(|id| &id.0),
        "code": operation.code, "reason": operation.reason,
        "modified": modified.collect::<Vec<_>>(), "requests": requests.collect::<Vec<_>>()
    })
    .to_string()
}

/// What [`operation_to_json`] made.
pub fn operation_from_json(text: &str) -> Option<Operation> {
    let mut json: Json = serde_json::from_str(text).ok()?;
    let texts = |json: &Json| json.as_str().map(str::to_owned);
    let mut modified = Vec::new();
    for it in json["modified"].as_array_mut()? {
        modified.push(Modified {
            name: texts(&it["name"])?,
            old: value_from_json(it["before"].take()),
            new: value_from_json(it["after"].take()),
        });
    }
    let requests = json["requests"].as_array()?.iter().map(|it| {
        Some(Request {
            method: texts(&it["method"])?,
            path: texts(&it["path"])?,
            body: texts(&it["body"]),
            digest: texts(&it["bodyDigest"]),
        })
    });
    Some(Operation {
        kind: [Kind::User, Kind::Group]
            .into_iter()
            .find(|kind| json["type"] == kind.as_str())?,
        source: json["source"].as_str()?.parse().ok()?,
        name: texts(&json["name"])?,
        target: texts(&json["target"]).map(TargetId),
        action: json["action"].as_str()?.parse().ok()?,
        status: json["status"].as_str()?.parse().ok()?,
        code: texts(&json["code"])?,
        reason: texts(&json["reason"])?,
        requests: requests.collect::<Option<_>>()?,
        modified,
    })
}

/// A kept plan.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// What it says, without its operations.
    pub plan: Plan,
    /// From which the randomness in it came, sealed.
    seed: Vec<u8>,
}

impl FromRow for Kept {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let (id, text): (_, String) = (row.take()?, row.take()?);
        let plan = read(&text).ok_or_else(|| row.corrupt("unknown plan"))?;
        Ok(Self {
            id,
            plan,
            seed: row.take()?,
        })
    }
}

impl Kept {
    /// From which the randomness in it came.
    pub fn seed(&self, key: &SealingKey) -> Result<Secret<String>, StoreError> {
        key.open(&place(&self.id), &self.seed)
    }
}

fn place(plan: &str) -> Vec<u8> {
    format!("plan/{plan}").into_bytes()
}

/// Begins to keep a plan under its id, and forgets all but the newest `keep` of its job. Nobody finds it
/// before it is [`complete`]. Answers false when it is kept already.
pub async fn begin(
    tx: &mut Tx<'_>,
    key: &SealingKey,
    tenant: TenantId,
    (id, plan, seed): (&str, &Plan, &Secret<String>),
    keep: u32,
) -> Result<bool, StoreError> {
    let sql = "SELECT complete FROM plans WHERE tenant = $1 AND id = $2";
    if let Some((true,)) = tx.one(sql, &[tenant.into(), id.into()]).await? {
        return Ok(false);
    }
    forget(tx, tenant, id).await?;
    let sql = "INSERT INTO plans (tenant, id, job, made, body, seed, complete) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let params = [
        tenant.into(),
        id.into(),
        plan.job.into(),
        plan.made.into(),
        to_json(plan).into(),
        key.seal(&place(id), seed)?.into(),
        false.into(),
    ];
    tx.exec(sql, &params).await?;
    let sql = "SELECT id FROM plans WHERE tenant = $1 AND job = $2 ORDER BY made DESC, id";
    let all: Vec<(String,)> = tx.all(sql, &[tenant.into(), plan.job.into()]).await?;
    for (old,) in all.into_iter().skip(keep as usize) {
        forget(tx, tenant, &old).await?;
    }
    Ok(true)
}

/// All operations of a plan are kept.
pub async fn complete(tx: &mut Tx<'_>, tenant: TenantId, id: &str) -> Result<(), StoreError> {
    let sql = "UPDATE plans SET complete = $1 WHERE tenant = $2 AND id = $3";
    tx.exec(sql, &[true.into(), tenant.into(), id.into()])
        .await
        .map(|_| ())
}

/// Forgets a plan with its operations.
pub async fn forget(tx: &mut Tx<'_>, tenant: TenantId, plan: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM plan_operations WHERE tenant = $1 AND plan = $2";
    tx.exec(sql, &[tenant.into(), plan.into()]).await?;
    let sql = "DELETE FROM plans WHERE tenant = $1 AND id = $2";
    tx.exec(sql, &[tenant.into(), plan.into()])
        .await
        .map(|_| ())
}

/// The plans whose id begins with these hexadecimal digits; two suffice to tell that there are several.
pub async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    begins: &str,
) -> Result<Vec<Kept>, StoreError> {
    let sql = "SELECT id, body, seed FROM plans WHERE tenant = $1 AND id >= $2 AND id < $3 \
               AND complete ORDER BY id LIMIT 2";
    // No digit comes after `f`.
    let params = [tenant.into(), begins.into(), format!("{begins}g").into()];
    tx.all(sql, &params).await
}

/// Where an operation stands in its plan: objects and then their references, in the order of their ids.
/// Several of one object follow each other in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// What orders it among others.
    pub place: String,
    /// What orders it among those of the same place.
    pub number: i64,
}

/// An operation of a plan with its place, as JSON text.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its place.
    pub at: At,
    /// The operation.
    pub body: String,
}

impl FromRow for Placed {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            at: At {
                place: row.take()?,
                number: row.take()?,
            },
            body: row.take()?,
        })
    }
}

/// Adds operations to a plan.
pub async fn append(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    plan: &str,
    operations: Vec<Placed>,
) -> Result<(), StoreError> {
    let rows = operations.into_iter().map(|it| {
        vec![
            tenant.into(),
            plan.into(),
            it.at.place.into(),
            Val::Int(it.at.number),
            it.body.into(),
        ]
    });
    let head = "INSERT INTO plan_operations (tenant, plan, place, number, body)";
    tx.insert_many(head, "", rows.collect()).await.map(|_| ())
}

/// The operations of a plan after a place, in order.
pub async fn operations(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    plan: &str,
    after: &At,
    limit: u32,
) -> Result<Vec<Placed>, StoreError> {
    let sql = "SELECT place, number, body FROM plan_operations WHERE tenant = $1 AND plan = $2 \
               AND (place, number) > ($3, $4) ORDER BY place, number LIMIT $5";
    let params = [
        tenant.into(),
        plan.into(),
        after.place.as_str().into(),
        after.number.into(),
        limit.into(),
    ];
    tx.all(sql, &params).await
}
