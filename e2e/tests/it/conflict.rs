//! An account that the target has already, its user name written in another case.
//!
//! User names do not differ by case (RFC 7643, section 4.1.1). scim2-server finds the account;
//! SCIMMY does not find it, and refuses to make another one of the same name.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use muster_e2e::{Muster, Peer, Picture, Sample};
use serde_json::{Value, json};

use crate::{APP, set_up};

const GROUP: &str = "Dept - Executive Office";
const USER: &str = "zdenek.cerny@fjordlight.example";
const AT_THE_TARGET: &str = "Zdenek.CERNY@fjordlight.example";

/// What a test works with: one small group is assigned.
struct Scene {
    sample: Sample,
    assigned: BTreeSet<String>,
    muster: Muster,
    /// The id of the account that the target has already.
    id: Value,
}

async fn scene(peer: &Peer) -> Result<Scene> {
    let sample = Sample::read()?;
    let account = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": AT_THE_TARGET, "active": false
    });
    let id = peer.create("Users", &account).await?["id"].take();
    let assigned = BTreeSet::from([sample.group(GROUP)?.clone()]);
    let muster = set_up(peer, &assigned).await?;
    Ok(Scene {
        sample,
        assigned,
        muster,
        id,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_in_another_case_is_matched_in_scim2_server() -> Result<()> {
    let peer = Peer::scim2_server().await?;
    let Scene {
        sample,
        assigned,
        muster,
        id,
    } = scene(&peer).await?;
    let accounts = sample.in_scope(&assigned);

    let cycle = muster.json(0, &["job", "run", APP]).await?;
    assert_eq!(cycle["updated"], 1, "{cycle}");
    assert_eq!(
        cycle["created"],
        accounts.len(),
        "all but one, and the group: {cycle}"
    );
    let event = muster
        .json(
            0,
            &["log", "list", APP, "--user", USER, "--action", "update"],
        )
        .await?;
    assert_eq!(event[0]["targetIdentity"]["id"], id, "{event}");
    // The name is equal but for its case, so it is left as the target has it.
    let mut expected = sample.picture(&assigned, &accounts)?;
    for user in &mut expected.users {
        in_their_case(&mut user.user_name);
        user.manager.as_mut().map(in_their_case);
    }
    expected
        .members
        .iter_mut()
        .for_each(|(_, member)| in_their_case(member));
    Picture::of(&peer).await?.must_be(&expected.sorted())
}

fn in_their_case(name: &mut String) {
    if name == USER {
        AT_THE_TARGET.clone_into(name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_scimmy_does_not_find_is_reported_as_a_conflict() -> Result<()> {
    let peer = Peer::scimmy().await?;
    let Scene {
        sample,
        assigned,
        muster,
        ..
    } = scene(&peer).await?;
    let accounts = sample.in_scope(&assigned);

    let cycle = muster.json(3, &["job", "run", APP]).await?;
    assert_eq!(cycle["state"], "EntryLevelErrors", "{cycle}");
    assert_eq!(cycle["failed"], 1, "{cycle}");
    assert_eq!(
        cycle["created"],
        accounts.len(),
        "all but one, and the group: {cycle}"
    );

    let failures = muster
        .json(0, &["log", "list", APP, "--status", "failure"])
        .await?;
    let [failure] = failures.as_array().context("a list")?.as_slice() else {
        panic!("one failure, not {failures}");
    };
    assert_eq!(failure["errorCode"], "Conflict", "{failure}");
    assert_eq!(failure["type"], "User", "{failure}");
    assert_eq!(
        failure["sourceIdentity"]["id"],
        **sample.user(USER)?,
        "{failure}"
    );
    let reason = failure["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("taken") && reason.contains("same user name"),
        "{reason}"
    );

    // It is tried again later, and its membership waits for it.
    let status = muster.json(0, &["job", "status", APP]).await?;
    assert_eq!(status["escrows"], 1, "{status}");
    let seen = Picture::of(&peer).await?;
    let member = (GROUP.to_owned(), AT_THE_TARGET.to_owned());
    assert_eq!(seen.users.len(), accounts.len());
    assert_eq!(seen.members.len(), accounts.len() - 1);
    assert!(!seen.members.contains(&member), "{:?}", seen.members);
    Ok(())
}
