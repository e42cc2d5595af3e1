//! What leaves, what is put off, and what is counted: the questions of the engine beside its work list.

use muster_model::directory::Kind;
use muster_model::event::{Action, Event, Status};
use muster_model::link::{Link, LinkState, TargetId};
use muster_model::{CycleId, EventId, JobId, ObjectId, Timestamp};
use muster_store::escrows::{self, Escrow};
use muster_store::events::{self, EventQuery, Tally};
use muster_store::references::{self, State};
use muster_store::{links, withdrawn};
use muster_testkit::TestStore;

use crate::{NOW, TENANT, on_both};

on_both!(
    who_is_to_be_deleted_is_named_when_the_grace_is_over,
    a_removal_that_is_put_off_is_due_again_and_stays_a_removal,
    a_refused_reference_is_removed_for_an_earlier_attempt_may_have_arrived,
    members_who_were_removed_are_known_by_group,
    events_are_counted_by_stretches_of_time,
);

fn anchor(number: u8) -> ObjectId {
    ObjectId::from_bytes([number; 16])
}

fn later(seconds: i64) -> Timestamp {
    NOW.plus_seconds(seconds)
}

fn link(number: u8, kind: Kind, state: LinkState, since: Timestamp) -> Link {
    Link {
        kind,
        anchor: anchor(number),
        target: TargetId(format!("t{number}")),
        state,
        since,
    }
}

async fn who_is_to_be_deleted_is_named_when_the_grace_is_over(test: &TestStore) {
    let job = JobId::new();
    let told = write!(test, |tx| {
        let leaving = |number, at| link(number, Kind::User, LinkState::Leaving, later(at));
        let managed = link(9, Kind::User, LinkState::Managed, NOW);
        let all = [leaving(3, 30), leaving(1, 10), leaving(2, 20), managed];
        links::put(tx, TENANT, job, &all).await?;
        // The first of them failed, and has an attempt of its own.
        let escrow = Escrow {
            anchor: anchor(1),
            kind: Kind::User,
            code: "Timeout".to_owned(),
            first_failed: later(40),
            attempts: 1,
            next_attempt: later(100),
        };
        escrows::put(tx, TENANT, job, &escrow).await?;
        assert_eq!(escrows::oldest(tx, TENANT, job).await?, Some(later(40)));
        Ok((
            links::leaving(tx, TENANT, job, later(20), 10).await?,
            links::leaving(tx, TENANT, job, later(30), 1).await?,
            links::first_leaving(tx, TENANT, job, NOW).await?,
            links::first_leaving(tx, TENANT, job, later(20)).await?,
            links::first_leaving(tx, TENANT, job, later(30)).await?,
        ))
    })
    .unwrap();
    let second = vec![(Kind::User, anchor(2))];
    assert_eq!(
        told,
        (
            second.clone(),
            second,
            Some(later(20)),
            Some(later(30)),
            None
        )
    );
}

async fn a_removal_that_is_put_off_is_due_again_and_stays_a_removal(test: &TestStore) {
    let job = JobId::new();
    let group = link(1, Kind::Group, LinkState::Managed, NOW);
    let (before, due, after) = write!(test, |tx| {
        links::put(tx, TENANT, job, &[group]).await?;
        let members = [2, 3].map(|it| (anchor(1), "members", anchor(it)));
        let sent = TargetId("t".to_owned());
        let all = members.map(|it| (it, Some(&sent)));
        references::settle(tx, TENANT, job, &all, State::Exported).await?;
        for (owner, attribute, member) in members {
            references::unwant(tx, TENANT, job, owner, attribute, member).await?;
        }
        references::put_off(tx, TENANT, job, &members[..1], later(5)).await?;
        let due = references::next_retry(tx, TENANT, job).await?;
        // It is no reference that the target refused.
        assert_eq!(references::count_refused(tx, TENANT, job).await?, 0);
        let nobody = (anchor(0), anchor(0));
        let before = references::to_remove(tx, TENANT, job, "members", nobody, 10).await?;
        references::retry(tx, TENANT, job, later(5)).await?;
        assert_eq!(references::next_retry(tx, TENANT, job).await?, None);
        let place = (anchor(1), anchor(2));
        let after = references::to_remove(tx, TENANT, job, "members", place, 10).await?;
        let standing = references::standing(tx, TENANT, job, &members).await?;
        assert!(
            standing
                .iter()
                .all(|it| it.is_some_and(|it| it.state == State::Remove))
        );
        Ok((before, due, after))
    })
    .unwrap();
    assert_eq!(before, [(anchor(1), anchor(2)), (anchor(1), anchor(3))]);
    assert_eq!(due, Some(later(5)));
    assert_eq!(after, [(anchor(1), anchor(3))]);
}

async fn a_refused_reference_is_removed_for_an_earlier_attempt_may_have_arrived(test: &TestStore) {
    let job = JobId::new();
    let standing = write!(test, |tx| {
        let [refused, maybe] = [2, 3].map(|it| (anchor(1), "members", anchor(it)));
        let sent = TargetId("t3".to_owned());
        references::settle(tx, TENANT, job, &[(refused, None)], State::Add).await?;
        references::settle(tx, TENANT, job, &[(maybe, Some(&sent))], State::Add).await?;
        references::refuse(tx, TENANT, job, &[refused, maybe], later(60)).await?;
        for (owner, attribute, member) in [refused, maybe] {
            references::unwant(tx, TENANT, job, owner, attribute, member).await?;
        }
        assert_eq!(references::next_retry(tx, TENANT, job).await?, None);
        references::standing(tx, TENANT, job, &[refused, maybe]).await
    })
    .unwrap();
    let states: Vec<Option<State>> = standing
        .into_iter()
        .map(|it| it.map(|it| it.state))
        .collect();
    assert_eq!(states, [Some(State::Remove); 2]);
}

async fn members_who_were_removed_are_known_by_group(test: &TestStore) {
    let job = JobId::new();
    let (both, left) = write!(test, |tx| {
        let early = [(anchor(1), anchor(5)), (anchor(2), anchor(5))];
        withdrawn::add_members(tx, TENANT, job, NOW, &early).await?;
        withdrawn::add_members(tx, TENANT, job, later(9), &[(anchor(1), anchor(6))]).await?;
        let both = withdrawn::members(tx, TENANT, job).await?;
        withdrawn::forget(tx, TENANT, job, later(1)).await?;
        Ok((both, withdrawn::members(tx, TENANT, job).await?))
    })
    .unwrap();
    assert_eq!((both[&anchor(1)].len(), both[&anchor(2)].len()), (2, 1));
    assert_eq!(left.len(), 1);
    assert!(left[&anchor(1)].contains(&anchor(6)));
}

async fn events_are_counted_by_stretches_of_time(test: &TestStore) {
    let job = JobId::new();
    let event = move |seconds, action, status| Event {
        id: EventId::new(),
        job,
        cycle: CycleId::new(),
        at: later(seconds),
        duration_ms: 1,
        action,
        status,
        code: String::new(),
        detail: String::new(),
        kind: Kind::User,
        source: anchor(1),
        source_name: "Ana".to_owned(),
        target: None,
        steps: Vec::new(),
        modified: Vec::new(),
    };
    // A full hour, to the second.
    let hour = 3600 - (NOW.as_micros() / 1_000_000) % 3600;
    let (tally, within) = write!(test, |tx| {
        let all = [
            event(hour - 1, Action::Create, Status::Success),
            event(hour, Action::Create, Status::Success),
            event(hour + 3599, Action::Create, Status::Success),
            event(hour + 10, Action::Disable, Status::Failure),
            event(hour + 3600, Action::Create, Status::Success),
        ];
        events::append(tx, TENANT, &all).await?;
        let query = EventQuery {
            since: Some(later(hour)),
            until: Some(later(hour + 3600)),
            ..EventQuery::default()
        };
        Ok((
            events::tally(tx, TENANT, job, later(hour), 3600).await?,
            events::list(tx, TENANT, job, &query, 10).await?.len(),
        ))
    })
    .unwrap();
    let of = |seconds, action: &str, status: &str, count| Tally {
        begin: later(seconds),
        action: action.to_owned(),
        status: status.to_owned(),
        count,
    };
    assert_eq!(
        tally,
        [
            of(hour, "create", "success", 2),
            of(hour, "disable", "failure", 1),
            of(hour + 3600, "create", "success", 1),
        ]
    );
    assert_eq!(within, 3);
}
