//! Notices on both databases: told together, told again, told to be over, and never more than that (NT-1 to NT-8).

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use muster_app::applications::{self, Template};
use muster_app::notices::{self, Postman};
use muster_app::webhooks::signature;
use muster_app::{Ctx, jobs};
use muster_engine::port::{Mail, MailFailure, Mailer};
use muster_engine::set_status;
use muster_model::JobId;
use muster_model::job::JobStatus;
use muster_model::notice::Topic;
use muster_store::StoreError;
use muster_store::notices::News;
use muster_testkit::{FixedClock, TestStore};

use crate::context::{Recorder, ctx_with};
use crate::on_both;

on_both!(
    what_comes_together_is_told_together_and_again_a_day_later,
    what_is_over_in_a_moment_is_not_told,
    a_pause_says_nothing_and_an_acknowledgement_ends_the_reminders,
    two_postmen_do_not_both_tell,
    what_could_not_be_sent_is_sent_later_and_shown,
    a_target_that_comes_and_goes_is_told_more_slowly,
    only_addresses_are_taken,
    a_webhook_is_told_the_same_signed_and_in_its_own_time,
    what_nobody_wants_to_be_told_changes_nothing_for_others,
    credentials_that_expire_are_told_until_somebody_knows,
    nt_7_a_mail_says_what_is_so_since_when_and_what_to_do,
);

/// Keeps mails, or refuses them.
#[derive(Debug, Default)]
struct Letterbox {
    mails: Mutex<Vec<Mail>>,
    refuses: Mutex<bool>,
}

#[async_trait]
impl Mailer for Letterbox {
    async fn send(&self, mail: &Mail) -> Result<(), MailFailure> {
        // Others get their turn.
        tokio::task::yield_now().await;
        if *self.refuses.lock().unwrap() {
            return Err(MailFailure {
                kind: "the mail server refuses it",
                detail: format!("550 {} is unknown", mail.to),
            });
        }
        self.mails.lock().unwrap().push(mail.clone());
        Ok(())
    }
}

struct Here {
    ctx: Ctx,
    clock: Arc<FixedClock>,
    mails: Arc<Letterbox>,
    recorder: Recorder,
    postman: Postman,
}

impl Here {
    fn new(test: &TestStore) -> Self {
        let recorder = Recorder::new();
        let (ctx, clock) = ctx_with(test, recorder.clone());
        let mails = Arc::<Letterbox>::default();
        let postman = Postman::new(ctx.clone(), Some(Arc::clone(&mails) as Arc<dyn Mailer>));
        Self {
            ctx,
            clock,
            mails,
            recorder,
            postman,
        }
    }

    /// An application of which somebody is told.
    async fn application(&self, name: &str) -> JobId {
        let added = applications::add(&self.ctx, &Template::Custom, Some(name));
        let job = added.await.unwrap().job;
        let notify = applications::set_notification(&self.ctx, name, "ana@example.com");
        notify.await.unwrap();
        self.status(job, JobStatus::Active).await;
        job
    }

    async fn status(&self, job: JobId, status: JobStatus) {
        let (tenant, now) = (self.ctx.tenant, self.ctx.clock.now());
        let set = self.ctx.store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move { set_status(tx, tenant, job, &status, now).await })
        });
        set.await.unwrap();
    }

    async fn away(&self, job: JobId) {
        let now = self.ctx.clock.now();
        let status = JobStatus::Quarantined {
            since: now,
            looked: now,
            count: 1,
            reason: "EncounteredQuarantineException".to_owned(),
            code: "WebExceptionProtocolError".to_owned(),
            detail: "cannot reach it".to_owned(),
            next_attempt: now.plus_seconds(60),
        };
        self.status(job, status).await;
    }

    /// Time passes, in small steps; answers the subjects of what was told meanwhile.
    async fn pass(&self, seconds: i64) -> Vec<String> {
        let step = (seconds / 50).max(1);
        for _ in 0..seconds / step {
            self.clock.advance_seconds(step);
            self.postman.tell().await.unwrap();
        }
        let mut mails = self.mails.mails.lock().unwrap();
        mails.drain(..).map(|mail| mail.subject).collect()
    }
}

const DAY: i64 = 86_400;

async fn what_comes_together_is_told_together_and_again_a_day_later(test: &TestStore) {
    let here = Here::new(test);
    let (wiki, chat) = (
        here.application("Wiki").await,
        here.application("Chat").await,
    );
    here.away(wiki).await;
    assert!(here.pass(7).await.is_empty());
    here.away(chat).await;
    // Again for the same reason is no news.
    here.away(wiki).await;
    let told = here.pass(60).await;
    assert_eq!(told, ["Muster: 2 notices of provisioning jobs"]);
    assert!(here.pass(DAY / 2).await.is_empty());
    assert_eq!(here.pass(DAY).await.len(), 1);
    here.status(wiki, JobStatus::Active).await;
    let told = here.pass(60).await;
    // With the reminder of the other one, which would come in half a day.
    assert_eq!(told, ["Muster: 2 notices of provisioning jobs"]);
    let told = here.pass(DAY + 60).await;
    assert_eq!(told, ["Muster: provisioning of Chat is in quarantine"]);
}

async fn what_is_over_in_a_moment_is_not_told(test: &TestStore) {
    let here = Here::new(test);
    let wiki = here.application("Wiki").await;
    here.away(wiki).await;
    here.pass(5).await;
    here.status(wiki, JobStatus::Active).await;
    assert!(here.pass(DAY * 2).await.is_empty());
    // A moment of health is no news either.
    here.away(wiki).await;
    assert_eq!(here.pass(60).await.len(), 1);
    here.status(wiki, JobStatus::Active).await;
    here.pass(5).await;
    here.away(wiki).await;
    assert!(here.pass(DAY / 2).await.is_empty());
    here.status(wiki, JobStatus::Active).await;
    assert_eq!(here.pass(60).await.len(), 1);
}

async fn a_pause_says_nothing_and_an_acknowledgement_ends_the_reminders(test: &TestStore) {
    let here = Here::new(test);
    let wiki = here.application("Wiki").await;
    here.away(wiki).await;
    here.pass(60).await;
    jobs::pause(&here.ctx, "Wiki").await.unwrap();
    assert!(here.pass(DAY * 2).await.is_empty());
    here.status(wiki, JobStatus::Active).await;
    here.away(wiki).await;
    assert_eq!(here.pass(60).await.len(), 1);
    let (_, count) = notices::acknowledge(&here.ctx, "Wiki").await.unwrap();
    assert_eq!(count, 1);
    assert!(here.pass(DAY * 20).await.is_empty());
    // NT-8: a week before it is switched off, whoever knows is told once more.
    assert_eq!(here.pass(DAY * 2).await.len(), 1);
    assert!(here.pass(DAY * 4).await.is_empty());
    here.status(wiki, JobStatus::Active).await;
    assert_eq!(here.pass(60).await.len(), 1);
}

async fn two_postmen_do_not_both_tell(test: &TestStore) {
    let here = Here::new(test);
    let wiki = here.application("Wiki").await;
    here.away(wiki).await;
    here.clock.advance_seconds(20);
    let mailer = Arc::clone(&here.mails) as Arc<dyn Mailer>;
    let other = Postman::new(here.ctx.clone(), Some(mailer));
    let (one, two) = tokio::join!(here.postman.tell(), other.tell());
    one.unwrap();
    two.unwrap();
    assert_eq!(here.mails.mails.lock().unwrap().len(), 1);
    // What ends while it is being told is told to be over.
    here.status(wiki, JobStatus::Active).await;
    assert_eq!(here.pass(60).await.len(), 2);
}

async fn what_could_not_be_sent_is_sent_later_and_shown(test: &TestStore) {
    let here = Here::new(test);
    let wiki = here.application("Wiki").await;
    *here.mails.refuses.lock().unwrap() = true;
    here.away(wiki).await;
    assert!(here.pass(60).await.is_empty());
    let listed = notices::list(&here.ctx).await.unwrap();
    let problem = listed[0].1.problem.clone().unwrap();
    assert!(problem.contains("refuses"), "{problem}");
    *here.mails.refuses.lock().unwrap() = false;
    assert_eq!(here.pass(600).await.len(), 1);
    assert_eq!(notices::list(&here.ctx).await.unwrap()[0].1.problem, None);
}

async fn a_target_that_comes_and_goes_is_told_more_slowly(test: &TestStore) {
    let here = Here::new(test);
    let wiki = here.application("Wiki").await;
    let mut told = 0;
    // All day, five minutes each.
    for _ in 0..144 {
        here.away(wiki).await;
        told += here.pass(300).await.len();
        here.status(wiki, JobStatus::Active).await;
        told += here.pass(300).await.len();
    }
    assert!((6..20).contains(&told), "{told} mails");
}

async fn only_addresses_are_taken(test: &TestStore) {
    let here = Here::new(test);
    here.application("Wiki").await;
    for wrong in [
        "@",
        "ana@",
        "@example.com",
        "a b@example.com",
        "ana",
        "a@b@c",
        "a@b..c",
        "a@b\r\nBcc: c@d",
    ] {
        let set = applications::set_notification(&here.ctx, "Wiki", wrong).await;
        assert!(set.is_err(), "{wrong}");
    }
    for right in ["ana.o'neil+x@mail.example.com", "liste@example"] {
        let set = applications::set_notification(&here.ctx, "Wiki", right).await;
        assert!(set.is_ok(), "{right}");
    }
}

async fn a_webhook_is_told_the_same_signed_and_in_its_own_time(test: &TestStore) {
    let here = Here::new(test);
    let wiki = here.application("Wiki").await;
    let url = "https://alerts.test/muster";
    let set = applications::set_notification_webhook(&here.ctx, "Wiki", Some(url));
    let secret = set.await.unwrap().unwrap();
    here.recorder.answer(503);
    here.away(wiki).await;
    // The mail comes once, however often the webhook is tried.
    assert_eq!(here.pass(1800).await.len(), 1);
    assert!(here.recorder.tried() > 3);
    let problem = notices::list(&here.ctx).await.unwrap()[0].1.problem.clone();
    assert!(problem.unwrap().contains("HTTP 503"));
    here.recorder.answer(200);
    assert!(here.pass(600).await.is_empty());
    let messages = here.recorder.taken();
    assert_eq!(messages.len(), 1);
    let message = &messages[0];
    let header = |name: &str| {
        let mut all = message.headers.iter();
        all.find(|(it, _)| *it == name).unwrap().1.clone()
    };
    let seconds = header("webhook-timestamp").parse().unwrap();
    let signed = signature(&secret, &header("webhook-id"), seconds, &message.body);
    assert_eq!(
        (message.url.as_str(), header("webhook-signature")),
        (url, signed)
    );
    let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
    let notice = &body["data"]["notices"][0];
    assert_eq!(body["type"], "provisioning.notices");
    assert_eq!(notice["application"]["displayName"], "Wiki");
    assert_eq!(notice["reason"], "EncounteredQuarantineException");
    assert_eq!(notice["ended"], serde_json::Value::Null);
    // Both are told once more a day later, each in its time, and that it is over.
    assert_eq!(here.pass(DAY).await.len(), 1);
    assert_eq!(here.recorder.taken().len(), 2);
    let acknowledged = notices::acknowledge(&here.ctx, "Wiki").await.unwrap();
    assert_eq!(acknowledged.1, 1);
    assert!(here.pass(3 * DAY).await.is_empty());
    here.status(wiki, JobStatus::Active).await;
    assert_eq!(here.pass(60).await.len(), 1);
    let messages = here.recorder.taken();
    assert_eq!(messages.len(), 3);
    assert!(messages[2].body.contains("is not held any more"));
    // Nobody is told where nobody wants to be.
    let set = applications::set_notification_webhook(&here.ctx, "Wiki", None);
    assert!(set.await.unwrap().is_none());
    here.away(wiki).await;
    assert_eq!(here.pass(DAY / 2).await.len(), 1);
    assert_eq!(here.recorder.taken().len(), 3);
    // What waits for a webhook that nobody has brings no reminder forward.
    assert!(here.pass(DAY / 4).await.is_empty());
}

async fn credentials_that_expire_are_told_until_somebody_knows(test: &TestStore) {
    let here = Here::new(test);
    let wiki = here.application("Wiki").await;
    let raise = async |reason: &'static str| {
        let (tenant, now) = (here.ctx.tenant, here.ctx.clock.now());
        let raised = here.ctx.store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                let news = News {
                    topic: Topic::Expiry,
                    reason,
                    detail: "they expire",
                    size: 0,
                };
                muster_store::notices::raise(tx, tenant, wiki, news, now).await
            })
        });
        raised.await.unwrap();
    };
    raise("CredentialsExpireInThirtyDays").await;
    assert_eq!(here.pass(60).await.len(), 1);
    assert_eq!(here.pass(DAY).await.len(), 1);
    notices::acknowledge(&here.ctx, "Wiki").await.unwrap();
    raise("CredentialsExpireInThirtyDays").await;
    assert!(here.pass(3 * DAY).await.is_empty());
    // Seven days before is news.
    raise("CredentialsExpireInSevenDays").await;
    assert_eq!(here.pass(60).await.len(), 1);
}

async fn nt_7_a_mail_says_what_is_so_since_when_and_what_to_do(test: &TestStore) {
    let here = Here::new(test);
    let wiki = here.application("Wiki").await;
    let since = here.ctx.clock.now();
    here.away(wiki).await;
    here.clock.advance_seconds(60);
    here.postman.tell().await.unwrap();
    let mails = std::mem::take(&mut *here.mails.mails.lock().unwrap());
    let [mail] = mails.as_slice() else {
        panic!("{mails:?}");
    };
    assert_eq!(mail.to, "ana@example.com");
    for text in [
        "Application: Wiki".to_owned(),
        format!("Job:         {wiki}"),
        format!("Since:       {since}"),
        "Reason:      EncounteredQuarantineException".to_owned(),
        format!("Next try:    {}", since.plus_seconds(60)),
        format!(
            "Switched off if nothing changes: {}",
            since.plus_seconds(28 * DAY)
        ),
        "cannot reach it".to_owned(),
        "muster job status \"Wiki\"".to_owned(),
        "muster notice acknowledge \"Wiki\"".to_owned(),
        // NT-6: whoever gets it can have it stopped.
        "muster app notify".to_owned(),
        "No connection to the target".to_owned(),
    ] {
        assert!(mail.text.contains(&text), "{text}\n{}", mail.text);
    }
    // NT-8: that it was switched off is told as well.
    here.status(wiki, JobStatus::Paused).await;
    let (tenant, now) = (here.ctx.tenant, here.ctx.clock.now());
    let raised = here.ctx.store.write::<_, StoreError, _>(move |tx| {
        Box::pin(async move {
            let news = News {
                topic: Topic::Quarantine,
                reason: "QuarantinedTooLong",
                detail: "for 28 days",
                size: 0,
            };
            muster_store::notices::raise(tx, tenant, wiki, news, now).await
        })
    });
    raised.await.unwrap();
    let told = here.pass(60).await;
    assert_eq!(told, ["Muster: provisioning of Wiki is switched off"]);
}

async fn what_nobody_wants_to_be_told_changes_nothing_for_others(test: &TestStore) {
    let here = Here::new(test);
    // It waits for a webhook that nobody has.
    let old = here.application("Old").await;
    here.away(old).await;
    assert_eq!(here.pass(60).await.len(), 1);
    let (wiki, chat) = (
        here.application("Wiki").await,
        here.application("Chat").await,
    );
    // What comes together is told together, and what is over in a moment not at all.
    here.away(wiki).await;
    assert!(here.pass(7).await.is_empty());
    here.away(chat).await;
    assert_eq!(
        here.pass(60).await,
        ["Muster: 2 notices of provisioning jobs"]
    );
    for job in [wiki, chat, old] {
        here.status(job, JobStatus::Active).await;
    }
    here.pass(60).await;
    here.away(wiki).await;
    here.pass(3).await;
    here.status(wiki, JobStatus::Active).await;
    assert!(here.pass(60).await.is_empty());
    // What was acknowledged and is over is another thing when it comes again.
    here.away(old).await;
    here.pass(60).await;
    notices::acknowledge(&here.ctx, "Old").await.unwrap();
    here.status(old, JobStatus::Active).await;
    here.pass(2 * DAY).await;
    let url = "https://alerts.test/muster";
    let set = applications::set_notification_webhook(&here.ctx, "Old", Some(url));
    set.await.unwrap();
    assert!(here.pass(60).await.is_empty());
    assert_eq!(here.recorder.tried(), 0, "nothing of what is long over");
    here.away(old).await;
    assert_eq!(here.pass(60).await.len(), 1);
    assert_eq!(here.recorder.taken().len(), 1);
    let listed = notices::list(&here.ctx).await.unwrap();
    assert!(!listed[0].1.acknowledged);
}
