//! Access tokens from an authorization server that others wrote: for somebody who allows it in a browser
//! (RFC 6749, 4.1 and 6; RFC 7636), and for a client that signs (RFC 7523).

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use muster_e2e::{Muster, Peer, Sample};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::APP;

/// Made for these tests alone with `openssl ecparam -name prime256v1`.
const PRIVATE: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgWpvHJ0XBGYSTn2NZkQjm3w0dtGdLXjKoEzOTE3MbgQehRANCAATZncFxLYfEYrfANWvewTKX7CqTwhLrGrYnkiuh8O15LC0by2NRa+ZZ5ozaEJvWliAI7XC91GfSm59w3O7dAmZ7";

/// What belongs to it.
pub(crate) fn public() -> Value {
    json!({
        "kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "alg": "ES256",
        "x": "2Z3BcS2HxGK3wDVr3sEyl-wqk8IS6xq2J5IrofDteSw", "y": "LRvLY1Fr5lnmjNoQm9aWIAjtcL3UZ9Kbn3Dc7t0CZns"
    })
}

async fn directory() -> Result<(Muster, usize)> {
    let (muster, sample) = (Muster::new()?, Sample::read()?);
    let files = Sample::files();
    let mut import = vec!["import"];
    import.extend(files.iter().filter_map(|file| file.to_str()));
    muster.done(&import).await?;
    muster.done(&["app", "add", APP]).await?;
    let group = sample.group("Dept - Executive Office")?;
    muster
        .done(&["app", "assign", APP, "--group", group])
        .await?;
    let people = sample.in_scope(&BTreeSet::from([group.clone()])).len();
    Ok((muster, people))
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_allows_it_in_a_browser_and_it_lasts() -> Result<()> {
    let peer = Peer::scim2_server().await?;
    let server = peer.behind_oidc(&public()).await?;
    let (muster, people) = directory().await?;
    let secret = muster.data().join("secret.txt");
    std::fs::write(&secret, "client-secret")?;
    let url = |path: &str| format!("{}{path}", server.address());
    let args = [
        ["app", "authorize", APP].map(str::to_owned).to_vec(),
        vec!["--tenant-url".to_owned(), url("/scim")],
        vec!["--authorization-url".to_owned(), url("/auth")],
        vec!["--token-url".to_owned(), url("/token")],
        [
            "--client-id",
            "muster",
            "--oauth-scope",
            "openid offline_access",
        ]
        .map(str::to_owned)
        .to_vec(),
        vec![
            "--secret-token-file".to_owned(),
            secret.display().to_string(),
        ],
    ]
    .concat();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut asking = muster.begin(&args)?;
    let mut remarks = BufReader::new(asking.stderr.take().context("it is piped")?).lines();
    let address = async {
        while let Some(line) = remarks.next_line().await? {
            if line.starts_with("http") {
                return Ok(line);
            }
        }
        Err(anyhow::anyhow!("no address was told"))
    };
    let address = timeout(Duration::from_secs(30), address).await??;
    ensure!(address.contains("code_challenge_method=S256"), "{address}");
    // A browser: it keeps cookies and goes where it is sent.
    let cookies = muster.data().join("cookies.txt");
    let browser = Command::new("curl")
        .args(["-sS", "-L", "--noproxy", "*", "--max-time", "30", "-c"])
        .arg(&cookies)
        .arg("-b")
        .arg(&cookies)
        .arg(&address)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let page = String::from_utf8(browser.stdout)?;
    ensure!(page.contains("can be closed"), "{page}");
    let ended = timeout(Duration::from_secs(30), asking.wait_with_output()).await??;
    let mut said = Vec::new();
    while let Some(line) = remarks.next_line().await? {
        said.push(line);
    }
    ensure!(ended.status.success(), "{said:?}");

    // Each command is a process of its own, which gets an access token for the refresh token that the one before
    // it was given, and which is good once.
    for _ in 0..3 {
        muster.done(&["app", "test-connection", APP]).await?;
    }
    let cycle = muster.json(0, &["job", "run", APP]).await?;
    ensure!(cycle["created"] == people + 1, "{cycle}");
    ensure!(peer.all("Users").await?.len() == people);
    muster.json(0, &["job", "run", APP]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_signs_needs_no_shared_secret() -> Result<()> {
    let peer = Peer::scim2_server().await?;
    let server = peer.behind_oidc(&public()).await?;
    let (muster, people) = directory().await?;
    let key = muster.data().join("key.pem");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{PRIVATE}\n-----END PRIVATE KEY-----\n");
    std::fs::write(&key, pem)?;
    let (tenant, token) = (
        format!("{}/scim", server.address()),
        format!("{}/token", server.address()),
    );
    let key = key.display().to_string();
    let given = ["--tenant-url", &tenant, "--token-url", &token];
    let client = [
        "--client-id",
        "signer",
        "--key-id",
        "k1",
        "--secret-token-file",
        &key,
    ];
    let save = ["app", "credentials", APP];
    muster.done(&[&save[..], &given, &client].concat()).await?;
    let cycle = muster.json(0, &["job", "run", APP]).await?;
    ensure!(cycle["created"] == people + 1, "{cycle}");
    ensure!(peer.all("Users").await?.len() == people);
    // Somebody else's name is not signed for.
    let other = ["--client-id", "muster", "--secret-token-file", &key];
    let wrong = muster.run(&[&save[..], &given, &other].concat()).await?;
    ensure!(wrong.code == 1, "{wrong:?}");
    Ok(())
}
