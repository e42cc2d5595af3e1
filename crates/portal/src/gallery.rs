//! New application: the gallery, one template of it, and adding it.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::FromRequestParts as _;
use axum::extract::{Path, Request};
use axum::response::{IntoResponse, Redirect, Response};
use muster_app::AppError;
use muster_app::applications::{self, GalleryApp};
use muster_model::administrator::Role;

use crate::Face;
use crate::failure::{Failure, capital};
use crate::form::{Form, query};
use crate::shell::{Shell, page, refused_page};
use crate::who::Who;

/// A template as the gallery shows it.
struct Card {
    id: String,
    name: String,
    publisher: String,
    description: String,
    categories: String,
    can_provision: bool,
}

impl Card {
    fn of(app: &GalleryApp) -> Self {
        Self {
            id: app.id.clone(),
            name: app.display_name.clone(),
            publisher: app.publisher.clone(),
            description: app.description.clone(),
            categories: app.categories.join(", "),
            can_provision: app.is_scim2() && app.supports_users,
        }
    }
}

#[derive(Template)]
#[template(path = "gallery.html")]
struct Gallery {
    shell: Shell,
    q: String,
    category: String,
    categories: BTreeSet<String>,
    found: Vec<Card>,
}

#[derive(Template)]
#[template(path = "gallery_partial.html")]
struct Found {
    found: Vec<Card>,
}

/// `GET /applications/new?q=…&category=…`
pub(crate) async fn search(
    axum::extract::State(face): axum::extract::State<Face>,
    request: Request,
) -> Result<Response, Failure> {
    let (mut parts, _) = request.into_parts();
    let who = Who::from_request_parts(&mut parts, &face).await?;
    let fields = query(&parts.uri)?;
    let gallery = applications::gallery()?;
    let (q, category) = (fields.text("q"), fields.text("category"));
    let found = if q.is_empty() {
        gallery.apps().iter().collect()
    } else {
        gallery.search(q)
    };
    let is_in =
        |app: &&GalleryApp| category.is_empty() || app.categories.iter().any(|it| it == category);
    let found: Vec<Card> = found.into_iter().filter(is_in).map(Card::of).collect();
    if parts.headers.contains_key("hx-request") {
        return Ok(page(&Found { found }));
    }
    let all = gallery.apps().iter();
    Ok(page(&Gallery {
        shell: Shell::new("New application", "applications", &who),
        q: q.to_owned(),
        category: category.to_owned(),
        categories: all.flat_map(|app| app.categories.iter().cloned()).collect(),
        found,
    }))
}

#[derive(Template)]
#[template(path = "template.html")]
struct One {
    shell: Shell,
    card: Card,
    name: String,
    url: String,
    token: String,
    limitations: Vec<String>,
    users: bool,
    groups: bool,
    is_custom: bool,
    may_add: bool,
    problem: Option<String>,
}

impl One {
    fn of(who: &Who, template: &str) -> Result<Self, Failure> {
        let may_add = who.may(Role::Administrator);
        if template == "custom" {
            return Ok(Self {
                shell: Shell::new("Any SCIM application", "applications", who),
                card: Card {
                    id: template.to_owned(),
                    name: "Any SCIM application".to_owned(),
                    publisher: String::new(),
                    description:
                        "An application of your own that takes users and groups over SCIM 2.0."
                            .to_owned(),
                    categories: String::new(),
                    can_provision: true,
                },
                name: String::new(),
                url: String::new(),
                token: String::new(),
                limitations: Vec::new(),
                users: true,
                groups: true,
                is_custom: true,
                may_add,
                problem: None,
            });
        }
        let gallery = applications::gallery()?;
        let app = gallery.find(template).map_err(|_| Failure::not_found())?;
        Ok(Self {
            shell: Shell::new(&app.display_name, "applications", who),
            card: Card::of(app),
            name: app.display_name.clone(),
            url: app.tenant_url.clone(),
            token: app.token_hint.clone(),
            limitations: app.limitations.clone(),
            users: app.supports_users,
            groups: app.supports_groups,
            is_custom: false,
            may_add,
            problem: None,
        })
    }
}

/// `GET /applications/new/{template}`
pub(crate) async fn show(who: Who, Path(template): Path<String>) -> Result<Response, Failure> {
    Ok(page(&One::of(&who, &template)?))
}

/// `POST /applications/new/{template}`
pub(crate) async fn add(
    Path(template): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let one = One::of(&who, &template)?;
    let chosen = if one.is_custom {
        applications::Template::Custom
    } else {
        applications::Template::Gallery(one.card.id.clone())
    };
    let name = fields.text("name");
    match applications::add(&who.ctx, &chosen, Some(name)).await {
        Ok(added) => {
            let to = format!("/applications/{}?done=added", added.id);
            Ok(Redirect::to(&to).into_response())
        }
        Err(AppError::Taken(said) | AppError::Invalid(said)) => Ok(refused_page(&One {
            name: name.to_owned(),
            problem: Some(capital(&said)),
            ..one
        })),
        Err(error) => Err(error.into()),
    }
}
