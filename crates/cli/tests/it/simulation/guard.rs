//! What the guard counts, and for how long (6.5).

use muster_app::jobs as jobs_app;
use muster_engine::EngineError;
use muster_model::job::{Departure, Guard, Held, ResetScope};

use super::{APP, World, in_real_time, quietly};

async fn set_guard(world: &World, guard: Guard) {
    jobs_app::set_guard(&world.ctx, APP, move |it| *it = guard)
        .await
        .unwrap();
}

#[test]
fn what_is_withdrawn_one_by_one_counts_together_for_a_while() {
    quietly(|world| async move {
        world.fill(20).await;
        let guard = Guard {
            most: Some(3),
            ..Guard::OFF
        };
        set_guard(&world, guard).await;
        world.cycle_now().await.unwrap().unwrap();
        for number in 0..3 {
            world.enable(number, false).await;
            world.cycle_now().await.unwrap().unwrap();
        }
        // EH-16: the cycles of one interval are one cycle there.
        world.enable(3, false).await;
        let held = world.cycle_now().await.unwrap();
        assert!(
            matches!(
                held,
                Err(EngineError::HeldBack(Held {
                    objects: 1,
                    recent: 3,
                    managed: 20,
                    memberships: 0
                }))
            ),
            "{held:?}"
        );
        assert_eq!(world.is_active(3), Some(true));
        // Who is allowed counts no more.
        jobs_app::allow(&world.ctx, APP, Some(1)).await.unwrap();
        world.cycle_now().await.unwrap().unwrap();
        assert_eq!(world.is_active(3), Some(false));
        world.enable(4, false).await;
        assert!(world.cycle_now().await.unwrap().is_err());
        // What is held is held until somebody lets it go, or undoes the cause: time alone does not.
        world.clock.advance_seconds(2 * i64::from(Guard::WITHIN));
        assert!(world.cycle_now().await.unwrap().is_err());
        world.enable(4, true).await;
        world.cycle_now().await.unwrap().unwrap();
        // Forty minutes later everything is as if nothing had happened.
        world.clock.advance_seconds(i64::from(Guard::WITHIN) + 1);
        for number in 4..7 {
            world.enable(number, false).await;
            world.cycle_now().await.unwrap().unwrap();
        }
        // Somebody who is counted twice is one: disabled, and then purged.
        world.purge(5).await;
        world.cycle_now().await.unwrap().unwrap();
    });
}

#[test]
fn the_lane_beside_a_cycle_does_not_pass_the_guard() {
    in_real_time(|world| async move {
        const MANY: usize = 600;
        world.fill(MANY).await;
        let guard = Guard {
            most: Some(2),
            ..Guard::OFF
        };
        set_guard(&world, guard).await;
        world.cycle_now().await.unwrap().unwrap();
        jobs_app::restart(&world.ctx, APP, ResetScope::USUAL)
            .await
            .unwrap();
        *world.provider.takes.lock().unwrap() = std::time::Duration::from_millis(200);
        let before = world.count("read ");
        let meanwhile = async {
            world.until("read ", before + 5).await;
            // One by one, until long after it is too much.
            for number in 560..600 {
                world.enable(number, false).await;
            }
        };
        let (ended, ()) = tokio::join!(world.cycle_now(), meanwhile);
        assert!(ended.unwrap().unwrap().counts.disabled <= 2);
        let held = world.cycle_now().await.unwrap();
        assert!(matches!(held, Err(EngineError::HeldBack(_))), "{held:?}");
    });
}

#[test]
fn who_is_to_be_deleted_is_disabled_for_a_while_before() {
    quietly(|world| async move {
        world.fill(4).await;
        jobs_app::set_leaving(&world.ctx, APP, |leaving, _| {
            leaving.disabled = Departure::Delete;
            leaving.grace_seconds = 3600;
        })
        .await
        .unwrap();
        world.cycle_now().await.unwrap().unwrap();
        for number in 0..3 {
            world.enable(number, false).await;
        }
        world.cycle_now().await.unwrap().unwrap();
        assert_eq!(world.is_active(1), Some(false));
        world.clock.advance_seconds(3599);
        // One comes back in time; nobody else is looked at.
        world.enable(1, true).await;
        world.cycle_now().await.unwrap().unwrap();
        assert_eq!(
            [0, 1].map(|it| world.is_active(it)),
            [Some(false), Some(true)]
        );
        world.clock.advance_seconds(1);
        // The deletion is judged like any other (EH-15).
        let guard = Guard {
            most: Some(1),
            ..Guard::OFF
        };
        set_guard(&world, guard).await;
        let held = world.cycle_now().await.unwrap();
        assert!(matches!(held, Err(EngineError::HeldBack(_))), "{held:?}");
        jobs_app::allow(&world.ctx, APP, Some(2)).await.unwrap();
        world.cycle_now().await.unwrap().unwrap();
        assert_eq!(
            [0, 1, 2, 3].map(|it| world.is_active(it)),
            [None, Some(true), None, Some(true)]
        );
    });
}

#[test]
fn members_who_leave_a_group_together_are_held_and_go_when_they_are_allowed() {
    quietly(|world| async move {
        world.fill(60).await;
        world.gather(60).await;
        let guard = Guard {
            members_share: Some(50),
            ..Guard::OFF
        };
        set_guard(&world, guard).await;
        world.cycle_now().await.unwrap().unwrap();
        assert_eq!(world.members().len(), 60);
        // EH-17: strictly more than half of them; and what is not taken away waits, too.
        world.scatter(0..30).await;
        world.rename(50).await;
        world.cycle_now().await.unwrap().unwrap();
        assert_eq!(world.members().len(), 30);
        world.scatter(30..31).await;
        world.rename(51).await;
        let before = world.writes();
        for round in 0..2 {
            if round == 1 {
                // A restart finds the same (EH-19).
                jobs_app::restart(&world.ctx, APP, ResetScope::USUAL)
                    .await
                    .unwrap();
            }
            let held = world.cycle_now().await.unwrap();
            assert!(
                matches!(
                    held,
                    Err(EngineError::HeldBack(Held {
                        objects: 0,
                        memberships: 1,
                        recent: 0,
                        managed: 61
                    }))
                ),
                "{held:?}"
            );
        }
        assert_eq!(world.writes(), before);
        let (held, count) = jobs_app::held_back(&world.ctx, APP, None, 10)
            .await
            .unwrap();
        assert_eq!((held.len(), held[0].members.len(), count), (1, 1, 1));
        jobs_app::allow(&world.ctx, APP, Some(1)).await.unwrap();
        // Who was allowed may go, and nobody else besides (EH-18).
        world.scatter(31..32).await;
        assert!(matches!(
            world.cycle_now().await.unwrap(),
            Err(EngineError::HeldBack(_))
        ));
        assert_eq!(world.members().len(), 30);
        jobs_app::allow(&world.ctx, APP, Some(2)).await.unwrap();
        world.cycle_now().await.unwrap().unwrap();
        assert_eq!(world.members().len(), 28);
        let (held, count) = jobs_app::held_back(&world.ctx, APP, None, 10)
            .await
            .unwrap();
        assert_eq!((held.len(), count), (0, 0));
    });
}

#[test]
fn members_who_leave_groups_one_by_one_count_together_for_a_while() {
    quietly(|world| async move {
        world.fill(20).await;
        world.gather(20).await;
        let guard = Guard {
            memberships: Some(3),
            ..Guard::OFF
        };
        set_guard(&world, guard).await;
        world.cycle_now().await.unwrap().unwrap();
        for number in 0..3 {
            world.scatter(number..number + 1).await;
            world.cycle_now().await.unwrap().unwrap();
        }
        // Who loses the account does not lose a membership besides.
        world.purge(10).await;
        world.cycle_now().await.unwrap().unwrap();
        assert_eq!(world.members().len(), 16);
        world.scatter(3..4).await;
        let held = world.cycle_now().await.unwrap();
        assert!(matches!(held, Err(EngineError::HeldBack(_))), "{held:?}");
        // EH-19: nothing but the cause needs to be undone.
        world.join(3).await;
        world.cycle_now().await.unwrap().unwrap();
        assert_eq!(world.members().len(), 16);
        world.clock.advance_seconds(i64::from(Guard::WITHIN) + 1);
        world.scatter(3..6).await;
        world.cycle_now().await.unwrap().unwrap();
        assert_eq!(world.members().len(), 13);
    });
}
