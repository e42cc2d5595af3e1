//! SCIM service providers that others wrote.

use anyhow::{Context, Result, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::Value;
use tokio::process::Command;

use crate::{Python, Server, project};

/// The token that a peer accepts.
pub const TOKEN: &str = "token-of-the-peer";
/// Resources of one page.
const PAGE: usize = 200;

/// A running service provider, empty at first.
#[derive(Debug)]
pub struct Peer {
    /// Its SCIM base URL.
    pub url: String,
    client: Client,
    _server: Server,
}

impl Peer {
    /// scim2-server.
    pub async fn scim2_server() -> Result<Self> {
        let command = Python::find()?.script("scim2_server_run.py");
        Self::start("scim2-server", command, "/v2").await
    }

    /// SCIMMY.
    pub async fn scimmy() -> Result<Self> {
        let folder = project("e2e/peers/scimmy");
        ensure!(
            folder.join("node_modules/scimmy").is_dir(),
            "the packages of SCIMMY are missing: run script/test, which installs them, or `npm ci` \
             in e2e/peers/scimmy (Node 20 or newer)"
        );
        let mut command = Command::new("node");
        command.arg("server.mjs").current_dir(folder);
        Self::start("SCIMMY", command, "/scim").await
    }

    /// This peer behind oidc-provider, which gives access tokens to a client with this public key, and to one
    /// whom somebody allows it. Answers its address; SCIM is at `/scim`.
    pub async fn behind_oidc(&self, jwk: &Value) -> Result<Server> {
        let folder = project("e2e/peers/oidc");
        ensure!(
            folder.join("node_modules/oidc-provider").is_dir(),
            "the packages of oidc-provider are missing: run script/test, which installs them, or \
             `npm ci` in e2e/peers/oidc (Node 20 or newer)"
        );
        let mut command = Command::new("node");
        command
            .arg("server.mjs")
            .current_dir(folder)
            .env("PEER", &self.url)
            .env("JWK", jwk.to_string());
        serve("oidc-provider", command).await
    }

    async fn start(name: &str, command: Command, path: &str) -> Result<Self> {
        let server = serve(name, command).await?;
        Ok(Self {
            url: format!("{}{path}", server.address()),
            client: client()?,
            _server: server,
        })
    }

    /// All resources of a type: `Users` or `Groups`.
    pub async fn all(&self, kind: &str) -> Result<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            let page = [("startIndex", all.len() + 1), ("count", PAGE)];
            let request = self.client.get(format!("{}/{kind}", self.url)).query(&page);
            let mut answer = self.send(request).await?;
            let total = answer["totalResults"]
                .as_u64()
                .context("a list has a total")?;
            if let Value::Array(resources) = answer["Resources"].take() {
                ensure!(
                    !resources.is_empty() || all.len() as u64 == total,
                    "a page is empty"
                );
                all.extend(resources);
            }
            // SCIMMY answers a page beyond the end with the first one.
            if all.len() as u64 >= total {
                return Ok(all);
            }
        }
    }

    /// Makes a resource.
    pub async fn create(&self, kind: &str, resource: &Value) -> Result<Value> {
        let request = self
            .client
            .post(format!("{}/{kind}", self.url))
            .header("content-type", "application/scim+json")
            .body(resource.to_string());
        self.send(request).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value> {
        let response = request.bearer_auth(TOKEN).send().await?;
        let status = response.status();
        let body = response.bytes().await?;
        ensure!(
            status.is_success(),
            "{status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(serde_json::from_slice(&body)?)
    }
}

async fn serve(name: &str, mut command: Command) -> Result<Server> {
    command.env("TOKEN", TOKEN).env("PORT", "0");
    let address = |line: &str| line.strip_prefix("listening on ").map(str::to_owned);
    Server::start(name, command, address).await
}

/// An HTTP client that asks nobody else.
pub fn client() -> Result<Client> {
    // A second call finds the provider installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder()
        .no_proxy()
        .timeout(std::time::Duration::from_mins(1))
        .build()?)
}
