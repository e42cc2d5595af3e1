//! `muster demo`: the tutorial, step by step, both ends of it on this machine.

mod changes;
mod directory;
mod result;
mod target;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use muster_app::applications::{self, Principal, Template};
use muster_app::{integrations, jobs, log};
use muster_connect::{Http, OutboundPolicy};
use muster_model::Secret;
use muster_model::directory::Kind;
use muster_model::job::{Access, Credentials, JobStatus, Scope};
use muster_store::StoreUrl;
use muster_store::events::EventQuery;
use tempfile::TempDir;

use crate::args::{Demo, Place};
use crate::commands::app::mapping_lines;
use crate::commands::job::cycle_line;
use crate::commands::log::event_line;
use crate::commands::take_home;
use crate::config::Config;
use crate::exit::Exit;
use crate::home::Home;
use crate::node::Node;
use crate::output::{Out, Printer};
use crate::server::{Server, asked_to_end};

/// The application of the tutorial.
const APP: &str = "Symantec Web Security Service";
/// Who shall get failure notifications.
const NOTIFY: &str = "identity-team@fjordlight.example";

/// Plays the tutorial.
pub(super) async fn run(place: &Place, demo: Demo) -> Result<Exit> {
    let mut config = Config::load(place)?;
    let folder = match &place.data {
        Some(_) => None,
        None => Some(TempDir::with_prefix("muster-demo-").context("no temporary folder")?),
    };
    if let Some(folder) = &folder {
        config.data = folder.path().to_owned();
        if place.database.is_none() {
            config.database = StoreUrl::File(config.data.join("muster.db"));
        }
    }
    // Both ends are on this machine.
    config.allow_insecure_targets = true;
    let home = take_home(&config, "demo")?;
    let (listener, address) = Server::bind(demo.listen).await?;
    config.listen = address;
    config.public_url = None;
    let socket = Home::socket(&config.data);
    let node = Node::open(&config, Some(home)).await?;
    let server = Server::start(node, listener, Some(socket))?;

    let (out, mut frames) = Out::new(place.json);
    let play = async {
        let played = Play {
            server: &server,
            demo: &demo,
            out: &out,
        }
        .tutorial()
        .await;
        if played.is_ok() && !demo.exit {
            farewell(&config, &server, &out).await;
            asked_to_end().await;
        }
        out.end(if played.is_ok() {
            Exit::Done
        } else {
            Exit::Failed
        })
        .await;
        played
    };
    let print = async {
        let mut printer = Printer::new();
        while let Some(frame) = frames.recv().await {
            if printer.print(frame).is_some() {
                break;
            }
        }
    };
    let (played, ()) = tokio::join!(play, print);
    server.stop().await;
    played.map(|()| Exit::Done)
}

async fn farewell(config: &Config, server: &Server, out: &Out) {
    let data = config.data.display();
    out.say("").await;
    out.say(format!(
        "Everything keeps running on {}. Try, in another terminal:",
        server.node.public_url
    ))
    .await;
    out.say(format!("  muster --data {data} job status \"{APP}\""))
        .await;
    out.say(format!(
        "  muster --data {data} log list \"{APP}\" --limit 20"
    ))
    .await;
    out.say("Ctrl-C ends it.").await;
}

/// The tutorial on a running server.
struct Play<'a> {
    server: &'a Server,
    demo: &'a Demo,
    out: &'a Out,
}

impl Play<'_> {
    async fn tutorial(&self) -> Result<()> {
        let ctx = &self.server.node.ctx;
        if applications::find(ctx, APP).await.is_ok() {
            bail!("this data folder holds a demo already; choose another one with --data");
        }

        self.step("Setup Symantec Web Security Service for provisioning")
            .await;
        self.tell("Account Maintenance > Integrations > + New Integration")
            .await;
        self.tell("Third-party Users & Groups Sync").await;
        let issued = integrations::create(ctx, "Third-party Users & Groups Sync").await?;
        let node = &self.server.node;
        let scim_url = super::integration::scim_url(node, &issued);
        let token = issued.token.expose().clone();
        self.tell(format!("SCIM URL  {scim_url}")).await;
        self.tell(format!("Token     {token}")).await;

        self.step("Load the directory").await;
        let loaded = directory::load(ctx, self.demo.users, self.out).await?;
        self.tell(format!(
            "{} users, {} groups, {} memberships",
            loaded.users, loaded.groups, loaded.memberships
        ))
        .await;

        self.step("Add Symantec Web Security Service from the gallery")
            .await;
        let app = applications::add(ctx, &Template::Gallery(APP.to_owned()), None).await?;
        self.tell(format!(
            "Enterprise applications > New application > {}",
            app.display_name
        ))
        .await;

        self.assign().await?;

        self.step("Configuring automatic user provisioning").await;
        self.tell("Provisioning Mode: Automatic").await;
        let given = Credentials {
            tenant_url: scim_url.clone(),
            secret_token: Secret::new(token.clone()),
            access: Access::default(),
        };
        self.tell("Admin Credentials: Tenant URL and Secret Token")
            .await;
        match applications::test_connection(ctx, APP, Some(given.clone())).await? {
            Ok(()) => self.tell("Test Connection: the connection works").await,
            Err(failure) => bail!("Test Connection: {failure}"),
        }
        applications::save_credentials(ctx, APP, given).await?;
        applications::set_notification(ctx, APP, NOTIFY).await?;
        self.tell(format!("Notification Email: {NOTIFY}")).await;
        self.tell("Save").await;

        self.step("Mappings").await;
        let shown = applications::show(ctx, APP).await?;
        for line in mapping_lines(&shown.schema) {
            self.tell(line).await;
        }

        self.step("Settings").await;
        applications::set_scope(ctx, APP, Scope::AssignedOnly).await?;
        self.tell("Scope: Sync only assigned users and groups")
            .await;
        self.tell("Provisioning Status: On").await;
        jobs::start(ctx, APP).await?;
        self.server.poke.notify_one();

        self.step("Initial cycle").await;
        self.initial().await?;

        let target = target::Target::new(
            Http::new(OutboundPolicy {
                allow_insecure: true,
            })?,
            scim_url.clone(),
            token.clone(),
        );
        self.step("Changes in the directory arrive by incremental cycles")
            .await;
        changes::play(ctx, &target, self.out).await?;

        self.step("A further cycle without a change").await;
        self.settled().await?;
        let idle = jobs::run(ctx, APP).await?;
        self.tell(cycle_line(&idle)).await;

        let mut cycles = jobs::cycles(ctx, APP, 100).await?;
        if !cycles.iter().any(|cycle| cycle.id == idle.id) {
            cycles.push(idle);
        }
        // In a task of its own: with SQLite, who reads does not wait, and so lets nobody else run.
        let reading = ctx.clone();
        let entitled = tokio::spawn(async move { jobs::entitled(&reading, APP).await });
        let counted = target.count().await?;
        let entitled = entitled.await??;

        self.step("Provisioning logs").await;
        for event in log::list(ctx, Some(APP), EventQuery::default(), 12)
            .await?
            .iter()
            .rev()
        {
            self.tell(event_line(event)).await;
        }

        self.step("Summary").await;
        result::print(&cycles, entitled, counted, self.out).await;
        if self.out.json {
            let result = result::json(&scim_url, &token, loaded, entitled, &cycles, counted);
            self.out.line(result.to_string()).await;
        }
        Ok(())
    }

    async fn step(&self, title: &str) {
        self.out.say("").await;
        self.out.say(format!("▸ {title}")).await;
    }

    async fn tell(&self, text: impl Into<String>) {
        self.out.say(format!("    {}", text.into())).await;
    }

    /// One user first, then groups and administrators, each with a role of the application.
    async fn assign(&self) -> Result<()> {
        let ctx = &self.server.node.ctx;
        self.step("Assigning users to Symantec Web Security Service")
            .await;
        let first = directory::first_users(ctx, 3).await?;
        for (index, user) in first.iter().enumerate() {
            let role = if index == 0 { "User" } else { "Administrator" };
            let who = Principal::User(user.clone());
            let done = applications::assign(ctx, APP, &who, Some(role)).await?;
            let why = if index == 0 {
                " (one user first, to test the configuration)"
            } else {
                ""
            };
            self.tell(format!("{} as {}{why}", done.name, done.role))
                .await;
        }
        let groups = directory::security_groups(ctx).await?;
        let count = groups.len();
        for (index, group) in groups.iter().enumerate() {
            let who = Principal::Group(group.id.to_string());
            applications::assign(ctx, APP, &who, Some("User")).await?;
            self.out
                .progress("assigning groups", index as u64 + 1, count as u64);
        }
        self.out.progress_end().await;
        let names: Vec<&str> = groups
            .iter()
            .take(4)
            .map(|group| group.display_name.as_str())
            .collect();
        self.tell(format!("{count} groups as User: {}, …", names.join(", ")))
            .await;
        Ok(())
    }

    /// Waits for the worker's initial cycle, with a progress bar.
    async fn initial(&self) -> Result<()> {
        let ctx = &self.server.node.ctx;
        let mut progress = jobs::progress(ctx, APP).await?;
        loop {
            let _ = tokio::time::timeout(Duration::from_millis(500), progress.changed()).await;
            let told = *progress.borrow_and_update();
            if let Some(told) = told {
                self.out
                    .progress(told.phase.as_str(), told.done, told.total);
                continue;
            }
            let report = jobs::status(ctx, APP).await?;
            if let JobStatus::Quarantined { detail, .. } = &report.job.status {
                bail!("the job went into quarantine: {detail}");
            }
            if report.job.watermark.is_some()
                && let Some(cycle) = report.cycles.last()
            {
                self.out.progress_end().await;
                self.tell(cycle_line(cycle)).await;
                let linked = |kind| {
                    let of_kind = report.linked.iter().filter(|(it, ..)| *it == kind);
                    of_kind.map(|(.., count)| count).sum::<u64>()
                };
                let (users, groups) = (linked(Kind::User), linked(Kind::Group));
                self.tell(format!("{users} users and {groups} groups are linked"))
                    .await;
                return Ok(());
            }
        }
    }

    /// Waits until no cycle runs and no change is left.
    async fn settled(&self) -> Result<()> {
        let ctx = &self.server.node.ctx;
        // Whatever the worker still has to say is said by a cycle of our own. On a PostgreSQL that
        // others use as well, the newest changes may take a moment to be readable.
        for _ in 0..500 {
            jobs::run(ctx, APP).await?;
            if jobs::backlog(ctx, APP).await? == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}
