//! The control API, with the clients that others wrote for Microsoft Graph.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use muster_e2e::{Muster, Python, Said, graph_walk};
use serde_json::Value;

/// A token, and where to provision to with which secret.
async fn prepared(muster: &Muster) -> Result<(String, String, String)> {
    let made = ["integration", "create", "Web Security"];
    let integration = muster.json(0, &made).await?;
    let token = muster.json(0, &["token", "create", "walk"]).await?;
    let text = |of: &Value, name: &str| -> Result<String> {
        Ok(of[name].as_str().context("a text")?.to_owned())
    };
    Ok((
        text(&token, "token")?,
        text(&integration, "scimUrl")?,
        text(&integration, "token")?,
    ))
}

/// Every step was walked.
fn walked(said: &Said, steps: usize) -> Result<()> {
    ensure!(said.code == 0, "{said:?}");
    let told: Result<Vec<Value>, _> = said.stdout.lines().map(serde_json::from_str).collect();
    let told = told?;
    ensure!(told.len() == steps, "{said:?}");
    ensure!(told[steps - 1]["step"] == "deleted", "{said:?}");
    Ok(())
}

/// What the control API was asked and what it answered, by operation and status.
fn exchanges(report: &Path) -> Result<BTreeMap<String, BTreeMap<u64, usize>>> {
    let mut exchanges: BTreeMap<String, BTreeMap<u64, usize>> = BTreeMap::new();
    for line in std::fs::read_to_string(report)?.lines() {
        let event: Value = serde_json::from_str(line)?;
        let recorder = &event["ScenarioFinished"]["recorder"];
        let all = recorder["interactions"].as_object().into_iter().flatten();
        for (_, exchange) in all {
            let status = exchange["response"]["status_code"].as_u64();
            let operation = recorder["label"].as_str().context("an operation")?;
            let of = exchanges.entry(operation.to_owned()).or_default();
            *of.entry(status.context("a status")?).or_default() += 1;
        }
    }
    Ok(exchanges)
}

/// schemathesis makes requests from the description, right and wrong ones. None is answered in a way that is not
/// described, nothing breaks, nothing is left half-written; and it comes further than to refusals: all operations but
/// a few are done at least once.
#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_that_is_described() -> Result<()> {
    let muster = Muster::new()?;
    let server = muster.serve().await?;
    let (token, scim, secret) = prepared(&muster).await?;
    let base = format!("{}/v1.0", server.address());
    let report = muster.data().join("report.ndjson");
    let python = Python::find()?;
    let said = python.schemathesis(&base, &token, (&scim, &secret), &report);
    let said = said.await?;
    ensure!(said.code == 0, "{}\n{}", said.stdout, said.stderr);
    let exchanges = exchanges(&report)?;
    let of = |from: u64, to: u64| -> usize {
        let statuses = exchanges.values().flatten();
        statuses
            .filter(|(status, _)| (from..to).contains(status))
            .map(|(_, count)| count)
            .sum()
    };
    ensure!(of(0, 1000) >= 5000, "{} requests", of(0, 1000));
    ensure!(of(500, 1000) == 0, "{exchanges:?}");
    let refused: Vec<&String> = exchanges
        .iter()
        .filter(|(_, answers)| answers.keys().all(|status| *status >= 300))
        .map(|(operation, _)| operation)
        .collect();
    // One needs a type; a plan holds no more by then; an id at the target nobody can guess; and what is made up anew each
    // time may miss a few more.
    ensure!(refused.len() <= 8, "{refused:?}");
    drop(server);
    let checked = muster.run(&["check"]).await?;
    ensure!(checked.code == 0, "{checked:?}");
    Ok(())
}

/// The whole tutorial with `msgraph-sdk`: find the template, instantiate, people, groups, roles, assignments,
/// credentials, job, schema, start, initial cycle, log, change, incremental cycle, on demand, pause, restart, delete.
#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_of_graph_walks_the_tutorial() -> Result<()> {
    let muster = Muster::new()?;
    let server = muster.serve().await?;
    let (token, scim, secret) = prepared(&muster).await?;
    let base = format!("{}/v1.0", server.address());
    let python = Python::find()?;
    let said = python.graph_walk(&base, &token, (&scim, &secret));
    walked(&said.await?, 11)
}

/// The same with `@microsoft/microsoft-graph-client`, which shows its token to https alone; and the service provisions
/// into itself over TLS, with a certificate of an authority of its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_client_of_graph_walks_the_tutorial_over_tls() -> Result<()> {
    let mut muster = Muster::new()?;
    let at = |name: &str| muster.data().join(name);
    std::fs::create_dir_all(muster.data())?;
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate for one that has signed itself when both are called the same.
    let name = rcgen::DnType::CommonName;
    authority
        .distinguished_name
        .push(name, "An authority of our own");
    let key = rcgen::KeyPair::generate()?;
    let (trusted, signed) = (at("ca.pem"), authority.self_signed(&key)?);
    std::fs::write(&trusted, signed.pem())?;
    let issuer = rcgen::Issuer::new(authority, key);
    let mut of_server = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    of_server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate()?;
    let (certificate, of_key) = (at("cert.pem"), at("key.pem"));
    std::fs::write(&certificate, of_server.signed_by(&key, &issuer)?.pem())?;
    std::fs::write(&of_key, key.serialize_pem())?;
    for (name, file) in [
        ("MUSTER_TLS_CERTIFICATE", &certificate),
        ("MUSTER_TLS_KEY", &of_key),
        ("MUSTER_TARGETS_AUTHORITY", &trusted),
    ] {
        muster.set(name, file.to_str().context("the path is text")?);
    }
    let server = muster.serve().await?;
    ensure!(
        server.address().starts_with("https://"),
        "{}",
        server.address()
    );
    let (token, scim, secret) = prepared(&muster).await?;
    let base = format!("{}/v1.0", server.address());
    let said = graph_walk(&base, &token, (&scim, &secret), &trusted);
    walked(&said.await?, 8)
}
