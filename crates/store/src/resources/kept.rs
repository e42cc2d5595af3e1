//! What a transaction keeps back of a group whose members come and go, so that several changes are written once, on
//! PostgreSQL by one statement.

use std::collections::HashMap;

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
}

impl Recent {
    pub(super) const fn new(place: Place, group: Resource) -> Self {
        Self {
            place,
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
        let Some(seat) = roster.members.get(member).copied() else {
            return Ok(None);
        };
        if seat.is_member == is_member {
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
/// the group.
pub(crate) fn write_at_once(
    recent: Option<&Recent>,
    roster: Option<&mut Roster>,
    events: Vec<Told>,
) -> Option<(String, Vec<Val>)> {
    let mut joined = Joined::default();
    if let Some(roster) = roster {
        let of = roster.place.params([roster.group.into()]);
        let moves = roster.take();
        if !moves.came.is_empty() {
            let mut params = of.clone();
            params.push(NewMember::rows(&moves.came).into());
            joined.add(NewMember::INSERT, params);
        }
        if !moves.went.is_empty() {
            let mut params = of;
            params.push(serde_json::Value::from(moves.went).to_string().into());
            joined.add(REMOVE, params);
        }
    }
    if !events.is_empty() {
        let (sql, params) = insert_events(events);
        joined.add(&sql, params);
    }
    if let Some((sql, params)) = recent.and_then(Recent::unwritten) {
        joined.add(sql, params);
    }
    joined.into_statement()
}
