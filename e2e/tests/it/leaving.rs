//! A group that is unassigned: its people are disabled at the target, the group goes, once somebody has said
//! that all of them may.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use muster_e2e::{Peer, Picture, Sample};

use crate::{APP, set_up};

#[tokio::test(flavor = "multi_thread")]
async fn leavers_are_disabled_and_their_group_goes_in_scim2_server() -> Result<()> {
    leavers_are_disabled_and_their_group_goes(&Peer::scim2_server().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn leavers_are_disabled_and_their_group_goes_in_scimmy() -> Result<()> {
    leavers_are_disabled_and_their_group_goes(&Peer::scimmy().await?).await
}

async fn leavers_are_disabled_and_their_group_goes(peer: &Peer) -> Result<()> {
    let sample = Sample::read()?;
    let group = sample.group("Dept - Executive Office")?;
    let assigned = BTreeSet::from([group.clone()]);
    let accounts = sample.in_scope(&assigned);
    let muster = set_up(peer, &assigned).await?;
    muster.json(0, &["job", "run", APP]).await?;
    let mut expected = sample.picture(&assigned, &accounts)?;
    Picture::of(peer).await?.must_be(&expected)?;

    muster
        .done(&["app", "unassign", APP, "--group", group])
        .await?;
    // Everybody at once: the guard holds it, and nothing is written (EH-17).
    let held = muster.run(&["job", "run", APP]).await?;
    ensure!(held.code == 4, "{held:?}");
    Picture::of(peer).await?.must_be(&expected)?;
    let all = (accounts.len() + 1).to_string();
    muster
        .done(&["job", "allow", APP, "--expect", &all])
        .await?;
    let cycle = muster.json(0, &["job", "run", APP]).await?;
    assert_eq!(cycle["disabled"], accounts.len(), "{cycle}");
    assert_eq!(cycle["deleted"], 1, "{cycle}");
    expected
        .users
        .iter_mut()
        .for_each(|user| user.active = false);
    (expected.groups, expected.members) = (Vec::new(), Vec::new());
    Picture::of(peer).await?.must_be(&expected)?;

    // They come back: the same accounts, and a new group with the same members.
    muster
        .done(&["app", "assign", APP, "--group", group])
        .await?;
    let cycle = muster.json(0, &["job", "run", APP]).await?;
    assert_eq!(cycle["created"], 1, "{cycle}");
    assert_eq!(
        cycle["updated"],
        accounts.len(),
        "the users; the group and its members count as created: {cycle}"
    );
    Picture::of(peer)
        .await?
        .must_be(&sample.picture(&assigned, &accounts)?)?;

    let cycle = muster.json(0, &["job", "run", APP]).await?;
    assert_eq!(cycle["requests"], 0, "{cycle}");
    Ok(())
}
