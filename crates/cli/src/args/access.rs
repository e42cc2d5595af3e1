//! Arguments that say what gives access to a target.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub(crate) struct Given {
    /// Tenant URL: the SCIM URL of the receiving side.
    #[arg(long, value_name = "URL")]
    pub(crate) tenant_url: String,
    #[command(flatten)]
    pub(crate) token: TokenArg,
    #[command(flatten)]
    pub(crate) access: AccessArg,
}

#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub(crate) struct MaybeGiven {
    /// Tenant URL to test instead of the saved one.
    #[arg(long, value_name = "URL")]
    pub(crate) tenant_url: Option<String>,
    #[command(flatten)]
    pub(crate) token: TokenArg,
    #[command(flatten)]
    pub(crate) access: AccessArg,
}

/// Somebody is asked to allow it.
#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub(crate) struct Asking {
    /// Tenant URL: the SCIM URL of the receiving side.
    #[arg(long, value_name = "URL")]
    pub(crate) tenant_url: String,
    /// Where somebody is asked.
    #[arg(long, value_name = "URL")]
    pub(crate) authorization_url: String,
    /// Where tokens are got.
    #[arg(long, value_name = "URL")]
    pub(crate) token_url: String,
    /// The OAuth client. Its secret, if it has one, is the Secret Token.
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: String,
    /// What is asked for.
    #[arg(long, value_name = "SCOPE")]
    pub(crate) oauth_scope: Option<String>,
    #[command(flatten)]
    pub(crate) token: TokenArg,
    /// Names the private key, where the Secret Token is one and the server knows several (kid).
    #[arg(long, value_name = "ID")]
    pub(crate) key_id: Option<String>,
    /// When it expires: 2025-06-30, or an instant. Whoever is notified hears of it in time.
    #[arg(long, value_name = "DATE")]
    pub(crate) expires: Option<String>,
    /// The port to which the answer comes; any that is free, by default.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) redirect_port: u16,
}

/// What gives access with the Secret Token, when it is no bearer token.
#[derive(Clone, Debug, Default, clap::Args, Serialize, Deserialize)]
pub(crate) struct AccessArg {
    /// Sign in with this name; the Secret Token is the password.
    #[arg(long, value_name = "NAME", conflicts_with = "token_url")]
    pub(crate) user: Option<String>,
    /// Get access tokens here (OAuth client credentials); the Secret Token is the client secret, or a private
    /// key in PEM that signs for the client (private_key_jwt).
    #[arg(long, value_name = "URL", requires = "client_id")]
    pub(crate) token_url: Option<String>,
    /// The OAuth client.
    #[arg(long, value_name = "ID", requires = "token_url")]
    pub(crate) client_id: Option<String>,
    /// What the client asks for.
    #[arg(long, value_name = "SCOPE", requires = "token_url")]
    pub(crate) oauth_scope: Option<String>,
    /// Names the private key, for servers that know several (kid).
    #[arg(long, value_name = "ID", requires = "token_url")]
    pub(crate) key_id: Option<String>,
    /// File with the secret that is used once the target refuses the first one.
    #[arg(long, value_name = "FILE")]
    pub(crate) next_secret_token_file: Option<PathBuf>,
    /// The secret from that file, once it was read.
    #[arg(skip)]
    pub(crate) next: Option<String>,
    /// When the secret expires: 2025-06-30, or an instant. Whoever is notified hears of it in time.
    #[arg(long, value_name = "DATE")]
    pub(crate) expires: Option<String>,
}

#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
#[group(multiple = false)]
pub(crate) struct TokenArg {
    /// Secret Token (visible to other users of this machine; better use a file).
    #[arg(long, value_name = "TOKEN")]
    pub(crate) secret_token: Option<String>,
    /// File that holds the Secret Token; - reads standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_token_file: Option<PathBuf>,
}

impl AccessArg {
    /// Is nothing said about it?
    pub(crate) const fn is_empty(&self) -> bool {
        self.user.is_none()
            && self.token_url.is_none()
            && self.client_id.is_none()
            && self.next_secret_token_file.is_none()
            && self.expires.is_none()
    }
}
