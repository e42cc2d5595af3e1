//! One person's time with the company, in a few changes; each is awaited at the receiving side.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use muster_app::applications::{self, Principal};
use muster_app::{Ctx, directory};
use muster_model::directory::Group;
use muster_model::{UserId, Value};
use serde_json::Value as Json;

use crate::commands::demo::APP;
use crate::commands::demo::directory::security_groups;
use crate::commands::demo::target::Target;
use crate::output::Out;

/// The person.
const NAME: &str = "robin.joiner@fjordlight.example";
/// How long a change may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// Plays the changes.
pub(super) async fn play(ctx: &Ctx, target: &Target, out: &Out) -> Result<()> {
    let who = Principal::User(NAME.to_owned());
    let play = Changes { ctx, target, out };
    let Some(group) = security_groups(ctx).await?.into_iter().nth(1) else {
        bail!("the directory has no groups");
    };

    let begun = Instant::now();
    let user = directory::create_user(ctx, joiner()).await?;
    applications::assign(ctx, APP, &who, Some("User")).await?;
    let id = play
        .arrived("joins: created and assigned", begun, |user| {
            user.map(|user| user["id"].as_str().unwrap_or_default().to_owned())
        })
        .await?;

    let begun = Instant::now();
    let named = vec![
        ("surname".to_owned(), Value::from("Joiner-Ødegård")),
        (
            "displayName".to_owned(),
            Value::from("Robin Joiner-Ødegård"),
        ),
    ];
    directory::update_user(ctx, user.id, named).await?;
    let renamed = |user: Option<&Json>| {
        user.filter(|user| user["displayName"] == "Robin Joiner-Ødegård")
            .map(|_| ())
    };
    play.arrived("marries: a new name", begun, renamed).await?;

    play.enable(user.id, false, "goes on leave: account disabled")
        .await?;
    play.enable(user.id, true, "comes back: account enabled")
        .await?;

    let begun = Instant::now();
    applications::unassign(ctx, APP, &who).await?;
    play.arrived("changes team: unassigned", begun, is_active(false))
        .await?;
    let begun = Instant::now();
    applications::assign(ctx, APP, &who, Some("User")).await?;
    play.arrived("changes back: assigned again", begun, is_active(true))
        .await?;

    let begun = Instant::now();
    directory::add_member(ctx, group.id, user.id.into()).await?;
    let what = format!("becomes a member of {}", group.display_name);
    play.arrived(&what, begun, in_group(&group, true)).await?;
    let begun = Instant::now();
    directory::remove_member(ctx, group.id, user.id.into()).await?;
    let what = format!("leaves {}", group.display_name);
    play.arrived(&what, begun, in_group(&group, false)).await?;

    let begun = Instant::now();
    directory::purge_user(ctx, user.id).await?;
    while target.has_user(&id).await? {
        play.wait(begun, "leaves").await?;
    }
    play.tell("leaves: deleted", begun).await;
    Ok(())
}

struct Changes<'a> {
    ctx: &'a Ctx,
    target: &'a Target,
    out: &'a Out,
}

impl Changes<'_> {
    async fn enable(&self, id: UserId, enabled: bool, what: &str) -> Result<()> {
        let begun = Instant::now();
        let change = vec![("accountEnabled".to_owned(), Value::Bool(enabled))];
        directory::update_user(self.ctx, id, change).await?;
        self.arrived(what, begun, is_active(enabled)).await
    }

    /// Asks the receiving side until it shows what is expected.
    async fn arrived<T>(
        &self,
        what: &str,
        begun: Instant,
        seen: impl Fn(Option<&Json>) -> Option<T>,
    ) -> Result<T> {
        loop {
            let user = self.target.user(NAME).await?;
            if let Some(found) = seen(user.as_ref()) {
                self.tell(what, begun).await;
                return Ok(found);
            }
            self.wait(begun, what).await?;
        }
    }

    async fn wait(&self, begun: Instant, what: &str) -> Result<()> {
        if begun.elapsed() > PATIENCE {
            bail!(
                "the change did not arrive within {} seconds: {what}",
                PATIENCE.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        Ok(())
    }

    async fn tell(&self, what: &str, begun: Instant) {
        let millis = begun.elapsed().as_millis();
        self.out
            .say(format!(
                "    {NAME} {what:<48} arrived after {millis:>4} ms"
            ))
            .await;
    }
}

fn joiner() -> Vec<(String, Value)> {
    [
        ("userPrincipalName", NAME),
        ("displayName", "Robin Joiner"),
        ("givenName", "Robin"),
        ("surname", "Joiner"),
        ("mail", NAME),
        ("mailNickname", "robin.joiner"),
        ("jobTitle", "Identity Engineer"),
        ("department", "IT"),
        ("employeeId", "9000001"),
        ("country", "Norway"),
    ]
    .into_iter()
    .map(|(name, text)| (name.to_owned(), Value::from(text)))
    .collect()
}

fn is_active(wanted: bool) -> impl Fn(Option<&Json>) -> Option<()> {
    move |user| user.filter(|user| user["active"] == wanted).map(|_| ())
}

fn in_group(group: &Group, wanted: bool) -> impl Fn(Option<&Json>) -> Option<()> {
    let name = group.display_name.clone();
    move |user| {
        let groups = user?["groups"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let is_in = groups.iter().any(|group| group["display"] == name.as_str());
        (is_in == wanted).then_some(())
    }
}
