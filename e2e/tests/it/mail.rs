//! Notifications arrive at a mail server that others wrote: one for each cause, and no storm (NT-1 to NT-7).

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use muster_e2e::{MailServer, Muster, Peer, Strict, TOKEN};

use crate::APP;

const FROM: &str = "Muster <muster@example.com>";

/// Ten users in a group that is assigned, provisioned to a peer, on a server that sends mail.
async fn ten_users(peer: &Peer, mail: &MailServer) -> Result<Muster> {
    let mut muster = Muster::new()?;
    let server = format!("smtp+plain://{}", mail.address);
    muster.set("MUSTER_MAIL_SERVER", &server);
    muster.set("MUSTER_MAIL_FROM", FROM);
    let id = |kind: u8, number: usize| format!("0000000{kind}-0000-4000-8000-{number:012}");
    let (mut users, mut members) = (
        String::from("id,userPrincipalName,displayName\n"),
        String::from("groupId,memberId,memberType\n"),
    );
    for number in 0..10 {
        let user = id(1, number);
        writeln!(users, "{user},u{number}@example.test,User {number}")?;
        // The first one stays, whatever happens to the second group.
        let group = id(2, usize::from(number > 0));
        writeln!(members, "{group},{user},user")?;
    }
    let groups = format!(
        "id,displayName,securityEnabled\n{},One,true\n{},Nine,true\n",
        id(2, 0),
        id(2, 1)
    );
    for (name, text) in [
        ("users", users),
        ("groups", groups),
        ("memberships", members),
    ] {
        let file = muster.data().join(format!("{name}.csv"));
        std::fs::write(&file, text)?;
        muster
            .done(&["import", &file.display().to_string()])
            .await?;
    }
    muster.done(&["app", "add", APP]).await?;
    for number in 0..2 {
        let group = id(2, number);
        muster
            .done(&["app", "assign", APP, "--group", &group])
            .await?;
    }
    let credentials = ["--tenant-url", &peer.url, "--secret-token", TOKEN];
    muster
        .done(&[&["app", "credentials", APP][..], &credentials].concat())
        .await?;
    muster
        .done(&["app", "notify", APP, "identity@example.com"])
        .await?;
    muster.json(0, &["job", "run", APP]).await?;
    Ok(muster)
}

/// The subject, which may stand on several lines.
fn subject(mail: &str) -> String {
    let unfolded = mail.replace("\n ", " ");
    let subject = unfolded
        .lines()
        .find_map(|line| line.strip_prefix("Subject: "));
    subject.unwrap_or_default().to_owned()
}

async fn active(peer: &Peer) -> Result<usize> {
    let users = peer.all("Users").await?;
    Ok(users.iter().filter(|it| it["active"] == true).count())
}

async fn until(muster: &Muster, status: &str) -> Result<()> {
    for _ in 0..300 {
        if muster.json(0, &["job", "status", APP]).await?["status"] == status {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("the job does not become {status}")
}

/// EH-17, EH-18, NT-3: nine of ten users are unassigned by one mistake.
#[tokio::test(flavor = "multi_thread")]
async fn nine_of_ten_unassigned_are_held_and_told_once_and_go_when_they_are_allowed() -> Result<()>
{
    let (peer, mail) = (Peer::scim2_server().await?, MailServer::start(None).await?);
    let muster = ten_users(&peer, &mail).await?;
    let _server = muster.serve().await?;
    muster.done(&["job", "start", APP]).await?;
    muster
        .done(&[
            "app",
            "unassign",
            APP,
            "--group",
            "00000002-0000-4000-8000-000000000001",
        ])
        .await?;
    until(&muster, "Quarantine").await?;
    let mails = mail.wait_for(1).await?;
    ensure!(
        subject(&mails[0]).contains("is held: too much would be taken away"),
        "{}",
        mails[0]
    );
    for said in [
        "To: identity@example.com",
        "From: Muster <muster@example.com>",
        "would disable or delete 10 of the 12 objects",
        "muster job held",
        "Reason:      TooManyDeletes",
    ] {
        // Lines may be wrapped on the way.
        let whole = mails[0].replace("=\n", "");
        ensure!(whole.contains(said), "{said}: {whole}");
    }
    let status = muster.json(0, &["job", "status", APP]).await?;
    assert_eq!(status["quarantine"]["reason"], "TooManyDeletes", "{status}");
    assert_eq!(status["heldBack"], 10, "{status}");
    // It looks again and again, and says nothing more.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(active(&peer).await?, 10);
    assert_eq!(mail.mails()?.len(), 1);

    muster
        .done(&["job", "allow", APP, "--expect", "10"])
        .await?;
    for _ in 0..300 {
        if active(&peer).await? == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(active(&peer).await?, 1);
    assert_eq!(peer.all("Groups").await?.len(), 1);
    let mails = mail.wait_for(2).await?;
    ensure!(
        subject(&mails[1]).contains("not held any more"),
        "{}",
        mails[1]
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(mail.mails()?.len(), 2);
    Ok(())
}

/// NT-2: a target that is away is told once. One who has acknowledged is told no more.
#[tokio::test(flavor = "multi_thread")]
async fn quarantine_is_told_and_can_be_acknowledged() -> Result<()> {
    let (peer, mail) = (Peer::scim2_server().await?, MailServer::start(None).await?);
    let muster = ten_users(&peer, &mail).await?;
    let _server = muster.serve().await?;
    drop(peer);
    muster.done(&["job", "start", APP]).await?;
    let file = muster.data().join("more.csv");
    std::fs::write(
        &file,
        "id,userPrincipalName,displayName\n00000001-0000-4000-8000-000000000000,u0@example.test,Another name\n",
    )?;
    muster
        .done(&["import", "--kind", "users", &file.display().to_string()])
        .await?;
    until(&muster, "Quarantine").await?;
    let mails = mail.wait_for(1).await?;
    ensure!(
        subject(&mails[0]).contains("is in quarantine"),
        "{}",
        mails[0]
    );
    let listed = muster.done(&["notice", "list"]).await?;
    ensure!(listed.contains("quarantine since"), "{listed}");
    let said = muster.json(0, &["notice", "acknowledge", APP]).await?;
    assert_eq!(said["acknowledged"], 1, "{said}");
    let listed = muster.done(&["notice", "list"]).await?;
    ensure!(listed.contains("(acknowledged)"), "{listed}");
    Ok(())
}

/// STARTTLS with a certificate of one's own authority, and a password.
#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_by_starttls_and_with_a_password() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate()?;
    let signed = authority.self_signed(&key)?;
    std::fs::write(at("ca.pem"), signed.pem())?;
    let issuer = rcgen::Issuer::new(authority, key);
    let mut of_server = rcgen::CertificateParams::new(vec!["localhost".to_owned()])?;
    of_server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate()?;
    std::fs::write(at("cert.pem"), of_server.signed_by(&key, &issuer)?.pem())?;
    std::fs::write(at("key.pem"), key.serialize_pem())?;
    let (certificate, key) = (at("cert.pem"), at("key.pem"));
    let strict = Strict {
        certificate: (&certificate, &key),
        login: ("muster", "secret of the mail server"),
    };
    let mail = MailServer::start(Some(strict)).await?;

    let mut muster = Muster::new()?;
    let (_, port) = mail.address.split_once(':').unwrap_or_default();
    muster.set("MUSTER_MAIL_SERVER", &format!("smtp://localhost:{port}"));
    muster.set("MUSTER_MAIL_FROM", FROM);
    let test = ["notice", "test", "identity@example.com"];
    // A certificate that nobody knows is refused.
    let refused = muster.run(&test).await?;
    ensure!(
        refused.code == 1 && refused.stderr.contains("ertificate"),
        "{refused:?}"
    );
    muster.set("MUSTER_MAIL_AUTHORITY", &at("ca.pem").display().to_string());
    // Who does not sign in is refused.
    let refused = muster.run(&test).await?;
    ensure!(refused.code == 1, "{refused:?}");
    muster.set("MUSTER_MAIL_USER", "muster");
    muster.set("MUSTER_MAIL_PASSWORD", "wrong");
    let refused = muster.run(&test).await?;
    ensure!(
        refused.code == 1 && refused.stderr.contains("535") && !refused.stderr.contains("wrong"),
        "{refused:?}"
    );
    muster.set("MUSTER_MAIL_PASSWORD", "secret of the mail server");
    muster.done(&test).await?;
    ensure!(
        subject(&mail.wait_for(1).await?[0]).contains("mail works"),
        "{:?}",
        mail.mails()?
    );
    Ok(())
}
