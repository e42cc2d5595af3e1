//! The receiving side, asked over HTTP as its owner would ask it.

use anyhow::{Context, Result, bail};
use muster_connect::{Http, HttpError};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Resources that are read at once.
const PAGE: u64 = 500;

/// The receiving side.
pub(super) struct Target {
    http: Http,
    url: String,
    token: String,
}

/// What it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) users: u64,
    pub(super) active_users: u64,
    pub(super) groups: u64,
    pub(super) memberships: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    total_results: u64,
    #[serde(default, rename = "Resources")]
    resources: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    groups: Vec<IgnoredAny>,
}

impl Target {
    pub(super) const fn new(http: Http, url: String, token: String) -> Self {
        Self { http, url, token }
    }

    /// Counts users, groups and memberships. Memberships are counted from the members' side: a group
    /// may hold everybody, while a page of members is never large.
    pub(super) async fn count(&self) -> Result<Counted> {
        let active = self
            .list("/Users?count=0&filter=active%20eq%20true")
            .await?
            .total_results;
        let mut memberships = 0;
        let users = self
            .each("/Users?attributes=groups", async |user| {
                memberships += user.groups.len() as u64;
                Ok(())
            })
            .await?;
        let groups = self
            .each("/Groups?attributes=displayName", async |group| {
                let path = format!(
                    "/Groups?count=0&filter=members.value%20eq%20%22{}%22",
                    group.id
                );
                memberships += self.list(&path).await?.total_results;
                Ok(())
            })
            .await?;
        Ok(Counted {
            users,
            active_users: active,
            groups,
            memberships,
        })
    }

    /// Reads a list page by page; answers how many resources it says that there are.
    async fn each(
        &self,
        path: &str,
        mut one: impl AsyncFnMut(Listed) -> Result<()>,
    ) -> Result<u64> {
        let mut at = 1;
        loop {
            let page = self
                .list(&format!("{path}&startIndex={at}&count={PAGE}"))
                .await?;
            if page.resources.is_empty() {
                return Ok(page.total_results);
            }
            at += page.resources.len() as u64;
            for resource in page.resources {
                one(resource).await?;
            }
        }
    }

    async fn list(&self, path: &str) -> Result<List> {
        let body = self
            .http
            .get(&format!("{}{path}", self.url), &self.token)
            .await?;
        serde_json::from_slice(&body).context("the SCIM provider answered no list")
    }

    /// The user with this name.
    pub(super) async fn user(&self, name: &str) -> Result<Option<Value>> {
        let path = format!("/Users?filter=userName%20eq%20%22{name}%22");
        let body = self
            .http
            .get(&format!("{}{path}", self.url), &self.token)
            .await?;
        let mut list: Value = serde_json::from_slice(&body)?;
        match list["Resources"].as_array_mut() {
            Some(found) => Ok(found.pop()),
            None => bail!("the SCIM provider answered no list"),
        }
    }

    /// Is there a user with this id?
    pub(super) async fn has_user(&self, id: &str) -> Result<bool> {
        match self
            .http
            .get(&format!("{}/Users/{id}", self.url), &self.token)
            .await
        {
            Ok(_) => Ok(true),
            Err(HttpError::Answer(404)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
