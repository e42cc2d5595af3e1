//! What a transaction keeps back of a group whose members come and go, so that several changes are written once, on
//! PostgreSQL by one statement.

use std::collections::HashMap;
use std::fmt::Write as _;

use muster_model::ResourceId;
use muster_model::integration::ResourceKind;

use crate::received::{Told, insert_events};
use crate::resources::members::NewMember;
use crate::resources::{Place, Resource};
use crate::{StoreError, Tx, Val};

/// A group as it is now, in a transaction that holds it, or at the writer of SQLite, which holds everything. Members
/// are added one by one, each with a new version of the group, so of several changes in one commit only the last
/// version is written down. What else is done in between lets go of it.
#[derive(Debug)]
pub(crate) struct Recent {
    place: Place,
    group: Resource,
    is_written: bool,
    /// The version that it had when the transaction took it up.
    found: i64,
}

impl Recent {
    pub(super) const fn new(place: Place, group: Resource) -> Self {
        Self {
            place,
            found: group.version,
            group,
            is_written: true,
        }
    }

    /// The group, if it is this one.
    pub(super) fn find(
        &self,
        place: Place,
        kind: ResourceKind,
        id: ResourceId,
    ) -> Option<&Resource> {
        let is_it = (self.place, self.group.kind, self.group.id) == (place, kind, id);
        is_it.then_some(&self.group)
    }

    /// Takes over the version and the time, if it is this group; answers whether it is.
    pub(super) fn touch(&mut self, place: Place, resource: &Resource) -> bool {
        let is_it = self.find(place, resource.kind, resource.id).is_some();
        if is_it {
            (self.group.version, self.group.modified) = (resource.version, resource.modified);
            self.is_written = false;
        }
        is_it
    }

    /// The statement that writes its version and time, unless they are written.
    pub(crate) fn unwritten(&self) -> Option<Statement> {
        (!self.is_written).then(|| touch(self.place, &self.group))
    }

    /// After that.
    pub(crate) fn written(self) -> Self {
        Self {
            is_written: true,
            ..self
        }
    }
}

/// A statement and its parameters.
type Statement = (&'static str, Vec<Val>);

/// Writes the version and the time of a resource.
pub(super) fn touch(place: Place, resource: &Resource) -> Statement {
    let sql = "UPDATE resources SET version = $1, modified = $2 \
               WHERE tenant = $3 AND integration = $4 AND kind = $5 AND id = $6";
    let mut params: Vec<Val> = vec![resource.version.into(), resource.modified.into()];
    params.extend(place.params([resource.kind.into(), resource.id.into()]));
    (sql, params)
}

/// Who of those that a transaction is about to add to a group, or to remove from it, is a member: nobody else changes
/// that, so it is known who comes and who goes before it is written.
#[derive(Debug)]
pub(crate) struct Roster {
    place: Place,
    group: ResourceId,
    members: HashMap<String, Seat>,
    /// Nobody was asked: who is added is believed to be no member yet, and who is removed to be one.
    is_belief: bool,
    /// Somebody was added who was a member already, or removed who was none.
    is_idle: bool,
    moves: Moves,
}

/// Where somebody stands.
#[derive(Clone, Copy, Debug)]
struct Seat {
    is_member: bool,
    /// Did that change since the last time that changes were written?
    is_new: bool,
}

/// Who came and who went, as far as it is not written.
#[derive(Debug, Default)]
struct Moves {
    came: Vec<NewMember>,
    went: Vec<String>,
}

impl Roster {
    pub(super) fn new(
        place: Place,
        group: ResourceId,
        members: impl Iterator<Item = (String, bool)>,
    ) -> Self {
        let seat = |(member, is_member)| {
            let is_new = false;
            (member, Seat { is_member, is_new })
        };
        Self {
            place,
            group,
            members: members.map(seat).collect(),
            is_belief: false,
            is_idle: false,
            moves: Moves::default(),
        }
    }

    /// Is it known of this group who of those that come or go is a member?
    pub(super) fn is_of(tx: &Tx<'_>, group: ResourceId) -> bool {
        let roster = tx.held.roster.as_ref();
        roster.is_some_and(|roster| roster.group == group)
    }

    /// Somebody comes: kept back, if it is known whether it is a member; answers whether it was none.
    pub(super) async fn comes(
        tx: &mut Tx<'_>,
        group: ResourceId,
        member: &NewMember,
    ) -> Result<Option<bool>, StoreError> {
        let came = Self::note(tx, group, &member.value, true).await?;
        if let (Some(true), Some(roster)) = (came, &mut tx.held.roster) {
            roster.moves.came.push(member.clone());
            tx.kept += 1;
        }
        Ok(came)
    }

    /// Somebody goes: kept back, if it is known whether it is a member; answers whether it was one.
    pub(super) async fn goes(
        tx: &mut Tx<'_>,
        group: ResourceId,
        member: &str,
    ) -> Result<Option<bool>, StoreError> {
        let went = Self::note(tx, group, member, false).await?;
        if let (Some(true), Some(roster)) = (went, &mut tx.held.roster) {
            roster.moves.went.push(member.to_owned());
            tx.kept += 1;
        }
        Ok(went)
    }

    /// Notes that somebody is a member from now on, or is none; answers whether that is new.
    async fn note(
        tx: &mut Tx<'_>,
        group: ResourceId,
        member: &str,
        is_member: bool,
    ) -> Result<Option<bool>, StoreError> {
        let Some(roster) = tx.held.roster.as_mut().filter(|it| it.group == group) else {
            return Ok(None);
        };
        let believed = roster.is_belief.then_some(Seat {
            is_member: !is_member,
            is_new: false,
        });
        let Some(seat) = roster.members.get(member).copied().or(believed) else {
            return Ok(None);
        };
        if seat.is_member == is_member {
            roster.is_idle = true;
            return Ok(Some(false));
        }
        if seat.is_new {
            // One statement does not write and remove the same row.
            tx.settle().await?;
        }
        if let Some(roster) = &mut tx.held.roster {
            let is_new = true;
            let seat = Seat { is_member, is_new };
            roster.members.insert(member.to_owned(), seat);
        }
        Ok(Some(true))
    }

    /// What is not written yet, to be written now.
    fn take(&mut self) -> Moves {
        for seat in self.members.values_mut() {
            seat.is_new = false;
        }
        std::mem::take(&mut self.moves)
    }
}

/// Removes these from a group. Each row is looked up by itself: a list of values may be compared with every member.
const REMOVE: &str = "DELETE FROM resource_members WHERE ctid = ANY (ARRAY(SELECT m.ctid \
    FROM json_array_elements_text($4::json) AS them(one) CROSS JOIN LATERAL \
    (SELECT ctid FROM resource_members WHERE tenant = $1 AND integration = $2 \
    AND group_id = $3 AND member = them.one LIMIT 1) m))";

/// One statement of several that write rows, each with parameters from `$1` on.
#[derive(Default)]
struct Joined {
    parts: Vec<String>,
    params: Vec<Val>,
}

impl Joined {
    fn add(&mut self, sql: &str, params: Vec<Val>) {
        let before = self.params.len();
        let mut pieces = sql.split('$');
        let mut part = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
            let (number, rest) = piece.split_at(digits);
            let number = number.parse::<usize>().unwrap_or_default() + before;
            part.extend(["$", &number.to_string(), rest]);
        }
        self.parts.push(part);
        self.params.extend(params);
    }

    fn into_statement(mut self) -> Option<(String, Vec<Val>)> {
        let last = self.parts.pop()?;
        let mut sql = String::new();
        for (number, part) in self.parts.iter().enumerate() {
            let before = if number == 0 { "WITH" } else { "," };
            sql.extend([before, " part", &number.to_string(), " AS (", part, ") "]);
        }
        sql.push_str(&last);
        Some((sql, self.params))
    }
}

/// Writes on PostgreSQL what was kept back, by one statement: who came and who went, the events, and the version of
/// the group. What rests on a belief is written if that holds, all of it or nothing; the statement tells by the rows
/// that it touches, or finds if nothing is to be written.
pub(crate) fn write_at_once(
    recent: Option<&Recent>,
    roster: Option<&mut Roster>,
    events: Vec<Told>,
) -> Option<(String, Vec<Val>)> {
    let mut joined = Joined::default();
    let mut only = "true";
    if let Some(roster) = roster {
        let of = roster.place.params([roster.group.into()]);
        let Moves { came, went } = roster.take();
        if roster.is_belief {
            let Some(recent) = recent else {
                // There is nothing that could be looked at.
                return Some(("SELECT 1 WHERE false".to_owned(), Vec::new()));
            };
            let (sql, params) = holds(recent, &came, &went);
            joined.add(&sql, params);
            only = "EXISTS (SELECT FROM part0)";
        }
        if !came.is_empty() {
            let mut params = of.clone();
            params.push(NewMember::rows(&came).into());
            joined.add(&NewMember::insert(only), params);
        }
        if !went.is_empty() {
            let mut params = of;
            params.push(names(went).into());
            joined.add(&format!("{REMOVE} AND {only}"), params);
        }
    }
    if !events.is_empty() {
        let (sql, params) = insert_events(events, only);
        joined.add(&sql, params);
    }
    if let Some((sql, params)) = recent.and_then(Recent::unwritten) {
        joined.add(&format!("{sql} AND {only}"), params);
    }
    joined.into_statement()
}

/// Asks whether a group has the version that it is believed to have, and its members are those.
fn holds(recent: &Recent, came: &[NewMember], went: &[String]) -> (String, Vec<Val>) {
    let group = &recent.group;
    let mut params = recent
        .place
        .params([group.id.into(), group.kind.into(), recent.found.into()]);
    let mut sql = "SELECT 1 FROM resources WHERE tenant = $1 AND integration = $2 AND id = $3 \
                   AND kind = $4 AND version = $5"
        .to_owned();
    let came: Vec<String> = came.iter().map(|member| member.value.clone()).collect();
    for (those, there) in [(came, 0), (went.to_vec(), went.len())] {
        if those.is_empty() {
            continue;
        }
        let at = params.len() + 1;
        let _ = write!(
            sql,
            " AND (SELECT count(*) FROM json_array_elements_text(${at}::json) AS them(one) \
             CROSS JOIN LATERAL (SELECT FROM resource_members WHERE tenant = $1 \
             AND integration = $2 AND group_id = $3 AND member = them.one LIMIT 1) m) = ${}",
            at + 1
        );
        params.extend([names(those).into(), Val::Int(there as i64)]);
    }
    (sql, params)
}

fn names(members: Vec<String>) -> String {
    serde_json::Value::from(members).to_string()
}

/// What a transaction knows of the one group that it is about.
pub(crate) struct Known {
    /// The group as it is after the commit.
    pub(crate) group: Resource,
    /// The version that it had before.
    pub(crate) found: i64,
    /// Was everybody who was added no member before, and everybody who was removed one?
    pub(crate) is_plain: bool,
}

/// What is known of the group that all of a transaction is about, before it is written.
pub(crate) fn known(tx: &Tx<'_>) -> Option<Known> {
    let (roster, recent) = (tx.held.roster.as_ref()?, tx.recent.as_ref()?);
    Some(Known {
        group: recent
            .find(roster.place, ResourceKind::GROUP, roster.group)?
            .clone(),
        found: recent.found,
        is_plain: !roster.is_idle,
    })
}

/// Goes on with a group as it was after an earlier commit, without asking whether it still is: whoever adds members
/// one by one is spared a way there and back for each. The write at the commit is made if it holds, and until then
/// nothing may be asked: [`StoreError::Outdated`] otherwise.
pub(super) fn believe(tx: &mut Tx<'_>, place: Place, group: Resource) {
    let mut roster = Roster::new(place, group.id, std::iter::empty());
    roster.is_belief = true;
    tx.held.roster = Some(roster);
    tx.recent = Some(Recent::new(place, group));
}

/// Does it rest on a belief?
pub(crate) fn is_belief(tx: &Tx<'_>) -> bool {
    let roster = tx.held.roster.as_ref();
    roster.is_some_and(|roster| roster.is_belief)
}
