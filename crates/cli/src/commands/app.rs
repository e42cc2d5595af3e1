//! `muster app …`

use muster_app::AppError;
use muster_app::applications::{self, Principal, Shown, Template};
use muster_app::surprises::{self, Surprise};
use muster_engine::port::{Probe, TestFailure};
use muster_model::directory::Kind;
use muster_model::job::{Access, Credentials, DefaultAccess, OAuth, Scheme, Scope};
use muster_model::{Secret, Timestamp};
use serde_json::json;

use super::authorize::authorize;
use crate::args::{AccessArg, App, MaybeGiven, ScopeArg, Who};
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;

pub(super) async fn perform(node: &Node, task: App, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    match task {
        App::Gallery { search } => gallery(search.as_deref(), out).await?,
        App::Add {
            template,
            custom,
            name,
        } => {
            let template = match template {
                Some(template) if !custom => Template::Gallery(template),
                _ => Template::Custom,
            };
            let added = applications::add(ctx, &template, name.as_deref()).await?;
            let shown = json!({
                "id": added.id.to_string(), "name": added.display_name,
                "template": added.template, "job": added.job.to_string()
            });
            out.tell(
                &shown,
                format!("Added {} ({})", added.display_name, added.id),
            )
            .await;
        }
        App::List => list(node, out).await?,
        App::Show { app } => show(&applications::show(ctx, &app).await?, out).await,
        App::Assign {
            app,
            who,
            nested,
            role,
        } => {
            let who = match principal(who) {
                Principal::Group(group) if nested => Principal::GroupAndNested(group),
                who => who,
            };
            let done = applications::assign(ctx, &app, &who, role.as_deref()).await?;
            let shown = json!({ "name": done.name, "role": done.role, "new": done.is_new });
            let before = if done.is_new { "" } else { " (as before)" };
            out.tell(
                &shown,
                format!("{} has the role {}{before}", done.name, done.role),
            )
            .await;
            if let Some(warning) = done.warning {
                out.note(format!("Note: {warning}")).await;
            }
        }
        App::Included {
            group,
            nested,
            limit,
        } => {
            let included = applications::included(ctx, &group, nested, limit as usize).await?;
            show_included(&included, out).await;
        }
        App::Unassign { app, who } => {
            let (name, gone) = applications::unassign(ctx, &app, &principal(who)).await?;
            let text = match gone {
                0 => format!("{name} was not assigned"),
                _ => format!("{name} is unassigned"),
            };
            out.tell(&json!({ "name": name, "removed": gone }), text)
                .await;
        }
        App::Credentials { app, credentials } => {
            let credentials = *credentials;
            let token = credentials.token.secret_token.unwrap_or_default();
            let given = Credentials {
                tenant_url: credentials.tenant_url,
                secret_token: Secret::new(token),
                access: access(credentials.access)?,
            };
            applications::save_credentials(ctx, &app, given).await?;
            let text = "The connection works; the credentials are saved".to_owned();
            out.tell(&json!({ "ok": true, "saved": true }), text).await;
        }
        App::Surprises { app, since } => {
            let since = ctx.clock.now().plus_seconds(-i64::from(since));
            let all = surprises::list(ctx, &app, since).await?;
            for it in &all {
                out.line(surprise_line(&app, it, out.json)).await;
            }
            if all.is_empty() && !out.json {
                out.line("Nothing that is kept of failures shows any").await;
            }
        }
        App::Authorize { app, asking } => {
            // Nobody is asked in vain.
            applications::find(ctx, &app).await?;
            let given = authorize(node, *asking, out).await?;
            applications::save_credentials(ctx, &app, given).await?;
            let text = "The connection works; the credentials are saved".to_owned();
            out.tell(&json!({ "ok": true, "saved": true }), text).await;
        }
        App::TestConnection { app, credentials } => {
            return test(node, &app, given(*credentials)?, out).await;
        }
        App::Probe {
            app,
            credentials,
            canary,
        } => {
            let given = given(*credentials)?;
            let probed = applications::probe(ctx, &app, given, canary.as_deref()).await?;
            return probe(&app, probed, out).await;
        }
        App::Notify {
            app,
            email,
            webhook,
            no_webhook,
            nobody,
        } => {
            let (mut shown, mut said) = (serde_json::Map::new(), Vec::new());
            if let Some(email) = email.or_else(|| nobody.then(String::new)) {
                applications::set_notification(ctx, &app, &email).await?;
                let unsent = match node.mailer {
                    Ok(Some(_)) => "",
                    _ => "; no mail server is configured yet ([mail] server and from)",
                };
                said.push(match email.as_str() {
                    "" => "Nobody is told by mail".to_owned(),
                    email => format!("Notification Email: {email}{unsent}"),
                });
                shown.insert("notificationEmail".to_owned(), json!(email));
            }
            if webhook.is_some() || no_webhook || nobody {
                let url = webhook.as_deref();
                let secret = applications::set_notification_webhook(ctx, &app, url).await?;
                let secret = secret.as_ref().map(|secret| secret.expose().as_str());
                said.push(match (url, secret) {
                    (Some(url), Some(secret)) => format!(
                        "Notifications are posted to {url}\nSecret, shown this once: {secret}"
                    ),
                    _ => "Notifications are posted nowhere".to_owned(),
                });
                shown.insert("notificationWebhook".to_owned(), json!(url));
                shown.extend(secret.map(|secret| ("secret".to_owned(), json!(secret))));
            }
            out.tell(&json!(shown), said.join("\n")).await;
        }
        App::Remove { app, yes } => {
            if !yes {
                return Err(AppError::Invalid(
                    "everything that is kept of it would be gone; say --yes if that is meant"
                        .to_owned(),
                ));
            }
            let removed = applications::remove(ctx, &app).await?;
            let text = format!(
                "{} is removed; accounts at the target are as they were",
                removed.display_name
            );
            out.tell(&json!({ "removed": removed.display_name }), text)
                .await;
        }
        App::Scope {
            app,
            scope,
            default_access,
        } => {
            let chosen = scope.map(|scope| match scope {
                ScopeArg::Assigned => (Scope::AssignedOnly, "assigned"),
                ScopeArg::All => (Scope::All, "all"),
            });
            let access = default_access.map(|on| {
                if on {
                    DefaultAccess::Included
                } else {
                    DefaultAccess::ExcludedIfRolesExist
                }
            });
            let scope = chosen.map(|(scope, _)| scope);
            let changed = applications::set_candidates(ctx, &app, scope, access).await?;
            let texts = [
                scope.map(|scope| match scope {
                    Scope::AssignedOnly => "Scope: sync only assigned users and groups",
                    Scope::All => "Scope: sync all users and groups",
                }),
                default_access.map(|on| {
                    if on {
                        "Default Access counts"
                    } else {
                        "Default Access does not count where the application has roles"
                    }
                }),
            ];
            let text: Vec<&str> = texts.into_iter().flatten().collect();
            let mut told = json!({ "changed": changed });
            if let Some((_, word)) = chosen {
                told["scope"] = word.into();
            }
            if let Some(on) = default_access {
                told["defaultAccess"] = on.into();
            }
            out.tell(&told, text.join("; ")).await;
            if changed {
                out.note("The next cycle evaluates every object.").await;
            }
        }
    }
    Ok(Exit::Done)
}

async fn show_included(included: &applications::Included, out: &Out) {
    let applications::Included {
        users,
        count,
        immediate,
        nested,
        all: _,
    } = included;
    if out.json {
        let users: Vec<_> = users
            .iter()
            .map(|(name, via)| json!({ "name": name, "via": via }))
            .collect();
        let all = json!({
            "users": users, "count": count, "immediate": immediate, "nestedGroups": nested
        });
        out.line(all.to_string()).await;
        return;
    }
    for (name, via) in users {
        out.line(format!("{name}  (member of {via})")).await;
    }
    let rest = count - users.len() as u64;
    let told = match (nested, rest) {
        (0, 0) => format!("{count} users"),
        (0, rest) => format!("{count} users; {rest} more are not listed"),
        (nested, rest) => {
            let more = count - immediate;
            let unlisted = match rest {
                0 => String::new(),
                rest => format!("; {rest} more are not listed"),
            };
            format!(
                "{count} users: {immediate} members, and {more} by {nested} nested groups{unlisted}"
            )
        }
    };
    out.line(told).await;
}

/// Credentials, when any are given.
fn given(credentials: MaybeGiven) -> Result<Option<Credentials>, AppError> {
    match (credentials.tenant_url, credentials.token.secret_token) {
        (Some(tenant_url), Some(token)) => Ok(Some(Credentials {
            tenant_url,
            secret_token: Secret::new(token),
            access: access(credentials.access)?,
        })),
        (None, None) if credentials.access.is_empty() => Ok(None),
        _ => Err(AppError::Invalid(
            "give both --tenant-url and the secret token, or neither to test what is saved"
                .to_owned(),
        )),
    }
}

/// What was found out, and how to speak to the target then.
async fn probe(app: &str, probed: Result<Probe, TestFailure>, out: &Out) -> Result<Exit, AppError> {
    let probe = match probed {
        Ok(probe) => probe,
        Err(failure) => return Err(AppError::Refused(failure.to_string())),
    };
    let Probe {
        findings,
        dialect,
        left_behind,
    } = &probe;
    let patch = match dialect.patch {
        None => "flag",
        Some(style) => style.as_str(),
    };
    let write = if dialect.puts { "put" } else { "patch" };
    let filter = if dialect.filters_groups { "on" } else { "off" };
    let command = format!(
        "muster job dialect \"{app}\" --patch {patch} --write {write} --group-filter {filter}"
    );
    if out.json {
        let findings: Vec<_> = findings
            .iter()
            .map(|it| json!({ "what": it.what, "works": it.works, "said": it.said }))
            .collect();
        let all = json!({
            "findings": findings, "patch": patch, "write": write,
            "groupFilter": dialect.filters_groups, "leftBehind": left_behind
        });
        out.line(all.to_string()).await;
    } else {
        for it in findings {
            let works = if it.works { "yes" } else { "NO " };
            out.line(format!("{works}  {}: {}", it.what, it.said)).await;
        }
        out.line(format!("Speak to it so: {command}")).await;
        for left in left_behind {
            out.line(format!("Could not be removed; remove it by hand: {left}"))
                .await;
        }
    }
    Ok(if left_behind.is_empty() {
        Exit::Done
    } else {
        Exit::PartlyFailed
    })
}

fn surprise_line(app: &str, surprise: &Surprise, is_json: bool) -> String {
    let Surprise {
        what,
        options,
        count,
        event,
        evidence,
    } = surprise;
    let command = options
        .as_ref()
        .map(|options| format!("muster job dialect \"{app}\" {options}"));
    let status = evidence.status.unwrap_or_default();
    if is_json {
        let shown = json!({
            "what": what, "count": count, "event": event.to_string(), "command": command,
            "method": evidence.method, "url": evidence.url, "status": status
        });
        return shown.to_string();
    }
    let command = command.map_or_else(String::new, |it| format!("\n  speak to it so: {it}"));
    format!(
        "{what}: {count} times\n  {} {} was answered {status}: muster log exchanges \"{app}\" {event}{command}",
        evidence.method, evidence.url
    )
}

fn access(given: AccessArg) -> Result<Access, AppError> {
    let scheme = match (given.user, given.token_url, given.client_id) {
        (Some(user), ..) => Scheme::Basic { user },
        (None, Some(token_url), Some(client_id)) => Scheme::OAuth(OAuth {
            token_url,
            client_id,
            scope: given.oauth_scope,
            key_id: given.key_id,
            allowed: None,
        }),
        _ => Scheme::Bearer,
    };
    let expires = given.expires.map(instant);
    Ok(Access {
        scheme,
        next: given.next.map(Secret::new),
        expires: expires.transpose()?,
    })
}

/// A date, which begins at midnight in UTC, or an instant.
pub(super) fn instant(text: String) -> Result<Timestamp, AppError> {
    let day = || format!("{text}T00:00:00Z").parse().ok();
    text.parse().ok().or_else(day).ok_or_else(|| {
        AppError::Invalid(format!(
            "`{text}` is no date such as 2025-06-30, and no instant"
        ))
    })
}

fn principal(who: Who) -> Principal {
    match (who.user, who.group) {
        (Some(user), _) => Principal::User(user),
        (None, group) => Principal::Group(group.unwrap_or_default()),
    }
}

async fn test(
    node: &Node,
    app: &str,
    given: Option<Credentials>,
    out: &Out,
) -> Result<Exit, AppError> {
    match applications::test_connection(&node.ctx, app, given).await? {
        Ok(()) => {
            out.tell(&json!({ "ok": true }), "The connection works".to_owned())
                .await;
            Ok(Exit::Done)
        }
        Err(failure) => {
            if out.json {
                let shown = json!({
                    "ok": false, "category": failure.category, "message": failure.message
                });
                out.line(shown.to_string()).await;
            }
            out.note(format!("muster: {}: {}", failure.category, failure.message))
                .await;
            Ok(Exit::Failed)
        }
    }
}

async fn gallery(search: Option<&str>, out: &Out) -> Result<(), AppError> {
    let gallery = applications::gallery()?;
    let apps: Vec<_> = match search {
        Some(text) => gallery.search(text),
        None => gallery.apps().iter().collect(),
    };
    if out.json {
        let shown: Vec<_> = apps
            .iter()
            .map(|app| {
                json!({
                    "id": app.id, "name": app.display_name, "publisher": app.publisher,
                    "description": app.description
                })
            })
            .collect();
        out.line(json!(shown).to_string()).await;
        return Ok(());
    }
    if apps.is_empty() {
        out.note("No application matches; any SCIM application can be added with --custom.")
            .await;
    }
    for app in apps {
        out.line(format!("{:<44} {}", app.display_name, app.description))
            .await;
    }
    Ok(())
}

async fn list(node: &Node, out: &Out) -> Result<(), AppError> {
    let all = applications::list(&node.ctx).await?;
    if out.json {
        let shown: Vec<_> = all
            .iter()
            .map(|app| {
                json!({
                    "id": app.id.to_string(), "name": app.display_name, "template": app.template,
                    "job": app.job.to_string(), "created": app.created.to_string()
                })
            })
            .collect();
        out.line(json!(shown).to_string()).await;
        return Ok(());
    }
    if all.is_empty() {
        out.note("There is no application yet; add one with: muster app add NAME")
            .await;
    }
    for app in all {
        let template = app.template.as_deref().unwrap_or("custom");
        out.line(format!(
            "{:<44} {template:<36} {}",
            app.display_name, app.id
        ))
        .await;
    }
    Ok(())
}

async fn show(shown: &Shown, out: &Out) {
    let Shown {
        application,
        job,
        roles,
        assignments,
        tenant_url,
        schema,
    } = shown;
    let scope = match job.settings.scope {
        Scope::AssignedOnly => "assigned",
        Scope::All => "all",
    };
    if out.json {
        let assigned: Vec<_> = assignments
            .iter()
            .map(|(assignment, name)| {
                json!({
                    "id": assignment.id.to_string(), "principal": assignment.principal.to_string(),
                    "type": assignment.kind.as_str(), "name": name, "nested": assignment.transitive,
                    "role": assignment.role.to_string()
                })
            })
            .collect();
        let roles: Vec<_> = roles
            .iter()
            .map(|role| json!({ "id": role.id.to_string(), "value": role.value }))
            .collect();
        let schema: serde_json::Value = serde_json::from_str(schema).unwrap_or_default();
        let all = json!({
            "id": application.id.to_string(), "name": application.display_name,
            "template": application.template, "job": job.id.to_string(),
            "status": job.status.code(), "scope": scope, "tenantUrl": tenant_url,
            "roles": roles, "assignments": assigned, "schema": schema
        });
        out.line(all.to_string()).await;
        return;
    }
    out.line(format!("{} ({})", application.display_name, application.id))
        .await;
    out.line(format!("  Status      {}", job.status.code()))
        .await;
    out.line(format!("  Scope       {scope}")).await;
    out.line(format!(
        "  Tenant URL  {}",
        tenant_url.as_deref().unwrap_or("not saved yet")
    ))
    .await;
    let names: Vec<&str> = roles
        .iter()
        .map(|role| role.display_name.as_str())
        .collect();
    out.line(format!("  Roles       {}", names.join(", ")))
        .await;
    out.line(format!("  Assignments {}", assignments.len()))
        .await;
    for (assignment, name) in assignments {
        let role = roles.iter().find(|role| role.id == assignment.role);
        let role = role.map_or("Default Access", |role| role.display_name.as_str());
        let kind = match assignment.kind {
            Kind::User => "user",
            Kind::Group => "group",
        };
        let nested = if assignment.transitive {
            ", with nested groups"
        } else {
            ""
        };
        out.line(format!("    {kind:<6} {name} as {role}{nested}"))
            .await;
    }
    out.line("  Mappings").await;
    for line in mapping_lines(schema) {
        out.line(format!("    {line}")).await;
    }
}

/// The attribute mappings of a schema document, a line each, for people.
pub(super) fn mapping_lines(schema: &str) -> Vec<String> {
    let Ok(json) = serde_json::from_str::<serde_json::Value>(schema) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    let rules = json["synchronizationRules"]
        .as_array()
        .into_iter()
        .flatten();
    for mapping in rules.flat_map(|rule| rule["objectMappings"].as_array().into_iter().flatten()) {
        let kind = mapping["sourceObjectName"].as_str().unwrap_or_default();
        for attribute in mapping["attributeMappings"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let source = &attribute["source"];
            let source = source["expression"]
                .as_str()
                .or_else(|| source["name"].as_str());
            let matching = attribute["matchingPriority"]
                .as_u64()
                .filter(|order| *order > 0);
            let matching =
                matching.map_or_else(String::new, |order| format!("  (matching {order})"));
            lines.push(format!(
                "{kind:<5} {} → {}{matching}",
                source.unwrap_or("none"),
                attribute["targetAttributeName"]
                    .as_str()
                    .unwrap_or_default()
            ));
        }
    }
    lines
}
