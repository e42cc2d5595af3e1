//! Users and groups of an application: who is assigned, with which role.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{StatusCode, Uri};
use muster_app::applications::{self, Shown};
use muster_app::directory::read;
use muster_app::{AppError, turnover};
use muster_model::RoleId;
use muster_model::administrator::Role;
use muster_model::directory::Kind;
use muster_model::job::{DefaultAccess, Scope};

use crate::Face;
use crate::application::{Tabs, find};
use crate::ask::{Question, ask, is_sure};
use crate::crowd::{Crowd, fate, turn};
use crate::failure::{Failure, capital};
use crate::form::{Fields, Form, query};
use crate::shell::{Shell, page};
use crate::who::Who;
use crate::words::{many, number};

/// Assignments that a page shows.
const SHOWN: u32 = 200;

struct Row {
    id: String,
    name: String,
    kind: &'static str,
    link: String,
    role: String,
    is_left_out: bool,
    reaches: &'static str,
}

#[derive(Template)]
#[template(path = "users.html")]
struct Assigned {
    shell: Shell,
    tabs: Tabs,
    rows: Vec<Row>,
    total: String,
    next: Option<String>,
    roles: Vec<String>,
    names: String,
    role: String,
    nested: bool,
    nothing_done: bool,
    crowd: Option<Crowd>,
    asks: bool,
    /// Is whoever holds Default Access alone left out?
    leaves_out: bool,
    /// What is worth knowing of what was assigned.
    warnings: Vec<String>,
    problems: Vec<String>,
    may_change: bool,
}

async fn built(who: &Who, shown: &Shown, uri: &Uri) -> Result<Assigned, Failure> {
    let after = query(uri)?.text("after").parse().ok();
    let page = applications::assigned(&who.ctx, &shown.application, after, SHOWN);
    let (page, total) = page.await?;
    let last = page.last().filter(|_| page.len() == SHOWN as usize);
    let next = last.map(|(last, _)| format!("?after={}", last.id));
    let leaves_out = !shown.roles.is_empty()
        && shown.job.settings.default_access == DefaultAccess::ExcludedIfRolesExist;
    let rows = page.into_iter().map(|(assignment, name)| {
        let role = shown.roles.iter().find(|role| role.id == assignment.role);
        let is_default = assignment.role == RoleId::DEFAULT_ACCESS;
        let (kind, folder) = match assignment.kind {
            Kind::User => ("User", "users"),
            Kind::Group => ("Group", "groups"),
        };
        Row {
            id: assignment.id.to_string(),
            link: format!("/directory/{folder}/{}", assignment.principal),
            name,
            kind,
            role: match role {
                Some(role) => role.display_name.clone(),
                None if is_default => "Default Access".to_owned(),
                None => assignment.role.to_string(),
            },
            is_left_out: is_default && leaves_out,
            reaches: match (assignment.kind, assignment.transitive) {
                (Kind::User, _) => "",
                (Kind::Group, true) => "members, nested ones too",
                (Kind::Group, false) => "direct members",
            },
        }
    });
    Ok(Assigned {
        shell: Shell::new("Users and groups", "applications", who),
        tabs: Tabs::of(shown, "users"),
        rows: rows.collect(),
        total: number(total),
        next,
        roles: shown
            .roles
            .iter()
            .map(|role| role.display_name.clone())
            .collect(),
        names: String::new(),
        // The role that ordinary people get.
        role: shown
            .roles
            .iter()
            .find(|role| role.value == "User")
            .or_else(|| shown.roles.first())
            .map_or_else(String::new, |role| role.display_name.clone()),
        nested: false,
        nothing_done: false,
        crowd: None,
        asks: false,
        leaves_out,
        warnings: Vec::new(),
        problems: Vec::new(),
        may_change: who.may(Role::Administrator),
    })
}

/// `GET /applications/{id}/users`
pub(crate) async fn show(who: Who, Path(id): Path<String>, uri: Uri) -> Result<Response, Failure> {
    let shown = find(&who, &id).await?;
    Ok(page(&built(&who, &shown, &uri).await?))
}

/// Names that one form assigns at most.
const MOST: usize = 5000;

/// Somebody to assign, as a form or a file has it.
struct Line {
    name: String,
    role: Option<String>,
}

/// Words that head a column of names.
const HEADS: [&str; 8] = [
    "name",
    "user",
    "group",
    "principal",
    "userprincipalname",
    "sign-in name",
    "displayname",
    "email",
];

/// Who is named: one a line, in the text and in a file; with a role in the second column, if there is one. Addresses
/// may also stand in one line, as mail programs have them: names of groups may have commas.
fn lines(fields: &Fields) -> Result<Vec<Line>, String> {
    let clean = |text: &str| text.trim().trim_matches('"').to_owned();
    let are_addresses = |line: &str| line.split([',', ';']).all(|it| it.contains('@'));
    let mut all: Vec<Line> = fields
        .raw("names")
        .lines()
        .flat_map(|line| {
            let apart: &[char] = if are_addresses(line) {
                &[',', ';']
            } else {
                &[]
            };
            line.split(apart)
        })
        .map(|text| {
            // Two columns of a table come with a tab between them.
            let (name, role) = text.split_once('\t').unwrap_or((text, ""));
            Line {
                name: clean(name),
                role: Some(clean(role)).filter(|it| !it.is_empty()),
            }
        })
        .collect();
    if let Some(upload) = &fields.upload {
        let mut rows = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(upload.bytes.as_slice());
        for (at, row) in rows.records().take(MOST + 2).enumerate() {
            let row = row.map_err(|error| format!("{}: {error}", upload.name))?;
            let name = row
                .get(0)
                .unwrap_or_default()
                .trim_start_matches('\u{feff}');
            if at == 0 && HEADS.contains(&name.to_lowercase().as_str()) {
                continue;
            }
            all.push(Line {
                name: name.to_owned(),
                role: row.get(1).filter(|it| !it.is_empty()).map(str::to_owned),
            });
        }
    }
    all.retain(|line| !line.name.is_empty());
    if all.is_empty() || all.len() > MOST {
        return Err(format!("Name 1 to {MOST} people or groups, one a line."));
    }
    Ok(all)
}

/// Does an assignment reach the members of nested groups?
async fn reaches_far(who: &Who, shown: &Shown) -> Result<bool, Failure> {
    let all = applications::assignments(&who.ctx, &shown.application.id.to_string()).await?;
    Ok(all.iter().any(|(it, _)| it.transitive))
}

/// `POST /applications/{id}/users`: says who would come into scope, or assigns.
pub(crate) async fn assign(
    State(face): State<Face>,
    Path(id): Path<String>,
    uri: Uri,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let shown = find(&who, &id).await?;
    let is_preview = fields.text("act") == "preview";
    let mut nothing_done = is_preview;
    let (mut problems, mut left, mut found) = (Vec::new(), Vec::new(), Vec::new());
    let mut warnings = Vec::new();
    // Somebody may lose what they have, when an assignment that is there is to reach less far: that is asked first.
    let narrows = !is_preview && !fields.is_on("nested") && !is_sure(&fields);
    let looks = is_preview || (narrows && reaches_far(&who, &shown).await?);
    let chosen = Some(fields.text("role").to_owned()).filter(|role| !role.is_empty());
    match lines(&fields) {
        Err(said) => {
            nothing_done = true;
            problems.push(said);
        }
        Ok(lines) => {
            for line in lines {
                let named = applications::principal(&who.ctx, &line.name, fields.is_on("nested"));
                let role = line.role.clone().or_else(|| chosen.clone());
                let done = match named.await {
                    Ok(principal) if looks => {
                        found.push((principal, role));
                        left.push(line);
                        continue;
                    }
                    Ok(principal) => {
                        let of = (&who.ctx, id.as_str());
                        applications::assign(of.0, of.1, &principal, role.as_deref()).await
                    }
                    Err(error) => Err(error),
                };
                match done {
                    Ok(done) => {
                        let warning = done.warning.map(|it| format!("{}: {it}.", line.name));
                        warnings.extend(warning);
                    }
                    Err(error) if error.is_ours() => return Err(error.into()),
                    Err(AppError::NotFound(said)) if said.contains("no role") => {
                        problems.push(format!("{}: {said}", line.name));
                        left.push(line);
                    }
                    Err(AppError::NotFound(_)) => {
                        problems.push(format!("{}: there is nobody of this name", line.name));
                        left.push(line);
                    }
                    Err(error) => {
                        problems.push(capital(&error.to_string()));
                        left.push(line);
                    }
                }
            }
        }
    }
    let crowd = if looks && !found.is_empty() {
        let _turn = turn(&face.looks).await?;
        match turnover::of_assigning(&who.ctx, &id, &found).await {
            Ok(turnover) => Some(turnover),
            Err(error) if error.is_ours() => return Err(error.into()),
            Err(error) => {
                problems.push(capital(&error.to_string()));
                None
            }
        }
    } else {
        None
    };
    let asks = !is_preview && crowd.as_ref().is_some_and(|it| it.leave.count() > 0);
    if looks && !is_preview && !asks {
        // Nobody loses anything.
        for (principal, role) in &found {
            let done = applications::assign(&who.ctx, &id, principal, role.as_deref()).await?;
            warnings.extend(done.warning.map(|it| format!("{}: {it}.", done.name)));
        }
        let done: Vec<&str> = problems
            .iter()
            .filter_map(|it| it.split(": ").next())
            .collect();
        left.retain(|line| done.contains(&line.name.as_str()));
    }
    if problems.is_empty() && warnings.is_empty() && !is_preview && !asks {
        face.poke.notify_one();
        let to = format!("/applications/{id}/users?done=assigned");
        return Ok(Redirect::to(&to).into_response());
    }
    let status = if is_preview || asks || problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    let written = |line: Line| match line.role {
        Some(role) => format!("{}\t{role}", line.name),
        None => line.name,
    };
    let left: Vec<String> = left.into_iter().map(written).collect();
    let names = if left.is_empty() && !warnings.is_empty() {
        String::new()
    } else if left.is_empty() {
        fields.raw("names").to_owned()
    } else {
        left.join("\n")
    };
    let mut response = page(&Assigned {
        names,
        role: fields.text("role").to_owned(),
        nothing_done,
        crowd: crowd.filter(|_| is_preview || asks).map(Crowd::of),
        asks,
        nested: fields.is_on("nested"),
        warnings,
        problems,
        ..built(&who, &shown, &uri).await?
    });
    *response.status_mut() = status;
    Ok(response)
}

/// `POST /applications/{id}/users/remove`
pub(crate) async fn unassign(
    State(face): State<Face>,
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let shown = find(&who, &id).await?;
    let wanted = fields
        .text("id")
        .parse()
        .map_err(|_| Failure::not_found())?;
    let found = applications::assignment(&who.ctx, &shown.application, wanted).await?;
    let assignment = &found.ok_or_else(Failure::not_found)?;
    let named = read::objects(&who.ctx, &[assignment.principal])
        .await?
        .pop();
    let name = named.map_or_else(
        || assignment.principal.to_string(),
        |it| match it {
            read::Object::User(user) => user.user_principal_name,
            read::Object::Group(group) => group.display_name,
        },
    );
    if !is_sure(&fields) {
        let _turn = turn(&face.looks).await?;
        let turnover = turnover::of_unassigning(&who.ctx, &id, assignment).await?;
        let leave = turnover.leave.users + turnover.leave.groups;
        let question = Question {
            section: "applications",
            title: format!("Remove the assignment of {name}?"),
            says: vec![
                format!(
                    "{} and {} leave {}: each {} with the next cycle, as far as the guard allows.",
                    many(turnover.leave.users, "user"),
                    many(turnover.leave.groups, "group"),
                    shown.application.display_name,
                    fate(turnover.fate)
                ),
                if shown.job.settings.scope == Scope::All {
                    "All users and groups are in scope here, whoever is assigned.".to_owned()
                } else {
                    format!("{} stay, by other assignments.", number(turnover.stay))
                },
            ],
            crowd: (leave > 0).then(|| Crowd::of(turnover)),
            button: "Remove the assignment",
            action: &format!("/applications/{id}/users/remove"),
            back: &format!("/applications/{id}/users"),
        };
        return Ok(ask(&who, &fields, question));
    }
    applications::unassign_role(&who.ctx, &shown.application, assignment).await?;
    face.poke.notify_one();
    Ok(Redirect::to(&format!("/applications/{id}/users?done=unassigned")).into_response())
}
