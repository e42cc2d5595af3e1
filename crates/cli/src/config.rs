//! Configuration: one TOML file, overridden by the environment, overridden by the command line.
//! Everything is checked before anything starts; an unknown key is an error.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ipnet::IpNet;
use muster_connect::{MailServer, OidcSettings};
use muster_model::Secret;
use muster_store::StoreUrl;
use muster_web::Tls;
use serde::Deserialize;

use crate::args::Place;
use crate::exit::BadUsage;

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    /// Folder of the data.
    data: Option<PathBuf>,
    /// Database URL.
    database: Option<String>,
    /// Address to listen on.
    listen: Option<SocketAddr>,
    /// The address under which others reach this server, for the SCIM URLs it hands out.
    public_url: Option<String>,
    /// Networks of proxies in front of this server, whose `X-Forwarded-For` is believed.
    trusted_proxies: Option<Vec<IpNet>>,
    tls: TlsFiles,
    targets: Targets,
    mail: Mail,
    metrics: Metrics,
    oidc: OidcFile,
}

/// Where people sign in to the pages, besides by a password; the client's secret comes from MUSTER_OIDC_CLIENT_SECRET.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OidcFile {
    /// The issuer's address, as it stands in its tokens.
    issuer: Option<String>,
    /// The client that was registered there.
    client_id: Option<String>,
    /// By which claim people are known: `email` (verified), `preferred_username`, or `sub`.
    claim: Option<String>,
    /// What the button says: `Contoso`
    name: Option<String>,
}

/// A certificate: whoever reaches the server does so over TLS.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TlsFiles {
    /// The certificate, and those that sign it, in PEM.
    certificate: Option<PathBuf>,
    /// Its private key, in PEM.
    key: Option<PathBuf>,
}

/// Who watches.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Metrics {
    /// Address of `/metrics`, apart from everything else: whoever reaches it reads it.
    listen: Option<SocketAddr>,
}

/// Who brings notifications.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Mail {
    /// `smtps://host`, `smtp://host:587` (STARTTLS), or `smtp+plain://127.0.0.1:25`.
    server: Option<String>,
    /// `Muster <muster@example.com>`
    from: Option<String>,
    /// Who signs in; the password comes from MUSTER_MAIL_PASSWORD.
    user: Option<String>,
    /// A file of certificates that are trusted besides those of the system.
    authority: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Targets {
    /// Plain http and loopback targets.
    allow_insecure: Option<bool>,
    /// A file of certificates that are trusted besides those of the system.
    authority: Option<PathBuf>,
}

/// What is configured.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) data: PathBuf,
    pub(crate) database: StoreUrl,
    pub(crate) listen: SocketAddr,
    /// Where `/metrics` is.
    pub(crate) metrics: Option<SocketAddr>,
    pub(crate) public_url: Option<String>,
    pub(crate) allow_insecure_targets: bool,
    /// Certificates that targets may have, besides those that the system trusts, in PEM.
    pub(crate) authority: Option<Vec<u8>>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The certificate of the server.
    pub(crate) tls: Option<Tls>,
    /// How mail is sent; or what is wrong with that, which concerns nobody who needs no mail.
    pub(crate) mail: std::result::Result<Option<MailServer>, String>,
    /// Where people sign in to the pages, besides by a password.
    pub(crate) oidc: Option<OidcSettings>,
    /// The sealing key in hexadecimal, when it does not come from the data folder.
    pub(crate) key: Option<String>,
    /// Who gives commands: the user of the operating system.
    pub(crate) actor: String,
}

const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that reads the environment"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The name of the operating system's user, as the shell knows it.
fn actor() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(environment)
        .unwrap_or_else(|| "operator".to_owned())
}

impl Config {
    /// Reads file, environment and command line.
    pub(crate) fn load(place: &Place) -> Result<Self> {
        Self::read(place).map_err(|error| BadUsage(error).into())
    }

    fn read(place: &Place) -> Result<Self> {
        let path = place
            .config
            .clone()
            .or_else(|| environment("MUSTER_CONFIG").map(PathBuf::from));
        let file = match &path {
            Some(path) => read(path)?,
            None => File::default(),
        };
        let data = place
            .data
            .clone()
            .or_else(|| environment("MUSTER_DATA").map(PathBuf::from))
            .or(file.data)
            .unwrap_or_else(|| PathBuf::from("muster-data"));
        let database = place
            .database
            .clone()
            .or_else(|| environment("MUSTER_DATABASE"))
            .or(file.database)
            .map(|url| {
                // Not quoted: it may hold a password.
                StoreUrl::parse(&url).context(
                    "the database must be a URL like postgres://user@host/name; without one, \
                     muster.db in the data folder is used (choose the folder with --data)",
                )
            })
            .transpose()?
            .unwrap_or_else(|| StoreUrl::File(data.join("muster.db")));
        let listen = match environment("MUSTER_LISTEN") {
            Some(text) => text.parse().with_context(|| {
                format!("MUSTER_LISTEN: `{text}` is not an address like 127.0.0.1:8080")
            })?,
            None => file.listen.unwrap_or(LISTEN),
        };
        let metrics = match environment("MUSTER_METRICS_LISTEN") {
            Some(text) => Some(text.parse().with_context(|| {
                format!("MUSTER_METRICS_LISTEN: `{text}` is not an address like 127.0.0.1:9464")
            })?),
            None => file.metrics.listen,
        };
        let allow_insecure_targets = match environment("MUSTER_ALLOW_INSECURE_TARGETS") {
            Some(text) => match text.as_str() {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => bail!("MUSTER_ALLOW_INSECURE_TARGETS must be true or false, not `{text}`"),
            },
            None => file.targets.allow_insecure.unwrap_or(false),
        };
        let authority = environment("MUSTER_TARGETS_AUTHORITY")
            .map(PathBuf::from)
            .or(file.targets.authority);
        let authority = authority
            .map(|path| {
                std::fs::read(&path)
                    .with_context(|| format!("cannot read targets.authority, {}", path.display()))
            })
            .transpose()?;
        let public_url = environment("MUSTER_PUBLIC_URL").or(file.public_url);
        if let Some(url) = &public_url
            && !(url.starts_with("http://") || url.starts_with("https://"))
        {
            bail!("public_url must begin with https:// or http://, not `{url}`");
        }
        let public_url = public_url.map(|url| url.trim_end_matches('/').to_owned());
        let trusted_proxies = match environment("MUSTER_TRUSTED_PROXIES") {
            Some(text) => text
                .split([',', ' '])
                .filter(|part| !part.is_empty())
                .map(|part| {
                    part.parse().with_context(|| {
                        format!("MUSTER_TRUSTED_PROXIES: `{part}` is not a network like 10.0.0.0/8")
                    })
                })
                .collect::<Result<_>>()?,
            None => file.trusted_proxies.unwrap_or_default(),
        };
        let key = environment("MUSTER_KEY");
        Ok(Self {
            data,
            database,
            listen,
            metrics,
            public_url,
            allow_insecure_targets,
            authority,
            trusted_proxies,
            tls: tls(file.tls)?,
            oidc: oidc(file.oidc)?,
            mail: mail(file.mail).map_err(|error| format!("{error:#}")),
            key,
            actor: actor(),
        })
    }

    /// The address under which others reach a server that listens on `listen`.
    pub(crate) fn public_url(&self, listen: SocketAddr) -> String {
        self.public_url.clone().unwrap_or_else(|| {
            let scheme = if self.tls.is_some() { "https" } else { "http" };
            format!("{scheme}://{listen}")
        })
    }
}

/// The certificate of the server, if it is to have one.
fn tls(file: TlsFiles) -> Result<Option<Tls>> {
    let place = |name: &str| environment(name).map(PathBuf::from);
    let certificate = place("MUSTER_TLS_CERTIFICATE").or(file.certificate);
    let key = place("MUSTER_TLS_KEY").or(file.key);
    let (certificate, key) = match (certificate, key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => bail!("TLS needs both a certificate and its key: [tls] certificate and key"),
    };
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(Some(Tls::new(&read(&certificate)?, &read(&key)?)?))
}

/// Where people sign in elsewhere, if they do.
fn oidc(file: OidcFile) -> Result<Option<OidcSettings>> {
    let issuer = environment("MUSTER_OIDC_ISSUER").or(file.issuer);
    let client = environment("MUSTER_OIDC_CLIENT_ID").or(file.client_id);
    let secret = environment("MUSTER_OIDC_CLIENT_SECRET");
    let claim = environment("MUSTER_OIDC_CLAIM").or(file.claim);
    let name = environment("MUSTER_OIDC_NAME").or(file.name);
    let (issuer, client_id, secret) = match (issuer, client, secret) {
        (None, None, None) => return Ok(None),
        (Some(issuer), Some(client), Some(secret)) => (issuer, client, secret),
        _ => bail!(
            "signing in by OpenID Connect needs an issuer and a client ([oidc] issuer and client_id), \
             and MUSTER_OIDC_CLIENT_SECRET"
        ),
    };
    let claim = claim.map(|text| text.parse()).transpose();
    Ok(Some(OidcSettings {
        issuer,
        client_id,
        client_secret: Secret::new(secret),
        claim: claim
            .map_err(|error: String| anyhow::anyhow!("[oidc] claim: {error}"))?
            .unwrap_or_default(),
        name: name.unwrap_or_else(|| "OpenID Connect".to_owned()),
    }))
}

/// The mail server, if there is one.
fn mail(file: Mail) -> Result<Option<MailServer>> {
    let server = environment("MUSTER_MAIL_SERVER").or(file.server);
    let from = environment("MUSTER_MAIL_FROM").or(file.from);
    let user = environment("MUSTER_MAIL_USER").or(file.user);
    let password = environment("MUSTER_MAIL_PASSWORD");
    let authority = environment("MUSTER_MAIL_AUTHORITY")
        .map(PathBuf::from)
        .or(file.authority);
    let is_bare = user.is_none() && password.is_none() && authority.is_none();
    let (url, from) = match (server, from) {
        (None, None) if is_bare => return Ok(None),
        (Some(url), Some(from)) => (url, from),
        _ => bail!("mail needs both a server and a sender: [mail] server and from"),
    };
    let login = match (user, password) {
        (None, None) => None,
        (Some(user), Some(password)) => Some((user, Secret::new(password))),
        _ => bail!("mail needs both a user ([mail] user) and MUSTER_MAIL_PASSWORD, or neither"),
    };
    Ok(Some(MailServer {
        url,
        login,
        authority,
        from,
    }))
}

fn read(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
    toml::from_str(&text).map_err(|error| {
        let line = error
            .span()
            .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
        anyhow::anyhow!("{}, line {line}: {}", path.display(), error.message())
    })
}

#[cfg(test)]
mod tests {
    use super::File;

    #[test]
    fn an_unknown_key_is_an_error() {
        assert!(
            toml::from_str::<File>("listen = \"127.0.0.1:1\"\n[targets]\nallow_insecure = true")
                .is_ok()
        );
        assert!(toml::from_str::<File>("lisen = \"127.0.0.1:1\"").is_err());
    }
}
