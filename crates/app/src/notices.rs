//! Notices: what somebody should know of a job without having to ask, and the mail or the message to a webhook
//! that tells it (section 12).
//!
//! The engine raises and ends them; here they are listed, acknowledged and told. What is due for one
//! recipient at the same time comes in one mail.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use futures::stream::{self, StreamExt as _};
use muster_engine::port::{Mail, MailFailure, Mailer, Receipt};
use muster_model::application::Application;
use muster_model::audit::activity;
use muster_model::code;
use muster_model::job::{Job, JobStatus, QUARANTINED_AT_MOST};
use muster_model::notice::{Channel, Notice, Topic};
use muster_model::{EventId, JobId, Timestamp};
use muster_store::{StoreError, applications as store, audit as audit_log, jobs, notices, secrets};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

use crate::applications::find;
use crate::webhooks::signature;
use crate::{AppError, Ctx, audit};

/// How often it is looked whether something is due.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Recipients who are told at a time.
const AT_ONCE: usize = 8;
/// Notices of one look.
const BATCH: u32 = 1000;
/// For so many seconds nobody else tells what one process is about to tell: longer than a mail takes. So long
/// it waits after a mail that could not be sent.
const HELD: i64 = 300;
/// The name under which the secret of a webhook is kept.
pub(crate) const WEBHOOK: &str = "NotificationWebhook";
/// How long what is over is remembered, in seconds: who was told again and again is told more slowly.
const REMEMBERED: i64 = 86_400;
/// Notices that are listed.
const LISTED: u32 = 1000;

/// Notices that are not over, with their applications, oldest first. What one channel could not bring is told
/// with the notice.
pub async fn list(ctx: &Ctx) -> Result<Vec<(Application, Notice)>, AppError> {
    let tenant = ctx.tenant;
    ctx.store
        .read(|tx| {
            Box::pin(async move {
                let mut told: Vec<(Application, Notice)> = Vec::new();
                for notice in notices::open(tx, tenant, LISTED).await? {
                    let is_same = |(_, it): &&mut (Application, Notice)| {
                        it.job == notice.job && it.topic == notice.topic
                    };
                    if let Some((_, known)) = told.iter_mut().find(is_same) {
                        known.told = known.told.max(notice.told);
                        known.problem = known.problem.take().or(notice.problem);
                        continue;
                    }
                    let Some(job) = jobs::find(tx, tenant, notice.job).await? else {
                        continue;
                    };
                    if let Some(application) = store::find(tx, tenant, job.application).await? {
                        told.push((application, notice));
                    }
                }
                Ok(told)
            })
        })
        .await
}

/// Acknowledges an application's notices: no more is told of them until they are over. Answers how many they are.
pub async fn acknowledge(ctx: &Ctx, application: &str) -> Result<(Application, u64), AppError> {
    let application = find(ctx, application).await?;
    let (tenant, job, now) = (ctx.tenant, application.job, ctx.clock.now());
    let mut entry = audit::entry(ctx, activity::ACKNOWLEDGE, job, "");
    let acknowledged = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move {
            let count = notices::acknowledge(tx, tenant, job, now).await?;
            if count > 0 {
                entry.detail = format!("{count} notices");
                audit_log::append(tx, tenant, &entry).await?;
            }
            Ok(count)
        })
    });
    let acknowledged = acknowledged.await?;
    Ok((application, acknowledged))
}

/// Sends a mail that says no more than that mail works.
pub async fn test(mailer: Option<&dyn Mailer>, to: &str) -> Result<(), AppError> {
    let Some(mailer) = mailer else {
        return Err(AppError::Refused(
            "no mail server is configured: set [mail] server and from in the configuration, or \
             MUSTER_MAIL_SERVER and MUSTER_MAIL_FROM"
                .to_owned(),
        ));
    };
    let mail = Mail {
        id: format!("test-{}", EventId::new()),
        to: to.to_owned(),
        subject: "Muster: mail works".to_owned(),
        text: "This is a test. Notifications of provisioning jobs arrive like this one.\n"
            .to_owned(),
    };
    let sent = mailer.send(&mail).await;
    sent.map_err(|error| AppError::Refused(format!("the mail was not sent: {error}")))
}

/// Tells notices, by mail and to webhooks.
#[derive(Clone, Debug)]
pub struct Postman {
    ctx: Ctx,
    mailer: Option<Arc<dyn Mailer>>,
}

/// Who is told.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Recipient {
    /// An address.
    Mail(String),
    /// The webhook of a job, which has a secret of its own.
    Webhook(JobId, String),
}

/// A notice, and of what.
struct Told {
    application: Application,
    job: Job,
    notice: Notice,
}

impl Postman {
    /// A postman who has not begun yet. Without a mailer mail waits.
    pub fn new(ctx: Ctx, mailer: Option<Arc<dyn Mailer>>) -> Self {
        Self { ctx, mailer }
    }

    /// Tells what is due, until the future is dropped.
    pub async fn run(self) {
        loop {
            if let Err(error) = self.tell().await {
                tracing::warn!(error = %error, "notices could not be looked up");
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Tells what is due now, one mail or message for each recipient. Whom nobody is to be told of waits until somebody is
    /// named; what could not be sent is tried again in five minutes.
    pub async fn tell(&self) -> Result<(), StoreError> {
        let mut by_recipient: BTreeMap<Recipient, Vec<Told>> = BTreeMap::new();
        for told in self.due().await? {
            if let Some(to) = self.recipient(&told) {
                by_recipient.entry(to).or_default().push(told);
            }
        }
        // What is due only soon comes with what is due now, for the same recipient.
        let now = self.ctx.clock.now();
        let is_due = |told: &Told| told.notice.due.is_some_and(|due| due <= now);
        by_recipient.retain(|_, told| told.iter().any(is_due));
        // One that does not answer keeps no other one waiting.
        let told = stream::iter(by_recipient).map(|(to, told)| self.tell_one(to, told));
        let told: Vec<Result<(), StoreError>> = told.buffer_unordered(AT_ONCE).collect().await;
        told.into_iter().collect()
    }

    async fn tell_one(&self, to: Recipient, told: Vec<Told>) -> Result<(), StoreError> {
        let (claimed, until) = self.claim(told).await?;
        if claimed.is_empty() {
            return Ok(());
        }
        let sent = match (to, &self.mailer) {
            (Recipient::Mail(to), Some(mailer)) => mailer.send(&mail(to, &claimed)).await,
            (Recipient::Webhook(job, url), _) => self.post(job, &url, &claimed).await,
            (Recipient::Mail(_), None) => return Ok(()),
        };
        if let Err(error) = &sent {
            // Neither to whom nor what the server said: that is personal.
            tracing::warn!(
                error = error.kind,
                "a notification could not be sent; it is tried again in five minutes"
            );
        }
        let (tenant, now) = (self.ctx.tenant, self.ctx.clock.now());
        let write = self.ctx.store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                for told in &claimed {
                    let notice = &told.notice;
                    match &sent {
                        Ok(()) => notices::told(tx, tenant, notice, until, now).await?,
                        Err(error) => {
                            let problem = error.to_string();
                            notices::missed(tx, tenant, notice, &problem).await?;
                        }
                    }
                }
                notices::clear(tx, tenant, now.plus_seconds(-REMEMBERED)).await
            })
        });
        write.await
    }

    fn recipient(&self, told: &Told) -> Option<Recipient> {
        let settings = &told.job.settings;
        let long_ago = self.ctx.clock.now().plus_seconds(-REMEMBERED);
        if told.notice.ended.is_some_and(|ended| ended < long_ago) {
            // Nobody wanted to know it in time.
            return None;
        }
        match told.notice.channel {
            Channel::Mail if self.mailer.is_none() => None,
            Channel::Mail => settings.notification_email.clone().map(Recipient::Mail),
            Channel::Webhook => {
                let url = settings.notification_webhook.clone();
                url.map(|url| Recipient::Webhook(told.job.id, url))
            }
        }
    }

    /// Posts a message, signed as Standard Webhooks has it.
    async fn post(&self, job: JobId, url: &str, told: &[Told]) -> Result<(), MailFailure> {
        let failed = |kind, detail: String| MailFailure { kind, detail };
        let (tenant, store) = (self.ctx.tenant, &self.ctx.store);
        let secret = store.read(|tx| {
            Box::pin(async move { secrets::find(tx, store.key(), tenant, job, WEBHOOK).await })
        });
        let secret = secret.await.map_err(|error| error.to_string());
        let secret = secret.and_then(|found| found.ok_or_else(|| "it has no secret".to_owned()));
        let secret = secret.map_err(|detail| failed("the webhook has no secret", detail))?;
        let now = self.ctx.clock.now();
        let (id, seconds) = (format!("ntc_{}", digest(told)), now.as_micros() / 1_000_000);
        let data = json!({
            "subject": subject(told),
            "notices": told.iter().map(notice_json).collect::<Vec<_>>()
        });
        let body = json!({
            "type": "provisioning.notices", "timestamp": now.to_string(), "data": data
        });
        let body = body.to_string();
        let headers = [
            ("webhook-id", id.clone()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature(&secret, &id, seconds, &body)),
        ];
        match self.ctx.courier.post(url, &headers, body).await {
            Ok(Receipt {
                status: 200..=299, ..
            }) => Ok(()),
            Ok(Receipt { status, .. }) => Err(failed(
                "the webhook did not take it",
                format!("it answered HTTP {status}"),
            )),
            Err(reason) => Err(failed("the webhook did not answer", reason)),
        }
    }

    async fn due(&self) -> Result<Vec<Told>, StoreError> {
        let (tenant, now) = (self.ctx.tenant, self.ctx.clock.now());
        self.ctx
            .store
            .read::<_, StoreError, _>(|tx| {
                Box::pin(async move {
                    let mut due = Vec::new();
                    for notice in notices::due(tx, tenant, now, BATCH).await? {
                        let Some(job) = jobs::find(tx, tenant, notice.job).await? else {
                            continue;
                        };
                        if let Some(application) = store::find(tx, tenant, job.application).await? {
                            due.push(Told {
                                application,
                                job,
                                notice,
                            });
                        }
                    }
                    Ok(due)
                })
            })
            .await
    }

    /// Those that are ours to tell, and until when.
    async fn claim(&self, told: Vec<Told>) -> Result<(Vec<Told>, Timestamp), StoreError> {
        let (tenant, until) = (self.ctx.tenant, self.ctx.clock.now().plus_seconds(HELD));
        let claim = self.ctx.store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                let mut claimed = Vec::with_capacity(told.len());
                for told in told {
                    if notices::claim(tx, tenant, &told.notice, until).await? {
                        claimed.push(told);
                    }
                }
                Ok(claimed)
            })
        });
        Ok((claim.await?, until))
    }
}

/// One mail for all that is due for a recipient (NT-7).
fn mail(to: String, told: &[Told]) -> Mail {
    let mut text = String::new();
    for one in told {
        paragraph(one, &mut text);
    }
    text.push_str(
        "You get this because your address is the notification email of these applications; \
         change that with: muster app notify\n",
    );
    Mail {
        id: digest(told),
        to,
        subject: subject(told),
        text,
    }
}

fn subject(told: &[Told]) -> String {
    match told {
        [one] => format!("Muster: {}", headline(one)),
        several => format!("Muster: {} notices of provisioning jobs", several.len()),
    }
}

/// Names what is told: the same when it is sent again.
fn digest(told: &[Told]) -> String {
    let mut digest = Sha256::new();
    for Told { notice, .. } in told {
        let this = format!(
            "{} {} {} {} {:?}",
            notice.job,
            notice.topic.as_str(),
            notice.since,
            notice.told,
            notice.ended
        );
        digest.update(this);
    }
    HEXLOWER.encode(&digest.finalize()[..16])
}

/// A notice in a message to a webhook.
fn notice_json(told: &Told) -> Json {
    let Told {
        application,
        notice,
        ..
    } = told;
    json!({
        "application": { "id": application.id.to_string(), "displayName": application.display_name },
        "jobId": notice.job.to_string(), "topic": notice.topic.as_str(),
        "reason": notice.reason, "headline": headline(told), "detail": notice.detail,
        "objects": notice.size, "since": notice.since.to_string(),
        "ended": notice.ended.map(|ended| ended.to_string()), "told": notice.told
    })
}

fn headline(
    Told {
        application,
        notice,
        ..
    }: &Told,
) -> String {
    let name = &application.display_name;
    match (notice.topic, notice.ended.is_some(), notice.reason.as_str()) {
        (Topic::Quarantine, true, _) => format!("provisioning of {name} is not held any more"),
        (Topic::Quarantine, false, "TooManyDeletes") => {
            format!("provisioning of {name} is held: too much would be taken away")
        }
        (Topic::Quarantine, false, "QuarantinedTooLong") => {
            format!("provisioning of {name} is switched off")
        }
        (Topic::Quarantine, false, _) => format!("provisioning of {name} is in quarantine"),
        (Topic::Failures, false, _) => format!("objects of {name} fail"),
        (Topic::Expiry, false, "CredentialsExpired") => {
            format!("the credentials of {name} have expired")
        }
        (Topic::Expiry, false, _) => format!("the credentials of {name} expire soon"),
        (Topic::Expiry, true, _) => format!("the credentials of {name} were renewed"),
        (Topic::Failures, true, _) => format!("no object of {name} fails any more"),
    }
}

fn paragraph(told: &Told, text: &mut String) {
    let Told {
        application,
        job,
        notice,
    } = told;
    let name = &application.display_name;
    let mut line = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    line(headline(told));
    line(String::new());
    line(format!("Application: {name}"));
    line(format!("Job:         {}", job.id));
    line(format!("Since:       {}", notice.since));
    if let Some(ended) = notice.ended {
        line(format!("Until:       {ended}"));
    }
    line(format!("Reason:      {}", notice.reason));
    if let (
        None,
        JobStatus::Quarantined {
            since,
            next_attempt,
            ..
        },
    ) = (notice.ended, &job.status)
    {
        line(format!("Next try:    {next_attempt}"));
        let end = since.plus_seconds(QUARANTINED_AT_MOST);
        line(format!("Switched off if nothing changes: {end}"));
    }
    line(String::new());
    line(notice.detail.clone());
    if let (Topic::Quarantine, None, JobStatus::Quarantined { code, .. }) =
        (notice.topic, notice.ended, &job.status)
        && let Some(code) = code::find(code)
    {
        line(code.advice.to_owned());
    }
    line(String::new());
    if notice.ended.is_none() {
        line(format!("Look:        muster job status \"{name}\""));
        match (notice.topic, notice.reason.as_str()) {
            (_, "TooManyDeletes") => line(format!("Who:         muster job held \"{name}\"")),
            (Topic::Failures, _) => line(format!(
                "Which:       muster log list \"{name}\" --status failure"
            )),
            (Topic::Expiry, _) => line(format!(
                "Renew:       muster app credentials \"{name}\" … --expires DATE"
            )),
            (Topic::Quarantine, _) => line(format!(
                "Try:         muster app test-connection \"{name}\""
            )),
        }
        line(format!(
            "No reminder: muster notice acknowledge \"{name}\" (otherwise this comes again in a day)"
        ));
        line(String::new());
    }
}
