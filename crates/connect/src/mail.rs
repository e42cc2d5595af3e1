//! Mail over SMTP.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use muster_engine::port::{Mail, MailFailure, Mailer};
use muster_model::Secret;

/// Time for one answer: a server may look at a message before it takes it.
const ANSWER: Duration = Duration::from_mins(1);
/// Time for a message.
const MESSAGE: Duration = Duration::from_mins(3);

/// How to reach a mail server.
#[derive(Clone, Debug)]
pub struct MailServer {
    /// `smtps://host[:465]`, `smtp://host[:587]` (STARTTLS is required), or `smtp+plain://host[:25]`, which
    /// is in the clear and only for servers on the same machine.
    pub url: String,
    /// Who signs in, and with what.
    pub login: Option<(String, Secret<String>)>,
    /// A file of certificates in PEM that are trusted besides those of the system.
    pub authority: Option<std::path::PathBuf>,
    /// Who sends: `Muster <muster@example.com>`.
    pub from: String,
}

/// Mail cannot be sent with these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mail: {0}")]
pub struct MailError(String);

/// Sends mail over SMTP.
#[derive(Debug)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    /// Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`MailError`] says which setting is wrong, and how it should be.
    pub fn new(server: &MailServer) -> Result<Self, MailError> {
        // A second call finds the provider installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wrong = |what: String| MailError(what);
        let from: Mailbox = server.from.parse().map_err(|_| {
            wrong(format!(
                "`{}` is not a sender such as Muster <muster@example.com>",
                server.from
            ))
        })?;
        let url = reqwest::Url::parse(&server.url).ok().filter(|url| {
            let has_host = url.host_str().is_some_and(|host| !host.is_empty());
            let is_bare = matches!(url.path(), "" | "/") && url.query().is_none();
            // A password in an address ends up in logs.
            has_host && is_bare && url.username().is_empty() && url.password().is_none()
        });
        let url = url.ok_or_else(|| {
            wrong(
                "the server is a URL such as smtps://mail.example.com or \
                 smtp://mail.example.com:587; user and password are settings of their own"
                    .to_owned(),
            )
        })?;
        let host = url.host_str().unwrap_or_default();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let (port, tls) = match url.scheme() {
            "smtps" => (465, Tls::Wrapper(parameters(&host, server)?)),
            "smtp" => (587, Tls::Required(parameters(&host, server)?)),
            "smtp+plain" if is_this_machine(&host) => (25, Tls::None),
            "smtp+plain" => {
                return Err(wrong(format!(
                    "{host} would get mail in the clear; use smtps:// or smtp:// (STARTTLS)"
                )));
            }
            other => {
                return Err(wrong(format!(
                    "`{other}` is not a way to send mail; use smtps:// or smtp:// (STARTTLS)"
                )));
            }
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(url.port().unwrap_or(port))
            .tls(tls)
            .timeout(Some(ANSWER));
        if let Some((user, password)) = &server.login {
            let password = password.expose().clone();
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        Ok(Self {
            transport: builder.build(),
            from,
        })
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn parameters(host: &str, server: &MailServer) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &server.authority {
        builder = builder.add_root_certificate(certificate(path)?);
    }
    builder
        .build()
        .map_err(|error| MailError(format!("no secure connections: {error}")))
}

fn certificate(path: &Path) -> Result<Certificate, MailError> {
    let wrong = |what: String| MailError(format!("{}: {what}", path.display()));
    let pem = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    if !pem.contains("-----BEGIN CERTIFICATE-----") {
        return Err(wrong("there is no certificate in it (PEM)".to_owned()));
    }
    Certificate::from_pem(pem.as_bytes()).map_err(|error| wrong(error.to_string()))
}

/// Nobody is to answer by a machine (RFC 3834).
#[derive(Clone, Debug)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: &Mail) -> Result<(), MailFailure> {
        let failure = |kind, detail: String| MailFailure { kind, detail };
        let to: Mailbox = mail.to.parse().map_err(|_| {
            let detail = format!("`{}` is not an email address", mail.to);
            failure("the address cannot be used", detail)
        })?;
        let text = SinglePart::builder()
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.clone());
        let domain = self.from.email.domain();
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(mail.subject.clone())
            .message_id(Some(format!("<{}@{domain}>", mail.id)))
            .header(AutoSubmitted)
            .singlepart(text)
            .map_err(|error| failure("the mail cannot be written", error.to_string()))?;
        match tokio::time::timeout(MESSAGE, self.transport.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => {
                let kind = if error.is_permanent() {
                    "the mail server refuses it"
                } else if error.is_transient() {
                    "the mail server cannot take it now"
                } else if error.is_tls() {
                    "there is no secure connection to the mail server"
                } else {
                    "the mail server cannot be reached"
                };
                Err(failure(kind, error.to_string()))
            }
            Err(_) => Err(failure(
                "the mail server does not answer in time",
                String::new(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> MailServer {
        MailServer {
            url: url.to_owned(),
            login: None,
            authority: None,
            from: "Muster <muster@example.com>".to_owned(),
        }
    }

    #[tokio::test]
    async fn mail_in_the_clear_stays_on_this_machine() {
        assert!(Smtp::new(&server("smtps://mail.example.com")).is_ok());
        assert!(Smtp::new(&server("smtp://mail.example.com:587")).is_ok());
        assert!(Smtp::new(&server("smtp+plain://127.0.0.1:2525")).is_ok());
        assert!(Smtp::new(&server("smtp+plain://[::1]:2525")).is_ok());
        for url in [
            "smtp+plain://mail.example.com",
            "http://mail.example.com",
            "mail.example.com",
            "smtp://user:secret@mail.example.com",
            "smtps://mail.example.com/path",
        ] {
            let refused = Smtp::new(&server(url)).unwrap_err().to_string();
            assert!(!refused.contains("secret"), "{refused}");
        }
        let nobody = MailServer {
            from: "nobody".to_owned(),
            ..server("smtps://mail.example.com")
        };
        assert!(Smtp::new(&nobody).is_err());
    }
}
