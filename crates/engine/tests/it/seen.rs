//! What the tests show to the engine.

use muster_engine::decide::{Cause, Current, Decision, Matched, Need, Seen, Verdict, decide};
use muster_engine::port::{Grant, Life, Record, TargetObject};
use muster_engine::scope::{Policy, judge};
use muster_model::directory::Kind;
use muster_model::job::{Departure, Leaving, Scope};
use muster_model::link::{Link, LinkState, SourceAnchor, TargetId};
use muster_model::{Attributes, RoleId, Timestamp, Value};
use muster_rules::{CompiledSchema, Context, Gallery, ObjectMapping};

/// The default mappings of the tutorial's application.
pub(crate) fn rules() -> CompiledSchema {
    let gallery = Gallery::parse(
        include_str!("../../../../gallery/apps.json"),
        include_str!("../../../../gallery/default-mappings.json"),
    )
    .unwrap();
    let app = gallery.find("symantec-web-security-service").unwrap();
    gallery.default_schema(app).compile().unwrap()
}

pub(crate) const NOW: Timestamp = Timestamp::from_micros(0);

pub(crate) const POLICY: Policy = Policy {
    scope: Scope::AssignedOnly,
    exclude_default_access: true,
    skip_out_of_scope_deletions: false,
    leaving: Leaving {
        unassigned: Departure::Disable,
        disabled: Departure::Disable,
        deleted: Departure::Disable,
        grace_seconds: 0,
    },
};

pub(crate) fn anchor() -> SourceAnchor {
    SourceAnchor::from_bytes([1; 16])
}

/// An assigned user in use.
pub(crate) fn ana() -> Record {
    let mut attributes = Attributes::new();
    attributes.set("userPrincipalName", "ana@example.test");
    attributes.set("displayName", "Ana");
    attributes.set("givenName", "Ana");
    Record {
        kind: Kind::User,
        anchor: anchor(),
        name: "Ana".to_owned(),
        life: Life::Active,
        attributes,
        references: Vec::new(),
        grants: vec![Grant {
            role: RoleId::from_bytes([9; 16]),
            via: None,
        }],
    }
}

pub(crate) fn team() -> Record {
    let mut attributes = Attributes::new();
    attributes.set("displayName", "Team");
    attributes.set("objectId", "g1");
    Record {
        kind: Kind::Group,
        name: "Team".to_owned(),
        attributes,
        ..ana()
    }
}

pub(crate) fn link(kind: Kind, state: LinkState) -> Link {
    Link {
        kind,
        anchor: anchor(),
        target: TargetId("t1".to_owned()),
        state,
        since: NOW,
    }
}

/// The target's object with what the default mappings make of Ana.
pub(crate) fn at_target(values: &[(&str, Value)]) -> TargetObject {
    let mut all = Attributes::new();
    all.set("userName", "ana@example.test");
    all.set("active", true);
    all.set("displayName", "Ana");
    all.set("name.givenName", "Ana");
    all.set("name.formatted", "Ana");
    for (path, value) in values {
        all.set(*path, value.clone());
    }
    TargetObject {
        id: TargetId("t1".to_owned()),
        values: all,
        absent: Vec::new(),
    }
}

/// A look at an object, to be decided about.
#[derive(Default)]
pub(crate) struct Look {
    pub(crate) record: Option<Record>,
    pub(crate) link: Option<Link>,
    pub(crate) matched: Option<Matched>,
    pub(crate) current: Option<Current>,
    pub(crate) cause: Option<Cause>,
    pub(crate) policy: Option<Policy>,
}

/// What was decided, in one word, with the attributes that would be sent.
#[derive(Debug, PartialEq)]
pub(crate) enum Word {
    Need(Need),
    Nothing,
    Create,
    Update(Vec<String>),
    Equal,
    Disable(Vec<(String, Value)>, LinkState),
    Delete,
    Leave(LinkState),
    Forget,
    Skip(&'static str),
    Fail(&'static str),
}

impl Look {
    pub(crate) fn decide(self, mapping: &ObjectMapping) -> Word {
        let policy = self.policy.unwrap_or(POLICY);
        let mut record = self.record;
        let judged = record
            .as_mut()
            .map(|record| judge(record, &policy, mapping));
        let seen = Seen {
            record: record.as_ref().zip(judged.as_ref()),
            link: self.link.as_ref(),
            matched: self.matched.as_ref(),
            current: self.current.as_ref(),
            cause: self.cause.unwrap_or(Cause::Attributes),
        };
        let context = Context::at(NOW);
        match decide(&seen, &policy, mapping, &context) {
            Verdict::Need(need) => Word::Need(need),
            Verdict::Do(decision) => word(decision),
        }
    }
}

fn word(decision: Decision<'_>) -> Word {
    match decision {
        Decision::Nothing => Word::Nothing,
        Decision::Create(_) => Word::Create,
        Decision::Update { changes, .. } => {
            Word::Update(changes.into_iter().map(|change| change.path).collect())
        }
        Decision::Equal { .. } => Word::Equal,
        Decision::Disable { changes, state, .. } => {
            let changes = changes.into_iter().map(|change| (change.path, change.new));
            Word::Disable(changes.collect(), state)
        }
        Decision::Delete(_) => Word::Delete,
        Decision::Leave(_, state, _) => Word::Leave(state),
        Decision::Forget(..) => Word::Forget,
        Decision::Skip(reason) => Word::Skip(reason.code),
        Decision::Fail(reason) => Word::Fail(reason.code),
    }
}
