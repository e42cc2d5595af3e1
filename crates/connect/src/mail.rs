//! Mail over SMTP.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use muster_engine::port::{Mail, Mailer};
use muster_model::Secret;

/// Time for one message.
const ANSWER: Duration = Duration::from_secs(30);

/// How to reach a mail server.
#[derive(Clone, Debug)]
pub struct MailServer {
    /// `smtps://host[:465]`, `smtp://host[:587]` (STARTTLS is required), or `smtp+plain://host[:25]`, which
    /// is in the clear and only for servers on the same machine or with `allow_plain`.
    pub url: String,
    /// Who signs in, and with what.
    pub login: Option<(String, Secret<String>)>,
    /// A file of certificates in PEM that are trusted besides those of the system.
    pub authority: Option<std::path::PathBuf>,
    /// Who sends: `Muster <muster@example.com>`.
    pub from: String,
    /// In the clear to others, too.
    pub allow_plain: bool,
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
            // A password in an address ends up in logs.
            has_host && url.username().is_empty() && url.password().is_none()
        });
        let url = url.ok_or_else(|| {
            wrong(
                "the server is a URL such as smtps://mail.example.com or \
                 smtp://mail.example.com:587; user and password are settings of their own"
                    .to_owned(),
            )
        })?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let (port, tls) = match url.scheme() {
            "smtps" => (465, Tls::Wrapper(parameters(&host, server)?)),
            "smtp" => (587, Tls::Required(parameters(&host, server)?)),
            "smtp+plain" if server.allow_plain || is_this_machine(&host) => (25, Tls::None),
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
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    let address = literal.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn parameters(host: &str, server: &MailServer) -> Result<TlsParameters, MailError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &server.authority {
        for certificate in certificates(path)? {
            builder = builder.add_root_certificate(certificate);
        }
    }
    builder
        .build()
        .map_err(|error| MailError(format!("no secure connections: {error}")))
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, MailError> {
    let wrong = |what: String| MailError(format!("{}: {what}", path.display()));
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let one = Certificate::from_pem(&pem).map_err(|error| wrong(error.to_string()))?;
    Ok(vec![one])
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: &Mail) -> Result<(), String> {
        let to: Mailbox = mail
            .to
            .parse()
            .map_err(|_| format!("`{}` is not an email address", mail.to))?;
        let text = SinglePart::builder()
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text.clone());
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(mail.subject.clone())
            .singlepart(text)
            .map_err(|error| error.to_string())?;
        // The library bounds each step, not all of them.
        let sent = tokio::time::timeout(2 * ANSWER, self.transport.send(message));
        match sent.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the mail server does not answer in time".to_owned()),
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
            allow_plain: false,
        }
    }

    #[tokio::test]
    async fn mail_in_the_clear_stays_on_this_machine() {
        assert!(Smtp::new(&server("smtps://mail.example.com")).is_ok());
        assert!(Smtp::new(&server("smtp://mail.example.com:587")).is_ok());
        assert!(Smtp::new(&server("smtp+plain://127.0.0.1:2525")).is_ok());
        for url in [
            "smtp+plain://mail.example.com",
            "http://mail.example.com",
            "mail.example.com",
            "smtp://user:secret@mail.example.com",
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
