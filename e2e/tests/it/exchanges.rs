//! What was said to a target, read by others: HAR by haralyzer, and commands by a shell and curl.

use std::collections::BTreeSet;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use muster_e2e::{Peer, Python, Sample, TOKEN};
use serde_json::Value;
use tokio::process::Command;

use crate::{APP, set_up};

#[tokio::test(flavor = "multi_thread")]
async fn exchanges_are_read_by_others() -> Result<()> {
    let peer = Peer::scim2_server().await?;
    let sample = Sample::read()?;
    let group = sample.group("Dept - Executive Office")?;
    let muster = set_up(&peer, &BTreeSet::from([group.clone()])).await?;
    muster
        .done(&["job", "exchanges", APP, "--keep", "all"])
        .await?;
    let cycle = muster.json(0, &["job", "run", APP]).await?;
    let created = cycle["created"].as_u64().context("a number")?;

    let all = ["log", "exchanges", APP, "--limit", "500"];
    let har = muster.done(&[&all[..], &["--har"]].concat()).await?;
    ensure!(!har.contains(TOKEN), "what gives access is kept to itself");
    let file = muster.data().join("exchanges.har");
    std::fs::write(&file, &har)?;
    let said = Python::find()?.har_check(&file).await?;
    ensure!(said.code == 0, "{said:?}");
    let entries: Vec<Value> = said
        .stdout
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let sent = |method: &str, status: u64| {
        let is = |it: &&Value| it["method"] == method && it["status"] == status;
        entries.iter().filter(is).count() as u64
    };
    ensure!(sent("POST", 201) == created, "{created} {entries:?}");
    ensure!(sent("PATCH", 200) + sent("PATCH", 204) > 0, "{entries:?}");
    let asks = |it: &Value| it["query"][1]["name"] == "filter" && it["status"] == 200;
    ensure!(entries.iter().any(asks), "{entries:?}");

    // Sent once more, what was created is there already.
    let commands = muster.done(&[&all[..], &["--curl"]].concat()).await?;
    let is_creation = |line: &&str| line.contains("-X POST") && line.contains("/Users'");
    let again = commands.lines().find(is_creation).context("a creation")?;
    ensure!(
        !again.contains(TOKEN) && again.contains("$TOKEN"),
        "{again}"
    );
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{again} --noproxy '*' -w ' %{{http_code}}'")])
        .env("TOKEN", TOKEN)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = shell.output().await?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(
        output.status.success() && said.ends_with(" 409"),
        "{again}: {said}"
    );
    Ok(())
}
