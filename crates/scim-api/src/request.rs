//! From an HTTP request to a call of the provider, and back.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, Method, header};
use muster_app::received::{Caller, Origin, Profile, Provider, Wanted};
use muster_model::integration::ResourceKind;
use muster_scim::bulk::bulk_response;
use muster_scim::message::{Paging, list_response, parse_body};
use muster_scim::meta::entity_tag;
use muster_scim::{BulkAnswer, BulkRequest, ListQuery, Map, Projection, ScimError};
use muster_web::{BODY, BodyError, LARGEST_BODY, Peer, RequestId, read_body};

use crate::answer::{self, Answer};
use crate::conditions::{precondition, unchanged};
use crate::render::{Renderer, place};
use crate::route::{self, Route};
use crate::{Face, Here, discovery};

/// Longest path and query, in bytes.
const LONGEST_URL: usize = 16 * 1024;

/// Answers any request; every error is a SCIM error.
pub(crate) async fn answer(State(face): Here, request: Request) -> Response {
    let id = RequestId::next();
    let head_only = request.method() == Method::HEAD;
    let answered = match respond(&face, request).await {
        Ok(answer) => answer,
        Err(error) => {
            if error.status >= 500 {
                tracing::error!(request.id = %id, status = error.status, "a request failed");
            }
            Answer::Error(error)
        }
    };
    answer::into_response(answered, id, head_only)
}

async fn respond(face: &Face, request: Request) -> Result<Answer, ScimError> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if parts
        .uri
        .path_and_query()
        .is_some_and(|it| it.as_str().len() > LONGEST_URL)
    {
        return Err(ScimError::new(
            414,
            None,
            format!("the URL is longer than {LONGEST_URL} bytes"),
        ));
    }
    let no_such = || ScimError::not_found("there is no such endpoint; check the SCIM URL");
    let (integration, rest) = route::split(path).ok_or_else(no_such)?;
    // Who calls is settled before anything else is looked at.
    let token = bearer(&parts.headers).ok_or_else(ScimError::unauthorized)?;
    let origin = Origin {
        address: parts.extensions.get::<Peer>().map(|peer| peer.0),
        client: client(&parts.headers),
    };
    let caller = face
        .provider
        .authenticate(integration, token, origin)
        .await?;
    let profile = Arc::clone(&caller.profile);
    let base = [&face.public_url, "/scim/", &integration.to_string(), "/v2"].concat();
    let call = Call {
        provider: &face.provider,
        caller,
        base: &base,
        headers: &parts.headers,
        query: parts.uri.query().unwrap_or_default(),
    };
    let method = if parts.method == Method::HEAD {
        Method::GET
    } else {
        parts.method
    };
    let route = Route::parse(rest, &profile);
    match (&route, method.as_str()) {
        (Route::Unknown, _) => Err(no_such()),
        (Route::Me, _) => Err(ScimError::not_implemented(
            "/Me is not offered: the token stands for an integration, not for a person",
        )),
        (route, "OPTIONS") => Ok(Answer::Options(route.methods())),
        (Route::Everything, "GET") => {
            let query = ListQuery::from_pairs(pairs(call.query)?)?;
            call.list(profile.kinds(), &query).await
        }
        (Route::SearchEverything, "POST") => {
            let body = call.read(body).await?;
            let query = ListQuery::from_search(&body)?;
            call.list(profile.kinds(), &query).await
        }
        (Route::Bulk, "POST") => {
            let body = call.read(body).await?;
            call.bulk(BulkRequest::parse(body)?).await
        }
        (Route::Config | Route::ResourceTypes(_) | Route::Schemas(_), "GET") => {
            discovery::answer(&route, &profile, call.base, call.query)
        }
        (Route::Events, "GET") => call.events().await,
        (Route::Members(id), "GET") => call.members(&decode(id)).await,
        (Route::State(kind, id), "GET") => call.state(*kind, &decode(id)).await,
        (Route::Collection(kind), "GET") => {
            let query = ListQuery::from_pairs(pairs(call.query)?)?;
            call.list(&[*kind], &query).await
        }
        (Route::Search(kind), "POST") => {
            let body = call.read(body).await?;
            let query = ListQuery::from_search(&body)?;
            call.list(&[*kind], &query).await
        }
        (Route::Collection(kind), "POST") => {
            let body = call.read(body).await?;
            call.create(*kind, body).await
        }
        (Route::Resource(kind, id), "GET") => call.get(*kind, &decode(id)).await,
        (Route::Resource(kind, id), "PUT") => {
            let body = call.read(body).await?;
            call.replace(*kind, &decode(id), body).await
        }
        (Route::Resource(kind, id), "PATCH") => {
            let body = call.read(body).await?;
            call.patch(*kind, &decode(id), body).await
        }
        (Route::Resource(kind, id), "DELETE") => {
            let condition = precondition(call.headers);
            call.provider
                .delete(&call.caller, *kind, &decode(id), condition)
                .await?;
            Ok(Answer::Gone)
        }
        (route, _) => Ok(Answer::MethodNotAllowed(route.methods())),
    }
}

/// A request of a known caller.
pub(crate) struct Call<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) caller: Caller,
    base: &'a str,
    headers: &'a HeaderMap,
    pub(crate) query: &'a str,
}

impl Call<'_> {
    async fn list(&self, kinds: &[ResourceKind], query: &ListQuery) -> Result<Answer, ScimError> {
        let profile = &self.caller.profile;
        let shapes: Vec<(ResourceKind, Projection<'_>)> = kinds
            .iter()
            .map(|kind| (*kind, projection(query, profile, *kind)))
            .collect();
        let wants = |kind| {
            let shape = shapes.iter().find(|(of, _)| *of == kind);
            shape.map_or(Wanted::NOTHING, |(_, shape)| wanted(shape))
        };
        let page = self
            .provider
            .list(&self.caller, kinds, query, wants)
            .await?;
        let resources = page
            .resources
            .iter()
            .filter_map(|shown| {
                let kind = shown.resource.kind;
                let (_, shape) = shapes.iter().find(|(of, _)| *of == kind)?;
                Some(Renderer::new(self.base, profile, kind, shape).resource(shown))
            })
            .collect::<Result<Vec<String>, _>>()?;
        let paging = match query.cursor {
            Some(_) => Paging::Cursor(page.next),
            None => Paging::Index(query.start_index),
        };
        Ok(Answer::Json(list_response(page.total, &paging, &resources)))
    }

    async fn bulk(&self, mut request: BulkRequest) -> Result<Answer, ScimError> {
        let done = self.provider.bulk(&self.caller, &mut request).await?;
        let answers = done.into_iter().map(|done| {
            let operation = &request.operations[done.at];
            let location = done
                .target
                .map(|(kind, id)| place(self.base, &self.caller.profile, kind, &id));
            let gone = operation.method == "DELETE";
            let answer = BulkAnswer {
                location,
                version: done
                    .result
                    .as_ref()
                    .ok()
                    .filter(|_| !gone)
                    .map(|version| entity_tag(*version)),
                result: done.result.map(|_| match operation.method.as_str() {
                    "POST" => 201,
                    "DELETE" => 204,
                    _ => 200,
                }),
            };
            (operation, answer)
        });
        Ok(Answer::Json(bulk_response(answers)?))
    }

    async fn get(&self, kind: ResourceKind, id: &str) -> Result<Answer, ScimError> {
        let query = self.shape()?;
        let projection = self.projection(&query, kind);
        let shown = self
            .provider
            .get(&self.caller, kind, id, wanted(&projection))
            .await?;
        if unchanged(self.headers, shown.resource.version) {
            return Ok(Answer::NotModified(shown.resource.version));
        }
        let body = self.renderer(kind, &projection).resource(&shown)?;
        Ok(Answer::Resource {
            body,
            version: shown.resource.version,
            created: false,
            location: None,
        })
    }

    async fn create(&self, kind: ResourceKind, body: Map) -> Result<Answer, ScimError> {
        let query = self.shape()?;
        let shown = self.provider.create(&self.caller, kind, body).await?;
        let projection = self.projection(&query, kind);
        let renderer = self.renderer(kind, &projection);
        Ok(Answer::Resource {
            body: renderer.resource(&shown)?,
            version: shown.resource.version,
            created: true,
            location: Some(renderer.location(&shown)),
        })
    }

    async fn replace(&self, kind: ResourceKind, id: &str, body: Map) -> Result<Answer, ScimError> {
        let query = self.shape()?;
        let condition = precondition(self.headers);
        self.provider
            .replace(&self.caller, kind, id, body, condition)
            .await?;
        self.read_back(kind, id, &query).await
    }

    /// 204 for groups, whose members can be many; 200 with the resource for users, and for whoever
    /// asks for attributes (profile section 16).
    async fn patch(&self, kind: ResourceKind, id: &str, body: Map) -> Result<Answer, ScimError> {
        let query = self.shape()?;
        let condition = precondition(self.headers);
        let shown = self
            .provider
            .patch(&self.caller, kind, id, body, condition)
            .await?;
        match kind {
            ResourceKind::GROUP
                if query.attributes.is_empty() && query.excluded_attributes.is_empty() =>
            {
                let location = place(self.base, &self.caller.profile, kind, id);
                Ok(Answer::Changed(shown.resource.version, location))
            }
            ResourceKind::GROUP => self.read_back(kind, id, &query).await,
            _ => {
                let projection = self.projection(&query, kind);
                let renderer = self.renderer(kind, &projection);
                Ok(Answer::Resource {
                    body: renderer.resource(&shown)?,
                    version: shown.resource.version,
                    created: false,
                    location: Some(renderer.location(&shown)),
                })
            }
        }
    }

    async fn read_back(
        &self,
        kind: ResourceKind,
        id: &str,
        query: &ListQuery,
    ) -> Result<Answer, ScimError> {
        let projection = self.projection(query, kind);
        let shown = self
            .provider
            .get(&self.caller, kind, id, wanted(&projection))
            .await?;
        let renderer = self.renderer(kind, &projection);
        Ok(Answer::Resource {
            body: renderer.resource(&shown)?,
            version: shown.resource.version,
            created: false,
            location: Some(renderer.location(&shown)),
        })
    }

    /// The body, which must be a JSON object.
    async fn read(&self, body: Body) -> Result<Map, ScimError> {
        let own = self.caller.max_body().map(usize::try_from);
        let most = own.map_or(LARGEST_BODY, |own| {
            own.unwrap_or(LARGEST_BODY).min(LARGEST_BODY)
        });
        parse_body(&read(self.headers, body, most).await?)
    }

    fn projection(&self, query: &ListQuery, kind: ResourceKind) -> Projection<'_> {
        projection(query, &self.caller.profile, kind)
    }

    fn renderer<'r>(&'r self, kind: ResourceKind, projection: &'r Projection<'r>) -> Renderer<'r> {
        Renderer::new(self.base, &self.caller.profile, kind, projection)
    }

    /// `attributes` and `excludedAttributes` of a request for one resource.
    fn shape(&self) -> Result<ListQuery, ScimError> {
        if self.query.is_empty() {
            return Ok(ListQuery::default());
        }
        let names = ["attributes", "excludedattributes"];
        let shape = pairs(self.query)?
            .into_iter()
            .filter(|(name, _)| names.contains(&name.to_ascii_lowercase().as_str()));
        ListQuery::from_pairs(shape)
    }
}

fn projection<'p>(query: &ListQuery, profile: &'p Profile, kind: ResourceKind) -> Projection<'p> {
    Projection::new(
        &query.attributes,
        &query.excluded_attributes,
        profile.of(kind),
    )
}

/// What the client calls itself.
fn client(headers: &HeaderMap) -> &str {
    let agent = headers.get(header::USER_AGENT);
    agent.and_then(|it| it.to_str().ok()).unwrap_or_default()
}

fn wanted(projection: &Projection<'_>) -> Wanted {
    Wanted {
        members: projection.wants("members"),
        groups: projection.wants("groups"),
    }
}

/// The token of `Authorization: Bearer …`; the scheme in any case.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// The body, if it is JSON and not too large.
async fn read(
    headers: &HeaderMap,
    body: Body,
    most: usize,
) -> Result<axum::body::Bytes, ScimError> {
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or_default().trim());
    let good = ["", "application/scim+json", "application/json"];
    if let Some(other) = media.filter(|media| !good.iter().any(|it| media.eq_ignore_ascii_case(it)))
    {
        return Err(ScimError::unsupported_media_type(format!(
            "send application/scim+json, not {}",
            other.chars().take(60).collect::<String>()
        )));
    }
    read_body(body, most, BODY)
        .await
        .map_err(|error| match error {
            BodyError::TooLarge => {
                ScimError::too_large(format!("the body is larger than {most} bytes"))
            }
            BodyError::TooSlow => ScimError::new(
                408,
                None,
                format!("the body did not come within {} seconds", BODY.as_secs()),
            ),
            BodyError::Broken => ScimError::invalid_syntax("the body broke off"),
        })
}

/// The decoded pairs of a query string; `+` is a blank (profile section 6.2).
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>, ScimError> {
    let text = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| ScimError::invalid_value("the query string is not UTF-8"))
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((text(name)?, text(value)?))
        })
        .collect()
}

fn decode(id: &str) -> String {
    percent_encoding::percent_decode_str(id)
        .decode_utf8_lossy()
        .into_owned()
}
