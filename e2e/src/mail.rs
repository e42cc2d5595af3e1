//! A mail server that others wrote.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::{Python, Server};

/// aiosmtpd, which keeps what it gets.
#[derive(Debug)]
pub struct MailServer {
    /// `127.0.0.1:PORT`
    pub address: String,
    folder: TempDir,
    _server: Server,
}

/// What a mail server asks of who sends.
#[derive(Clone, Copy, Debug)]
pub struct Strict<'a> {
    /// Its certificate and key, in PEM.
    pub certificate: (&'a Path, &'a Path),
    /// Who may send, and the password.
    pub login: (&'a str, &'a str),
}

impl MailServer {
    /// One that takes everything, or asks for TLS and a password.
    pub async fn start(strict: Option<Strict<'_>>) -> Result<Self> {
        let folder = TempDir::with_prefix("muster-mail-")?;
        let mut command = Python::find()?.script("smtp_run.py");
        command.env("FOLDER", folder.path()).env("PORT", "0");
        if let Some(strict) = strict {
            command
                .env("CERT", strict.certificate.0)
                .env("KEY", strict.certificate.1)
                .env("LOGIN", strict.login.0)
                .env("PASSWORD", strict.login.1);
        }
        let address = |line: &str| line.strip_prefix("listening on ").map(str::to_owned);
        let server = Server::start("aiosmtpd", command, address).await?;
        Ok(Self {
            address: server.address().to_owned(),
            folder,
            _server: server,
        })
    }

    /// The mails so far, oldest first.
    pub fn mails(&self) -> Result<Vec<String>> {
        let mut mails = Vec::new();
        loop {
            let file = self.folder.path().join(format!("{}.eml", mails.len() + 1));
            if !file.is_file() {
                return Ok(mails);
            }
            mails.push(std::fs::read_to_string(file)?.replace("\r\n", "\n"));
        }
    }

    /// Waits until there are so many mails.
    pub async fn wait_for(&self, count: usize) -> Result<Vec<String>> {
        let begun = Instant::now();
        loop {
            let mails = self.mails()?;
            if mails.len() >= count {
                return Ok(mails);
            }
            ensure!(
                begun.elapsed() < Duration::from_secs(30),
                "{} mails instead of {count}: {mails:?}",
                mails.len()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
