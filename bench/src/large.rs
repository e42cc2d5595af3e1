//! A large integration beside a small one: what depends on how many there are, and what it takes to hold them.

use std::future::Future;

use anyhow::Result;

use crate::load::{Measured, load};
use crate::side::{Kept, LONG, Side, TURNS, page};

/// Users of the small side.
const SMALL: usize = 20_000;
/// Members of the large group, and of the one beside it.
const MEMBERS: [usize; 2] = [100_000, 1_000];
const CONNECTIONS: usize = 16;

pub(crate) async fn run(users: usize) -> Result<()> {
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
    println!("{users} users beside {SMALL}, {CONNECTIONS} connections");
    for workload in [
        "get by id",
        "filter userName",
        "filter externalId",
        "list of 100",
        "create user",
    ] {
        let of = |side| measure(side, workload);
        beside(workload, || of(&large), || of(&small)).await?;
    }
    let at = |start: usize| pages(&large, start);
    let middle = format!("page at {}, first", users / 2);
    beside(&middle, || at(users / 2), || at(1)).await?;

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
        say(
            &format!("{workload}, {} and {}", MEMBERS[0], MEMBERS[1]),
            of_many,
            of_few,
        );
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

async fn measure(side: &Side, workload: &str) -> Result<Measured> {
    side.measure(workload, CONNECTIONS).await
}

/// Pages that begin at about one place.
async fn pages(side: &Side, start: usize) -> Result<Measured> {
    let round = std::sync::Arc::new(move |n: usize| vec![page(start + n % 100)]);
    load(
        &side.server,
        CONNECTIONS,
        LONG,
        usize::MAX,
        round,
        std::sync::Arc::new(|_| {}),
    )
    .await
}

/// Measures two in turns and says how they compare.
async fn beside<A, B>(what: &str, one: impl Fn() -> A, other: impl Fn() -> B) -> Result<()>
where
    A: Future<Output = Result<Measured>>,
    B: Future<Output = Result<Measured>>,
{
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        others.push(other().await?);
        ones.push(one().await?);
    }
    let (one, other) = (Measured::median(ones).rate, Measured::median(others).rate);
    say(what, one, other);
    Ok(())
}

fn say(what: &str, one: f64, other: f64) {
    println!(
        "{what:36} {one:>8.0}/s beside {other:>8.0}/s, {:.2}",
        one / other
    );
}
