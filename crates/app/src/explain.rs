//! Why somebody is, or is not, provisioned.

use muster_engine::explain::Explanation;
use muster_engine::port::Record;
use muster_model::application::Application;
use muster_model::directory::{Group, Kind};
use muster_model::event::Event;
use muster_model::link::SourceAnchor;
use muster_model::{GroupId, ObjectId, UserId};
use muster_store::{groups, links, users};

use crate::applications::{find as find_application, job_of};
use crate::directory::find::named_user;
use crate::{AppError, Ctx, directory, log};

/// What a user may be called by, besides the sign-in name (OD-1).
const NAMES: [&str; 4] = ["mail", "displayName", "givenName", "surname"];
/// Users that are read at once.
const PAGE: u32 = 500;

/// Whom an explanation is about.
#[derive(Clone, Debug)]
pub struct Subject {
    /// User or group.
    pub kind: Kind,
    /// The object in the source.
    pub anchor: SourceAnchor,
    /// What the log said of it, when it was named by an event.
    pub event: Option<Event>,
}

/// Explains somebody to an application, as a cycle that looks at it now would see it; nothing is written
/// anywhere. Who is meant may be named by sign-in name, mail address, display name, id, or by an event of
/// the log. There is no explanation of who is gone on both sides, but perhaps an event.
pub async fn explain(
    ctx: &Ctx,
    application: &str,
    text: &str,
) -> Result<(Application, Subject, Option<Explanation>), AppError> {
    let application = find_application(ctx, application).await?;
    let job = job_of(ctx, &application).await?;
    let subject = subject(ctx, &application, text.trim()).await?;
    let Subject { kind, anchor, .. } = subject;
    let explanation = ctx.engine.explain(ctx.tenant, job.id, kind, anchor).await?;
    if explanation.is_none() && subject.event.is_none() {
        return Err(AppError::NotFound(format!(
            "nothing is known of {kind} {anchor}: it is neither in the directory nor linked"
        )));
    }
    Ok((application, subject, explanation))
}

/// Somebody as the mappings of an application see them, named as in [`explain`]; the target is not asked. By sign-in
/// name, id or the name of a group alone when nobody is to be looked `far` for.
pub async fn record(
    ctx: &Ctx,
    application: &str,
    text: &str,
    far: bool,
) -> Result<Option<Record>, AppError> {
    let application = find_application(ctx, application).await?;
    let text = text.trim();
    let near = exact(ctx, text).await?.0;
    let found = match near {
        Some(found) => found,
        None if far => subject(ctx, &application, text).await?,
        None => {
            return Err(AppError::NotFound(format!(
                "nobody has the sign-in name or id `{text}`"
            )));
        }
    };
    let Subject { kind, anchor, .. } = found;
    let of = (kind, anchor);
    Ok(ctx.engine.record(ctx.tenant, application.job, of).await?)
}

const fn known(kind: Kind, anchor: SourceAnchor) -> Subject {
    Subject {
        kind,
        anchor,
        event: None,
    }
}

/// Who has this sign-in name or id, or is the only group of this name or id; and the groups of this name.
async fn exact(ctx: &Ctx, text: &str) -> Result<(Option<Subject>, Vec<Group>), AppError> {
    let tenant = ctx.tenant;
    let (user, groups) = ctx
        .store
        .read::<_, AppError, _>(|tx| {
            Box::pin(async move {
                let user = named_user(tx, tenant, text).await?;
                if let Ok(id) = text.parse::<GroupId>()
                    && let Some(group) = groups::find(tx, tenant, id).await?
                {
                    return Ok((user, vec![group]));
                }
                Ok((user, groups::find_by_name(tx, tenant, text).await?))
            })
        })
        .await?;
    let user = user.map(|user| known(Kind::User, user.id.into()));
    let group = match groups.as_slice() {
        [group] => Some(known(Kind::Group, group.id.into())),
        _ => None,
    };
    Ok((user.or(group), groups))
}

pub(crate) async fn subject(
    ctx: &Ctx,
    application: &Application,
    text: &str,
) -> Result<Subject, AppError> {
    let tenant = ctx.tenant;
    let (found, groups) = exact(ctx, text).await?;
    if let Some(found) = found
        && (found.kind == Kind::User || text.parse::<GroupId>().is_ok())
    {
        return Ok(found);
    }
    if let Ok(id) = text.parse::<ObjectId>() {
        // Gone from the directory, and perhaps still linked.
        let job = application.job;
        let linked = ctx
            .store
            .read::<_, AppError, _>(|tx| {
                Box::pin(async move { Ok(links::of(tx, tenant, job, &[id]).await?.pop()) })
            })
            .await?;
        if let Some(link) = linked {
            return Ok(known(link.kind, link.anchor));
        }
        let event = log::show(ctx, &application.display_name, text).await?;
        return Ok(Subject {
            kind: event.kind,
            anchor: event.source,
            event: Some(event),
        });
    }
    let users = by_mail_or_name(ctx, text).await?;
    match (users.as_slice(), groups.as_slice()) {
        ([user], []) => Ok(known(Kind::User, (*user).into())),
        ([], [group]) => Ok(known(Kind::Group, group.id.into())),
        ([], []) => {
            // It says who may have been meant.
            let user = directory::find_user(ctx, text).await?;
            Ok(known(Kind::User, user.id.into()))
        }
        _ => Err(AppError::Invalid(format!(
            "several users or groups are called `{text}`; give a sign-in name or an id"
        ))),
    }
}

/// Users with this mail address, display, first or last name or, when they are deleted, sign-in name; two suffice to
/// tell that there are several.
async fn by_mail_or_name(ctx: &Ctx, text: &str) -> Result<Vec<UserId>, AppError> {
    let (tenant, wanted) = (ctx.tenant, text.to_lowercase());
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = ctx
            .store
            .read::<_, AppError, _>(|tx| {
                Box::pin(async move { Ok(users::page(tx, tenant, after, PAGE).await?) })
            })
            .await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        let has = |user: &muster_model::directory::User, name: &str| {
            let value = user.attributes.get(name);
            let text = value.and_then(muster_model::Value::as_text);
            text.is_some_and(|text| text.to_lowercase() == wanted)
        };
        let named = page.iter().filter(|user| {
            let signed_in = user.user_principal_name.to_lowercase() == wanted;
            NAMES.iter().any(|name| has(user, name)) || signed_in
        });
        found.extend(named.map(|user| user.id));
        if found.len() > 1 {
            break;
        }
    }
    Ok(found)
}
