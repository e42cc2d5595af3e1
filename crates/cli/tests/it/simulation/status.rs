//! Quarantine: how a job gets there, how long it stays, and what lifts it (6.2 to 6.4, 5.8, 5.9).

use std::sync::Arc;

use muster_app::{applications, jobs as jobs_app, mappings};
use muster_engine::EngineError;
use muster_engine::port::{Over, TargetError};
use muster_model::cycle::Cycle;
use muster_model::directory::Kind;
use muster_model::job::{Access, Credentials, JobStatus, ResetScope, Retries, Scope};
use muster_model::link::SourceAnchor;
use muster_model::{Clock, Secret};
use muster_store::StoreError;
use muster_store::escrows::{self, Escrow};
use muster_store::references;

use super::quietly;
use super::world::{APP, World};

async fn status(world: &World) -> JobStatus {
    jobs_app::status(&world.ctx, APP).await.unwrap().job.status
}

/// A cycle, which nobody plans before.
async fn run(world: &World) -> Result<Cycle, EngineError> {
    world.ctx.engine.run(world.ctx.tenant, world.job).await
}

/// The reason of a quarantine, and in how many seconds the job is tried again.
async fn quarantine(world: &World) -> (String, u64) {
    let JobStatus::Quarantined {
        reason,
        next_attempt,
        ..
    } = status(world).await
    else {
        panic!("{:?}\n{}", status(world).await, world.told());
    };
    let left = next_attempt.millis_since(world.clock.now()).div_ceil(1000);
    (reason, left)
}

fn unauthorized() -> TargetError {
    TargetError::Unauthorized {
        status: 401,
        detail: "no".to_owned(),
    }
}

/// The job is on, has people at the target, and is in quarantine.
async fn quarantined(world: &Arc<World>) {
    world.fill(2).await;
    jobs_app::start(&world.ctx, APP).await.unwrap();
    run(world).await.unwrap();
    world.rename(0).await;
    world.provider.says(Some(unauthorized()));
    run(world).await.unwrap_err();
    world.provider.says(None);
    quarantine(world).await;
}

#[test]
fn a_target_that_answers_404_to_everything_has_lost_nobody() {
    quietly(|world| async move {
        world.fill(4).await;
        jobs_app::start(&world.ctx, APP).await.unwrap();
        run(&world).await.unwrap();
        world.enable(0, false).await;
        world.purge(1).await;
        world.rename(2).await;
        world.provider.says(Some(TargetError::NotFound));
        // 6.2: it is as if it could not be reached.
        let ended = run(&world).await;
        let Err(EngineError::Target(error)) = &ended else {
            panic!("{ended:?}\n{}", world.told());
        };
        assert!(error.to_string().contains("404"), "{error}");
        let status = jobs_app::status(&world.ctx, APP).await.unwrap().job.status;
        assert_eq!(status.code(), "Quarantine", "{status:?}");
        assert_eq!(world.links().await.len(), 4);

        world.provider.says(None);
        let counts = run(&world).await.unwrap().counts;
        assert_eq!((counts.disabled, counts.deleted, counts.failed), (1, 1, 0));
        assert_eq!(world.is_active(0), Some(false));
        assert_eq!(world.is_active(1), None);
    });
}

#[test]
fn credentials_that_are_refused_in_the_middle_quarantine_the_job() {
    // 6.2; section 15, 13 and 12
    quietly(|world| async move {
        world.fill(2).await;
        jobs_app::start(&world.ctx, APP).await.unwrap();
        run(&world).await.unwrap();
        world.rename(0).await;
        world.provider.says(Some(unauthorized()));
        let ended = run(&world).await;
        assert!(matches!(ended, Err(EngineError::Target(_))), "{ended:?}");
        let (reason, _) = quarantine(&world).await;
        assert_eq!(reason, "EncounteredQuarantineException");
        let cycles = jobs_app::cycles(&world.ctx, APP, 1).await.unwrap();
        let failed = format!("{:?}", cycles[0].state);
        assert!(failed.contains("Unauthorized"), "{failed}");
        // The same credentials saved once more lift it, and the watermark stays.
        world.provider.says(None);
        let credentials = Credentials {
            tenant_url: "https://target.test/scim".to_owned(),
            secret_token: Secret::new("another".to_owned()),
            access: Access::default(),
        };
        let saved = applications::save_credentials(&world.ctx, APP, credentials);
        saved.await.unwrap();
        let report = jobs_app::status(&world.ctx, APP).await.unwrap();
        assert_eq!(report.job.status, JobStatus::Active);
        assert!(report.job.watermark.is_some());
    });
}

#[test]
fn eh_8_to_eh_10_a_quarantine_is_looked_at_less_and_less_often_and_ends_after_28_days() {
    quietly(|world| async move {
        quarantined(&world).await;
        world.provider.says(Some(unauthorized()));
        let fails = async |seconds: i64| {
            world.clock.advance_seconds(seconds);
            let error = run(&world).await.unwrap_err();
            assert!(matches!(error, EngineError::Target(_)), "{error}");
        };
        assert_eq!(quarantine(&world).await.1, 60);
        fails(60).await;
        fails(540).await;
        assert_eq!(quarantine(&world).await.1, 600);
        fails(86_400).await;
        assert_eq!(quarantine(&world).await.1, 6 * 3600);
        // As it is documented, for who wants it so.
        jobs_app::set_retries(&world.ctx, APP, Retries::Documented)
            .await
            .unwrap();
        fails(0).await;
        assert_eq!(quarantine(&world).await.1, 86_400 - 600);
        fails(26 * 86_400 + 86_400).await;
        let status = status(&world).await;
        assert_eq!(status, JobStatus::Paused);
        let told = muster_app::notices::list(&world.ctx).await.unwrap();
        let told = format!("{told:?}");
        assert!(told.contains("QuarantinedTooLong"), "{told}");
        // EH-9
        world.provider.says(None);
        jobs_app::start(&world.ctx, APP).await.unwrap();
        run(&world).await.unwrap();
        assert_eq!(super::status::status(&world).await, JobStatus::Active);
    });
}

#[test]
fn eh_12_a_quarantine_tells_its_series_and_the_status_what_cycles_have_come_to() {
    // 11.2, 11.3
    quietly(|world| async move {
        let report = async || jobs_app::status(&world.ctx, APP).await.unwrap();
        world.fill(2).await;
        jobs_app::start(&world.ctx, APP).await.unwrap();
        assert_eq!(report().await.job.code(), "NotRun");
        assert_eq!(report().await.job.steady, None);
        let first = run(&world).await.unwrap();
        let now = report().await;
        assert_eq!(now.job.code(), "Active");
        let (achieved, last) = now.job.steady.unwrap();
        assert_eq!(achieved, last);
        let exporting = now.milestones.exporting.unwrap();
        assert_eq!((exporting.id, exporting.counts.created), (first.id, 2));

        // An object that fails is no steady state.
        world.clock.advance_seconds(60);
        world.provider.says(Some(TargetError::Refused {
            status: 400,
            over: Over::MissingValue,
            detail: "a surname is required".to_owned(),
        }));
        world.rename(0).await;
        run(&world).await.unwrap();
        let now = report().await;
        assert_eq!(now.job.steady, Some((achieved, last)), "{}", world.told());
        assert_eq!(now.milestones.successful.unwrap().id, first.id);

        assert_eq!(now.escrows, 1);

        world.rename(1).await;
        world.provider.says(Some(unauthorized()));
        let series = async || {
            let JobStatus::Quarantined {
                since,
                looked,
                count,
                code,
                ..
            } = status(&world).await
            else {
                panic!("{}", world.told());
            };
            assert_eq!(code, "Unauthorized");
            (since, looked, count)
        };
        run(&world).await.unwrap_err();
        let (began, looked, count) = series().await;
        assert_eq!((began, count), (looked, 1));
        world.clock.advance_seconds(600);
        run(&world).await.unwrap_err();
        let (since, looked, count) = series().await;
        assert_eq!((since, count), (began, 2));
        assert!(looked >= began.plus_seconds(600));
        assert_eq!(report().await.failures_in_a_row(), 2);
        world.provider.says(None);
        run(&world).await.unwrap();
        let now = report().await;
        assert_eq!(now.failures_in_a_row(), 0);
        let (first, last) = now.job.steady.unwrap();
        assert!(first == achieved && last > achieved);
    });
}

#[test]
fn eh_11_a_quarantine_is_lifted_by_a_restart_a_start_and_what_may_mend_it() {
    quietly(|world| async move {
        quarantined(&world).await;
        let on = JobStatus::Active;
        // A success (EH-9).
        run(&world).await.unwrap();
        assert_eq!(status(&world).await, on);
        for way in 0..6 {
            world.title(0, &way.to_string()).await;
            world.provider.says(Some(unauthorized()));
            run(&world).await.unwrap_err();
            quarantine(&world).await;
            match way {
                0 => drop(jobs_app::start(&world.ctx, APP).await.unwrap()),
                1 => drop(
                    jobs_app::restart(&world.ctx, APP, ResetScope::USUAL)
                        .await
                        .unwrap(),
                ),
                2 => {
                    let only = ResetScope {
                        quarantine: true,
                        ..ResetScope::default()
                    };
                    jobs_app::restart(&world.ctx, APP, only).await.unwrap();
                }
                3 => {
                    let schema = mappings::export(&world.ctx, APP, None).await.unwrap();
                    // The mapping of the title is left out.
                    let mut changed: serde_json::Value = serde_json::from_str(&schema).unwrap();
                    let mappings = "/synchronizationRules/0/objectMappings/0/attributeMappings";
                    let mappings = changed.pointer_mut(mappings).unwrap();
                    let mappings = mappings.as_array_mut().unwrap();
                    mappings.retain(|it| it["targetAttributeName"] != "title");
                    let changed = changed.to_string();
                    assert_ne!(schema, changed);
                    let saved = mappings::import(&world.ctx, APP, &changed, "")
                        .await
                        .unwrap();
                    assert!(saved.is_new);
                }
                4 => {
                    assert!(mappings::restore(&world.ctx, APP).await.unwrap().is_new);
                }
                _ => {
                    let scope = Scope::AssignedOnly;
                    assert!(
                        applications::set_scope(&world.ctx, APP, scope)
                            .await
                            .unwrap()
                    );
                }
            }
            assert_eq!(status(&world).await, on, "{way}");
            let report = jobs_app::status(&world.ctx, APP).await.unwrap();
            // 5.8
            assert_eq!(
                report.job.watermark.is_none(),
                [1, 3, 4, 5].contains(&way),
                "{way}"
            );
            world.provider.says(None);
            run(&world).await.unwrap();
        }
    });
}

#[test]
fn too_many_failures_quarantine_the_job_and_references_count_for_themselves() {
    // 6.3, CY-21
    quietly(|world| async move {
        world.fill(2).await;
        jobs_app::start(&world.ctx, APP).await.unwrap();
        run(&world).await.unwrap();
        let (tenant, job, now) = (world.ctx.tenant, world.job, world.clock.now());
        let anchor = |number: u32| {
            let mut id = [7; 16];
            id[..4].copy_from_slice(&number.to_be_bytes());
            SourceAnchor::from_bytes(id)
        };
        let fail = async |numbers: std::ops::Range<u32>| {
            let write = world.ctx.store.write::<_, StoreError, _>(move |tx| {
                Box::pin(async move {
                    for number in numbers {
                        let escrow = Escrow {
                            anchor: anchor(number),
                            kind: Kind::User,
                            code: "Conflict".to_owned(),
                            first_failed: now,
                            attempts: 9,
                            next_attempt: now.plus_seconds(86_400),
                        };
                        escrows::put(tx, tenant, job, &escrow).await?;
                    }
                    Ok(())
                })
            });
            write.await.unwrap();
        };
        fail(0..4_999).await;
        world.rename(0).await;
        run(&world).await.unwrap();
        assert_eq!(status(&world).await, JobStatus::Active);
        fail(4_999..5_000).await;
        world.title(0, "two").await;
        run(&world).await.unwrap();
        let (reason, _) = quarantine(&world).await;
        assert_eq!(reason, "EncounteredEscrowProportionThreshold");
        // EH-7
        let only = ResetScope {
            escrows: true,
            ..ResetScope::default()
        };
        jobs_app::restart(&world.ctx, APP, only).await.unwrap();
        world.title(0, "three").await;
        run(&world).await.unwrap();
        assert_eq!(status(&world).await, JobStatus::Active);
        // As many references that are refused are no reason.
        let write = world.ctx.store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                let all: Vec<_> = (0..5_001)
                    .map(|it| (anchor(0), "members", anchor(it)))
                    .collect();
                references::want(tx, tenant, job, &all).await?;
                references::refuse(tx, tenant, job, &all, now.plus_seconds(86_400)).await
            })
        });
        write.await.unwrap();
        world.title(0, "four").await;
        run(&world).await.unwrap();
        assert_eq!(status(&world).await, JobStatus::Active);
    });
}

#[test]
fn a_job_that_is_switched_off_in_a_cycle_ends_it_and_begins_no_other() {
    // 5.9
    quietly(|world| async move {
        world.fill(100).await;
        jobs_app::start(&world.ctx, APP).await.unwrap();
        *world.provider.takes.lock().unwrap() = std::time::Duration::from_millis(100);
        let pause = async {
            world.until("create ", 10).await;
            jobs_app::pause(&world.ctx, APP).await.unwrap();
        };
        let (ended, ()) = tokio::join!(run(&world), pause);
        assert_eq!(ended.unwrap().counts.created, 100);
        assert_eq!(status(&world).await, JobStatus::Paused);
    });
}
