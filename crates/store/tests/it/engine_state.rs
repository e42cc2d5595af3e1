//! What the engine keeps: leases, links, references, events, secrets.

use muster_model::cycle::{Counts, Cycle, CycleKind, CycleState};
use muster_model::directory::Kind;
use muster_model::event::{Action, Event, Modified, Status, Step, StepName};
use muster_model::exchange::{Body, Exchange, ExchangeLog, Keep};
use muster_model::job::{
    DefaultAccess, Departure, Dialect, Guard, Held, Job, JobSettings, JobStatus, Leaving,
    PatchStyle, Retries, Scope, Withdrawal,
};
use muster_model::link::{Link, LinkState, TargetId};
use muster_model::plan::Plan;
use muster_model::{
    ApplicationId, CycleId, EventId, JobId, ObjectId, Position, Secret, Timestamp, Value,
};
use muster_store::escrows::Escrow;
use muster_store::events::EventQuery;
use muster_store::intents::Intent;
use muster_store::links::LinkQuery;
use muster_store::plans::{self, At, Placed};
use muster_store::references::{self, State};
use muster_store::schemas::{self, SchemaVersion};
use muster_store::{
    Scratch, Store, StoreError, cycles, escrows, events, exchanges, held_back, intents, jobs,
    links, secrets, withdrawn,
};
use muster_testkit::TestStore;

use crate::{NOW, TENANT, on_both};

on_both!(
    a_lost_lease_writes_nothing,
    a_job_keeps_its_settings_and_watermark,
    every_version_of_a_schema_is_kept_and_the_highest_is_in_force,
    a_reference_waits_is_woken_and_settles,
    an_unwanted_reference_is_removed_if_the_target_may_have_it,
    a_refused_reference_is_put_aside_until_its_time_comes,
    a_reference_wanted_again_is_sent_again_because_its_removal_may_have_arrived,
    what_was_allowed_is_kept_until_it_is_done,
    a_plan_is_found_by_the_beginning_of_its_id_when_it_is_complete,
    a_copy_of_a_job_holds_what_the_engine_keeps_of_it,
    events_are_listed_from_the_newest_back,
    a_secret_comes_back_only_for_its_owner,
    exchanges_come_back_and_the_oldest_go_first,
    what_was_withdrawn_counts_until_it_is_forgotten,
    old_events_go_with_their_cycles,
);

fn job() -> Job {
    Job {
        id: JobId::new(),
        application: ApplicationId::new(),
        status: JobStatus::NotConfigured,
        settings: JobSettings {
            scope: Scope::All,
            interval_seconds: 7,
            guard: Guard {
                share: Some(7),
                memberships: Some(8),
                members_share: Some(9),
                within_seconds: 11,
                ..Guard::OFF
            },
            leaving: Leaving {
                unassigned: Departure::Delete,
                disabled: Departure::Leave,
                deleted: Departure::Disable,
                grace_seconds: 12,
            },
            dialect: Dialect {
                patch: Some(PatchStyle::Aad062020),
                puts: true,
                members: 13,
                bulk: 14,
                filters_groups: false,
                at_once: 4,
                per_second: 25,
                timeout_seconds: 60,
            },
            notification_webhook: Some("https://alerts.test".to_owned()),
            exchanges: ExchangeLog {
                keep: Keep::Failures,
                seconds: 14,
                bytes: 15,
                hidden: vec!["nickName".to_owned()],
            },
            skip_out_of_scope_deletions: true,
            default_access: DefaultAccess::Included,
            log_seconds: 86_401,
            retries: Retries::Documented,
            notification_email: Some("a@example.test".to_owned()),
        },
        watermark: None,
        last_cycle: None,
        steady: None,
        offered: true,
    }
}

fn later(seconds: i64) -> Timestamp {
    NOW.plus_seconds(seconds)
}

async fn a_lost_lease_writes_nothing(test: &TestStore) {
    let job = job();
    let id = job.id;
    let (first, meanwhile, second) = write!(test, |tx| {
        jobs::create(tx, TENANT, &job).await?;
        Ok((
            jobs::claim(tx, TENANT, id, "a", NOW, later(30)).await?,
            jobs::claim(tx, TENANT, id, "b", later(10), later(40)).await?,
            jobs::claim(tx, TENANT, id, "b", later(31), later(61)).await?,
        ))
    })
    .unwrap();
    assert!(meanwhile.is_none());
    let (first, second) = (first.unwrap(), second.unwrap());
    let lost = write!(test, |tx| {
        links::put(tx, TENANT, id, &[link(1)]).await?;
        first.check(tx).await
    });
    assert!(matches!(lost, Err(StoreError::LeaseLost)));
    let kept = write!(test, |tx| {
        second.check(tx).await?;
        links::page(tx, TENANT, id, None, &LinkQuery::default(), 10).await
    });
    assert_eq!(kept.unwrap(), []);
    let extended = write!(test, |tx| first.extend(tx, later(90)).await);
    assert!(matches!(extended, Err(StoreError::LeaseLost)));
    let third = write!(test, |tx| {
        second.extend(tx, later(90)).await?;
        let third = jobs::claim(tx, TENANT, id, "a", later(62), later(99)).await?;
        jobs::clear_watermark(tx, TENANT, id).await?;
        assert!(!second.holds(tx).await?);
        Ok(third)
    });
    assert_eq!(third.unwrap(), None);
    let restarted = write!(test, |tx| {
        links::put(tx, TENANT, id, &[link(1)]).await?;
        second.check(tx).await
    });
    assert!(matches!(restarted, Err(StoreError::Restarted)));
}

/// Before the whole work list.
fn start() -> (ObjectId, String, ObjectId) {
    (anchor(0), String::new(), anchor(0))
}

fn anchor(number: u8) -> ObjectId {
    ObjectId::from_bytes([number; 16])
}

fn link(number: u8) -> Link {
    Link {
        kind: Kind::User,
        anchor: anchor(number),
        target: TargetId(format!("t{number}")),
        state: LinkState::Managed,
        since: NOW,
    }
}

/// EH-18: who is allowed to go and could not yet, because the target refused it, is not held again.
async fn what_was_allowed_is_kept_until_it_is_done(test: &TestStore) {
    let job = JobId::new();
    let withdrawal = |number: u8, action: Action| Withdrawal {
        kind: Kind::User,
        anchor: anchor(number),
        name: format!("user {number}"),
        target: TargetId(format!("t{number}")),
        action,
        members: Vec::new(),
        reason: "it is not assigned".to_owned(),
        allowed: false,
    };
    let all: Vec<Withdrawal> = (1..=3)
        .map(|number| withdrawal(number, Action::Disable))
        .chain((4..=5).map(|number| withdrawal(number, Action::Delete)))
        .collect();
    let expected = all.clone();
    let (held, allowed, left) = write!(test, |tx| {
        // The first could not be disabled; the second is; nothing is known of the third any more. The
        // fourth is disabled and could not be deleted; the fifth is gone.
        let disabled = |number| Link {
            state: LinkState::Disabled,
            ..link(number)
        };
        links::put(tx, TENANT, job, &[link(1), disabled(2), disabled(4)]).await?;
        held_back::replace(tx, TENANT, job, all).await?;
        let held = held_back::page(tx, TENANT, job, None, 10).await?;
        let counted = held_back::count(tx, TENANT, job).await?;
        let allowed = held_back::allow(tx, TENANT, job).await?;
        assert_eq!(counted, allowed);
        assert_eq!(held_back::count(tx, TENANT, job).await?, 0);
        let mut more = held_back::page(tx, TENANT, job, Some(anchor(4)), 10).await?;
        more[0].allowed = false;
        let mut rest = held_back::page(tx, TENANT, job, None, 4).await?;
        rest.extend(more);
        held_back::replace(tx, TENANT, job, rest).await?;
        held_back::settle(tx, TENANT, job).await?;
        let left = held_back::page(tx, TENANT, job, None, 10).await?;
        Ok((held, allowed, left))
    })
    .unwrap();
    assert_eq!((held, allowed), (expected, 5));
    let left: Vec<_> = left.iter().map(|it| (it.anchor, it.allowed)).collect();
    assert_eq!(left, [(anchor(1), true), (anchor(4), true)]);
}

fn plan(job: JobId, seconds: i64) -> Plan {
    Plan {
        job,
        kind: CycleKind::Incremental,
        made: later(seconds),
        from: None,
        until: Position {
            transaction: 3,
            number: 4,
        },
        configuration: "c".to_owned(),
        operations: format!("o{seconds}"),
        counts: Counts {
            created: 2,
            ..Counts::default()
        },
        waiting: Some((3, later(60))),
        held: Some(Held {
            objects: 9,
            memberships: 2,
            recent: 1,
            managed: 10,
        }),
    }
}

async fn a_plan_is_found_by_the_beginning_of_its_id_when_it_is_complete(test: &TestStore) {
    let job = JobId::new();
    let plans: Vec<Plan> = (0..3).map(|seconds| plan(job, seconds)).collect();
    let ids: Vec<String> = plans
        .iter()
        .map(|it| plans::id_of(&plans::to_json(it)))
        .collect();
    let (store, last, names) = (test.store.clone(), plans[2].clone(), ids.clone());
    let operation = |place: &str, number| Placed {
        at: At {
            place: place.to_owned(),
            number,
        },
        body: format!("{place}{number}"),
    };
    let operations = vec![
        operation("b", 1),
        operation("a", 2),
        operation("b", 0),
        operation("B", 7),
    ];
    let (unfinished, found, kept, there) = write!(test, |tx| {
        let seed = Secret::new("seed".to_owned());
        for (plan, id) in plans.iter().zip(&names) {
            assert!(plans::begin(tx, store.key(), TENANT, (id, plan, &seed), 2).await?);
        }
        let unfinished = plans::find(tx, TENANT, &names[2]).await?.len();
        plans::append(tx, TENANT, &names[2], operations).await?;
        plans::complete(tx, TENANT, &names[2]).await?;
        // One that is kept already is not begun again.
        assert!(!plans::begin(tx, store.key(), TENANT, (&names[2], &plans[2], &seed), 2).await?);
        plans::complete(tx, TENANT, &names[0]).await?;
        plans::complete(tx, TENANT, &names[1]).await?;
        let found = plans::find(tx, TENANT, &names[2][..6]).await?;
        let after = At {
            place: "a".to_owned(),
            number: 2,
        };
        let kept = plans::operations(tx, TENANT, &names[2], &after, 10).await?;
        let mut there = Vec::new();
        for name in &names {
            there.push(plans::find(tx, TENANT, name).await?.len());
        }
        Ok((unfinished, found, kept, there))
    })
    .unwrap();
    assert_eq!((unfinished, found.len(), &found[0].plan), (0, 1, &last));
    assert_eq!(found[0].id, ids[2]);
    let seed = found[0].seed(test.store.key()).unwrap();
    assert_eq!(seed.expose(), "seed");
    let bodies: Vec<&str> = kept.iter().map(|it| it.body.as_str()).collect();
    assert_eq!(bodies, ["b0", "b1"]);
    // Of three the two newest are kept.
    assert_eq!(there, [0, 1, 1]);
}

async fn a_copy_of_a_job_holds_what_the_engine_keeps_of_it(test: &TestStore) {
    let (job, other) = (job(), JobId::new());
    let id = job.id;
    let all: Vec<Link> = (1..=255)
        .flat_map(|number| (0..8).map(move |more| (number, more)))
        .map(|(number, more)| {
            let mut bytes = [number; 16];
            bytes[15] = more;
            Link {
                anchor: ObjectId::from_bytes(bytes),
                ..link(number)
            }
        })
        .collect();
    let expected = all.len();
    let others = all[..3].to_vec();
    write!(test, |tx| {
        jobs::create(tx, TENANT, &job).await?;
        links::put(tx, TENANT, id, &all).await?;
        links::put(tx, TENANT, other, &others).await?;
        let wanted = [
            (anchor(1), "members", anchor(2)),
            (anchor(1), "members", anchor(3)),
        ];
        references::want(tx, TENANT, id, &wanted).await?;
        let intent = Intent {
            kind: Kind::User,
            anchor: anchor(1),
            path: "userName".to_owned(),
            value: Value::from("ana"),
            target: Some(TargetId("t1".to_owned())),
        };
        intents::put(tx, TENANT, id, &[intent]).await?;
        let escrow = Escrow {
            anchor: anchor(2),
            kind: Kind::Group,
            code: "Timeout".to_owned(),
            first_failed: NOW,
            attempts: 3,
            next_attempt: later(60),
        };
        escrows::put(tx, TENANT, id, &escrow).await?;
        let held = Withdrawal {
            kind: Kind::User,
            anchor: anchor(3),
            name: "Ana".to_owned(),
            target: TargetId("t".to_owned()),
            action: Action::Disable,
            members: vec![anchor(8), anchor(9)],
            reason: "it is not assigned".to_owned(),
            allowed: true,
        };
        held_back::replace(tx, TENANT, id, vec![held]).await?;
        links::set_filled(tx, TENANT, id, all[0].anchor).await
    })
    .unwrap();
    let scratch = Scratch::open(&test.store).unwrap();
    scratch.copy(&test.store, TENANT, id).await.unwrap();
    let (links, references, copied) = scratch
        .store()
        .read::<_, StoreError, _>(|tx| {
            Box::pin(async move {
                Ok((
                    links::page(tx, TENANT, id, None, &LinkQuery::default(), 10_000).await?,
                    references::of(tx, TENANT, id, anchor(1), "members", None, 10).await?,
                    jobs::find(tx, TENANT, id).await?.unwrap(),
                ))
            })
        })
        .await
        .unwrap();
    let others = |store: Store| async move {
        let read = store.read::<_, StoreError, _>(|tx| {
            Box::pin(async move {
                Ok((
                    intents::page(tx, TENANT, id, None, 10).await?,
                    escrows::due(tx, TENANT, id, later(60), 10).await?,
                    held_back::page(tx, TENANT, id, None, 10).await?,
                ))
            })
        });
        read.await.unwrap()
    };
    let (copy, original) = (scratch.store().clone(), test.store.clone());
    let (copy, original) = (others(copy).await, others(original).await);
    assert_eq!(copy, original);
    assert_eq!((copy.0.len(), copy.1.len(), copy.2.len()), (1, 1, 1));
    assert_eq!((links.len(), references.len()), (expected, 2));
    assert_eq!(copied.settings.interval_seconds, 7);
    assert!(
        links
            .iter()
            .all(|it| it.kind == Kind::User && it.state == LinkState::Managed)
    );
}

async fn a_job_keeps_its_settings_and_watermark(test: &TestStore) {
    let (mut wanted, id) = (job(), JobId::new());
    wanted.id = id;
    let job = wanted.clone();
    let found = write!(test, |tx| {
        jobs::create(tx, TENANT, &job).await?;
        let lease = jobs::claim(tx, TENANT, id, "a", NOW, later(30))
            .await?
            .unwrap();
        lease
            .set_watermark(
                tx,
                Position {
                    transaction: 3,
                    number: 9,
                },
                NOW,
            )
            .await?;
        let status = JobStatus::Quarantined {
            since: NOW,
            looked: later(30),
            count: 2,
            reason: "TooManyDeletes".to_owned(),
            code: "TooManyDeletes".to_owned(),
            detail: "look".to_owned(),
            next_attempt: later(60),
        };
        jobs::set_status(tx, TENANT, id, &status).await?;
        jobs::find(tx, TENANT, id).await
    })
    .unwrap()
    .unwrap();
    assert_eq!(found.settings, wanted.settings);
    assert_eq!(
        found.watermark,
        Some(Position {
            transaction: 3,
            number: 9
        })
    );
    assert_eq!(found.status.code(), "Quarantine");
}

async fn every_version_of_a_schema_is_kept_and_the_highest_is_in_force(test: &TestStore) {
    let (job, other) = (JobId::new(), JobId::new());
    let version = |number| SchemaVersion {
        number,
        saved: later(number.into()),
        saved_by: "ana".to_owned(),
        note: format!("change {number}"),
    };
    write!(test, |tx| {
        for number in 1..=3 {
            let doc = format!("{{\"a\":{number}}}");
            schemas::add(tx, TENANT, job, &version(number), &doc).await?;
        }
        schemas::add(tx, TENANT, other, &version(1), "{}").await
    })
    .unwrap();
    let twice = write!(test, |tx| {
        schemas::add(tx, TENANT, job, &version(3), "{}").await
    });
    assert!(matches!(twice, Err(StoreError::Duplicate(_))), "{twice:?}");
    let (current, second, missing, listed, older) = write!(test, |tx| {
        Ok((
            schemas::current(tx, TENANT, job).await?,
            schemas::find(tx, TENANT, job, 2).await?,
            schemas::find(tx, TENANT, job, 4).await?,
            schemas::list(tx, TENANT, job, None, 2).await?,
            schemas::list(tx, TENANT, job, Some(2), 2).await?,
        ))
    })
    .unwrap();
    assert_eq!(current, "{\"a\":3}");
    assert_eq!((second.as_deref(), missing), (Some("{\"a\":2}"), None));
    assert_eq!(listed, [version(3), version(2)]);
    assert_eq!(older, [version(1)]);
}

async fn a_reference_waits_is_woken_and_settles(test: &TestStore) {
    let job = JobId::new();
    write!(test, |tx| {
        let (owner, boss) = (anchor(1), anchor(2));
        links::put(tx, TENANT, job, &[link(1)]).await?;
        references::want(tx, TENANT, job, &[(owner, "manager", boss)]).await?;
        let due = references::due(tx, TENANT, job, start(), None, 10).await?;
        assert_eq!((due.len(), &due[0].referred_target), (1, &None));
        let manager = (owner, "manager", boss);
        let first = link(2).target;
        references::settle(tx, TENANT, job, &[(manager, None)], State::Waiting).await?;
        assert_eq!(references::count_due(tx, TENANT, job).await?, 0);
        links::put(tx, TENANT, job, &[link(2)]).await?;
        references::wake(tx, TENANT, job, &[manager]).await?;
        let due = references::due(tx, TENANT, job, start(), None, 10).await?;
        assert_eq!(due[0].referred_target, Some(TargetId("t2".to_owned())));
        references::settle(tx, TENANT, job, &[(manager, Some(&first))], State::Exported).await?;
        references::want(tx, TENANT, job, &[manager]).await?;
        assert_eq!(references::count_due(tx, TENANT, job).await?, 0);
        // What it refers to is made again at the target, whatever its id.
        references::wake(tx, TENANT, job, &[manager]).await?;
        assert_eq!(references::count_due(tx, TENANT, job).await?, 1);
        Ok(())
    })
    .unwrap();
}

async fn an_unwanted_reference_is_removed_if_the_target_may_have_it(test: &TestStore) {
    let job = JobId::new();
    write!(test, |tx| {
        let owner = anchor(1);
        links::put(tx, TENANT, job, &[link(1)]).await?;
        let [sent, unanswered, waiting] = [2, 3, 4].map(|it| (owner, "members", anchor(it)));
        references::want(tx, TENANT, job, &[sent, unanswered, waiting]).await?;
        let id = Some(&link(2).target);
        references::settle(tx, TENANT, job, &[(sent, id)], State::Exported).await?;
        references::settle(tx, TENANT, job, &[(waiting, None)], State::Waiting).await?;
        for (_, _, member) in [sent, unanswered, waiting] {
            references::unwant(tx, TENANT, job, owner, "members", member).await?;
        }
        let left = references::of(tx, TENANT, job, owner, "members", None, 10).await?;
        let left: Vec<_> = left
            .iter()
            .map(|(member, it)| (*member, it.state))
            .collect();
        assert_eq!(
            left,
            [(anchor(2), State::Remove), (anchor(3), State::Remove)]
        );
        Ok(())
    })
    .unwrap();
}

async fn a_refused_reference_is_put_aside_until_its_time_comes(test: &TestStore) {
    let job = JobId::new();
    write!(test, |tx| {
        let member = (anchor(1), "members", anchor(2));
        links::put(tx, TENANT, job, &[link(1), link(2)]).await?;
        references::want(tx, TENANT, job, &[member]).await?;
        references::refuse(tx, TENANT, job, &[member], later(60)).await?;
        assert_eq!(references::count_due(tx, TENANT, job).await?, 0);
        assert_eq!(
            references::next_retry(tx, TENANT, job).await?,
            Some(later(60))
        );
        references::retry(tx, TENANT, job, later(59)).await?;
        assert_eq!(references::count_due(tx, TENANT, job).await?, 0);
        references::retry(tx, TENANT, job, later(60)).await?;
        assert_eq!(references::count_due(tx, TENANT, job).await?, 1);
        assert_eq!(references::next_retry(tx, TENANT, job).await?, None);
        Ok(())
    })
    .unwrap();
}

async fn a_reference_wanted_again_is_sent_again_because_its_removal_may_have_arrived(
    test: &TestStore,
) {
    let job = JobId::new();
    write!(test, |tx| {
        let member = (anchor(1), "members", anchor(2));
        links::put(tx, TENANT, job, &[link(1), link(2)]).await?;
        let sent = [(member, Some(&link(2).target))];
        references::settle(tx, TENANT, job, &sent, State::Exported).await?;
        references::unwant(tx, TENANT, job, anchor(1), "members", anchor(2)).await?;
        references::want(tx, TENANT, job, &[member]).await?;
        let due = references::due(tx, TENANT, job, start(), None, 10).await?;
        assert_eq!((due.len(), due[0].state), (1, State::Add));
        Ok(())
    })
    .unwrap();
}

fn event(job: JobId, cycle: CycleId, status: Status) -> Event {
    Event {
        id: EventId::new(),
        job,
        cycle,
        at: NOW,
        duration_ms: 3,
        action: Action::Create,
        status,
        code: String::new(),
        detail: "created".to_owned(),
        kind: Kind::User,
        source: anchor(1),
        source_name: "Ana".to_owned(),
        target: Some(TargetId("t1".to_owned())),
        steps: vec![Step {
            name: StepName::Scoping,
            status: Status::Success,
            description: "in scope".to_owned(),
            details: [
                ("Active in the source system", "True"),
                ("Assigned to the application", "True"),
                ("User has the required role", "True"),
                ("Scoping filter evaluation passed", "True"),
                ("ScopeEvaluationResult", "{\"a\":true}"),
            ]
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .to_vec(),
        }],
        modified: vec![Modified {
            name: "userName".to_owned(),
            old: Value::Null,
            new: Value::from("ana \"x\""),
        }],
    }
}

async fn events_are_listed_from_the_newest_back(test: &TestStore) {
    let (job, cycle) = (JobId::new(), CycleId::new());
    let written: Vec<Event> = (0..150)
        .map(|n| {
            event(
                job,
                cycle,
                if n % 3 == 0 {
                    Status::Failure
                } else {
                    Status::Success
                },
            )
        })
        .collect();
    let expected: Vec<Event> = written
        .iter()
        .rev()
        .filter(|event| event.status == Status::Failure)
        .cloned()
        .collect();
    let listed = write!(test, |tx| {
        events::append(tx, TENANT, &written).await?;
        let mut query = EventQuery {
            status: Some("failure".to_owned()),
            ..EventQuery::default()
        };
        let mut listed = Vec::new();
        loop {
            let page = events::list(tx, TENANT, job, &query, 20).await?;
            let Some(last) = page.last() else { break };
            query.beyond = Some(last.id);
            listed.extend(page);
        }
        Ok(listed)
    })
    .unwrap();
    assert_eq!(listed, expected);
}

async fn a_secret_comes_back_only_for_its_owner(test: &TestStore) {
    let (mine, other) = (JobId::new(), JobId::new());
    let token = Secret::new("mst_example".to_owned());
    let (key, wanted) = (muster_testkit::stores::key(), token.clone());
    let (found, missing) = write!(test, |tx| {
        secrets::put(tx, &key, TENANT, mine, "SecretToken", &token).await?;
        Ok((
            secrets::find(tx, &key, TENANT, mine, "SecretToken").await?,
            secrets::find(tx, &key, TENANT, other, "SecretToken").await?,
        ))
    })
    .unwrap();
    assert_eq!((found, missing), (Some(wanted), None));
}

async fn exchanges_come_back_and_the_oldest_go_first(test: &TestStore) {
    let (job, key) = (JobId::new(), muster_testkit::stores::key());
    let exchange = Exchange {
        at: NOW,
        millis: 12,
        method: "POST".to_owned(),
        url: "https://scim.example/Users".to_owned(),
        asked_with: vec![("If-Match".to_owned(), "1".to_owned())],
        sent: Some(Body {
            text: "a body".repeat(100),
            size: 700,
            is_cut: true,
        }),
        status: None,
        headers: vec![("etag".to_owned(), "1".to_owned())],
        answered: None,
        failure: Some("no answer".to_owned()),
    };
    // Ids begin with the time.
    let event = |hour: u64| {
        let millis = NOW.as_micros() as u64 / 1000 + hour * 3_600_000;
        let mut id = [7; 16];
        id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        EventId::from_bytes(id)
    };
    let wanted = [exchange.clone(), exchange];
    let (said, of) = (wanted.clone(), (TENANT, job));
    let found = write!(test, |tx| {
        let mut sealed = Vec::new();
        for hour in 0..10 {
            sealed.push(exchanges::seal(&key, of, event(hour), &said)?);
        }
        exchanges::append(tx, TENANT, sealed).await?;
        assert_eq!(exchanges::of(tx, &key, of, event(10)).await?, []);
        let held = exchanges::held(tx, TENANT, job).await?;
        assert_eq!(held.events, 10);
        let one = held.bytes / 10;
        assert!(one > 1300 && one < 2000, "{one}");
        let surplus =
            async |tx: &mut _, since, bytes| exchanges::surplus(tx, of, later(since), bytes).await;
        assert_eq!(surplus(tx, 0, held.bytes).await?, None);
        assert_eq!(surplus(tx, 0, held.bytes - 1).await?, Some(event(0)));
        assert_eq!(surplus(tx, 0, 3 * one).await?, Some(event(6)));
        assert_eq!(surplus(tx, 0, 0).await?, Some(event(9)));
        assert_eq!(surplus(tx, 3 * 3600, held.bytes).await?, Some(event(2)));
        assert!(!exchanges::throw_away(tx, of, event(6)).await?);
        assert_eq!(exchanges::held(tx, TENANT, job).await?.events, 3);
        assert_eq!(exchanges::of(tx, &key, of, event(6)).await?, []);
        exchanges::of(tx, &key, of, event(7)).await
    });
    assert_eq!(found.unwrap(), wanted);
}

async fn what_was_withdrawn_counts_until_it_is_forgotten(test: &TestStore) {
    let job = JobId::new();
    let anchors: Vec<ObjectId> = (0..100).map(|_| ObjectId::new()).collect();
    let counts = write!(test, |tx| {
        withdrawn::add(tx, TENANT, job, NOW, &anchors).await?;
        withdrawn::add(tx, TENANT, job, later(10), &anchors[..40]).await?;
        let all = withdrawn::count(tx, TENANT, job, &[]).await?;
        let others = withdrawn::count(tx, TENANT, job, &anchors[..30]).await?;
        let managed = links::count_managed_or_withdrawn(tx, TENANT, job).await?;
        withdrawn::forget(tx, TENANT, job, NOW).await?;
        assert_eq!(withdrawn::count(tx, TENANT, job, &[]).await?, 100);
        withdrawn::forget(tx, TENANT, job, later(1)).await?;
        let left = withdrawn::count(tx, TENANT, job, &[]).await?;
        Ok((all, others, managed, left))
    });
    assert_eq!(counts.unwrap(), (100, 70, 100, 40));
}

async fn old_events_go_with_their_cycles(test: &TestStore) {
    let (job, other) = (JobId::new(), JobId::new());
    let cycle = |job: JobId, ended: Timestamp| Cycle {
        id: CycleId::new(),
        job,
        kind: CycleKind::Incremental,
        began: ended,
        ended: Some(ended),
        state: CycleState::Succeeded,
        counts: Counts::default(),
    };
    let event_at = |cycle: &Cycle, millis: u64| {
        let mut it = event(cycle.job, cycle.id, Status::Success);
        let mut id = *it.id.as_bytes();
        id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
        it.id = EventId::from_bytes(id);
        it
    };
    let (old, new) = (cycle(job, later(0)), cycle(job, later(100)));
    let (began, of_other) = (cycle(job, later(99)), cycle(other, later(0)));
    let millis = |at: Timestamp| (at.as_micros() / 1000) as u64;
    let mut written: Vec<Event> = (0..700)
        .map(|it| event_at(&old, millis(later(0)) + it))
        .collect();
    // One that began before, and went on.
    written.extend([
        event_at(&began, millis(later(99))),
        event_at(&new, millis(later(100))),
    ]);
    written.push(event_at(&of_other, millis(later(0))));
    let put = [old, new, began, of_other];
    let put = write!(test, |tx| {
        for cycle in &put {
            cycles::put(tx, TENANT, cycle).await?;
        }
        events::append(tx, TENANT, &written).await
    });
    put.unwrap();
    let left = async || {
        let left = write!(test, |tx| {
            let all = EventQuery::default();
            Ok((
                events::list(tx, TENANT, job, &all, 1000).await?.len(),
                cycles::latest(tx, TENANT, job, 10).await?.len(),
                events::list(tx, TENANT, other, &all, 10).await?.len(),
                events::has_before(tx, TENANT, job, later(50)).await?,
            ))
        });
        left.unwrap()
    };
    let throw = async || {
        let thrown = write!(test, |tx| events::throw_away(tx, (TENANT, job), later(50))
            .await);
        thrown.unwrap()
    };
    assert_eq!(left().await, (702, 3, 1, true));
    assert!(throw().await);
    assert!(!throw().await);
    assert_eq!(left().await, (2, 2, 1, false));
}
