//! A large integration beside a small one: what depends on how many there are, and what it takes to hold them.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::load::{Measured, load};
use crate::side::{Kept, LONG, Side, TURNS, is_wanted, page};

/// Users of the small side.
const SMALL: usize = 20_000;
/// Members of the large group, and of the one beside it.
const MEMBERS: [usize; 2] = [100_000, 1_000];
const CONNECTIONS: usize = 16;
/// What only reads, in more turns: how far a look-up goes into memory differs from turn to turn.
const READS: [&str; 4] = [
    "get by id",
    "filter userName",
    "filter externalId",
    "list of 100",
];
const TURNS_OF_READS: usize = 7;
const CREATE: &str = "create user";

/// Measures everything, or only some of the workloads beside the small side.
pub(crate) async fn run(users: usize, only: Option<&str>) -> Result<()> {
    let mut known = READS.into_iter().chain([CREATE]);
    for name in only.into_iter().flat_map(|only| only.split(';')) {
        ensure!(
            known.clone().any(|it| it == name),
            "{name:?} is none of {:?}",
            known.by_ref().collect::<Vec<_>>()
        );
    }
    let is_wanted = |name: &str| is_wanted(only, name);
    let mut empty = Side::ours(Kept::Sqlite, 0).await?;
    let took = empty.restart().await?;
    println!(
        "empty: {} MiB resident, started in {} ms",
        empty.memory()?.0,
        took.as_millis()
    );
    drop(empty);

    let small = Side::ours(Kept::Sqlite, SMALL).await?;
    let mut large = Side::ours(Kept::Sqlite, 0).await?;
    large.fill_in_bulk(users).await?;
    small.spread().await?;
    large.spread().await?;
    println!(
        "{users} users beside {SMALL}, {CONNECTIONS} connections, each worker on a core of its own"
    );
    for workload in READS.into_iter().filter(|it| is_wanted(it)) {
        let of = |side| measure(side, workload);
        beside(workload, TURNS_OF_READS, || of(&large), || of(&small)).await?;
    }
    if is_wanted(CREATE) {
        let of = |side| measure(side, CREATE);
        beside(CREATE, TURNS, || of(&large), || of(&small)).await?;
    }
    if only.is_some() {
        return Ok(());
    }
    let at = |start: usize| pages(&large, start);
    let middle = format!("page at {}, first", users / 2);
    beside(&middle, TURNS, || at(users / 2), || at(1)).await?;

    let mut groups = Vec::new();
    for members in MEMBERS {
        groups.push(large.group_of(&format!("Of {members}"), members).await?);
    }
    for workload in ["add member", "remove member"] {
        let mut rates = [Vec::new(), Vec::new()];
        for _ in 0..TURNS {
            for (group, rates) in groups.iter().zip(&mut rates) {
                large.group.clone_from(group);
                rates.push(large.measure(workload, CONNECTIONS).await?);
            }
        }
        let [of_many, of_few] = rates.map(|turns| Measured::median(turns).rate);
        let what = format!("{workload}, {} and {}", MEMBERS[0], MEMBERS[1]);
        println!("{}", compared(&what, of_many, of_few));
    }
    let (now, most) = large.memory()?;
    println!("with {users} users: {now} MiB resident, {most} MiB at most");
    let took = large.restart().await?;
    println!(
        "started again in {} ms, {} MiB resident",
        took.as_millis(),
        large.memory()?.0
    );
    Ok(())
}

/// One turn, and the processor time that the server took for each round of it.
type Turn = (Measured, Duration);

async fn measure(side: &Side, workload: &str) -> Result<Turn> {
    timed(side, side.measure(workload, CONNECTIONS)).await
}

/// Pages that begin at about one place.
async fn pages(side: &Side, start: usize) -> Result<Turn> {
    let round = std::sync::Arc::new(move |n: usize| vec![page(start + n % 100)]);
    let answered = std::sync::Arc::new(|_: &_| {});
    let load = load(&side.server, CONNECTIONS, LONG, usize::MAX, round, answered);
    timed(side, load).await
}

async fn timed(side: &Side, load: impl Future<Output = Result<Measured>>) -> Result<Turn> {
    let before = side.busy()?;
    let measured = load.await?;
    let rounds = u32::try_from(measured.rounds)?.max(1);
    let each = side.busy()?.saturating_sub(before) / rounds;
    Ok((measured, each))
}

/// Measures two in turns and says how they compare.
async fn beside<A, B>(
    what: &str,
    turns: usize,
    one: impl Fn() -> A,
    other: impl Fn() -> B,
) -> Result<()>
where
    A: Future<Output = Result<Turn>>,
    B: Future<Output = Result<Turn>>,
{
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        others.push(other().await?);
        ones.push(one().await?);
    }
    let [(one, busy), (other, others_busy)] = [ones, others].map(|turns| {
        let (turns, mut busy): (Vec<_>, Vec<_>) = turns.into_iter().unzip();
        busy.sort();
        (Measured::median(turns).rate, busy[busy.len() / 2])
    });
    println!(
        "{}; {:.1} us of the server beside {:.1}",
        compared(what, one, other),
        busy.as_secs_f64() * 1e6,
        others_busy.as_secs_f64() * 1e6
    );
    Ok(())
}

fn compared(what: &str, one: f64, other: f64) -> String {
    format!(
        "{what:36} {one:>8.0}/s beside {other:>8.0}/s, {:.2}",
        one / other
    )
}
