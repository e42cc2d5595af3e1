//! Who is there, what they do, and what the target should hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use muster_app::applications::{self, Principal, Template};
use muster_app::{AppError, Ctx, directory, jobs};
use muster_connect::{Http, OutboundPolicy};
use muster_engine::{Engine, EngineOptions};
use muster_model::directory::Kind;
use muster_model::event::{Action, Event};
use muster_model::job::{Access, Credentials, Guard, ResetScope, Scope};
use muster_model::link::TargetId;
use muster_model::{Attributes, Clock, GroupId, JobId, Secret, TenantId, UserId, Value};
use muster_store::events::{self, EventQuery};
use muster_store::links::{self, LinkQuery};
use muster_testkit::{FixedClock, TestStore, sqlite_store};

use super::Dice;
use super::provider::{Connections, MANAGER, Provider};

pub(crate) const APP: &str = "Wiki";
pub(crate) const GUARD: Guard = Guard {
    most: Some(1),
    share: None,
    memberships: Some(1),
    members_share: None,
    within_seconds: 0,
};
const PEOPLE: usize = 7;
const TEAMS: usize = 3;

/// Who is in a team.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Member {
    Person(usize),
    Team(usize),
}

#[derive(Clone, Debug, Default)]
struct Person {
    there: bool,
    purged: bool,
    enabled: bool,
    deleted: bool,
    title: String,
    /// How often it was given another sign-in name.
    named: usize,
    manager: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Team {
    there: bool,
    purged: bool,
    secure: bool,
    name: String,
    members: BTreeSet<usize>,
}

/// What the directory holds.
#[derive(Clone, Debug, Default)]
struct Directory {
    people: Vec<Person>,
    teams: Vec<Team>,
    assigned: BTreeSet<(bool, usize)>,
    all: bool,
    /// Somebody changed the target by hand.
    tampered: bool,
    /// It happened at least once.
    ever_tampered: bool,
}

impl Directory {
    fn is_entitled(&self, number: usize) -> bool {
        let person = &self.people[number];
        let by_team = |(number_of_team, team): (usize, &Team)| {
            team.there
                && team.secure
                && team.members.contains(&number)
                && self.assigned.contains(&(false, number_of_team))
        };
        person.there
            && person.enabled
            && !person.deleted
            && (self.all
                || self.assigned.contains(&(true, number))
                || self.teams.iter().enumerate().any(by_team))
    }

    fn is_team_entitled(&self, number: usize) -> bool {
        let team = &self.teams[number];
        team.there && (self.all || (team.secure && self.assigned.contains(&(false, number))))
    }
}

/// Everything of one simulation.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) ctx: Ctx,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) provider: Arc<Provider>,
    pub(crate) job: JobId,
    pub(crate) is_guarded: bool,
    directory: Mutex<Directory>,
    dice: Mutex<Dice>,
    pub(crate) told: Mutex<Vec<String>>,
    pub(crate) acting: tokio::sync::Mutex<()>,
    _store: TestStore,
}

fn user(number: usize) -> UserId {
    format!("00000001-0000-4000-8000-{number:012}")
        .parse()
        .unwrap()
}

fn group(number: usize) -> GroupId {
    format!("00000002-0000-4000-8000-{number:012}")
        .parse()
        .unwrap()
}

/// The sign-in name of a person who was renamed so often.
fn login(number: usize, named: usize) -> String {
    format!("user{number}.{named}@example.test")
}

impl World {
    pub(crate) async fn new(seed: u64) -> Arc<Self> {
        let world = Self::empty(seed).await;
        for _ in 0..20 {
            world.act().await;
        }
        world
    }

    /// Nobody is there yet.
    pub(crate) async fn empty(seed: u64) -> Arc<Self> {
        let test = sqlite_store().await;
        let clock = FixedClock::at("2026-03-01T09:00:00Z");
        let provider = Provider::new(seed % 2 == 1);
        let store = test.store.clone();
        let options = EngineOptions {
            store: store.clone(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            connector: Arc::new(Connections {
                store: store.clone(),
                provider: Arc::clone(&provider),
            }),
            owner: "simulation".to_owned(),
            // Few are there; some look at pages from the beginning, some after the first one.
            prefetch_after: [0, 1, muster_engine::AFTER][(seed / 6 % 3) as usize],
        };
        let ctx = Ctx {
            tenant: TenantId(1),
            actor: "simulation".to_owned(),
            store,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            engine: Arc::new(Engine::new(options)),
            courier: Arc::new(Http::new(OutboundPolicy::default()).unwrap()),
        };
        let added = applications::add(&ctx, &Template::Custom, Some(APP)).await;
        let job = added.unwrap().job;
        let credentials = Credentials {
            tenant_url: "https://target.test/scim".to_owned(),
            secret_token: Secret::new("token".to_owned()),
            access: Access::default(),
        };
        applications::save_credentials(&ctx, APP, credentials)
            .await
            .unwrap();
        // Every third has a guard that lets one object go; the others see what happens without.
        let guard = if seed.is_multiple_of(3) {
            GUARD
        } else {
            Guard::OFF
        };
        jobs::set_guard(&ctx, APP, move |it| *it = guard)
            .await
            .unwrap();
        let world = Arc::new(Self {
            is_guarded: guard == GUARD,
            ctx,
            clock,
            provider,
            job,
            directory: Mutex::new(Directory {
                people: vec![Person::default(); PEOPLE],
                teams: vec![Team::default(); TEAMS],
                ..Directory::default()
            }),
            dice: Mutex::new(Dice::new(seed)),
            told: Mutex::new(vec![format!("seed {seed}")]),
            acting: tokio::sync::Mutex::default(),
            _store: test,
        });
        let _ = world.provider.world.set(Arc::downgrade(&world));
        world
    }

    /// Many people, all in scope.
    pub(crate) async fn fill(&self, many: usize) {
        self.fill_more(0, many).await;
    }

    /// More of them.
    pub(crate) async fn fill_more(&self, from: usize, to: usize) {
        for number in from..to {
            let set = [
                ("id", user(number).to_string()),
                ("userPrincipalName", login(number, 0)),
                ("displayName", format!("User {number}")),
                ("jobTitle", "new".to_owned()),
            ];
            let set = set.map(|(name, value)| (name.to_owned(), value.into()));
            directory::create_user(&self.ctx, set.to_vec())
                .await
                .unwrap();
        }
        applications::set_scope(&self.ctx, APP, Scope::All)
            .await
            .unwrap();
    }

    /// A team of all of them.
    pub(crate) async fn gather(&self, many: usize) {
        let set = [
            ("id", group(0).to_string()),
            ("displayName", "All".to_owned()),
        ];
        let set = set.map(|(name, value)| (name.to_owned(), value.into()));
        directory::create_group(&self.ctx, set.to_vec())
            .await
            .unwrap();
        for number in 0..many {
            directory::add_member(&self.ctx, group(0), user(number).into())
                .await
                .unwrap();
        }
    }

    /// Some of them leave the team.
    pub(crate) async fn scatter(&self, some: std::ops::Range<usize>) {
        for number in some {
            directory::remove_member(&self.ctx, group(0), user(number).into())
                .await
                .unwrap();
        }
    }

    /// All links are dropped, and everything is looked at anew.
    pub(crate) async fn forget(&self) {
        jobs::restart(&self.ctx, APP, ResetScope::USUAL)
            .await
            .unwrap();
        let (tenant, job) = (self.ctx.tenant, self.job);
        let write = self
            .ctx
            .store
            .write::<_, muster_store::StoreError, _>(move |tx| {
                Box::pin(async move {
                    for link in
                        links::page(tx, tenant, job, None, &LinkQuery::default(), 1000).await?
                    {
                        links::remove(tx, tenant, job, link.anchor).await?;
                    }
                    Ok(())
                })
            });
        write.await.unwrap();
    }

    /// Everybody has one account and a link to it.
    pub(crate) async fn check_accounts(&self, many: usize) -> Result<(), String> {
        let linked: BTreeSet<String> = self.links().await.into_values().collect();
        let held: BTreeSet<String> = {
            let held = self.provider.held.lock().unwrap();
            held.users.keys().map(|id| id.0.clone()).collect()
        };
        if linked == held && held.len() == many {
            return Ok(());
        }
        Err(format!("{linked:?} are linked, {held:?} are there"))
    }

    /// One of them is back in the team.
    pub(crate) async fn join(&self, number: usize) {
        directory::add_member(&self.ctx, group(0), user(number).into())
            .await
            .unwrap();
    }

    /// Only who is assigned is provisioned.
    pub(crate) async fn assigned_only(&self) {
        applications::set_scope(&self.ctx, APP, Scope::AssignedOnly)
            .await
            .unwrap();
    }

    /// Another team, without members.
    pub(crate) async fn found(&self, number: usize) {
        let set = [
            ("id", group(number).to_string()),
            ("displayName", format!("Team {number}")),
        ];
        let set = set.map(|(name, value)| (name.to_owned(), value.into()));
        directory::create_group(&self.ctx, set.to_vec())
            .await
            .unwrap();
    }

    /// Somebody joins or leaves a team, or a team another one.
    pub(crate) async fn put_into(&self, team: usize, member: Member, on: bool) {
        let member = match member {
            Member::Person(number) => user(number).into(),
            Member::Team(number) => group(number).into(),
        };
        let done = if on {
            directory::add_member(&self.ctx, group(team), member).await
        } else {
            directory::remove_member(&self.ctx, group(team), member).await
        };
        done.unwrap();
    }

    /// A team is assigned, with those that are nested in it; or not any more.
    pub(crate) async fn assign_nested(&self, team: usize, on: bool) {
        let team = Principal::GroupAndNested(group(team).to_string());
        if on {
            applications::assign(&self.ctx, APP, &team, None)
                .await
                .unwrap();
        } else {
            applications::unassign(&self.ctx, APP, &team).await.unwrap();
        }
    }

    /// A team is deleted for good.
    pub(crate) async fn delete_team(&self, number: usize) {
        directory::delete_group(&self.ctx, group(number))
            .await
            .unwrap();
    }

    /// Memberships of accounts that may sign in, by group and account.
    pub(crate) fn memberships(&self) -> BTreeSet<(TargetId, TargetId)> {
        let held = self.provider.held.lock().unwrap();
        let is_active = |id: &TargetId| {
            let account = held.users.get(id);
            account.is_some_and(|it| it.get("active") == Some(&Value::Bool(true)))
        };
        held.members
            .iter()
            .flat_map(|(group, members)| members.iter().map(move |it| (group.clone(), it.clone())))
            .filter(|(_, member)| is_active(member))
            .collect()
    }

    /// One of them gets another title once more.
    pub(crate) async fn rename(&self, number: usize) {
        self.title(number, "once more").await;
    }

    /// One of them gets this title.
    pub(crate) async fn title(&self, number: usize, title: &str) {
        let set = vec![("jobTitle".to_owned(), title.into())];
        directory::update_user(&self.ctx, user(number), set)
            .await
            .unwrap();
    }

    /// The account of one of them is switched off, or on.
    pub(crate) async fn enable(&self, number: usize, on: bool) {
        let set = vec![("accountEnabled".to_owned(), on.into())];
        directory::update_user(&self.ctx, user(number), set)
            .await
            .unwrap();
    }

    /// The account of one of them is deleted for good.
    pub(crate) async fn purge(&self, number: usize) {
        directory::soft_delete_user(&self.ctx, user(number))
            .await
            .unwrap();
        directory::purge_user(&self.ctx, user(number))
            .await
            .unwrap();
    }

    /// May one of them sign in at the target? `None` when it has no account there.
    pub(crate) fn is_active(&self, number: usize) -> Option<bool> {
        let held = self.provider.held.lock().unwrap();
        let name = Value::from(login(number, 0));
        let mut users = held.users.values();
        let account = users.find(|it| it.get("userName") == Some(&name))?;
        account.get("active").and_then(Value::as_bool)
    }

    /// The members that the target has of the only group.
    pub(crate) fn members(&self) -> BTreeSet<TargetId> {
        let held = self.provider.held.lock().unwrap();
        held.members.values().next().cloned().unwrap_or_default()
    }

    /// All of them get another title.
    pub(crate) async fn retitle(&self, many: usize) {
        for number in 0..many {
            let set = vec![("jobTitle".to_owned(), "another".into())];
            directory::update_user(&self.ctx, user(number), set)
                .await
                .unwrap();
        }
    }

    /// Waits until so many requests began so; for tests in real time.
    pub(crate) async fn until(&self, begin: &str, count: usize) {
        while self.count(begin) < count {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// How many requests began so.
    pub(crate) fn count(&self, begin: &str) -> usize {
        let told = self.told.lock().unwrap();
        told.iter()
            .filter(|it| it.trim_start().starts_with(begin))
            .count()
    }

    /// How many updates the log tells of.
    /// Has somebody ever changed the target by hand?
    pub(crate) fn is_tampered(&self) -> bool {
        self.directory.lock().unwrap().ever_tampered
    }

    /// Everything that the log says.
    pub(crate) async fn log(&self) -> Vec<Event> {
        let (tenant, job, query) = (self.ctx.tenant, self.job, EventQuery::default());
        let read = self.ctx.store.read::<_, muster_store::StoreError, _>(|tx| {
            Box::pin(async move { events::list(tx, tenant, job, &query, 100_000).await })
        });
        read.await.unwrap()
    }

    /// The ids at the target by what stands for them in a plan.
    pub(crate) async fn links(&self) -> BTreeMap<String, String> {
        let (tenant, job) = (self.ctx.tenant, self.job);
        let read = self.ctx.store.read::<_, muster_store::StoreError, _>(|tx| {
            Box::pin(async move {
                links::page(tx, tenant, job, None, &LinkQuery::default(), 1000).await
            })
        });
        let links = read.await.unwrap().into_iter();
        links
            .map(|it| (format!("planned-{}", it.anchor), it.target.0))
            .collect()
    }

    pub(crate) async fn updates_told(&self) -> usize {
        let log = self.log().await;
        log.iter().filter(|it| it.action == Action::Update).count()
    }

    pub(crate) fn draw(&self, end: usize) -> usize {
        self.dice.lock().unwrap().below(end)
    }

    pub(crate) fn happens(&self, permille: usize) -> bool {
        self.dice.lock().unwrap().happens(permille)
    }

    pub(crate) fn tell(&self, what: &str) {
        self.told.lock().unwrap().push(what.to_owned());
    }

    pub(crate) fn told(&self) -> String {
        let held = self.provider.held.lock().unwrap();
        format!(
            "{}\n{:#?}\n{held:#?}",
            self.told.lock().unwrap().join("\n"),
            self.directory.lock().unwrap()
        )
    }

    /// Somebody does something, to its end, whoever dies meanwhile.
    pub(crate) async fn act(self: &Arc<Self>) {
        let world = Arc::clone(self);
        let act = async move {
            let _turn = world.acting.lock().await;
            world.act_now().await;
        };
        tokio::spawn(act).await.unwrap();
    }

    async fn act_now(&self) {
        let (person, team) = (self.draw(PEOPLE), self.draw(TEAMS));
        match self.draw(100) {
            0..30 => self.change_person(person).await,
            30..50 => self.change_team(team).await,
            50..72 => self.change_membership(team, person).await,
            72..90 => self.change_assignment(person, team).await,
            90..94 => self.tamper(person),
            94 => {
                self.tell("paused and started");
                jobs::pause(&self.ctx, APP).await.unwrap();
                jobs::start(&self.ctx, APP).await.unwrap();
            }
            95..97 => {
                self.tell("restart");
                jobs::restart(&self.ctx, APP, ResetScope::USUAL)
                    .await
                    .unwrap();
            }
            _ => {
                let all = !self.directory.lock().unwrap().all;
                self.tell(&format!("scope: all {all}"));
                let scope = if all { Scope::All } else { Scope::AssignedOnly };
                applications::set_scope(&self.ctx, APP, scope)
                    .await
                    .unwrap();
                self.directory.lock().unwrap().all = all;
            }
        }
    }

    async fn change_person(&self, number: usize) {
        let (id, before) = (
            user(number),
            self.directory.lock().unwrap().people[number].clone(),
        );
        if before.purged {
            return;
        }
        let mut after = before.clone();
        let text = |name: &str, value: Value| (name.to_owned(), value);
        if before.there {
            match self.draw(10) {
                0 => {
                    after.named += 1;
                    let name = login(number, after.named);
                    let set = vec![text("userPrincipalName", name.into())];
                    directory::update_user(&self.ctx, id, set).await.unwrap();
                }
                1..3 => {
                    after.title = format!("title {}", self.draw(1000));
                    let set = vec![text("jobTitle", after.title.clone().into())];
                    directory::update_user(&self.ctx, id, set).await.unwrap();
                }
                3..5 => {
                    after.enabled = !before.enabled;
                    let set = vec![text("accountEnabled", after.enabled.into())];
                    directory::update_user(&self.ctx, id, set).await.unwrap();
                }
                5..8 => {
                    let wanted = self.draw(PEOPLE + 1);
                    let can = |people: &[Person]| {
                        wanted < PEOPLE
                            && wanted != number
                            && people[wanted].there
                            && !people[wanted].deleted
                    };
                    let can = can(&self.directory.lock().unwrap().people);
                    after.manager = can.then_some(wanted);
                    let manager = after
                        .manager
                        .map_or(Value::Null, |manager| user(manager).to_string().into());
                    let set = vec![text("manager", manager)];
                    directory::update_user(&self.ctx, id, set).await.unwrap();
                }
                8 => {
                    after.deleted = !before.deleted;
                    if after.deleted {
                        directory::soft_delete_user(&self.ctx, id).await.unwrap();
                    } else {
                        directory::restore_user(&self.ctx, id).await.unwrap();
                    }
                }
                _ => {
                    if self.draw(3) > 0 {
                        return;
                    }
                    directory::purge_user(&self.ctx, id).await.unwrap();
                    after = Person {
                        purged: true,
                        named: before.named,
                        ..Person::default()
                    };
                    let mut directory = self.directory.lock().unwrap();
                    directory.assigned.remove(&(true, number));
                    for team in &mut directory.teams {
                        team.members.remove(&number);
                    }
                }
            }
        } else {
            after.there = true;
            after.enabled = true;
            "new".clone_into(&mut after.title);
            let set = vec![
                text("id", id.to_string().into()),
                text("userPrincipalName", login(number, 0).into()),
                text("displayName", format!("User {number}").into()),
                text("jobTitle", "new".into()),
            ];
            directory::create_user(&self.ctx, set).await.unwrap();
        }
        self.tell(&format!("person {number}: {after:?}"));
        self.directory.lock().unwrap().people[number] = after;
    }

    async fn change_team(&self, number: usize) {
        let (id, before) = (
            group(number),
            self.directory.lock().unwrap().teams[number].clone(),
        );
        if before.purged {
            return;
        }
        let mut after = before.clone();
        if before.there {
            match self.draw(12) {
                0..6 => {
                    after.name = format!("Team {number} {}", self.draw(1000));
                    directory::rename_group(&self.ctx, id, &after.name)
                        .await
                        .unwrap();
                }
                6..11 => {
                    after.secure = !before.secure;
                    let set = vec![("securityEnabled".to_owned(), after.secure.into())];
                    directory::update_group(&self.ctx, id, set).await.unwrap();
                }
                _ => {
                    directory::delete_group(&self.ctx, id).await.unwrap();
                    after = Team {
                        purged: true,
                        ..Team::default()
                    };
                    self.directory
                        .lock()
                        .unwrap()
                        .assigned
                        .remove(&(false, number));
                }
            }
        } else {
            after.there = true;
            after.secure = true;
            after.name = format!("Team {number}");
            let set = vec![
                ("id".to_owned(), id.to_string().into()),
                ("displayName".to_owned(), after.name.clone().into()),
            ];
            directory::create_group(&self.ctx, set).await.unwrap();
        }
        self.tell(&format!("team {number}: {after:?}"));
        self.directory.lock().unwrap().teams[number] = after;
    }

    async fn change_membership(&self, team: usize, person: usize) {
        let member = {
            let directory = self.directory.lock().unwrap();
            let (team, person) = (&directory.teams[team], &directory.people[person]);
            (team.there && person.there).then_some(!person.deleted)
        };
        let Some(_) = member else { return };
        let is_member = self.directory.lock().unwrap().teams[team]
            .members
            .contains(&person);
        self.tell(&format!("member {person} of {team}: {}", !is_member));
        let done = if is_member {
            directory::remove_member(&self.ctx, group(team), user(person).into()).await
        } else {
            directory::add_member(&self.ctx, group(team), user(person).into()).await
        };
        if matches!(done, Err(AppError::NotFound(_))) {
            return;
        }
        done.unwrap();
        let members = &mut self.directory.lock().unwrap().teams[team].members;
        if is_member {
            members.remove(&person);
        } else {
            members.insert(person);
        }
    }

    async fn change_assignment(&self, person: usize, team: usize) {
        let is_user = self.draw(2) == 0;
        let (principal, key, there) = {
            let directory = self.directory.lock().unwrap();
            if is_user {
                let principal = Principal::User(user(person).to_string());
                let it = &directory.people[person];
                (principal, (true, person), it.there && !it.deleted)
            } else {
                let principal = Principal::Group(group(team).to_string());
                (principal, (false, team), directory.teams[team].there)
            }
        };
        if !there {
            return;
        }
        let is_assigned = self.directory.lock().unwrap().assigned.contains(&key);
        self.tell(&format!("assigned {key:?}: {}", !is_assigned));
        if is_assigned {
            applications::unassign(&self.ctx, APP, &principal)
                .await
                .unwrap();
            self.directory.lock().unwrap().assigned.remove(&key);
        } else {
            applications::assign(&self.ctx, APP, &principal, None)
                .await
                .unwrap();
            self.directory.lock().unwrap().assigned.insert(key);
        }
    }

    /// Somebody removes an account at the target; it is noticed when it is looked at.
    fn tamper(&self, person: usize) {
        let mut held = self.provider.held.lock().unwrap();
        let Some(id) = account(&held.users, person) else {
            return;
        };
        self.tell(&format!("somebody removes {id}"));
        held.remove(Kind::User, &id);
        let mut directory = self.directory.lock().unwrap();
        (directory.tampered, directory.ever_tampered) = (true, true);
    }

    /// What somebody removed at the target is found by looking at everything.
    pub(crate) async fn repair(&self) {
        let tampered = std::mem::take(&mut self.directory.lock().unwrap().tampered);
        if tampered {
            self.tell("restart, because of what somebody removed");
            jobs::restart(&self.ctx, APP, ResetScope::USUAL)
                .await
                .unwrap();
        }
    }

    /// Compares the target with what the directory entitles to.
    pub(crate) fn check(&self) -> Result<(), String> {
        let problems = self.problems();
        if problems.is_empty() {
            return Ok(());
        }
        Err(format!("{}\n{}", problems.join("; "), self.told()))
    }

    fn problems(&self) -> Vec<String> {
        let (directory, held) = (
            self.directory.lock().unwrap().clone(),
            self.provider.held.lock().unwrap(),
        );
        let mut problems = Vec::new();
        let mut expected_groups = BTreeSet::new();
        for (number, person) in directory.people.iter().enumerate() {
            let found: Vec<TargetId> = accounts(&held.users, number);
            if found.len() > 1 {
                problems.push(format!("{number} is there as {found:?}"));
            }
            let values = found.first().and_then(|id| held.users.get(id));
            if !directory.is_entitled(number) {
                if values.is_some_and(|it| it.get("active") == Some(&true.into())) {
                    problems.push(format!("{number} has access and should not"));
                }
                continue;
            }
            let Some(values) = values else {
                problems.push(format!("{number} is missing"));
                continue;
            };
            if values.get("active") != Some(&true.into()) {
                problems.push(format!("{number} is not active"));
            }
            if values.text("userName") != Some(&login(number, person.named)) {
                problems.push(format!("{number} has another name"));
            }
            if values.text("title") != Some(&person.title) {
                problems.push(format!("{number} has another title"));
            }
            let manager = person
                .manager
                .filter(|it| !directory.people[*it].purged)
                .and_then(|it| account(&held.users, it));
            let manager_is_purged = person.manager.is_some_and(|it| directory.people[it].purged);
            // Who refers to an account that somebody removed by hand refers to nobody.
            let known = values.text(MANAGER).filter(|it| {
                !directory.ever_tampered || held.users.contains_key(&TargetId((*it).to_owned()))
            });
            if !manager_is_purged && known != manager.as_ref().map(|it| &*it.0) {
                problems.push(format!("{number} has another manager than {manager:?}"));
            }
        }
        let purged: BTreeSet<TargetId> = (0..PEOPLE)
            .filter(|it| directory.people[*it].purged)
            .filter_map(|it| account(&held.users, it))
            .collect();
        for (number, team) in directory.teams.iter().enumerate() {
            if !directory.is_team_entitled(number) {
                continue;
            }
            expected_groups.insert(team.name.clone());
            let found: Vec<&TargetId> = held
                .groups
                .iter()
                .filter(|(_, it)| it.text("displayName") == Some(&team.name))
                .map(|(id, _)| id)
                .collect();
            let [id] = found[..] else {
                problems.push(format!("team {number} is there {} times", found.len()));
                continue;
            };
            let wanted: BTreeSet<TargetId> = team
                .members
                .iter()
                .filter_map(|member| account(&held.users, *member))
                .collect();
            let mut members = held.members.get(id).cloned().unwrap_or_default();
            members.retain(|member| !purged.contains(member));
            if members != wanted {
                problems.push(format!(
                    "team {number} ({id}) has the members {members:?} and not {wanted:?}"
                ));
            }
        }
        for (id, group) in &held.groups {
            let name = group.text("displayName").unwrap_or_default();
            if !expected_groups.contains(name) {
                problems.push(format!("the group {name} ({id}) should not be there"));
            }
        }
        problems
    }
}

/// The account of a person at the target, under whatever name it ever had.
fn account(users: &BTreeMap<TargetId, Attributes>, number: usize) -> Option<TargetId> {
    accounts(users, number).into_iter().next()
}

fn accounts(users: &BTreeMap<TargetId, Attributes>, number: usize) -> Vec<TargetId> {
    let begin = format!("user{number}.");
    let of = |it: &Attributes| it.text("userName").is_some_and(|it| it.starts_with(&begin));
    let found = users.iter().filter(|(_, it)| of(it));
    found.map(|(id, _)| id.clone()).collect()
}
