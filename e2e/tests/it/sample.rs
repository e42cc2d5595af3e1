//! The whole sample at a service provider, then nothing to do, then some changes.

use anyhow::{Context, Result, ensure};
use muster_e2e::{Muster, Peer, Picture, Sample};
use serde_json::{Value, json};

use crate::{APP, set_up};

#[tokio::test(flavor = "multi_thread")]
async fn provisions_the_sample_into_scim2_server() -> Result<()> {
    provisions_the_sample(&Peer::scim2_server().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn provisions_the_sample_into_scimmy() -> Result<()> {
    provisions_the_sample(&Peer::scimmy().await?).await
}

async fn provisions_the_sample(peer: &Peer) -> Result<()> {
    let mut sample = Sample::read()?;
    let assigned = sample.security_groups();
    let accounts = sample.in_scope(&assigned);
    let expected = sample.picture(&assigned, &accounts)?;
    // The second opinion is worth nothing when it is empty.
    ensure!(
        expected.users.len() > 900 && expected.members.len() > 4000,
        "the sample is small"
    );

    let muster = set_up(peer, &assigned).await?;
    let cycle = run(&muster).await?;
    assert_eq!(cycle["kind"], "initial", "{cycle}");
    assert_eq!(cycle["created"], accounts.len() + assigned.len(), "{cycle}");
    assert_eq!(cycle["failed"], 0, "{cycle}");
    Picture::of(peer)
        .await?
        .must_be(&expected)
        .context("after the initial cycle")?;
    no_failures(&muster).await?;

    nothing_is_left_to_do(&muster).await?;

    let changed = change_some_people(&mut sample, &accounts)?;
    let file = muster.data().join("changed-users.csv");
    sample.write_users(
        &file,
        &changed.iter().map(String::as_str).collect::<Vec<_>>(),
    )?;
    let file = file.to_str().context("the path is text")?;
    let imported = muster.json(0, &["import", file]).await?;
    assert_eq!(imported["updated"], changed.len(), "{imported}");
    let cycle = run(&muster).await?;
    assert_eq!(cycle["kind"], "incremental", "{cycle}");
    let counts = json!([
        cycle["updated"],
        cycle["disabled"],
        cycle["created"],
        cycle["failed"]
    ]);
    assert_eq!(counts, json!([changed.len() - 1, 1, 0, 0]), "{cycle}");
    // What did not change costs nothing: at most a look and a write for each of them.
    let requests = cycle["requests"]
        .as_u64()
        .context("a cycle counts its requests")?;
    assert!(requests <= 2 * changed.len() as u64, "{cycle}");
    let expected = sample.picture(&assigned, &accounts)?;
    Picture::of(peer)
        .await?
        .must_be(&expected)
        .context("after the changes")?;
    no_failures(&muster).await?;

    nothing_is_left_to_do(&muster).await
}

/// A new name with a new sign-in name, a first mail address, and a disabled account.
fn change_some_people(
    sample: &mut Sample,
    accounts: &std::collections::BTreeSet<String>,
) -> Result<Vec<String>> {
    let renamed = sample.user("zofia.kowalski@fjordlight.example")?.clone();
    sample.set(
        &renamed,
        "userPrincipalName",
        "zofia.nowak@fjordlight.example",
    )?;
    sample.set(&renamed, "displayName", "Zofia Kowalski-Nowak")?;
    sample.set(&renamed, "surname", "Kowalski-Nowak")?;

    let without_mail = |id: &&String| !sample.users[*id].contains_key("mail");
    let first_mail = accounts
        .iter()
        .find(without_mail)
        .context("somebody has no mail")?
        .clone();
    sample.set(&first_mail, "mail", "first.mail@fjordlight.example")?;

    let disabled = sample
        .user("amelia.smith-jones@fjordlight.example")?
        .clone();
    sample.set(&disabled, "accountEnabled", "false")?;

    Ok(vec![renamed, first_mail, disabled])
}

async fn run(muster: &Muster) -> Result<Value> {
    muster.json(0, &["job", "run", APP]).await
}

async fn nothing_is_left_to_do(muster: &Muster) -> Result<()> {
    let cycle = run(muster).await?;
    assert_eq!(cycle["state"], "Succeeded", "{cycle}");
    assert_eq!(cycle["requests"], 0, "{cycle}");
    Ok(())
}

async fn no_failures(muster: &Muster) -> Result<()> {
    let failures = muster
        .json(0, &["log", "list", APP, "--status", "failure"])
        .await?;
    assert_eq!(failures, json!([]));
    Ok(())
}
