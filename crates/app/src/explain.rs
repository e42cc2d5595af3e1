//! Why somebody is, or is not, provisioned.

use muster_engine::explain::Explanation;
use muster_model::application::Application;
use muster_model::directory::Kind;
use muster_model::event::Event;
use muster_model::link::SourceAnchor;
use muster_model::{ObjectId, UserId};
use muster_store::{links, users};

use crate::applications::{find as find_application, job_of};
use crate::directory::find::{named_group, named_user};
use crate::{AppError, Ctx, directory, log};

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

/// Explains somebody to an application, as the next cycle would see it; nothing is written anywhere. Who
/// is meant may be named by sign-in name, mail address, display name, id, or by an event of the log.
pub async fn explain(
    ctx: &Ctx,
    application: &str,
    text: &str,
) -> Result<(Application, Subject, Explanation), AppError> {
    let application = find_application(ctx, application).await?;
    let job = job_of(ctx, &application).await?;
    let subject = subject(ctx, &application, text.trim()).await?;
    let Subject { kind, anchor, .. } = subject;
    let explained = ctx.engine.explain(ctx.tenant, job.id, kind, anchor).await?;
    let explanation = explained.ok_or_else(|| {
        AppError::NotFound(format!(
            "nothing is known of {kind} {anchor}: it is neither in the directory nor linked"
        ))
    })?;
    Ok((application, subject, explanation))
}

pub(crate) async fn subject(
    ctx: &Ctx,
    application: &Application,
    text: &str,
) -> Result<Subject, AppError> {
    let known = |kind, anchor| Subject {
        kind,
        anchor,
        event: None,
    };
    let tenant = ctx.tenant;
    let found = ctx
        .store
        .read::<_, AppError, _>(|tx| {
            Box::pin(async move {
                if let Some(user) = named_user(tx, tenant, text).await? {
                    return Ok(Some((Kind::User, user.id.into())));
                }
                let group = named_group(tx, tenant, text).await?;
                Ok(group.map(|group| (Kind::Group, group.id.into())))
            })
        })
        .await?;
    if let Some((kind, anchor)) = found {
        return Ok(known(kind, anchor));
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
    match by_mail_or_name(ctx, text).await?.as_slice() {
        [one] => Ok(known(Kind::User, (*one).into())),
        // It says who may have been meant.
        [] => {
            let user = directory::find_user(ctx, text).await?;
            Ok(known(Kind::User, user.id.into()))
        }
        _ => Err(AppError::Invalid(format!(
            "several users have the mail address or display name `{text}`; give a sign-in name or an id"
        ))),
    }
}

/// Users with this mail address or display name; two suffice to tell that there are several.
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
        let named = page
            .iter()
            .filter(|user| has(user, "mail") || has(user, "displayName"));
        found.extend(named.map(|user| user.id));
        if found.len() > 1 {
            break;
        }
    }
    Ok(found)
}
