//! Delta queries (4.2): everything once, and from then on what has changed.

use std::collections::BTreeMap;

use http::{StatusCode, header};
use muster_app::directory::read::{self, Change};
use muster_model::directory::Kind;
use muster_model::{GroupId, ObjectId, Position, Timestamp, UserId};
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::directory::{group_object, user_object};
use crate::filter::Filter;
use crate::page::{open, seal};
use crate::query::{DIRECTORY, select, shown};
use crate::request::Call;
use crate::shape::{GROUP, Shape, USER};

/// How long a link is good, in days: what is older begins anew.
const KEPT_DAYS: i64 = 30;
/// Changes that are read at once, and members of a group that come at once.
const PORTION: u32 = 1000;
/// Objects that a filter names at most.
const NAMED: usize = 50;

/// Where a round stands.
#[derive(Debug, Default)]
struct Round {
    /// The changes after this place belong to the next one.
    position: Position,
    /// The properties that are asked for.
    select: Option<Vec<String>>,
    /// The only objects that are asked for.
    only: Option<Vec<String>>,
    /// Of a first round: after which object it goes on, and after which member of the next group.
    after: Option<String>,
    member: Option<(String, String)>,
    /// Is it the first one?
    is_first: bool,
    /// When the link was made.
    made: Option<Timestamp>,
}

impl Round {
    fn token(&self, made: Timestamp) -> String {
        let member = self
            .member
            .as_ref()
            .map(|(group, member)| json!([group, member]));
        seal(&json!({
            "p": self.position.to_string(), "s": self.select, "o": self.only, "a": self.after,
            "m": member, "f": self.is_first, "t": made.as_micros()
        }))
    }

    fn read(token: &str, name: &str) -> Result<Self, Fault> {
        let json = open(token, name)?;
        let list = |json: &Json| -> Option<Vec<String>> {
            let items = json.as_array()?.iter();
            Some(
                items
                    .filter_map(|it| it.as_str().map(str::to_owned))
                    .collect(),
            )
        };
        let text = |json: &Json| json.as_str().map(str::to_owned);
        let wrong = || {
            Fault::bad_request(format!(
                "The value of '${name}' is not one that was given out here."
            ))
        };
        Ok(Self {
            position: json["p"]
                .as_str()
                .and_then(|it| it.parse().ok())
                .ok_or_else(wrong)?,
            select: list(&json["s"]),
            only: list(&json["o"]),
            after: text(&json["a"]),
            member: text(&json["m"][0]).zip(text(&json["m"][1])),
            is_first: json["f"] == true,
            made: json["t"].as_i64().map(Timestamp::from_micros),
        })
    }
}

/// `GET /users/delta`
pub(crate) async fn users(call: Call) -> Result<Answer, Fault> {
    let (round, top) = begin(&call, &USER).await?;
    let is_first = round.is_first;
    let of = Of {
        call: &call,
        kind: Kind::User,
        round,
    };
    if is_first {
        of.all_users(top).await
    } else {
        of.changes().await
    }
}

/// `GET /groups/delta`
pub(crate) async fn groups(call: Call) -> Result<Answer, Fault> {
    let (round, top) = begin(&call, &GROUP).await?;
    let is_first = round.is_first;
    let of = Of {
        call: &call,
        kind: Kind::Group,
        round,
    };
    if is_first {
        of.all_groups(top).await
    } else {
        of.changes().await
    }
}

/// The round that a request asks for, and how large its pages are.
async fn begin(call: &Call, shape: &'static Shape) -> Result<(Round, u32), Fault> {
    for (name, value) in &call.pairs {
        match name.as_str() {
            "orderby" | "search" | "skip" | "count" => {
                return Err(Fault::bad_request(format!(
                    "'${name}' is not supported in a delta query."
                )));
            }
            "expand" if value != "members" => {
                return Err(Fault::bad_request(
                    "'$expand' is not supported in a delta query.",
                ));
            }
            _ => {}
        }
    }
    let plain = |name: &str| {
        let mut pairs = call.pairs.iter();
        pairs
            .find(|(it, _)| it == name)
            .map(|(_, value)| value.as_str())
    };
    if let Some(token) = plain("skiptoken") {
        return Ok((Round::read(token, "skiptoken")?, PORTION));
    }
    match plain("deltatoken") {
        Some("latest") | None => {}
        Some(token) => {
            let round = Round::read(token, "deltatoken")?;
            let oldest = call.ctx.clock.now().plus_seconds(-KEPT_DAYS * 86_400);
            if round.made.is_none_or(|made| made < oldest) {
                let anew = format!("{}{}", call.base, call.path);
                return Err(Fault::new(
                    StatusCode::GONE,
                    "syncStateNotFound",
                    "The delta token is too old: begin anew at the address in Location.",
                )
                .with(header::LOCATION, anew));
            }
            return Ok((round, PORTION));
        }
    }
    // Those that are asked for beside the properties are always there.
    let named = plain("select").map(|text| {
        let names = text.split(',').map(str::trim);
        let names: Vec<&str> = names
            .filter(|name| !["members", "manager"].contains(name))
            .collect();
        names.join(",")
    });
    let selected = match named {
        Some(text) => select(&text, shape)?,
        None => None,
    };
    let only = match plain("filter") {
        Some(text) => {
            let filter = Filter::parse(text, shape)?;
            let ids = filter.one_of("id").filter(|ids| ids.len() <= NAMED);
            let ids = ids.ok_or_else(|| {
                Fault::bad_request(format!(
                    "A delta query is filtered by at most {NAMED} ids: id eq '…' or id eq '…'."
                ))
            })?;
            Some(ids.into_iter().map(str::to_ascii_lowercase).collect())
        }
        None => None,
    };
    let top = plain("top")
        .and_then(|top| top.parse().ok())
        .unwrap_or(DIRECTORY.most);
    let round = Round {
        position: read::end_of_changes(&call.ctx).await?,
        select: selected,
        only,
        is_first: plain("deltatoken").is_none(),
        ..Round::default()
    };
    Ok((round, top.clamp(1, DIRECTORY.most)))
}

struct Of<'c> {
    call: &'c Call,
    kind: Kind,
    round: Round,
}

impl Of<'_> {
    fn wants(&self, id: &str) -> bool {
        self.round
            .only
            .as_ref()
            .is_none_or(|only| only.iter().any(|it| it == id))
    }

    const fn shape(&self) -> &'static Shape {
        match self.kind {
            Kind::User => &USER,
            Kind::Group => &GROUP,
        }
    }

    fn object(&self, object: Map<String, Json>) -> Json {
        match &self.round.select {
            Some(names) => shown(object, Some(names), &[], self.shape()),
            // The properties that were ever set.
            None => object.into(),
        }
    }

    /// A page; with a link to the next one, or to what will have changed.
    fn answer(self, value: Vec<Json>, is_last: bool) -> Answer {
        let name = match self.kind {
            Kind::User => "users",
            Kind::Group => "groups",
        };
        let selected = self.round.select.as_ref();
        let selected = selected.map_or_else(String::new, |names| format!("({})", names.join(",")));
        let now = self.call.ctx.clock.now();
        let (link, parameter) = if is_last {
            ("@odata.deltaLink", "deltatoken")
        } else {
            ("@odata.nextLink", "skiptoken")
        };
        let next = Round {
            is_first: self.round.is_first && !is_last,
            ..self.round
        };
        let mut answer = Map::new();
        answer.insert(
            "@odata.context".to_owned(),
            self.call.context(&format!("{name}{selected}")),
        );
        let at = self.call.link(&[], parameter, &next.token(now));
        answer.insert(link.to_owned(), at.into());
        answer.insert("value".to_owned(), value.into());
        Answer::ok(answer.into())
    }

    async fn all_users(mut self, top: u32) -> Result<Answer, Fault> {
        let after = self.round.after.as_ref().and_then(|id| id.parse().ok());
        let (users, next) = read::users_after(&self.call.ctx, after, false, top).await?;
        let value: Vec<Json> = users
            .iter()
            .filter(|user| self.wants(&user.id.to_string()))
            .map(|user| self.object(user_object(user)))
            .collect();
        self.round.after = next.map(|id: UserId| id.to_string());
        Ok(self.answer(value, next.is_none()))
    }

    /// A group that has more members than go into a page comes again.
    async fn all_groups(mut self, top: u32) -> Result<Answer, Fault> {
        let mut value = Vec::new();
        let mut room = PORTION;
        let after = self.round.after.as_ref().and_then(|id| id.parse().ok());
        let (groups, next) = read::groups_after(&self.call.ctx, after, top).await?;
        for group in &groups {
            let id = group.id.to_string();
            if !self.wants(&id) {
                self.round.after = Some(id);
                continue;
            }
            let from = self.round.member.take().filter(|(of, _)| *of == id);
            let from = from.and_then(|(_, member)| member.parse().ok());
            let members = read::members_after(&self.call.ctx, group.id, from, room).await?;
            let mut object = match self.object(group_object(group)) {
                Json::Object(object) => object,
                _ => Map::new(),
            };
            let added: Vec<Json> = members
                .iter()
                .map(|(id, kind)| member_object(*id, *kind))
                .collect();
            room -= u32::try_from(added.len()).unwrap_or(room).min(room);
            if !added.is_empty() {
                object.insert("members@delta".to_owned(), added.into());
            }
            value.push(object.into());
            if room == 0 {
                let last = members.last().map(|(last, _)| last.to_string());
                self.round.member = last.map(|last| (id, last));
                return Ok(self.answer(value, false));
            }
            self.round.after = Some(id);
        }
        if let Some(next) = next {
            self.round.after = Some(next.to_string());
        }
        Ok(self.answer(value, next.is_none()))
    }

    /// What has changed since, each object once with its last state.
    async fn changes(mut self) -> Result<Answer, Fault> {
        let position = self.round.position;
        let (changes, last) = read::changes_after(&self.call.ctx, position, PORTION).await?;
        let is_last = changes.len() < PORTION as usize;
        // Objects in the order of their last change, and the members of groups.
        let mut order: Vec<ObjectId> = Vec::new();
        let mut members: BTreeMap<ObjectId, Vec<ObjectId>> = BTreeMap::new();
        for change in changes {
            let (id, member) = match (change, self.kind) {
                (Change::User(id) | Change::UserPurged(id), Kind::User)
                | (Change::Group(id) | Change::GroupPurged(id), Kind::Group) => (id, None),
                (Change::Membership { group, member }, Kind::Group) => (group, Some(member)),
                _ => continue,
            };
            if !self.wants(&id.to_string()) {
                continue;
            }
            order.retain(|it| *it != id);
            order.push(id);
            let of = members.entry(id).or_default();
            if let Some(member) = member.filter(|member| !of.contains(member)) {
                of.push(member);
            }
        }
        let mut value = Vec::with_capacity(order.len());
        for id in order {
            let changed = members.remove(&id).unwrap_or_default();
            value.push(self.changed(id, changed).await?);
        }
        self.round.position = last;
        Ok(self.answer(value, is_last))
    }

    async fn changed(&self, id: ObjectId, members: Vec<ObjectId>) -> Result<Json, Fault> {
        let removed =
            |reason: &str| json!({ "id": id.to_string(), "@removed": { "reason": reason } });
        if self.kind == Kind::User {
            let user = read::any_user(&self.call.ctx, id.user()).await?;
            return Ok(match user {
                Some(user) if user.deleted.is_none() => self.object(user_object(&user)),
                Some(_) => removed("changed"),
                None => removed("deleted"),
            });
        }
        let group: GroupId = id.group();
        let Some(found) = read::group(&self.call.ctx, group).await? else {
            return Ok(removed("deleted"));
        };
        let mut object = match self.object(group_object(&found)) {
            Json::Object(object) => object,
            _ => Map::new(),
        };
        let mut delta = Vec::with_capacity(members.len());
        for member in members {
            let known = read::objects(&self.call.ctx, &[member]).await?;
            let kind = match known.first() {
                Some(read::Object::Group(_)) => Kind::Group,
                Some(read::Object::User(_)) | None => Kind::User,
            };
            let mut told = member_object(member, kind);
            if !read::is_member(&self.call.ctx, group, member).await? {
                told["@removed"] = json!({ "reason": "deleted" });
            }
            delta.push(told);
        }
        if !delta.is_empty() {
            object.insert("members@delta".to_owned(), delta.into());
        }
        Ok(object.into())
    }
}

fn member_object(id: ObjectId, kind: Kind) -> Json {
    let kind = match kind {
        Kind::User => "#microsoft.graph.user",
        Kind::Group => "#microsoft.graph.group",
    };
    json!({ "@odata.type": kind, "id": id.to_string() })
}
