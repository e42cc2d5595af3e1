//! A small directory, a target in memory, and everything that can go wrong between them: requests
//! that are refused, answers that are lost, a target that is away, a process that dies at any
//! request, and people who change the directory and the job meanwhile. Once everything works again,
//! the target must come to hold exactly what the directory entitles to.
//!
//! Store, directory, engine and use cases are the real ones. What happens is drawn from a seed, which
//! a failure names; who is answered first is not, so that a seed may need several runs.

mod guard;
mod matching;
mod nested;
mod provider;
mod status;
mod world;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use muster_app::{jobs as jobs_app, plans};
use muster_engine::EngineError;
use muster_model::EventId;
use muster_model::cycle::{Counts, Cycle, CycleKind};
use muster_model::event::{Action, Event, Status, Step, StepName};
use muster_model::job::{Guard, ResetScope};
use muster_model::link::{SourceAnchor, TargetId};
use muster_store::plans::{At, Placed, operation_from_json};
use muster_store::{escrows, jobs};
use tokio::sync::watch;

use world::{APP, GUARD, World};

/// Steps of one simulation while things go wrong.
const STEPS: usize = 24;
/// Cycles after which everything must have come to rest.
const PATIENCE: usize = 12;

/// Numbers that look random and can be drawn again.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    /// True in `permille` of 1000 cases.
    fn happens(&mut self, permille: usize) -> bool {
        self.below(1000) < permille
    }
}

/// What was done or is to be done to whom.
fn told(source: &SourceAnchor, action: Action, status: Status, code: &str) -> String {
    format!("{source} {action} {status} {code}")
}

/// The references of a write, as it is told: what is done, who refers, to whom.
fn references(write: &str) -> Vec<(String, String, String)> {
    let Some((operation, rest)) = write.split_once("(References") else {
        return Vec::new();
    };
    let mut ids = rest.split("TargetId(\"").skip(1);
    let mut id = || Some(ids.next()?.split('"').next()?.to_owned());
    let owner = id().unwrap();
    let referred = std::iter::from_fn(id);
    referred
        .map(|one| (operation.to_owned(), owner.clone(), one))
        .collect()
}

impl World {
    /// One cycle, which the process may not survive. What its guard holds back it does not do, and what it
    /// does its guard allows (EH-17).
    async fn cycle(self: &Arc<Self>) -> Option<Result<Cycle, EngineError>> {
        let (allowed, _) = jobs_app::held_back(&self.ctx, APP, None, 1000)
            .await
            .unwrap();
        let allowed = allowed.iter().filter(|it| it.allowed);
        let (left, gone): (Vec<_>, Vec<_>) = allowed.partition(|it| it.action == Action::Update);
        let (allowed, may_leave) = (
            gone.len() as u64,
            left.iter().map(|it| it.size()).sum::<u64>(),
        );
        let (before, memberships) = (self.writes(), self.memberships());
        let begun = self.told.lock().unwrap().len();
        let ended = self.cycle_now().await;
        match &ended {
            Some(Err(EngineError::HeldBack(_))) => {
                assert!(self.is_guarded, "nobody asked for a guard");
                assert_eq!(
                    self.writes(),
                    before,
                    "held back, and written:\n{}",
                    self.told()
                );
            }
            Some(Ok(cycle)) if self.is_guarded => {
                let most = u64::from(GUARD.most.unwrap()) + allowed;
                // Somebody may be disabled and, gone for good meanwhile, deleted in the same cycle.
                let log = self.log().await;
                let gone = log.iter().filter(|it| {
                    it.cycle == cycle.id
                        && it.status == Status::Success
                        && matches!(it.action, Action::Disable | Action::Delete)
                });
                let gone: BTreeSet<SourceAnchor> = gone.map(|it| it.source).collect();
                // A cycle that was broken off goes on under the same id and counts.
                let is_whole = cycle.kind == CycleKind::Incremental;
                assert!(
                    !is_whole || gone.len() as u64 <= most,
                    "the guard was passed: {:?}\n{}",
                    cycle.counts,
                    self.told()
                );
                self.check_memberships(&memberships, may_leave, begun, is_whole);
            }
            _ => {}
        }
        ended
    }

    /// Who kept the account, and the group was kept, too, left it only if that was not too much. Who may delete
    /// a group may empty it, should the target refuse to delete it.
    fn check_memberships(
        &self,
        before: &BTreeSet<(TargetId, TargetId)>,
        allowed: u64,
        begun: usize,
        is_whole: bool,
    ) {
        let to_go: Vec<String> = self.told.lock().unwrap()[begun..]
            .iter()
            .filter(|it| it.trim_start().starts_with("delete "))
            .cloned()
            .collect();
        let was_to_go = |group: &TargetId| {
            let named = format!("delete {group}:");
            to_go.iter().any(|it| it.trim_start().starts_with(&named))
        };
        let most = u64::from(GUARD.memberships.unwrap()) + allowed;
        let now = self.memberships();
        let left: Vec<_> = {
            let held = self.provider.held.lock().unwrap();
            let stays = |(group, member): &&(TargetId, TargetId)| {
                let account = held.users.get(member);
                held.groups.contains_key(group)
                    && !was_to_go(group)
                    && account.is_some_and(|it| it.get("active") == Some(&true.into()))
            };
            before.difference(&now).filter(stays).collect()
        };
        assert!(
            !is_whole || left.len() as u64 <= most,
            "the guard was passed: {left:?} left, {allowed} were allowed\n{}",
            self.told()
        );
    }

    /// Requests that change something at the target.
    fn writes(&self) -> usize {
        let writes = ["create ", "update ", "delete ", "add ", "remove "];
        writes.iter().map(|begin| self.count(begin)).sum()
    }

    async fn cycle_now(self: &Arc<Self>) -> Option<Result<Cycle, EngineError>> {
        let ended = tokio::select! {
            biased;
            () = self.provider.died.notified() => None,
            ended = Box::pin(self.run()) => Some(ended),
        };
        // It may have died at the very end.
        let ended = ended.filter(|_| !self.provider.is_dead());
        if ended.is_none() {
            self.tell("died");
            self.provider.revive();
            let write = self
                .ctx
                .store
                .write::<_, muster_store::StoreError, _>(|tx| {
                    Box::pin(async move { jobs::release_all(tx).await })
                });
            write.await.unwrap();
        }
        ended
    }

    /// A cycle, planned or not.
    async fn run(self: &Arc<Self>) -> Result<Cycle, EngineError> {
        let (tenant, engine) = (self.ctx.tenant, &self.ctx.engine);
        if self.draw(3) > 0 {
            return engine.run(tenant, self.job).await;
        }
        let before = self.provider.written.lock().unwrap().len();
        let id = engine
            .plan(tenant, self.job, &watch::channel(None).0)
            .await?;
        let planned = self.provider.written.lock().unwrap().len();
        assert_eq!(planned, before, "a plan has written:\n{}", self.told());
        let plan = plans::find(&self.ctx, &id).await.unwrap();
        let begin = At::default();
        let operations = plans::operations(&self.ctx, &plan, &begin, 1000);
        let operations = operations.await.unwrap();
        let is_disturbed = self.provider.is_disturbed();
        if !is_disturbed {
            self.explain(&operations).await;
        }
        if is_disturbed && self.draw(4) == 0 {
            self.act().await;
        }
        let known: HashSet<EventId> = self.log().await.iter().map(|it| it.id).collect();
        let ended = engine.apply(tenant, &plan).await;
        let written = self.provider.written.lock().unwrap()[planned..].to_vec();
        // References may be sent in other portions, and to whom has its id only now.
        let objects = written.iter().filter(|it| !it.contains("References("));
        for write in objects {
            let said = serde_json::Value::from(write.as_str()).to_string();
            assert!(
                operations.iter().any(|it| it.body.contains(&said)),
                "{write} is not in the plan:\n{}",
                self.told()
            );
        }
        let ids = self.links().await;
        let planned: HashSet<_> = operations
            .iter()
            .flat_map(|it| operation_from_json(&it.body).unwrap().requests)
            .flat_map(|it| references(&it.body.unwrap()))
            .map(|(operation, owner, referred)| {
                let real = |id: String| ids.get(&id).cloned().unwrap_or(id);
                (operation, real(owner), real(referred))
            })
            .collect();
        for one in written.iter().flat_map(|it| references(it)) {
            assert!(
                planned.contains(&one),
                "{one:?} is not in the plan {planned:?}:\n{}",
                self.told()
            );
        }
        match &ended {
            Err(EngineError::Moved(_) | EngineError::HeldBack(_)) => {
                assert!(written.is_empty(), "refused, and written:\n{}", self.told());
            }
            // Whatever was planned has happened, and nothing else.
            Ok(_) if !is_disturbed => {
                // Whether those referred to are still there is not asked beforehand.
                let is_told = |refers: bool| !refers || !self.is_tampered();
                // Who stays as they are is in no plan; the log says so.
                const EQUAL: &str = "both sides are equal already";
                let planned = operations
                    .iter()
                    .filter(|it| is_told(it.at.place.starts_with('3')))
                    .map(|it| operation_from_json(&it.body).unwrap())
                    .filter(|it| it.reason != EQUAL)
                    .map(|it| told(&it.source, it.action, it.status, &it.code));
                let refers = |it: &Step| it.name == StepName::References;
                let is_news = |it: &Event| !known.contains(&it.id) && it.detail != EQUAL;
                let happened = self.log().await.into_iter();
                let happened =
                    happened.filter(|it| is_news(it) && is_told(it.steps.iter().any(refers)));
                let happened = happened.map(|it| told(&it.source, it.action, it.status, &it.code));
                let (mut planned, mut happened): (Vec<_>, Vec<_>) =
                    (planned.collect(), happened.collect());
                planned.sort();
                happened.sort();
                assert_eq!(happened, planned, "{}", self.told());
                let counts = plan.plan.counts;
                let of = |action: &str| planned.iter().filter(|it| it.contains(action)).count();
                let said = [counts.created, counts.disabled, counts.deleted];
                let counted = [" create success", " disable success", " delete success"].map(of);
                assert_eq!(said.map(|it| it as usize), counted, "{}", self.told());
            }
            _ => {}
        }
        if let (Err(EngineError::Moved(why)), false) = (&ended, is_disturbed) {
            panic!("nothing has moved: {why}\n{}", self.told());
        }
        ended
    }

    /// What is planned for somebody is what is explained to who asks about them.
    async fn explain(&self, operations: &[Placed]) {
        let (tenant, engine) = (self.ctx.tenant, &self.ctx.engine);
        let before = self.provider.written.lock().unwrap().len();
        for it in operations.iter().filter(|it| !it.at.place.starts_with('3')) {
            let it = operation_from_json(&it.body).unwrap();
            let explained = engine.explain(tenant, self.job, it.kind, it.source).await;
            let explained = explained.unwrap().unwrap().operation;
            if !it.requests.is_empty() {
                assert_eq!(explained, it, "{}", self.told());
            }
        }
        let after = self.provider.written.lock().unwrap().len();
        assert_eq!(
            after,
            before,
            "an explanation has written:\n{}",
            self.told()
        );
    }

    /// Everything works: comes to rest and is as it should be.
    async fn rest(self: &Arc<Self>) -> Result<(), String> {
        drop(self.acting.lock().await);
        self.repair().await;
        self.settle().await?;
        self.check()
    }

    /// Runs cycles until one finds nothing left to do.
    async fn settle(self: &Arc<Self>) -> Result<(), String> {
        for _ in 0..PATIENCE {
            self.clock.advance_seconds(2 * 86_400);
            let mut cycle = self.cycle().await.expect("nobody dies any more");
            while let Err(EngineError::HeldBack(_)) = cycle {
                self.tell("allowed");
                jobs_app::allow(&self.ctx, APP, None).await.unwrap();
                cycle = self.cycle().await.expect("nobody dies any more");
            }
            let cycle = cycle.map_err(|error| format!("{error}\n{}", self.told()))?;
            self.tell(&format!("settling: {:?}", cycle.counts));
            let (tenant, job) = (self.ctx.tenant, self.job);
            let read = self.ctx.store.read::<_, muster_store::StoreError, _>(|tx| {
                Box::pin(async move { escrows::outlook(tx, tenant, job).await })
            });
            let (left, _) = read.await.unwrap();
            if (cycle.counts.requests, cycle.counts.failed, left) == (0, 0, 0) {
                return Ok(());
            }
        }
        Err(format!("it does not come to rest\n{}", self.told()))
    }
}

/// Answers what was wrong in the end, and all that happened until then.
async fn simulate(seed: u64) -> Result<(), String> {
    let world = World::new(seed).await;
    for _ in 0..STEPS {
        for _ in 0..world.draw(4) {
            world.act().await;
        }
        world.provider.disturb(true);
        let ended = match world.cycle().await {
            None => "nothing".to_owned(),
            Some(Ok(cycle)) => format!("{:?} {:?}", cycle.kind, cycle.counts),
            Some(Err(error)) => {
                if matches!(error, EngineError::HeldBack(_)) && world.draw(2) == 0 {
                    world.tell("allowed");
                    jobs_app::allow(&world.ctx, APP, None).await.unwrap();
                }
                error.to_string()
            }
        };
        world.provider.disturb(false);
        world.tell(&format!("a cycle came to: {ended}"));
        // Sometimes everything works for a while: nothing may be forgotten of what did not.
        if world.draw(4) == 0 {
            world.rest().await?;
        }
    }
    world.rest().await
}

/// Runs simulations; answers those that failed.
fn run(seeds: std::ops::Range<u64>) -> Vec<(u64, String)> {
    let simulate = |seed: u64| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(simulate(seed)).err().map(|it| (seed, it))
    };
    let half = |odd: u64| {
        let seeds = seeds.clone().filter(move |seed| seed % 2 == odd);
        move || seeds.filter_map(simulate).collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(half(1));
        let mut failed = half(0)();
        failed.extend(other.join().unwrap());
        failed
    })
}

/// With other seeds, and for as long as one likes:
/// `MUSTER_SIMULATIONS=1000..5000 cargo test -p muster-cli --test it whatever`
#[test]
#[expect(clippy::disallowed_methods, reason = "whoever runs it says how long")]
fn whatever_goes_wrong_the_target_comes_to_hold_what_the_directory_entitles_to() {
    let text = std::env::var("MUSTER_SIMULATIONS").unwrap_or_else(|_| "0..60".to_owned());
    let (begin, end) = text.split_once("..").unwrap();
    let failed = run(begin.parse().unwrap()..end.parse().unwrap());
    let seeds: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    let first = failed.first().map_or("", |(_, told)| told);
    assert!(
        failed.is_empty(),
        "{seeds:?} failed, the first so:\n{first}"
    );
}

#[test]
fn a_restart_in_the_middle_of_a_long_cycle_ends_it_and_loses_nothing_of_what_was_done() {
    const MANY: usize = 1200;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::empty(0).await;
        world.fill(MANY).await;
        let first = world.cycle().await.unwrap().unwrap();
        assert_eq!(
            (first.counts.created, first.counts.failed),
            (MANY as u64, 0)
        );
        world.retitle(MANY).await;
        let restart = async {
            while world.count("update ") < 300 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            jobs_app::restart(&world.ctx, APP, ResetScope::USUAL)
                .await
                .unwrap();
        };
        let (ended, ()) = tokio::join!(world.cycle(), restart);
        assert!(
            matches!(ended, Some(Err(EngineError::Restarted))),
            "{ended:?}"
        );
        let done = world.count("update ");
        assert!(done < MANY, "it came too late");
        assert_eq!(world.updates_told().await, done);
        let second = world.cycle().await.unwrap().unwrap();
        assert_eq!(second.counts.updated as usize, MANY - done, "{second:?}");
        assert_eq!(world.count("update "), MANY);
    });
}

/// Runs a test in a world of its own, where nothing goes wrong by itself.
fn quietly<F: Future<Output = ()>>(test: impl FnOnce(Arc<World>) -> F) {
    in_world(true, test);
}

/// As [`quietly`], and a target takes the time it takes.
fn in_real_time<F: Future<Output = ()>>(test: impl FnOnce(Arc<World>) -> F) {
    in_world(false, test);
}

fn in_world<F: Future<Output = ()>>(paused: bool, test: impl FnOnce(Arc<World>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(paused)
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = World::empty(0).await;
        jobs_app::set_guard(&world.ctx, APP, |it| *it = Guard::OFF)
            .await
            .unwrap();
        test(world).await;
    });
}

async fn planned(world: &World) -> muster_store::plans::Kept {
    let progress = watch::channel(None).0;
    let id = world
        .ctx
        .engine
        .plan(world.ctx.tenant, world.job, &progress);
    plans::find(&world.ctx, &id.await.unwrap()).await.unwrap()
}

#[test]
fn a_plan_comes_out_the_same_when_many_leave_a_group_before_everything_is_looked_at() {
    quietly(|world| async move {
        world.fill(40).await;
        world.gather(40).await;
        world.cycle_now().await.unwrap().unwrap();
        for round in 0..3 {
            world.scatter(round * 12..round * 12 + 12).await;
            jobs_app::restart(&world.ctx, APP, ResetScope::USUAL)
                .await
                .unwrap();
            let plan = planned(&world).await;
            let removed = world.count("remove from");
            let applied = world.ctx.engine.apply(world.ctx.tenant, &plan).await;
            let applied = applied.unwrap_or_else(|error| panic!("{error}\n{}", world.told()));
            assert_eq!(applied.counts.failed, 0);
            // In chunks of three.
            assert_eq!(world.count("remove from") - removed, 4);
        }
    });
}

#[test]
fn what_is_not_planned_is_not_written_and_keeps_nothing_planned_from_being_written() {
    quietly(|world| async move {
        world.fill(1000).await;
        world.gather(1000).await;
        world.cycle_now().await.unwrap().unwrap();
        world.scatter(0..2).await;
        world.retitle(1000).await;
        jobs_app::restart(&world.ctx, APP, ResetScope::USUAL)
            .await
            .unwrap();
        let plan = planned(&world).await;
        let (before, changed) = (world.count("update "), world.count("remove from"));
        // While it is applied, two others leave the group, and one changes once more.
        let meanwhile = async {
            while world.count("update ") <= before {
                tokio::task::yield_now().await;
            }
            world.rename(999).await;
            world.scatter(100..102).await;
        };
        let apply = world.ctx.engine.apply(world.ctx.tenant, &plan);
        let (applied, ()) = tokio::join!(apply, meanwhile);
        let applied = applied.unwrap();
        let log = world.log().await;
        let of = |code: &str| {
            let of = log
                .iter()
                .filter(|it| it.cycle == applied.id && it.code == code);
            of.map(|it| it.source_name.clone()).collect::<Vec<_>>()
        };
        let refused = of("NotPlanned");
        let refused: BTreeSet<&str> = refused.iter().map(String::as_str).collect();
        assert_eq!(Vec::from_iter(refused), ["All", "User 999"]);
        // What was planned happened: all but one changed, and the first two left.
        assert_eq!(world.count("update ") - before, 999);
        assert_eq!(world.count("remove from") - changed, 1);
        assert_eq!(world.members().len(), 998);
        // The rest is the next cycle's, at once.
        world.cycle_now().await.unwrap().unwrap();
        assert_eq!(world.members().len(), 996);
        assert_eq!(world.count("update ") - before, 1000);
    });
}

/// A moment for whoever waits until something has happened.
const MOMENT: std::time::Duration = std::time::Duration::from_millis(1);

#[test]
fn who_is_disabled_during_a_long_cycle_is_disabled_at_once() {
    in_real_time(|world| async move {
        const MANY: usize = 1000;
        world.fill(MANY).await;
        world.cycle_now().await.unwrap().unwrap();
        jobs_app::restart(&world.ctx, APP, ResetScope::USUAL)
            .await
            .unwrap();
        *world.provider.takes.lock().unwrap() = std::time::Duration::from_millis(200);
        let before = world.count("read ");
        let meanwhile = async {
            world.until("read ", before + 5).await;
            // One is looked at just now, one is read ahead, one comes last.
            for number in [4, 100, MANY - 1] {
                world.enable(number, false).await;
            }
            while [4, 100, MANY - 1]
                .iter()
                .any(|it| world.is_active(*it) == Some(true))
            {
                tokio::time::sleep(MOMENT).await;
            }
            world.count("read ") - before
        };
        let (ended, read) = tokio::join!(world.cycle_now(), meanwhile);
        let ended = ended.unwrap().unwrap();
        assert!(read < MANY / 2, "{read} others came first");
        assert_eq!((ended.counts.disabled, ended.counts.failed), (3, 0));
        let again = world.cycle_now().await.unwrap().unwrap();
        assert_eq!((again.counts.requests, again.counts.disabled), (0, 0));
        let log = world.log().await;
        let disabled = log.iter().filter(|it| it.action == Action::Disable);
        assert_eq!(disabled.count(), 3);
        assert_eq!(world.count("update "), 3, "{}", world.told());
    });
}

#[test]
fn who_is_disabled_while_being_created_is_disabled_as_soon_as_that_is_known() {
    in_real_time(|world| async move {
        const MANY: usize = 400;
        world.fill(MANY).await;
        *world.provider.takes.lock().unwrap() = std::time::Duration::from_millis(200);
        let meanwhile = async {
            world.until("create ", 20).await;
            // Some have an account, some are about to get one, one would come last.
            for number in (0..60).step_by(10).chain([MANY - 1]) {
                world.enable(number, false).await;
            }
        };
        let (ended, ()) = tokio::join!(world.cycle_now(), meanwhile);
        let ended = ended.unwrap().unwrap();
        for number in (0..60).step_by(10) {
            assert_ne!(world.is_active(number), Some(true), "{}", world.told());
        }
        // It was not created to be disabled (OM-15).
        assert_eq!(world.is_active(MANY - 1), None);
        assert!(ended.counts.created < MANY as u64);
    });
}

/// The target holds everybody, and nothing is known of it any more.
async fn forgotten(world: &Arc<World>, many: usize) {
    world.fill(many).await;
    world.cycle_now().await.unwrap().unwrap();
    world.forget().await;
    world.told.lock().unwrap().clear();
}

#[test]
fn who_is_there_already_is_found_by_pages_when_that_takes_fewer_requests() {
    quietly(|world| async move {
        const MANY: usize = 40;
        forgotten(&world, MANY).await;
        let cycle = world.cycle_now().await.unwrap().unwrap();
        let Counts {
            created,
            skipped,
            failed,
            ..
        } = cycle.counts;
        assert_eq!((created, skipped, failed), (0, MANY as u64, 0));
        // Four in a page, and as many were asked for as there are pages.
        assert_eq!(world.count("page from 1:"), 2);
        assert_eq!(world.count("page from "), 11);
        assert_eq!(world.count("find "), 10);
        assert!(world.check_accounts(MANY).await.is_ok(), "{}", world.told());
        // Who is not among them is created without a question, and who is linked is not asked for.
        world.told.lock().unwrap().clear();
        world.fill_more(MANY, 2 * MANY).await;
        let cycle = world.cycle_now().await.unwrap().unwrap();
        assert_eq!((cycle.counts.created, cycle.counts.failed), (40, 0));
        // A few of them are asked for, and the others once their pages are known to be right.
        assert_eq!(world.count("find "), 13);
    });
}

#[test]
fn pages_that_do_not_show_everybody_make_no_second_account_and_are_not_believed_any_more() {
    quietly(|world| async move {
        const MANY: usize = 80;
        forgotten(&world, MANY).await;
        // Somebody else shows first that the pages say who is not there.
        {
            let mut held = world.provider.held.lock().unwrap();
            for number in 50..=54 {
                let id = TargetId(format!("User{number}"));
                held.remove(muster_model::directory::Kind::User, &id);
            }
            held.hidden = Some(TargetId("User70".to_owned()));
        }
        let cycle = world.cycle_now().await.unwrap().unwrap();
        assert_eq!((cycle.counts.created, cycle.counts.failed), (5, 0));
        assert_eq!(world.count("create "), 6, "{}", world.told());
        let checked = world.check_accounts(MANY).await;
        assert!(checked.is_ok(), "{}", world.told());
        // At once, it is asked who is there.
        world.forget().await;
        world.told.lock().unwrap().clear();
        world.provider.held.lock().unwrap().hidden = Some(TargetId("User6".to_owned()));
        let cycle = world.cycle_now().await.unwrap().unwrap();
        assert_eq!((cycle.counts.created, cycle.counts.failed), (0, 0));
        assert_eq!(world.count("create "), 0, "{}", world.told());
        let checked = world.check_accounts(MANY).await;
        assert!(checked.is_ok(), "{}", world.told());
    });
}

#[test]
fn who_was_on_a_page_and_is_gone_since_is_created() {
    quietly(|world| async move {
        const MANY: usize = 40;
        forgotten(&world, MANY).await;
        world.retitle(MANY).await;
        *world.provider.takes.lock().unwrap() = std::time::Duration::from_millis(200);
        let meanwhile = async {
            world.until("update ", MANY / 2).await;
            let mut held = world.provider.held.lock().unwrap();
            held.remove(
                muster_model::directory::Kind::User,
                &TargetId("User40".to_owned()),
            );
        };
        let (cycle, ()) = tokio::join!(world.cycle_now(), meanwhile);
        let counts = cycle.unwrap().unwrap().counts;
        assert_eq!((counts.created, counts.failed), (1, 0), "{}", world.told());
        assert!(world.check_accounts(MANY).await.is_ok(), "{}", world.told());
    });
}
