//! Our service provider under what clients send, written down as files in `conversations`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use muster_e2e::{Conversation, Muster, client, conversations};

/// The requirement tables of the SCIM profile: section, and how many rows it has.
const REQUIREMENTS: [(&str, usize); 12] = [
    ("1", 10),
    ("2", 6),
    ("3", 8),
    ("4.1", 13),
    ("5", 12),
    ("6.3", 8),
    ("7", 7),
    ("10", 14),
    ("12.3", 5),
    ("12.4", 3),
    ("14", 6),
    ("16", 9),
];

fn all() -> Result<Vec<Conversation>> {
    conversations(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conversations"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_conversation_goes_as_written() -> Result<()> {
    let muster = Muster::new()?;
    let server = muster.serve().await?;
    let client = client()?;
    let mut failed = Vec::new();
    for conversation in all()? {
        let made = muster
            .json(0, &["integration", "create", &conversation.title])
            .await?;
        let text = |name: &str| made[name].as_str().with_context(|| format!("no {name}"));
        let held = conversation.hold(&client, text("scimUrl")?, text("token")?);
        if let Err(error) = held.await {
            failed.push(format!("{error:#}"));
        }
    }
    drop(server);
    assert!(
        failed.is_empty(),
        "{} failed\n\n{}",
        failed.len(),
        failed.join("\n\n")
    );
    Ok(())
}

#[test]
fn every_row_of_the_requirement_tables_has_a_conversation() -> Result<()> {
    let named: BTreeSet<String> = all()?.into_iter().map(|it| it.requirement).collect();
    let rows = REQUIREMENTS
        .iter()
        .flat_map(|(section, rows)| (1..=*rows).map(move |row| format!("{section}/{row}")));
    let missing: Vec<String> = rows.filter(|row| !named.contains(row)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    Ok(())
}
