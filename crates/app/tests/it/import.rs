//! Import of good files: what they create, change and leave alone.

use std::fmt::Write as _;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, Mutex};

use muster_app::import::{Format, Progress, Report, What, import, preview};
use muster_app::{AppError, directory};
use muster_model::directory::User;
use muster_model::{Clock, Value};
use muster_store::feed::Change;
use muster_testkit::{FixedClock, TestStore};

use crate::context::ctx;
use crate::{TENANT, feed_of, groups_named, on_both, user_named};

on_both!(
    the_sample_comes_in_and_a_second_time_changes_nothing,
    json_lines_say_the_same_as_csv,
    a_user_is_known_by_name_ignoring_case,
    only_named_columns_change_and_an_empty_cell_clears,
    an_id_with_another_name_renames,
    a_soft_deleted_user_is_restored,
    a_manager_may_come_after_those_it_manages,
    a_spreadsheet_s_file_is_read,
    progress_is_told_and_many_batches_add_up,
    two_imports_at_once_make_nobody_twice,
);

/// Imports a text.
pub(crate) async fn load(
    test: &TestStore,
    what: What,
    format: Format,
    text: impl Into<Vec<u8>>,
) -> Result<Report, AppError> {
    let clock: Arc<dyn Clock> = FixedClock::at("2026-03-01T09:00:00Z");
    let text = text.into();
    // A preview says beforehand what comes of it, and leaves nothing behind.
    let before = feed_of(test).await.len();
    let of = (what, format);
    let said = preview(&test.store, TENANT, &clock, of, text.clone(), usize::MAX).await;
    let said = said.map(|(report, is_whole)| {
        assert!(is_whole);
        report
    });
    assert_eq!(
        feed_of(test).await.len(),
        before,
        "a preview wrote something"
    );
    let report = loaded(test, what, format, text).await;
    match (&said, &report) {
        (Ok(said), Ok(report)) => assert_eq!(said, report),
        (Err(said), Err(report)) => assert_eq!(said.to_string(), report.to_string()),
        _ => panic!("the preview said {said:?}, the import {report:?}"),
    }
    report
}

async fn loaded(
    test: &TestStore,
    what: What,
    format: Format,
    text: Vec<u8>,
) -> Result<Report, AppError> {
    let clock: Arc<dyn Clock> = FixedClock::at("2026-03-01T09:00:00Z");
    let input = Box::new(Cursor::new(text));
    import(&test.store, TENANT, &clock, what, format, input, &|_| {}).await
}

/// `created updated unchanged failed`
#[track_caller]
pub(crate) fn counts(report: &Report) -> [u64; 4] {
    [
        report.created,
        report.updated,
        report.unchanged,
        report.failed,
    ]
}

/// Imports a CSV without broken lines.
pub(crate) async fn csv(test: &TestStore, what: What, text: &str) -> [u64; 4] {
    let report = load(test, what, Format::Csv, text).await.unwrap();
    assert_eq!(report.bad, []);
    counts(&report)
}

/// Imports users from a CSV without broken lines.
pub(crate) async fn users(test: &TestStore, text: &str) -> [u64; 4] {
    csv(test, What::Users, text).await
}

/// The living user with this name, who must exist.
pub(crate) async fn user(test: &TestStore, name: &str) -> User {
    user_named(test, name)
        .await
        .unwrap_or_else(|| panic!("no user {name}"))
}

fn sample(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cli/sample");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

async fn the_sample_comes_in_and_a_second_time_changes_nothing(test: &TestStore) {
    let files = [
        (What::Users, "users.csv", 1000),
        (What::Groups, "groups.csv", 70),
        (What::Memberships, "memberships.csv", 5699),
    ];
    for (what, name, rows) in files {
        assert_eq!(What::guess(name, ""), Some(what));
        assert_eq!(
            csv(test, what, &sample(name)).await,
            [rows, 0, 0, 0],
            "{name}"
        );
    }
    let feed = feed_of(test).await;
    assert_eq!(feed.len(), 1000 + 70 + 5699);
    for (what, name, rows) in files {
        assert_eq!(
            csv(test, what, &sample(name)).await,
            [0, 0, rows, 0],
            "{name}"
        );
    }
    assert_eq!(feed_of(test).await, feed);
    let zofia = user(test, "zofia.kowalski@fjordlight.example").await;
    assert_eq!(zofia.id.to_string(), "87697d71-5e4a-4d8a-b603-d0073f18748b");
    let manager = zofia.manager.map(|id| id.to_string());
    assert_eq!(
        manager.as_deref(),
        Some("2e9634d1-65e1-4821-9e4f-6cae520de4db")
    );
    assert_eq!(
        zofia.attributes.text("jobTitle"),
        Some("Vice President, Field Service")
    );
    assert_eq!(zofia.attributes.get("mobilePhone"), None);
    let mails = Value::List(vec!["SMTP:zofia.kowalski@fjordlight.example".into()]);
    assert_eq!(zofia.attributes.get("proxyAddresses"), Some(&mails));
    // The events of a later day.
    let ctx = ctx(test);
    let mut changed = 0;
    for line in sample("changes.jsonl").lines() {
        let change = serde_json::from_str(line).unwrap();
        changed += u32::from(directory::apply_change(&ctx, &change).await.unwrap());
    }
    assert!(changed > 150, "{changed}");
}

async fn json_lines_say_the_same_as_csv(test: &TestStore) {
    let id = "11111111-2222-4333-8444-555555555555";
    let boss = "11111111-2222-4333-8444-666666666666";
    let csv_text = format!(
        "id,userPrincipalName,accountEnabled,manager,displayName,otherMails\n\
         {boss},boss@a.example,TRUE,,The Boss,\n\
         {id},ana@a.example,false,{boss},\"Ana, Ó\",a@b.example; c@d.example;\n"
    );
    let json_text = format!(
        r##"{{"@odata.type":"#microsoft.graph.user","id":"{boss}","userPrincipalName":"boss@a.example","accountEnabled":true,"manager":null,"displayName":"The Boss","otherMails":[]}}
        {{"id":"{id}","userPrincipalName":"ana@a.example","accountEnabled":false,"manager":{{"id":"{boss}"}},"displayName":"Ana, Ó","otherMails":["a@b.example","c@d.example"]}}

        {{"userPrincipalName":"ana@a.example","accountEnabled":null,"manager":"boss@a.example"}}"##
    );
    assert_eq!(users(test, &csv_text).await, [2, 0, 0, 0]);
    let report = load(test, What::Users, Format::JsonLines, json_text.clone())
        .await
        .unwrap();
    assert_eq!((counts(&report), report.bad), ([0, 0, 3, 0], Vec::new()));
    let ana = user(test, "ana@a.example").await;
    assert!(!ana.account_enabled);
    assert_eq!(ana.manager.unwrap().to_string(), boss);
    let mails = Value::List(vec!["a@b.example".into(), "c@d.example".into()]);
    assert_eq!(ana.attributes.get("otherMails"), Some(&mails));

    let text = r#"{"displayName":"Sales","securityEnabled":false,"groupTypes":["Unified"]}"#;
    let report = load(test, What::Groups, Format::JsonLines, text)
        .await
        .unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 0]);
    assert!(!groups_named(test, "Sales").await[0].security_enabled);
    let text = r#"{"groupId":"Sales","memberId":"ANA@a.example","memberType":"user"}"#;
    let report = load(test, What::Memberships, Format::JsonLines, text)
        .await
        .unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 0]);
}

async fn a_user_is_known_by_name_ignoring_case(test: &TestStore) {
    let [first, second, third] = ["Ana@a.example,A", "ANA@A.example,A", "ANA@A.example,B"]
        .map(|row| format!("userPrincipalName,displayName\n{row}\n"));
    assert_eq!(users(test, &first).await, [1, 0, 0, 0]);
    let id = user(test, "ana@a.example").await.id;
    assert_eq!(users(test, &second).await, [0, 1, 0, 0]);
    assert_eq!(users(test, &second).await, [0, 0, 1, 0]);
    assert_eq!(users(test, &third).await, [0, 1, 0, 0]);
    let ana = user(test, "ana@a.example").await;
    assert_eq!(
        (ana.id, ana.user_principal_name.as_str()),
        (id, "ANA@A.example")
    );
    assert_eq!(feed_of(test).await, [Change::User(id.into()); 3]);
    // Twice in one file, also in one transaction.
    let twice = "userPrincipalName\nbo@a.example\nBO@a.example\nBO@a.example\n";
    assert_eq!(users(test, twice).await, [1, 1, 1, 0]);
}

async fn only_named_columns_change_and_an_empty_cell_clears(test: &TestStore) {
    let all = "userPrincipalName,accountEnabled,displayName,city,extension_0a_badge\n\
               ana@a.example,false,Ana,Oslo,77\n";
    assert_eq!(users(test, all).await, [1, 0, 0, 0]);
    let some = "city,userPrincipalName,accountEnabled\n,ana@a.example,\n";
    assert_eq!(users(test, some).await, [0, 1, 0, 0]);
    let ana = user(test, "ana@a.example").await;
    assert_eq!(ana.attributes.text("displayName"), Some("Ana"));
    assert_eq!(ana.attributes.text("extension_0a_badge"), Some("77"));
    assert_eq!(ana.attributes.get("city"), None);
    assert!(
        !ana.account_enabled,
        "an empty cell switches nobody on or off"
    );
}

async fn an_id_with_another_name_renames(test: &TestStore) {
    let id = "11111111-2222-4333-8444-555555555555";
    let row = |name: &str| format!("id,userPrincipalName\n{id},{name}\n");
    assert_eq!(users(test, &row("ana@a.example")).await, [1, 0, 0, 0]);
    assert_eq!(users(test, &row("ana.new@a.example")).await, [0, 1, 0, 0]);
    assert_eq!(user_named(test, "ana@a.example").await, None);
    assert_eq!(user(test, "ana.new@a.example").await.id.to_string(), id);
    // The old name is free for somebody else, in the same transaction too.
    let text = format!("id,userPrincipalName\n{id},ana@a.example\n,ana.new@a.example\n");
    assert_eq!(users(test, &text).await, [1, 1, 0, 0]);
    assert_ne!(user(test, "ana.new@a.example").await.id.to_string(), id);
}

async fn a_soft_deleted_user_is_restored(test: &TestStore) {
    let text = "userPrincipalName,city\nana@a.example,Oslo\nbo@a.example,Bergen\n";
    assert_eq!(users(test, text).await, [2, 0, 0, 0]);
    let ctx = ctx(test);
    let (ana, bo) = (
        user(test, "ana@a.example").await.id,
        user(test, "bo@a.example").await.id,
    );
    for id in [ana, bo] {
        assert!(directory::soft_delete_user(&ctx, id).await.unwrap());
    }
    let text = format!("id,userPrincipalName\n,ANA@a.example\n{bo},robert@a.example\n,\n");
    let report = load(test, What::Users, Format::Csv, text).await.unwrap();
    assert_eq!(counts(&report), [0, 2, 0, 1]);
    let found = user(test, "ana@a.example").await;
    assert_eq!(
        (found.id, found.attributes.text("city")),
        (ana, Some("Oslo"))
    );
    assert_eq!(user(test, "robert@a.example").await.id, bo);
    // Bo's old name now makes somebody new.
    assert_eq!(
        users(test, "userPrincipalName\nbo@a.example\n").await,
        [1, 0, 0, 0]
    );
}

async fn a_manager_may_come_after_those_it_manages(test: &TestStore) {
    let text = "userPrincipalName,manager\nana@a.example,BOSS@a.example\n\
                bo@a.example,nobody@a.example\nboss@a.example,\n";
    let report = load(test, What::Users, Format::Csv, text).await.unwrap();
    assert_eq!(counts(&report), [3, 0, 0, 1]);
    assert_eq!(
        report.bad[0].to_string(),
        "line 3, manager: there is no user `nobody@a.example`; the rest is imported"
    );
    let boss = user(test, "boss@a.example").await.id;
    assert_eq!(user(test, "ana@a.example").await.manager, Some(boss));
    assert_eq!(user(test, "bo@a.example").await.manager, None);
    let before = feed_of(test).await.len();
    let again = load(test, What::Users, Format::Csv, text).await.unwrap();
    assert_eq!(counts(&again), [0, 0, 3, 1]);
    assert_eq!(feed_of(test).await.len(), before);
    // Whoever changes by the manager only is counted as changed.
    let text = "userPrincipalName,manager\nbo@a.example,late@a.example\nlate@a.example,\n";
    assert_eq!(users(test, text).await, [1, 1, 0, 0]);
}

async fn a_spreadsheet_s_file_is_read(test: &TestStore) {
    let text = "\u{FEFF}userPrincipalName,displayName,streetAddress\r\n\r\n\
                ana@a.example,\"Ana \"\"Ace\"\" Ó\",\"Line 1\r\nLine 2, rear\"\r\n";
    assert_eq!(users(test, text).await, [1, 0, 0, 0]);
    let ana = user(test, "ana@a.example").await;
    assert_eq!(ana.attributes.text("displayName"), Some("Ana \"Ace\" Ó"));
    assert_eq!(
        ana.attributes.text("streetAddress"),
        Some("Line 1\nLine 2, rear")
    );
    assert_eq!(users(test, text).await, [0, 0, 1, 0]);
}

async fn progress_is_told_and_many_batches_add_up(test: &TestStore) {
    let mut text = "userPrincipalName,displayName\n".to_owned();
    for number in 0..1_700 {
        writeln!(text, "u{number}@a.example,User {number}").unwrap();
    }
    let clock: Arc<dyn Clock> = FixedClock::at("2026-03-01T09:00:00Z");
    let seen = Mutex::new(Vec::new());
    let tell = |progress: Progress| seen.lock().unwrap().push(progress);
    let input = Box::new(Cursor::new(text.clone().into_bytes()));
    let report = import(
        &test.store,
        TENANT,
        &clock,
        What::Users,
        Format::Csv,
        input,
        &tell,
    )
    .await;
    assert_eq!(counts(&report.unwrap()), [1_700, 0, 0, 0]);
    let seen = seen.into_inner().unwrap();
    assert!(seen.len() >= 4, "{seen:?}");
    assert!(seen.is_sorted_by_key(|progress| progress.lines));
    let end = Progress {
        lines: 1_701,
        bytes: text.len() as u64,
    };
    assert_eq!(seen.last(), Some(&end));
}

async fn two_imports_at_once_make_nobody_twice(test: &TestStore) {
    let mut text = "userPrincipalName\n".to_owned();
    for number in 0..800 {
        writeln!(text, "u{number}@a.example").unwrap();
    }
    let load = || loaded(test, What::Users, Format::Csv, text.clone().into_bytes());
    let (first, second) = tokio::join!(load(), load());
    let (first, second) = (counts(&first.unwrap()), counts(&second.unwrap()));
    assert_eq!(first[0] + second[0], 800);
    assert_eq!(first[2] + second[2], 800);
    assert_eq!(feed_of(test).await.len(), 800);
}
