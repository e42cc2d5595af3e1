//! Signing in and out, and the page with which the first administrator is made.

use std::net::IpAddr;

use askama::Template;
use axum::extract::{FromRequest as _, Path, Request, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use muster_app::administrators::{self, SignedIn};
use muster_app::{AppError, Ctx};
use muster_web::Peer;

use crate::Face;
use crate::failure::{Failure, capital};
use crate::form::{Fields, Form, Outside, query};
use crate::shell::{self, Shell, page, refused_page};
use crate::who::COOKIE;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    shell: Shell,
    name: String,
    to: String,
    problem: Option<String>,
    is_first: bool,
    /// Where else one may sign in.
    elsewhere: Option<String>,
}

fn elsewhere(face: &Face) -> Option<String> {
    face.issuer.as_ref().map(|it| it.name().to_owned())
}

/// The page again, with why somebody was not let in.
pub(crate) fn refused(face: &Face, parts: &Parts, problem: String) -> Response {
    let mut response = page(&SignIn {
        shell: Shell::outside("Sign in", shell::scheme(parts)),
        name: String::new(),
        to: "/".to_owned(),
        problem: Some(problem),
        is_first: false,
        elsewhere: elsewhere(face),
    });
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome {
    shell: Shell,
    code: String,
    name: String,
    problem: Option<String>,
}

/// Where somebody goes after signing in: a path of ours, and nothing else.
pub(crate) fn within(to: &str) -> &str {
    let is_path = to.starts_with('/')
        && !to.starts_with("//")
        && !to.contains('\\')
        && !to.chars().any(char::is_control);
    if is_path { to } else { "/" }
}

async fn is_first(ctx: &Ctx) -> Result<bool, Failure> {
    Ok(administrators::list(ctx).await?.is_empty())
}

/// `GET /sign-in`
pub(crate) async fn show(State(face): State<Face>, request: Request) -> Result<Response, Failure> {
    let (parts, _) = request.into_parts();
    let fields = query(&parts.uri)?;
    Ok(page(&SignIn {
        shell: Shell::outside("Sign in", shell::scheme(&parts)),
        name: String::new(),
        to: within(fields.text("to")).to_owned(),
        problem: None,
        is_first: is_first(&face.ctx).await?,
        elsewhere: elsewhere(&face),
    }))
}

/// The browser, as it calls itself.
pub(crate) fn agent(request: &Request) -> String {
    let agent = request.headers().get(header::USER_AGENT);
    let agent = agent.and_then(|value| value.to_str().ok());
    agent.unwrap_or_default().to_owned()
}

/// The address from which somebody comes.
pub(crate) fn peer(extensions: &http::Extensions) -> Option<IpAddr> {
    extensions.get::<Peer>().map(|peer| peer.0)
}

/// `POST /sign-in`
pub(crate) async fn enter(State(face): State<Face>, request: Request) -> Result<Response, Failure> {
    let (agent, from) = (agent(&request), peer(request.extensions()));
    let (parts, body) = request.into_parts();
    let scheme = shell::scheme(&parts);
    let request = Request::from_parts(parts, body);
    let Outside(fields) = Outside::from_request(request, &face).await?;
    let to = within(fields.text("to")).to_owned();
    let name = fields.text("name").to_owned();
    let given = (name.as_str(), fields.raw("password"));
    let signed = administrators::sign_in(&face.ctx, given, from, &agent).await;
    let (status, problem) = match signed {
        Ok(Some(signed)) => return Ok(signed_in(&face, &signed, &to)),
        Ok(None) => (
            StatusCode::UNAUTHORIZED,
            "Name or password are not right. Try again.".to_owned(),
        ),
        Err(AppError::Refused(said)) => (StatusCode::TOO_MANY_REQUESTS, capital(&said)),
        Err(error) => return Err(error.into()),
    };
    let mut response = page(&SignIn {
        shell: Shell::outside("Sign in", scheme),
        name,
        to,
        problem: Some(problem),
        is_first: false,
        elsewhere: elsewhere(&face),
    });
    *response.status_mut() = status;
    Ok(response)
}

/// A session is a new one each time somebody signs in.
pub(crate) fn signed_in(face: &Face, signed: &SignedIn, to: &str) -> Response {
    let mut response = Redirect::to(to).into_response();
    let secure = if face.is_secure { "; Secure" } else { "" };
    let value = format!(
        "{COOKIE}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age=604800{secure}",
        signed.token.expose()
    );
    set_cookie(&mut response, &value);
    response
}

pub(crate) fn set_cookie(response: &mut Response, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

/// `POST /sign-out`
pub(crate) async fn leave(
    State(face): State<Face>,
    Form(who, _): Form,
) -> Result<Response, Failure> {
    let (id, session) = (who.administrator.id, who.session.id);
    administrators::sign_out(&face.ctx, id, Some(session)).await?;
    let mut response = Redirect::to("/sign-in").into_response();
    set_cookie(
        &mut response,
        &format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"),
    );
    Ok(response)
}

fn gone() -> Failure {
    Failure::Said(
        StatusCode::GONE,
        "This link was used already, or has expired. Start the server again: it prints another one as long as there is \
         no administrator."
            .to_owned(),
    )
}

/// `GET /welcome/{code}`
pub(crate) async fn welcome(
    State(face): State<Face>,
    Path(code): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    if !administrators::is_welcome(&face.ctx, &code).await? {
        return Err(gone());
    }
    let (parts, _) = request.into_parts();
    Ok(page(&Welcome {
        shell: Shell::outside("Welcome to Muster", shell::scheme(&parts)),
        code,
        name: String::new(),
        problem: None,
    }))
}

/// `POST /welcome/{code}`
pub(crate) async fn begin(
    State(face): State<Face>,
    Path(code): Path<String>,
    request: Request,
) -> Result<Response, Failure> {
    let agent = agent(&request);
    let (parts, body) = request.into_parts();
    let scheme = shell::scheme(&parts);
    let request = Request::from_parts(parts, body);
    let Outside(fields) = Outside::from_request(request, &face).await?;
    match first(&face, &code, &fields).await {
        Ok(who) => {
            let signed = administrators::open(&face.ctx, who, &agent).await?;
            Ok(signed_in(&face, &signed, "/"))
        }
        Err(AppError::Invalid(problem)) => Ok(refused_page(&Welcome {
            shell: Shell::outside("Welcome to Muster", scheme),
            code,
            name: fields.text("name").to_owned(),
            problem: Some(capital(&problem)),
        })),
        Err(AppError::Refused(_)) => Err(gone()),
        Err(error) => Err(error.into()),
    }
}

async fn first(
    face: &Face,
    code: &str,
    fields: &Fields,
) -> Result<muster_model::AdministratorId, AppError> {
    let (password, again) = (fields.raw("password"), fields.raw("again"));
    if password != again {
        let said = "the two passwords are not the same";
        return Err(AppError::Invalid(said.to_owned()));
    }
    let ctx = Ctx {
        actor: fields.text("name").to_owned(),
        ..face.ctx.clone()
    };
    let who = administrators::begin(&ctx, code, fields.text("name"), password).await?;
    Ok(who.id)
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert_eq!(within("/applications?q=a"), "/applications?q=a");
        for to in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "/\t\\evil.example",
            "/\u{0}/evil.example",
            "a",
        ] {
            assert_eq!(within(to), "/", "{to}");
        }
    }
}
