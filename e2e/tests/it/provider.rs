//! Our own service provider, as clients that others wrote see it.

use anyhow::{Context, Result};
use muster_e2e::{Muster, Python, Server};

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
