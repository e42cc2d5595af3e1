//! From the wire to a handler: the path, the token, the right, the options, the body (chapters 1 and 2).

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, header};
use muster_app::Ctx;
use muster_app::api_tokens::{self, ApiToken};
use muster_web::{BODY, BodyError, LARGEST_BODY, read_body};
use serde_json::{Map, Value as Json};

use crate::Face;
use crate::answer::{Answer, Fault, Ids, render};
use crate::query::{Query, Takes, pairs};
use crate::route::{self, Found};
use crate::shape::Shape;

/// A request, with everything that a handler needs.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// With the name of the token as who acts.
    pub(crate) ctx: Ctx,
    /// What stands in the path where the route has a name in braces, in their order.
    pub(crate) args: Vec<String>,
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) body: Option<Json>,
    /// Address of this API with its version: `http://127.0.0.1:8080/v1.0`.
    pub(crate) base: String,
    /// The path as it came, for links.
    pub(crate) path: String,
    pub(crate) is_eventual: bool,
    pub(crate) wants_back: bool,
    pub(crate) token: Arc<ApiToken>,
}

impl Call {
    /// What stands in the path at the `n`th name in braces.
    pub(crate) fn arg(&self, n: usize) -> &str {
        self.args.get(n).map_or("", String::as_str)
    }

    /// The options of a list.
    pub(crate) fn query(&self, shape: &Shape, takes: &Takes) -> Result<Query, Fault> {
        Query::read(&self.pairs, shape, takes, self.is_eventual)
    }

    /// The body, which must be an object.
    pub(crate) fn object(&self) -> Result<&Map<String, Json>, Fault> {
        match &self.body {
            Some(Json::Object(body)) => Ok(body),
            _ => Err(bad_json("Write an object.")),
        }
    }

    /// `@odata.context` of something.
    pub(crate) fn context(&self, what: &str) -> Json {
        Json::String(format!("{}/$metadata#{what}", self.base))
    }

    /// An object with its context first.
    pub(crate) fn entity(&self, what: &str, object: Json) -> Json {
        let mut entity = Map::new();
        entity.insert("@odata.context".to_owned(), self.context(what));
        if let Json::Object(object) = object {
            entity.extend(object);
        }
        Json::Object(entity)
    }

    /// A list with its context first.
    pub(crate) fn list(&self, what: &str, value: Vec<Json>) -> Json {
        let mut list = Map::new();
        list.insert("@odata.context".to_owned(), self.context(what));
        list.insert("value".to_owned(), Json::Array(value));
        Json::Object(list)
    }

    /// A link to the same path with other options.
    pub(crate) fn link(&self, repeated: &[(String, String)], name: &str, token: &str) -> String {
        let mut link = format!("{}{}?", self.base, self.path);
        for (name, value) in repeated {
            if crate::query::OPTIONS.contains(&name.as_str()) {
                link.push('$');
            }
            link.push_str(name);
            link.push('=');
            link.push_str(&crate::query::encode(value));
            link.push('&');
        }
        link.push('$');
        link.push_str(name);
        link.push('=');
        link.push_str(token);
        link
    }
}

pub(crate) fn bad_json(what: &str) -> Fault {
    Fault::new(
        StatusCode::BAD_REQUEST,
        "BadRequest",
        format!("Unable to read JSON request payload. {what}"),
    )
}

/// Answers a request.
pub(crate) async fn answer(State(face): State<Face>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let at = face.ctx.clock.now();
    let id = muster_model::EventId::new().to_string();
    let client = text(&parts.headers, "client-request-id")
        .filter(|given| given.len() <= 64 && given.bytes().all(|byte| byte.is_ascii_graphic()))
        .map_or_else(|| id.clone(), str::to_owned);
    let ids = Ids {
        request: id,
        client,
        at,
    };
    let outer = Outer {
        face: &face,
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: &parts.headers,
    };
    let answer = outer.answer(body).await;
    if answer.is_ok() && parts.method != Method::GET {
        // A job may have been started.
        face.poke.notify_one();
    }
    render(answer, &ids)
}

struct Outer<'r> {
    face: &'r Face,
    method: Method,
    path: String,
    query: String,
    headers: &'r HeaderMap,
}

impl Outer<'_> {
    async fn answer(self, body: Body) -> Result<Answer, Fault> {
        let (version, path) = versioned(&self.path)?;
        let token = self.authenticate().await?;
        let found = route::find(&self.method, &path)?;
        found.allow(&token)?;
        let body = self.read(body, &found).await?;
        let base = format!("{}/{version}", self.origin());
        let ctx = Ctx {
            actor: token.name.clone(),
            ..self.face.ctx.clone()
        };
        let call = Call {
            ctx,
            args: found.args.clone(),
            pairs: pairs(&self.query)?,
            body,
            base,
            path,
            is_eventual: is_eventual(text(self.headers, "consistencylevel")),
            wants_back: prefers(self.headers, "return=representation"),
            token: Arc::new(token),
        };
        let done = (found.route.answer)(call);
        if self.method == Method::GET {
            return done.await;
        }
        // What changes something comes to its end, also when nobody waits for the answer any more.
        tokio::spawn(done).await.unwrap_or_else(|error| {
            tracing::error!(error = %error, "a request of the control API broke off");
            Err(Fault::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalServerError",
                "The request broke off.",
            ))
        })
    }

    async fn authenticate(&self) -> Result<ApiToken, Fault> {
        let given = text(self.headers, "authorization").unwrap_or_default();
        let token = match given.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => "",
        };
        let refused = |message: &str| {
            Fault::new(
                StatusCode::UNAUTHORIZED,
                "InvalidAuthenticationToken",
                message,
            )
            .with(header::WWW_AUTHENTICATE, "Bearer realm=\"\"")
        };
        if token.is_empty() {
            return Err(refused("Access token is empty."));
        }
        let found = api_tokens::authenticate(&self.face.ctx, token).await?;
        found.ok_or_else(|| refused("Access token is not known, has expired or was revoked."))
    }

    /// Where the caller reaches this server.
    fn origin(&self) -> String {
        if let Some(url) = &self.face.public_url {
            return url.clone();
        }
        let host = text(self.headers, "host").filter(|host| {
            let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]_".contains(&byte);
            host.len() <= 255 && host.bytes().all(is_host)
        });
        let scheme = if self.face.is_secure { "https" } else { "http" };
        format!("{scheme}://{}", host.unwrap_or("localhost"))
    }

    async fn read(&self, body: Body, found: &Found) -> Result<Option<Json>, Fault> {
        let bytes = read_body(body, LARGEST_BODY, BODY)
            .await
            .map_err(|error| match error {
                BodyError::TooLarge => Fault::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "RequestEntityTooLarge",
                    format!("The body is larger than {LARGEST_BODY} bytes."),
                ),
                BodyError::TooSlow | BodyError::Broken => {
                    bad_json("The body did not come to its end.")
                }
            })?;
        if bytes.is_empty() || !found.route.reads_body() {
            return Ok(None);
        }
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|error| bad_json(&format!("{error}.")))
    }
}

/// `ConsistencyLevel: eventual`.
pub(crate) fn is_eventual(value: Option<&str>) -> bool {
    value.is_some_and(|value| value.trim().eq_ignore_ascii_case("eventual"))
}

pub(crate) fn prefers(headers: &HeaderMap, what: &str) -> bool {
    let values = headers.get_all("prefer").iter();
    let mut texts = values.filter_map(|value| value.to_str().ok());
    texts.any(|text| {
        text.split([',', ';'])
            .any(|it| it.trim().eq_ignore_ascii_case(what))
    })
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The version, and the path after it.
pub(crate) fn versioned(path: &str) -> Result<(&'static str, String), Fault> {
    let path = path.trim_start_matches('/');
    let (version, rest) = path.split_once('/').unwrap_or((path, ""));
    let version = match version.to_ascii_lowercase().as_str() {
        "v1.0" => "v1.0",
        "beta" => "beta",
        _ => return Err(Fault::not_found(version)),
    };
    Ok((version, format!("/{}", rest.trim_matches('/'))))
}
