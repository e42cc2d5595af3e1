//! Muster against SCIM software that others wrote; see README.md.

mod conflict;
mod conversations;
mod exchanges;
mod graph;
mod leaving;
mod mail;
mod oauth;
mod portal;
mod provider;
mod sample;
mod server;

use anyhow::Result;
use muster_e2e::{Muster, Peer, Sample, TOKEN};

/// The application of the tutorial.
const APP: &str = "Symantec Web Security Service";

/// A directory with the sample, and the application with a tested connection to a peer, switched on.
async fn set_up<'a>(peer: &Peer, assigned: impl IntoIterator<Item = &'a String>) -> Result<Muster> {
    let muster = Muster::new()?;
    let files = Sample::files();
    let mut import = vec!["import"];
    import.extend(files.iter().filter_map(|file| file.to_str()));
    muster.done(&import).await?;
    muster.done(&["app", "add", APP]).await?;
    for group in assigned {
        muster
            .done(&["app", "assign", APP, "--group", group])
            .await?;
    }
    let credentials = [
        "app",
        "credentials",
        APP,
        "--tenant-url",
        &peer.url,
        "--secret-token",
        TOKEN,
    ];
    muster.done(&credentials).await?;
    muster.done(&["job", "start", APP]).await?;
    Ok(muster)
}
