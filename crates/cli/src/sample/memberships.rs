//! Who belongs to which group of the sample: power-law sizes, a few nested groups.

use std::iter;
use std::sync::Arc;

use super::Sample;
use super::groups::{Purpose, group_id};
use super::organisation::DEPARTMENTS;
use super::random::{Random, Topic};
use super::users::{department_of, user_id};

/// Group, member, and the kind of the member.
type Membership = (String, String, &'static str);

/// The memberships of all groups, group by group. Only one byte for each user is kept.
pub(super) fn memberships(sample: &Sample) -> impl Iterator<Item = Membership> + '_ {
    let byte = |user| department_of(sample.seed, user).map_or(NOWHERE, |position| position as u8);
    let departments: Arc<[u8]> = (0..sample.users).map(byte).collect();
    let harmonic = harmonic(sample.groups.saturating_sub(FIRST_SIZED));
    (0..sample.groups).flat_map(move |group| members(sample, group, &departments, harmonic))
}

/// Stands for no department.
const NOWHERE: u8 = u8::MAX;

/// The first group that is neither everyone nor a department: its members are drawn.
const FIRST_SIZED: u32 = 1 + DEPARTMENTS.len() as u32;

fn members(
    sample: &Sample,
    group: u32,
    departments: &Arc<[u8]>,
    harmonic: f64,
) -> Box<dyn Iterator<Item = Membership> + Send> {
    let (seed, users) = (sample.seed, sample.users);
    let id = group_id(seed, group);
    let member = move |user| (id.clone(), user_id(seed, user), "user");
    match Purpose::of(group) {
        Purpose::Everyone => Box::new((0..users).map(member)),
        Purpose::Department(position) => {
            let departments = Arc::clone(departments);
            let works_here = move |user: &u32| departments[*user as usize] == position as u8;
            Box::new((0..users).filter(works_here).map(member))
        }
        Purpose::Office(_) | Purpose::Project => {
            let mut random = Random::new(seed, Topic::Members, group);
            let size = size(sample, group, harmonic, &mut random);
            let drawn = walk(users, size, &mut random).map(member);
            let nested = group > FIRST_SIZED + 4 && users > 0 && random.one_in(20);
            let nested =
                nested.then(|| (group_id(seed, group), group_id(seed, group - 1), "group"));
            Box::new(drawn.chain(nested))
        }
    }
}

/// The sum of 1/rank over all ranks: sizes divided by it add up to the memberships asked for.
fn harmonic(ranks: u32) -> f64 {
    const EXACT: u32 = 2000;
    let sum: f64 = (1..=ranks.min(EXACT))
        .map(|rank| 1.0 / f64::from(rank))
        .sum();
    if ranks <= EXACT {
        return sum;
    }
    sum + (f64::from(ranks) / f64::from(EXACT)).ln()
}

/// Falls with the rank of the group. Two memberships of each user are taken already: everyone and
/// the department.
fn size(sample: &Sample, group: u32, harmonic: f64, random: &mut Random) -> u32 {
    let users = f64::from(sample.users);
    let rank = f64::from(group - FIRST_SIZED + 1);
    let ideal = users * (sample.memberships_per_user - 2.0).max(0.5) / harmonic / rank;
    let mut size = ideal.min(users * 0.6) as u32;
    if size == 0 && !random.one_in(10) {
        size = 1 + random.below(5) as u32;
    }
    size.min(sample.users)
}

/// Distinct users without a set of those seen: an arithmetic walk through all users.
fn walk(users: u32, size: u32, random: &mut Random) -> impl Iterator<Item = u32> + Send + use<> {
    let all = u64::from(users.max(1));
    let mut step = 1 + random.below((all - 1).max(1));
    while greatest_common_divisor(step, all) != 1 {
        step = step % all + 1;
    }
    let start = random.below(all);
    let next = move |at: &u64| Some((at + step) % all);
    iter::successors(Some(start), next)
        .map(|at| at as u32)
        .take(size as usize)
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}
