//! Our own service provider, as clients that others wrote see it.

use anyhow::{Context, Result};
use muster_e2e::{Muster, Python, Server};
use serde_json::Value;

/// What scim-sanity finds wrong, and its words. Each is a PATCH of a group that we answer with 204,
/// as RFC 7644 §3.5.2 allows; scim-sanity accepts nothing but 200 and the resource.
const GROUP_PATCHES: [(&str, &str); 3] = [
    (
        "PATCH /Groups/{id}",
        "Expected HTTP 200, got 204 (RFC 7644 §3.3); Response body is empty",
    ),
    ("PATCH /Groups/{id} add member", "Expected 200, got 204"),
    ("PATCH /Groups/{id} remove members", "Expected 200, got 204"),
];
/// What it leaves out: resource types of a draft, which no `/ResourceTypes` of ours announces.
const DRAFT: [(&str, &str); 3] = [
    ("Agent CRUD Lifecycle", "Agent not supported by server"),
    (
        "AgenticApplication CRUD Lifecycle",
        "AgenticApplication not supported by server",
    ),
    (
        "Agent Rapid Lifecycle",
        "Agent not supported or not in scope",
    ),
];

/// A server, and an integration made through it.
async fn integration(muster: &Muster) -> Result<(Server, String, String)> {
    let server = muster.serve().await?;
    let made = muster
        .json(0, &["integration", "create", "Web Security"])
        .await?;
    let text = |name| {
        made[name]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("no {name}"))
    };
    let (url, token) = (text("scimUrl")?, text("token")?);
    assert!(
        url.starts_with(server.address()),
        "{url} is not at {}",
        server.address()
    );
    Ok((server, url, token))
}

#[tokio::test(flavor = "multi_thread")]
async fn scim2_client_talks_to_our_provider() -> Result<()> {
    let python = Python::find()?;
    let muster = Muster::new()?;
    let (_server, url, token) = integration(&muster).await?;
    let said = python.client_check(&url, &token).await?;
    assert_eq!(said.code, 0, "{}{}", said.stdout, said.stderr);
    let steps: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(steps.len(), 9, "{}", said.stdout);
    for step in steps {
        assert!(
            step.starts_with("ok ") && !step.contains("skipped"),
            "{step}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn scim2_tester_finds_no_error() -> Result<()> {
    let python = Python::find()?;
    let muster = Muster::new()?;
    let (_server, url, token) = integration(&muster).await?;
    let said = python.scim_test(&url, &token).await?;
    let all = format!("{}{}", said.stdout, said.stderr);
    let results = said
        .stdout
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with(' '));
    let (passed, others): (Vec<_>, Vec<_>) = results.partition(|line| line.starts_with("SUCCESS "));
    assert!(others.is_empty(), "{all}");
    assert_eq!(said.code, 0, "{all}");
    // It walks through every attribute of the schemas; when it stops early, nothing is proven.
    assert!(passed.len() >= 120, "{all}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn scim_sanity_finds_nothing_but_the_204_of_group_patches() -> Result<()> {
    let python = Python::find()?;
    let muster = Muster::new()?;
    let (_server, url, token) = integration(&muster).await?;
    let said = python.scim_sanity(&url, &token).await?;
    let all = format!("{}{}", said.stdout, said.stderr);
    let report: Value = serde_json::from_str(&said.stdout).with_context(|| all.clone())?;
    let results = report["results"].as_array().context("no results")?;
    let with = |status| -> Vec<_> {
        results
            .iter()
            .filter(|result| result["status"] == status)
            .map(|result| {
                let text = |name| result[name].as_str().unwrap_or_default();
                (text("name"), text("message"))
            })
            .collect()
    };
    assert_eq!(with("fail"), GROUP_PATCHES, "{all}");
    assert_eq!(with("skip"), DRAFT, "{all}");
    // Neither warnings nor errors, and all that it knows to ask.
    assert_eq!(with("pass").len() + 6, results.len(), "{all}");
    assert_eq!(results.len(), 31, "{all}");
    Ok(())
}
