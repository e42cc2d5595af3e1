//! A data folder while a server runs on it.

use anyhow::{Context, Result};
use muster_e2e::{Muster, Sample};

use crate::APP;

#[tokio::test(flavor = "multi_thread")]
async fn two_faces_of_one_store() -> Result<()> {
    let muster = Muster::new()?;
    let server = muster.serve().await?;

    // Commands are carried out by the server that holds the folder.
    muster.done(&["app", "add", APP]).await?;
    let sample = Sample::read()?;
    let [_, groups, _] = Sample::files();
    let groups = groups.to_str().context("the path is text")?;
    let imported = muster.json(0, &["import", groups]).await?;
    assert_eq!(imported["created"], sample.groups.len(), "{imported}");
    let listed = muster.json(0, &["app", "list"]).await?;
    assert_eq!(listed[0]["name"], APP, "{listed}");
    // What fails there fails here, with the same exit code and words.
    let failed = muster.run(&["app", "show", "No such app"]).await?;
    assert_eq!(
        (failed.code, failed.stderr.lines().count()),
        (1, 1),
        "{failed:?}"
    );

    // A second server is told who holds the folder.
    let second = muster.run(&["serve", "--listen", "127.0.0.1:0"]).await?;
    assert_eq!((second.code, second.stdout.as_str()), (1, ""), "{second:?}");
    let [line] = second.stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("one line, not {second:?}");
    };
    let holder = format!("process {}, muster serve", server.pid());
    assert!(line.contains(&holder) && line.contains("--data"), "{line}");

    // When it has ended, the same commands find the same things without it.
    assert_eq!(server.end().await?, 0);
    assert_eq!(muster.json(0, &["app", "list"]).await?, listed);
    let alone = muster.run(&["app", "show", "No such app"]).await?;
    assert_eq!(alone, failed);
    Ok(())
}
