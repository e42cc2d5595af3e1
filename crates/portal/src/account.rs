//! One's own sessions, and who else may sign in.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use muster_app::{AppError, administrators};
use muster_model::administrator::{Administrator, Role, Session};

use crate::Face;
use crate::ask::{Question, ask, is_sure};
use crate::failure::{Failure, capital};
use crate::form::Form;
use crate::shell::{Shell, page, refused_page};
use crate::sign_in::peer;
use crate::who::Who;
use crate::words::ago;

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    shell: Shell,
    sessions: Vec<(Session, String, bool)>,
    everybody: Vec<(Administrator, String)>,
    /// Where else one may sign in.
    elsewhere: Option<String>,
    problem: Option<String>,
    may_change: bool,
}

/// `GET /account`
pub(crate) async fn show(State(face): State<Face>, who: Who) -> Result<Response, Failure> {
    Ok(page(&built(&face, &who).await?))
}

async fn built(face: &Face, who: &Who) -> Result<Account, Failure> {
    let now = who.ctx.clock.now();
    let sessions = administrators::sessions(&who.ctx, who.administrator.id).await?;
    let may_change = who.may(Role::Administrator);
    let everybody = if may_change {
        administrators::list(&who.ctx).await?
    } else {
        Vec::new()
    };
    Ok(Account {
        shell: Shell::new("Account", "account", who),
        elsewhere: face.issuer.as_ref().map(|it| it.name().to_owned()),
        problem: None,
        sessions: sessions
            .into_iter()
            .map(|it| {
                let is_this = it.id == who.session.id;
                let seen = ago(it.last_seen, now);
                (it, seen, is_this)
            })
            .collect(),
        everybody: everybody
            .into_iter()
            .map(|it| {
                let seen = it.last_signed_in;
                let seen = seen.map_or_else(|| "never".to_owned(), |at| ago(at, now));
                (it, seen)
            })
            .collect(),
        may_change,
    })
}

/// `POST /account/password`
pub(crate) async fn password(
    State(face): State<Face>,
    extensions: http::Extensions,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    let (old, new) = (fields.raw("old"), fields.raw("new"));
    let from = (peer(&extensions), who.session.id);
    let done = if new == fields.raw("again") {
        administrators::change_password(&who.ctx, &who.administrator, (old, new), from).await
    } else {
        Err(AppError::Invalid(
            "the two new passwords are not the same".to_owned(),
        ))
    };
    let said = match done {
        Ok(true) => return Ok(Redirect::to("/account?done=password").into_response()),
        Ok(false) => "That is not your password.".to_owned(),
        Err(AppError::Invalid(said) | AppError::Refused(said)) => capital(&said),
        Err(error) => return Err(error.into()),
    };
    Ok(refused_page(&Account {
        problem: Some(said),
        ..built(&face, &who).await?
    }))
}

/// `POST /account/sessions`
pub(crate) async fn end_session(Form(who, fields): Form) -> Result<Response, Failure> {
    let id = fields
        .text("id")
        .parse()
        .map_err(|_| Failure::not_found())?;
    administrators::sign_out(&who.ctx, who.administrator.id, Some(id)).await?;
    Ok(Redirect::to("/account?done=ended").into_response())
}

/// `POST /account/administrators`
pub(crate) async fn administrator(
    State(face): State<Face>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let role = fields.text("role");
    let parsed: Option<Role> = role.parse().ok();
    let unknown = || Failure::Said(StatusCode::BAD_REQUEST, "Choose a role.".to_owned());
    if fields.is_on("id") {
        let id = fields
            .text("id")
            .parse()
            .map_err(|_| Failure::not_found())?;
        if role == "none" && !is_sure(&fields) {
            let all = administrators::list(&who.ctx).await?;
            let found = all.iter().find(|it| it.id == id);
            let name = &found.ok_or_else(Failure::not_found)?.name;
            let sessions = administrators::sessions(&who.ctx, id).await?;
            let question = Question {
                section: "account",
                title: format!("May {name} not sign in any more?"),
                says: vec![
                    format!(
                        "{} at once.",
                        if sessions.len() == 1 {
                            "1 session ends".to_owned()
                        } else {
                            format!("{} sessions end", sessions.len())
                        }
                    ),
                    "They can be added again, with another password.".to_owned(),
                ],
                crowd: None,
                button: "Shut them out",
                action: "/account/administrators",
                back: "/account",
            };
            return Ok(ask(&who, &fields, question));
        }
        let role = match role {
            "none" => None,
            _ => Some(parsed.ok_or_else(unknown)?),
        };
        administrators::set_role(&who.ctx, id, role).await?;
        return Ok(Redirect::to("/account?done=saved").into_response());
    }
    let (name, password) = (fields.text("name"), fields.raw("password"));
    // Who signs in elsewhere needs none.
    let password = Some(password).filter(|it| !it.is_empty() || face.issuer.is_none());
    administrators::add(&who.ctx, name, parsed.ok_or_else(unknown)?, password).await?;
    Ok(Redirect::to("/account?done=created").into_response())
}
