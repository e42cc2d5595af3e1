//! A SCIM 2.0 server as a target. Strict RFC 7644 on the wire.

mod answer;
pub(crate) mod auth;
#[cfg(test)]
mod auth_tests;
mod body;
mod bulk;
#[cfg(test)]
mod connection_tests;
mod dialect;
mod probe;
mod replace;
mod test;
#[cfg(test)]
mod tests;
mod told;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use muster_engine::port::{
    Definitions, Keeper, Page, Probe, References, Shape, Target, TargetError, TargetObject,
    TestFailure, Write, is_plain,
};
use muster_model::Value;
use muster_model::directory::Kind;
use muster_model::job::{Credentials, Dialect, PatchStyle};
use muster_model::link::TargetId;
use muster_model::plan::Request;
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value as Json};

use crate::http::{Http, HttpError};
use crate::target::answer::Answer;
use crate::target::auth::Auth;
use crate::target::body::Paths;
use crate::target::bulk::Bulk;
use crate::target::replace::same;
use crate::target::told::{Hidden, Telling};

/// How often a request is shown with something else, when it is refused: an access token that was taken back,
/// the next secret.
const SHOWN: usize = 3;
/// Objects that are listed at once.
const PAGE: &str = "100";
/// Largest answer that is read, in bytes.
const LARGEST: usize = 4 * 1024 * 1024;

/// A SCIM server.
#[derive(Debug)]
pub struct ScimTarget {
    http: Http,
    base: String,
    host: String,
    auth: Auth,
    users: Paths,
    groups: Paths,
    user_match: String,
    group_match: Option<String>,
    dialect: Dialect,
    style: PatchStyle,
    hidden: Hidden,
    bulk: Bulk,
    requests: AtomicU64,
}

impl ScimTarget {
    /// A target at a tenant URL; nothing is sent yet. Flags in the URL's query are for the sender and
    /// are stripped (section 15, 11).
    pub fn new(
        http: Http,
        credentials: &Credentials,
        shape: &Shape,
        keeper: Arc<dyn Keeper>,
    ) -> Result<Self, TargetError> {
        let refused = |error: HttpError| TargetError::NotAllowed(error.to_string());
        let mut url = http
            .policy()
            .check(credentials.tenant_url.trim())
            .map_err(refused)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::NotAllowed(
                "the tenant URL holds a name or a password; give them with --user and \
                 --secret-token-file"
                    .to_owned(),
            ));
        }
        let style = shape.dialect.patch.or_else(|| dialect::by_flag(&url));
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self {
            base: url.as_str().trim_end_matches('/').to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            auth: Auth::new(&http, credentials, keeper)?,
            users: Paths::new(&shape.user_paths)?,
            groups: Paths::new(&shape.group_paths)?,
            user_match: shape.user_match.clone(),
            group_match: shape.group_match.clone(),
            dialect: shape.dialect,
            style: style.unwrap_or(PatchStyle::Rfc),
            hidden: Hidden::new(&shape.hidden),
            bulk: Bulk::default(),
            requests: AtomicU64::new(0),
            http,
        })
    }

    fn paths(&self, kind: Kind) -> &Paths {
        match kind {
            Kind::User => &self.users,
            Kind::Group => &self.groups,
        }
    }

    fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .client()
            .request(method, format!("{}{path}", self.base))
            .header("accept", "application/scim+json, application/json")
            .timeout(self.patience())
    }

    /// How long an answer is waited for.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.dialect.timeout_seconds.into())
    }

    /// Sends a request; an answer other than 2xx is an error.
    async fn send(&self, request: RequestBuilder) -> Result<Answer, TargetError> {
        let (mut request, mut tries) = (request, 0);
        loop {
            let again = request.try_clone();
            let (shown, with) = self.auth.show(&self.http, request).await?;
            let answer = self.send_once(shown).await;
            tries += 1;
            match (&answer, again) {
                // Nothing was done, and there is something else to show.
                (Err(error), Some(again))
                    if tries < SHOWN && self.auth.refused(with, error).await =>
                {
                    request = again;
                }
                _ => return answer,
            }
        }
    }

    async fn send_once(&self, request: RequestBuilder) -> Result<Answer, TargetError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let failed = |error: reqwest::Error| answer::transport(&self.host, self.patience(), &error);
        let request = request.build().map_err(failed)?;
        let telling = Telling::of(&request, &self.hidden);
        let answer = match self.http.client().execute(request).await {
            Ok(response) => Ok(Answer::read(response).await),
            Err(error) => Err(failed(error)),
        };
        if let Some(telling) = telling {
            telling.tell(&self.hidden, &answer);
        }
        let answer = answer?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(answer::refusal(&self.host, answer))
    }

    async fn json(&self, request: RequestBuilder) -> Result<Map<String, Json>, TargetError> {
        answer::object(&self.host, self.send(request).await?)
    }

    async fn list(
        &self,
        kind: Kind,
        query: &[(&str, &str)],
    ) -> Result<(u64, Vec<Json>), TargetError> {
        let mut request = self.ask(Method::GET, collection(kind));
        if kind == Kind::Group {
            request = request.query(&[("excludedAttributes", "members")]);
        }
        let answer = self.json(request.query(query)).await?;
        answer::list(answer)
    }

    /// Sends a write.
    async fn put(&self, write: Request) -> Result<Answer, TargetError> {
        let method = Method::from_bytes(write.method.as_bytes())
            .map_err(|_| TargetError::NotAllowed(format!("{} is no method", write.method)))?;
        let mut request = self.ask(method, &write.path);
        if let Some(body) = write.body {
            request = request
                .header("content-type", "application/scim+json")
                .body(body);
        }
        self.send(request).await
    }

    fn object(&self, kind: Kind, resource: Json) -> Result<TargetObject, TargetError> {
        let Json::Object(resource) = resource else {
            return Err(TargetError::Incompatible(
                "a resource is not an object".to_owned(),
            ));
        };
        let id = answer::id(&resource)?;
        let (values, absent) = self.paths(kind).read(&resource);
        Ok(TargetObject { id, values, absent })
    }
}

/// Does it take access away?
fn takes_away(write: &Write<'_>) -> bool {
    match write {
        Write::Delete(_) | Write::RemoveReferences(_) => true,
        Write::Update(_, changes) => changes.iter().any(|change| {
            let is_off = match &change.new {
                Value::Bool(on) => !on,
                Value::Text(text) => text.eq_ignore_ascii_case("false"),
                _ => false,
            };
            change.path.eq_ignore_ascii_case("active") && is_off
        }),
        Write::Create(_) | Write::AddReferences(_) => false,
    }
}

fn collection(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "/Users",
        Kind::Group => "/Groups",
    }
}

fn place(kind: Kind, id: &TargetId) -> String {
    let id = percent_encoding::utf8_percent_encode(&id.0, percent_encoding::NON_ALPHANUMERIC);
    format!("{}/{id}", collection(kind)).replace("%2D", "-")
}

#[async_trait]
impl Target for ScimTarget {
    async fn find(
        &self,
        kind: Kind,
        path: &str,
        value: &Value,
    ) -> Result<Vec<TargetObject>, TargetError> {
        if kind == Kind::Group && !self.dialect.filters_groups {
            return self.look_through(kind, path, value).await;
        }
        let filter = body::equals(path, value);
        let (total, resources) = self.list(kind, &[("filter", &filter)]).await?;
        let objects = resources.into_iter().take(2);
        let objects = objects.map(|resource| self.object(kind, resource));
        let mut found = objects.collect::<Result<Vec<TargetObject>, _>>()?;
        let is_other = |it: &TargetObject| {
            let held = it.values.get(path);
            is_plain(path) && held.is_some() && !same(held, value)
        };
        if found.iter().any(is_other) {
            return Err(TargetError::Incompatible(format!(
                "it was asked for the {kind} with a certain {path} and answered with somebody who \
                 has another one: it does not filter (muster app probe)"
            )));
        }
        match (found.as_slice(), total) {
            ([], 1..) => Err(TargetError::Incompatible(format!(
                "it says that there are {total} {kind}s and shows none of them"
            ))),
            // One of several, or a number that is not about the filter.
            ([one], 2..) => {
                let id = one.id.clone();
                let next = [
                    ("filter", filter.as_str()),
                    ("startIndex", "2"),
                    ("count", "1"),
                ];
                let (_, resources) = self.list(kind, &next).await?;
                for resource in resources.into_iter().take(1) {
                    let other = self.object(kind, resource)?;
                    if other.id != id && !is_other(&other) {
                        found.push(other);
                    }
                }
                Ok(found)
            }
            _ => Ok(found),
        }
    }

    async fn page(&self, kind: Kind, start: u64) -> Result<Page, TargetError> {
        let start = start.to_string();
        let query = [("startIndex", start.as_str()), ("count", PAGE)];
        let (total, resources) = self.list(kind, &query).await?;
        let objects = resources.into_iter().map(|it| self.object(kind, it));
        Ok(Page {
            total,
            objects: objects.collect::<Result<_, _>>()?,
        })
    }

    async fn read(&self, kind: Kind, id: &TargetId) -> Result<TargetObject, TargetError> {
        let mut request = self.ask(Method::GET, &place(kind, id));
        if kind == Kind::Group {
            request = request.query(&[("excludedAttributes", "members")]);
        }
        let resource = self.json(request).await?;
        if answer::is_list(&resource) {
            return Err(TargetError::Several("a list".to_owned()));
        }
        self.object(kind, Json::Object(resource))
    }

    fn request(&self, kind: Kind, write: &Write<'_>) -> Result<Request, TargetError> {
        if let Some(request) = self.replacement(kind, write) {
            return Ok(request);
        }
        let style = self.style;
        let patch = |id, operations| {
            let body = body::patch(operations).to_string();
            Request::new("PATCH", place(kind, id), Some(body))
        };
        Ok(match *write {
            Write::Create(values) => {
                let body = self.paths(kind).create(kind, values)?.to_string();
                Request::new("POST", collection(kind), Some(body))
            }
            Write::Update(id, changes) => {
                let operations = self.paths(kind).update(changes)?;
                patch(id, dialect::update(style, operations, changes))
            }
            Write::Delete(id) => Request::new("DELETE", place(kind, id), None),
            Write::AddReferences(References {
                owner,
                path,
                referred,
            }) => patch(owner, dialect::add_references(style, kind, path, referred)),
            Write::RemoveReferences(References {
                owner,
                path,
                referred,
            }) => patch(
                owner,
                dialect::remove_references(style, kind, path, referred),
            ),
        })
    }

    async fn write(&self, kind: Kind, write: &Write<'_>) -> Result<Option<TargetId>, TargetError> {
        let answer = match self.replaced(kind, write).await {
            Some(answer) => answer,
            // What takes access away waits for nobody.
            None if self.dialect.bulk > 1 && !takes_away(write) => {
                self.put_in_bulk(self.request(kind, write)?).await
            }
            None => self.put(self.request(kind, write)?).await,
        };
        match (write, answer) {
            (Write::Create(_), Ok(answer)) => answer::created(&self.host, answer).map(Some),
            (_, Ok(_)) => Ok(None),
            (Write::RemoveReferences(references), Err(TargetError::NoTarget(_))) => {
                if references.referred.len() > 1 {
                    // One that is not there keeps the others of the same request from being removed.
                    for referred in references.referred.chunks(1) {
                        let one = References {
                            referred,
                            ..*references
                        };
                        self.write(kind, &Write::RemoveReferences(one)).await?;
                    }
                }
                Ok(None)
            }
            (_, Err(error)) => Err(error),
        }
    }

    async fn is_empty(&self, kind: Kind) -> Result<bool, TargetError> {
        let (total, resources) = self
            .list(kind, &[("startIndex", "1"), ("count", "1")])
            .await?;
        Ok(total == 0 && resources.is_empty())
    }

    async fn test(&self, groups: bool) -> Result<(), TestFailure> {
        test::connection(self, groups).await
    }

    async fn probe(&self, canary: Option<&str>) -> Result<Probe, TestFailure> {
        probe::probe(self, canary).await
    }

    async fn definitions(&self) -> Result<Definitions, TestFailure> {
        test::definitions(self).await
    }

    fn chunk(&self) -> usize {
        usize::from(self.dialect.members)
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Compiled paths by their text.
type ByText<T> = HashMap<String, T>;
