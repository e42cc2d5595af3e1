//! The pages, in a browser.

use anyhow::{Context as _, Result, ensure};
use muster_e2e::{Muster, Peer, Said, Sample, Server, browser};
use serde_json::Value;

/// A server with the sample directory, and the link for its first administrator.
async fn prepared() -> Result<(Muster, Server, String)> {
    let muster = Muster::new()?;
    let files = Sample::files();
    let mut import = vec!["import"];
    import.extend(files.iter().filter_map(|file| file.to_str()));
    muster.done(&import).await?;
    let server = muster.serve().await?;
    let said: Value = serde_json::from_str(server.first_line())?;
    let link = said["welcome"].as_str().context("a link")?.to_owned();
    Ok((muster, server, link))
}

fn walked(said: &Said, steps: &[&str]) -> Result<()> {
    ensure!(said.code == 0, "{}\n{}", said.stdout, said.stderr);
    let told: Result<Vec<Value>, _> = said.stdout.lines().map(serde_json::from_str).collect();
    let told: Vec<String> = told?
        .iter()
        .filter_map(|it| Some(it["step"].as_str()?.to_owned()))
        .collect();
    ensure!(told == steps, "{told:?}");
    Ok(())
}

/// The tutorial from *New Integration* to the provisioning log, through the pages only; then somebody is disabled, and
/// that arrives on a page that is not loaded again. axe finds nothing on any page, in either colours; no request leaves
/// the machine.
#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_is_walked_through_the_pages() -> Result<()> {
    let (_muster, _server, link) = prepared().await?;
    let said = browser("walk.mjs", &[&link]).await?;
    let steps = [
        "first administrator",
        "integration",
        "application",
        "assigned",
        "credentials",
        "mappings",
        "plan",
        "on demand",
        "on",
        "initial cycle",
        "log",
        "disabled",
        "expression",
        "scope",
        "versions",
        "preview",
        "scope of all",
        "import",
        "export",
        "received",
        "axe",
        "end",
    ];
    walked(&said, &steps)
}

/// People sign in with OpenID Connect, at an issuer that others wrote.
#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_elsewhere() -> Result<()> {
    let peer = Peer::scim2_server().await?;
    let issuer = peer.behind_oidc(&crate::oauth::public()).await?;
    let mut muster = Muster::new()?;
    muster.set("MUSTER_OIDC_ISSUER", issuer.address());
    muster.set("MUSTER_OIDC_CLIENT_ID", "pages");
    muster.set("MUSTER_OIDC_CLIENT_SECRET", "pages-secret");
    muster.set("MUSTER_OIDC_NAME", "Contoso");
    let server = muster.serve().await?;
    let said: Value = serde_json::from_str(server.first_line())?;
    let link = said["welcome"].as_str().context("a link")?;
    let said = browser("oidc.mjs", &[link]).await?;
    walked(
        &said,
        &["first administrator", "unknown", "known", "refused"],
    )
}

/// The main path by keyboard alone: with script, and without it.
#[tokio::test(flavor = "multi_thread")]
async fn the_main_path_needs_neither_a_mouse_nor_script() -> Result<()> {
    for mode in ["script", "plain"] {
        let (_muster, _server, link) = prepared().await?;
        let said = browser("keyboard.mjs", &[&link, mode]).await?;
        let steps = [
            "first administrator",
            "integration",
            "application",
            "assigned",
            "on",
            "mappings",
            "initial cycle",
            "log",
            "end",
        ];
        walked(&said, &steps)?;
    }
    Ok(())
}
