//! `muster integration …`

use std::path::PathBuf;

use clap::Subcommand;
use muster_model::{Position, TokenId, WebhookId};
use serde::{Deserialize, Serialize};

/// Commands about integrations.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum Integration {
    /// Make an integration; prints its SCIM URL and token. The token is shown this once.
    #[command(after_help = "Example:\n  muster integration create \"Web Security\" --json")]
    Create {
        /// Name of the integration.
        name: String,
    },
    /// List integrations and the state of their tokens.
    #[command(after_help = "Example:\n  muster integration list")]
    List,
    /// Show what an integration accepts, and its tokens.
    #[command(after_help = "Example:\n  muster integration show \"Web Security\"")]
    Show {
        /// Name of the integration.
        name: String,
    },
    /// Change what an integration accepts.
    #[command(
        after_help = "Examples:\n  muster integration set \"Web Security\" --strict true --rate 50\n  muster integration set \"Web Security\" --allow 203.0.113.0/24 --allow 198.51.100.7\n  muster integration set \"Web Security\" --rate none --allow any"
    )]
    Set {
        /// Name of the integration.
        name: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Issue a second token, so that the first can be replaced without a gap.
    #[command(
        after_help = "Examples:\n  muster integration rotate \"Web Security\" --days 365\n  muster integration rotate \"Web Security\" --read"
    )]
    Rotate {
        /// Name of the integration.
        name: String,
        /// A token for the receiving application, which may only read.
        #[arg(long)]
        read: bool,
        /// Days after which it expires; never without it.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: Option<u32>,
    },
    /// Revoke all tokens of an integration.
    #[command(after_help = "Example:\n  muster integration revoke \"Web Security\"")]
    Revoke {
        /// Name of the integration.
        name: String,
    },
    /// Show or replace the schemas and resource types that an integration has beside User and Group.
    #[command(
        after_help = "Examples:\n  muster integration schema \"Web Security\"\n  muster integration schema \"Web Security\" --set device.json\n\nwith device.json:\n  {\"schemas\":[{\"id\":\"urn:example:scim:Badge\",\"name\":\"Badge\",\"attributes\":[{\"name\":\"colour\"}]}],\n   \"extensions\":[{\"resourceType\":\"User\",\"schema\":\"urn:example:scim:Badge\"}],\n   \"resourceTypes\":[]}"
    )]
    Schema {
        /// Name of the integration.
        name: String,
        /// File with the new definitions; - reads standard input.
        #[arg(long, value_name = "FILE")]
        set: Option<PathBuf>,
        /// Go back to User and Group alone.
        #[arg(long, conflicts_with = "set")]
        clear: bool,
    },
    /// Show in which ways senders depart from the RFCs.
    #[command(after_help = "Example:\n  muster integration dialect \"Web Security\"")]
    Dialect {
        /// Name of the integration.
        name: String,
    },
    /// Print what happened to the users and groups that were received, oldest first.
    #[command(
        after_help = "Examples:\n  muster integration events \"Web Security\" --count 20\n  muster integration events \"Web Security\" --follow --json"
    )]
    Events {
        /// Name of the integration.
        name: String,
        /// Go on behind the event with this id; from the first one without it.
        #[arg(long, value_name = "ID")]
        #[serde(with = "text")]
        after: Option<Position>,
        /// Events at most.
        #[arg(long, value_name = "N")]
        count: Option<u64>,
        /// Wait for more, until interrupted; without --after only what is new.
        #[arg(long)]
        follow: bool,
    },
    /// Webhooks: the events, sent to the receiving application as they happen.
    #[command(subcommand)]
    Webhook(Webhook),
    /// OAuth clients: senders that get their tokens by client credentials.
    #[command(subcommand)]
    Client(OauthClient),
    /// Make a link for whoever sets up the sender: it shows the SCIM URL and gives a token, once.
    #[command(after_help = "Example:\n  muster integration setup-link \"Web Security\" --days 7")]
    SetupLink {
        /// Name of the integration.
        name: String,
        /// Days after which it expires.
        #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=90))]
        days: u32,
    },
}

/// What an integration accepts.
#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
#[group(required = true, multiple = true)]
pub(crate) struct Settings {
    /// Refuse attributes that no schema declares, instead of keeping them beside the resource.
    #[arg(long, value_name = "BOOL")]
    pub(crate) strict: Option<bool>,
    /// Requests a second at most; none for no limit.
    #[arg(long, value_name = "N|none", value_parser = limit)]
    pub(crate) rate: Option<Limit>,
    /// Resources at most, of all types together; none for no limit.
    #[arg(long, value_name = "N|none", value_parser = limit)]
    pub(crate) max_resources: Option<Limit>,
    /// Bytes of a request's body at most; none for the limit of the server.
    #[arg(long, value_name = "N|none", value_parser = limit)]
    pub(crate) max_body: Option<Limit>,
    /// Network or address from which requests may come; repeat it for several, any allows all.
    #[arg(long, value_name = "CIDR|any")]
    pub(crate) allow: Vec<String>,
}

/// A limit, or that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limit(pub(crate) Option<u64>);

fn limit(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    let number = text.parse();
    number
        .map(|number| Limit(Some(number)))
        .map_err(|_| "give a whole number, or none".to_owned())
}

/// Commands about webhooks.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum Webhook {
    /// Add a webhook; prints the secret that signs its messages. The secret is shown this once.
    #[command(
        after_help = "Example:\n  muster integration webhook add \"Web Security\" https://app.example.com/hooks/muster"
    )]
    Add {
        /// Name of the integration.
        name: String,
        /// Where to send to.
        url: String,
        /// Where to begin: start, now, or the id of an event to go on behind.
        #[arg(long, value_name = "PLACE", default_value = "now", value_parser = place)]
        from: From,
    },
    /// List webhooks: how far each has come, and what went wrong.
    #[command(after_help = "Example:\n  muster integration webhook list \"Web Security\"")]
    List {
        /// Name of the integration.
        name: String,
    },
    /// Let a webhook go on that was given up, or replay from a place in the feed.
    #[command(
        after_help = "Examples:\n  muster integration webhook resume \"Web Security\" 0190f0d5-7c1e-7a63-9f6b-0f9c2d3e4a5b\n  muster integration webhook resume \"Web Security\" 0190f0d5-7c1e-7a63-9f6b-0f9c2d3e4a5b --from start"
    )]
    Resume {
        /// Name of the integration.
        name: String,
        /// Id of the webhook.
        #[serde(with = "text_id")]
        id: WebhookId,
        /// From where: start, now, or the id of an event to go on behind; from where it stands without it.
        #[arg(long, value_name = "PLACE", value_parser = place)]
        from: Option<From>,
    },
    /// Remove a webhook.
    #[command(
        after_help = "Example:\n  muster integration webhook remove \"Web Security\" 0190f0d5-7c1e-7a63-9f6b-0f9c2d3e4a5b"
    )]
    Remove {
        /// Name of the integration.
        name: String,
        /// Id of the webhook.
        #[serde(with = "text_id")]
        id: WebhookId,
    },
}

/// Commands about OAuth clients.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum OauthClient {
    /// Add a client; prints its credentials. The secret is shown this once.
    #[command(after_help = "Example:\n  muster integration client add \"Web Security\"")]
    Add {
        /// Name of the integration.
        name: String,
    },
    /// List clients.
    #[command(after_help = "Example:\n  muster integration client list \"Web Security\"")]
    List {
        /// Name of the integration.
        name: String,
    },
    /// Remove a client and revoke its access tokens.
    #[command(
        after_help = "Example:\n  muster integration client remove \"Web Security\" 0190f0d5-7c1e-7a63-9f6b-0f9c2d3e4a5b"
    )]
    Remove {
        /// Name of the integration.
        name: String,
        /// Id of the client.
        #[serde(with = "text_id")]
        id: TokenId,
    },
}

/// Where in the event feed to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum From {
    /// At the first event.
    Start,
    /// At the next one that happens.
    Now,
    /// Behind an event.
    After(#[serde(with = "text_id")] Position),
}

fn place(text: &str) -> Result<From, String> {
    match text {
        "start" => Ok(From::Start),
        "now" => Ok(From::Now),
        other => other
            .parse()
            .map(From::After)
            .map_err(|_| "give start, now, or the id of an event".to_owned()),
    }
}

/// What is written and read as text.
mod text_id {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(it: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(it)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The same for what may be missing.
mod text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "so serde hands a field over")]
    pub(super) fn serialize<T: Display, S: Serializer>(
        it: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        it.as_ref().map(ToString::to_string).serialize(to)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        let text = Option::<String>::deserialize(from)?;
        let read = text.map(|text| text.parse()).transpose();
        read.map_err(serde::de::Error::custom)
    }
}
