//! Memberships that a cycle would take away: what the guard counts of them (6.5).
//!
//! Like withdrawals they are found before the first write, and only those that were found are removed by
//! the cycle. What turns up later is put off to the next one, which judges it.

use std::collections::{HashMap, HashSet};

use muster_model::directory::Kind;
use muster_model::event::Action;
use muster_model::job::{Guard, Withdrawal};
use muster_model::link::{Link, LinkState, SourceAnchor};
use muster_store::jobs::Lease;
use muster_store::references::{self, Standing, State};
use muster_store::{StoreError, Tx, links, withdrawn};

use crate::cycle::{PAGE, Run, path_of};
use crate::error::EngineError;
use crate::guard::Found;
use crate::references::MEMBERS;

/// A group, and who is in it.
pub(crate) type Membership = (SourceAnchor, SourceAnchor);

/// Who may be removed from which group, and whether it counts when the guard judges next.
pub(crate) type Removals = HashMap<SourceAnchor, HashMap<SourceAnchor, bool>>;

/// Members that the source has no more, by group.
type Departed = HashMap<SourceAnchor, HashSet<SourceAnchor>>;

/// What the target may have of a reference.
const THERE: [State; 4] = [State::Add, State::Exported, State::Remove, State::Sending];

impl Run<'_> {
    /// Is there a guard for memberships, and are there any to guard?
    pub(crate) fn guards_members(&self) -> bool {
        self.guard.counts_members() && self.maps_members()
    }

    /// Adds the groups from which members would be removed when everything of them is compared.
    pub(crate) async fn add_departed(
        &self,
        groups: Vec<Link>,
        found: &mut Found,
    ) -> Result<(), EngineError> {
        let path = |kind: Kind, attribute: &str| path_of(self.rules, kind, attribute);
        let pass = self.pass(&path);
        let mut departed = Departed::new();
        let mut linked = HashMap::new();
        for group in groups {
            if group.state == LinkState::Managed && !found.contains_key(&group.anchor) {
                let members = pass.departed(&group, MEMBERS).await?;
                departed.insert(group.anchor, members.into_iter().collect());
                linked.insert(group.anchor, group);
            }
        }
        self.add_removals(departed, &linked, found).await
    }

    /// Adds the groups of which some memberships would be removed: those that changed, those of groups that
    /// are compared as a whole, and those that are left of an earlier cycle.
    pub(crate) async fn add_changed(
        &self,
        mut changed: Vec<Membership>,
        found: &mut Found,
    ) -> Result<(), EngineError> {
        let Lease { tenant, job, .. } = self.lease;
        let mut after = None;
        loop {
            let page = self.store.read::<_, StoreError, _>(|tx| {
                Box::pin(async move { links::unfilled(tx, tenant, job, after, PAGE).await })
            });
            let page = page.await?;
            let Some(last) = page.last() else { break };
            after = Some(last.anchor);
            self.add_departed(page, found).await?;
        }
        let nobody = SourceAnchor::from_bytes([0; 16]);
        let mut place = (nobody, nobody);
        loop {
            let page = self.store.read::<_, StoreError, _>(|tx| {
                Box::pin(async move {
                    references::to_remove(tx, tenant, job, MEMBERS, place, PAGE).await
                })
            });
            let page = page.await?;
            let Some(last) = page.last() else { break };
            place = *last;
            changed.extend(page);
        }
        changed.sort_unstable();
        changed.dedup();
        for part in changed.chunks(PAGE as usize) {
            self.add_memberships(part, found).await?;
        }
        Ok(())
    }

    async fn add_memberships(
        &self,
        changed: &[Membership],
        found: &mut Found,
    ) -> Result<(), EngineError> {
        let Lease { tenant, job, .. } = self.lease;
        let named: Vec<Membership> = changed.to_vec();
        let known = self.store.read::<_, StoreError, _>(|tx| {
            Box::pin(async move {
                let named: Vec<_> = named
                    .iter()
                    .map(|(group, member)| (*group, MEMBERS, *member))
                    .collect();
                references::standing(tx, tenant, job, &named).await
            })
        });
        let mut departed = Departed::new();
        for ((group, member), standing) in changed.iter().zip(known.await?) {
            let may_be_there = |it: Standing| match it.state {
                State::Refused => it.sent_as.is_some(),
                state => THERE.contains(&state),
            };
            let is_there = standing.is_some_and(may_be_there);
            if is_there && !self.source.is_member(*group, *member).await? {
                departed.entry(*group).or_default().insert(*member);
            }
        }
        let groups: Vec<SourceAnchor> = departed.keys().copied().collect();
        let linked = self.links_of(&groups).await?;
        self.add_removals(departed, &linked, found).await
    }

    /// A group that would be deleted loses nobody besides.
    async fn add_removals(
        &self,
        departed: Departed,
        linked: &HashMap<SourceAnchor, Link>,
        found: &mut Found,
    ) -> Result<(), EngineError> {
        let groups: Vec<SourceAnchor> = departed.keys().copied().collect();
        let names = self.source.names(Kind::Group, &groups).await?;
        let mut names: HashMap<SourceAnchor, String> = names.into_iter().collect();
        for (group, members) in departed {
            let Some(link) = linked.get(&group) else {
                continue;
            };
            if members.is_empty() || link.state != LinkState::Managed {
                continue;
            }
            let name = names.remove(&group);
            let one = found.entry(group).or_insert_with(|| Withdrawal {
                kind: Kind::Group,
                anchor: group,
                name: name.unwrap_or_else(|| group.to_string()),
                target: link.target.clone(),
                action: Action::Update,
                members: Vec::new(),
                reason: String::new(),
                allowed: false,
            });
            if one.action == Action::Update {
                one.members.extend(members);
                one.members.sort_unstable();
                one.members.dedup();
                one.reason = match one.members.len() {
                    1 => "one member left the group".to_owned(),
                    many => format!("{many} members left the group"),
                };
            }
        }
        Ok(())
    }
}

/// What is to be judged of memberships.
#[derive(Debug)]
pub(crate) struct Counted {
    /// Whatever was found.
    pub(crate) removals: Removals,
    /// How many nobody has allowed.
    pub(crate) new: u64,
    /// Are they too many?
    pub(crate) is_too_much: bool,
}

/// Counts memberships that would be removed; those that were allowed before, and those of somebody who loses
/// the account itself, do not count.
pub(crate) async fn count(
    tx: &mut Tx<'_>,
    Lease { tenant, job, .. }: Lease,
    guard: Guard,
    found: &Found,
    before: &Found,
) -> Result<Counted, StoreError> {
    let lately = withdrawn::members(tx, tenant, job).await?;
    let mut recent: u64 = lately.values().map(|members| members.len() as u64).sum();
    let mut counted = Counted {
        removals: Removals::new(),
        new: 0,
        is_too_much: false,
    };
    for (group, one) in found.iter().filter(|(_, it)| !it.members.is_empty()) {
        let linked = links::of(tx, tenant, job, &one.members).await?;
        let managed = linked
            .iter()
            .filter(|link| link.state == LinkState::Managed)
            .map(|link| link.anchor);
        let managed: HashSet<SourceAnchor> = managed.collect();
        let allowed = before
            .get(group)
            .filter(|it| it.allowed && it.target == one.target);
        let allowed: HashSet<SourceAnchor> = allowed
            .iter()
            .flat_map(|it| it.members.iter().copied())
            .collect();
        let counts = |member: &SourceAnchor| {
            let keeps_account = found.get(member).is_none_or(|it| !it.members.is_empty());
            managed.contains(member) && !allowed.contains(member) && keeps_account
        };
        let removals: HashMap<SourceAnchor, bool> = one
            .members
            .iter()
            .map(|member| (*member, counts(member)))
            .collect();
        let new = removals.values().filter(|counts| **counts).count() as u64;
        counted.new += new;
        if new > 0 {
            // Who leaves once more is one.
            let known = lately.get(group);
            let counts_twice = |it: &&SourceAnchor| removals.get(*it).is_some_and(|counts| *counts);
            let twice = known.map_or(0, |it| it.iter().filter(counts_twice).count()) as u64;
            recent -= twice;
            let recent = known.map_or(0, |it| it.len() as u64) - twice;
            let tally = references::tally(tx, tenant, job, *group).await?;
            let there = tally
                .iter()
                .filter(|(by, state, _)| by == MEMBERS && THERE.contains(state));
            let of = recent + there.map(|(_, _, count)| count).sum::<u64>();
            counted.is_too_much |= guard.holds_back_members(recent + new, of);
        }
        counted.removals.insert(*group, removals);
    }
    counted.is_too_much |= counted.new > 0 && guard.holds_back_memberships(recent + counted.new);
    Ok(counted)
}
