//! Import of broken and hostile files: what is refused, and what is kept.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_app::AppError;
use muster_app::import::{Format, Report, What, import};
use muster_model::Clock;
use muster_testkit::{FixedClock, TestStore};

use crate::import::{counts, load};
use crate::{TENANT, feed_of, on_both, user_named};

on_both!(
    each_broken_line_is_told_with_its_column_and_the_good_ones_are_kept,
    each_broken_json_line_is_told_and_the_good_ones_are_kept,
    an_id_and_a_name_of_two_users_are_refused,
    a_wrong_header_is_refused_and_nothing_is_written,
    many_broken_lines_are_all_counted_and_a_thousand_kept,
    a_long_line_is_refused_early_or_skipped,
    nul_bytes_and_ten_thousand_columns_harm_nothing,
    an_input_that_fails_keeps_what_came_before,
);

fn told(report: &Report) -> Vec<String> {
    report.bad.iter().map(ToString::to_string).collect()
}

async fn each_broken_line_is_told_with_its_column_and_the_good_ones_are_kept(test: &TestStore) {
    let mut text = b"id,userPrincipalName,accountEnabled,employeeHireDate,displayName\n\
        ,first@a.example,true,2026-03-01T09:00:00Z,First\n\
        ,short@a.example,true\n\
        ,long@a.example,true,,Long,and,longer\n\
        ,bool@a.example,perhaps,,\n\
        ,date@a.example,true,01/03/2026,\n\
        12345,id@a.example,true,,\n\
        ,,true,,Nameless\n\
        ,\"two\nlines@a.example\",true,,\n\
        ,quote@a.example,true,,\"never closed\n\
        ,middle@a.example,true,,\"Middle, kept\"\n\
        ,latin@a.example,true,,"
        .to_vec();
    text.extend_from_slice(b"Ren\xE9\n");
    text.extend_from_slice(format!(",{}@a.example,true,,\n", "x".repeat(300)).as_bytes());
    text.extend_from_slice(format!(",big@a.example,true,,{}\n", "x".repeat(40_000)).as_bytes());
    text.extend_from_slice(b",last@a.example,true,,\"open");
    let report = load(test, What::Users, Format::Csv, text).await.unwrap();
    assert_eq!(
        told(&report),
        [
            "line 3, employeeHireDate: the line has 3 cells, the header 5 columns",
            "line 4: the line has 7 cells, the header 5 columns",
            "line 5, accountEnabled: must be true or false, not `perhaps`",
            "line 6, employeeHireDate: `01/03/2026` is not a date and time such as \
             2026-03-01T09:00:00Z",
            "line 7, id: `12345` is not an id such as 0190f0d5-7c1e-7a63-9f6b-0f9c2d3e4a5b",
            "line 8, userPrincipalName: is missing",
            "line 9, userPrincipalName: holds a line break or another control character",
            "line 11, displayName: goes on behind its closing quote; write a quote inside a \
             quoted field twice",
            "line 13, displayName: is not UTF-8 text; save the file as CSV UTF-8",
            "line 14, userPrincipalName: is longer than 256 characters",
            "line 15, displayName: is longer than 32 KiB",
            "line 16, displayName: begins with a quote that is never closed",
        ]
    );
    assert_eq!(counts(&report), [2, 0, 0, 12]);
    for kept in ["first@a.example", "middle@a.example"] {
        assert!(user_named(test, kept).await.is_some(), "{kept}");
    }
    assert_eq!(feed_of(test).await.len(), 2);
}

async fn each_broken_json_line_is_told_and_the_good_ones_are_kept(test: &TestStore) {
    let mut text = br#"{"userPrincipalName":"first@a.example"}
        {"userPrincipalName":"cut@a.example"
        ["userPrincipalName"]
        {"displayName":"Nameless"}
        {"userPrincipalName":null}
        {"userPrincipalName":"a@a.example","favouriteColour":"red"}
        {"userPrincipalName":"a@a.example","jobtitle":"Poet"}
        {"userPrincipalName":"a@a.example","employeeId":12}
        {"userPrincipalName":"a@a.example","accountEnabled":"maybe"}
        {"userPrincipalName":"a@a.example","otherMails":[["a"]]}
        {"userPrincipalName":"a@a.example","manager":{"name":"x"}}
        {"userPrincipalName":"a@a.example","displayName":"a\u0000b"}
        {"userPrincipalName":"last@a.example"}
"#
    .to_vec();
    text.extend_from_slice(b"{\"userPrincipalName\":\"\xFF\"}\n");
    text.extend_from_slice("[".repeat(100_000).as_bytes());
    let report = load(test, What::Users, Format::JsonLines, text)
        .await
        .unwrap();
    let told = told(&report);
    assert!(
        told[0].starts_with("line 2: is not a JSON object: EOF while"),
        "{}",
        told[0]
    );
    assert!(
        told[1].starts_with("line 3: is not a JSON object: invalid type"),
        "{}",
        told[1]
    );
    assert_eq!(
        told[2..12],
        [
            "line 4, userPrincipalName: is missing",
            "line 5, userPrincipalName: is missing",
            "line 6, favouriteColour: is not a property of a user; leave it out",
            "line 7, jobtitle: is not a property of a user; did you mean `jobTitle`?",
            "line 8, employeeId: must be a text",
            "line 9, accountEnabled: must be true or false, not `maybe`",
            "line 10, otherMails: must be a text",
            "line 11, manager: names neither `id` nor `userPrincipalName`",
            "line 12, displayName: holds a NUL character",
            "line 14: is not UTF-8 text",
        ]
    );
    assert_eq!(counts(&report), [2, 0, 0, 13]);
    let array = load(test, What::Users, Format::JsonLines, "[\n{}\n]").await;
    assert!(array.unwrap_err().to_string().contains("JSON array"));
    let text = r#"{"groupId":"a","memberID":"b"}"#;
    let report = load(test, What::Memberships, Format::JsonLines, text)
        .await
        .unwrap();
    assert_eq!(
        report.bad[0].to_string(),
        "line 1, memberID: is not a property of a membership; did you mean `memberId`?"
    );
}

async fn an_id_and_a_name_of_two_users_are_refused(test: &TestStore) {
    let (ana, bo) = (
        "11111111-2222-4333-8444-000000000001",
        "11111111-2222-4333-8444-000000000002",
    );
    let text = format!("id,userPrincipalName\n{ana},ana@a.example\n{bo},bo@a.example\n");
    load(test, What::Users, Format::Csv, text).await.unwrap();
    for id in [bo, "11111111-2222-4333-8444-000000000003"] {
        let text = format!("id,userPrincipalName\n{id},ANA@a.example\n");
        let report = load(test, What::Users, Format::Csv, text).await.unwrap();
        let reason = format!(
            "line 2, id: {id} is given, but `ana@a.example` is the user {ana}; give that id or \
             none, or another userPrincipalName"
        );
        assert_eq!(told(&report), [reason]);
    }
    assert_eq!(feed_of(test).await.len(), 2);
}

async fn a_wrong_header_is_refused_and_nothing_is_written(test: &TestStore) {
    let too_many = vec!["a"; 10_000].join(",");
    for (what, header, want) in [
        (
            What::Users,
            "userPrincpalName",
            "`userPrincpalName` is not known for users; did you mean `userPrincipalName`?",
        ),
        (
            What::Users,
            "userPrincipalName,Job Title",
            "`Job Title` is not known for users; did you mean `jobTitle`?",
        ),
        (
            What::Users,
            "userPrincipalName,mail,mail",
            "names column `mail` twice",
        ),
        (
            What::Users,
            "userPrincipalName;mail",
            "put commas between columns",
        ),
        (
            What::Users,
            "userPrincipalName,",
            "column 2 of the header has no name",
        ),
        (
            What::Users,
            "id,displayName",
            "a file of users needs the column `userPrincipalName`",
        ),
        (
            What::Groups,
            "id,description",
            "a file of groups needs the column `displayName`",
        ),
        (
            What::Groups,
            "displayName,securityenabled",
            "did you mean `securityEnabled`?",
        ),
        (
            What::Memberships,
            "groupId,member",
            "did you mean `memberId`?",
        ),
        (What::Memberships, "groupId", "needs the column `memberId`"),
        (
            What::Users,
            "\"userPrincipalName",
            "a quote that is never closed",
        ),
        (What::Users, "", "the file is empty"),
        (What::Users, &too_many, "more than 200 columns"),
    ] {
        let text = if header.is_empty() {
            String::new()
        } else {
            format!("{header}\na,b,c\n")
        };
        let refused = load(test, what, Format::Csv, text).await;
        let Err(AppError::Invalid(reason)) = refused else {
            panic!("{header}: {refused:?}")
        };
        assert!(reason.contains(want), "{reason}");
        assert!(reason.len() < 300 && !reason.contains('\n'), "{reason}");
    }
    assert_eq!(feed_of(test).await, []);
}

async fn many_broken_lines_are_all_counted_and_a_thousand_kept(test: &TestStore) {
    let text = format!(
        "userPrincipalName,mail\n{}ana@a.example,\n",
        "broken\n".repeat(2_500)
    );
    let report = load(test, What::Users, Format::Csv, text).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 0, 2_500]);
    assert_eq!((report.bad.len(), report.bad[999].line), (1_000, 1_001));
}

/// Gives so many bytes without a line break, and counts those that were taken.
struct Endless {
    left: u64,
    taken: Arc<AtomicU64>,
}

impl Read for Endless {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let size = out
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        out[..size].fill(b'x');
        self.left -= size as u64;
        self.taken.fetch_add(size as u64, Ordering::Relaxed);
        Ok(size)
    }
}

async fn a_long_line_is_refused_early_or_skipped(test: &TestStore) {
    let clock: Arc<dyn Clock> = FixedClock::at("2026-03-01T09:00:00Z");
    for format in [Format::Csv, Format::JsonLines] {
        let taken = Arc::new(AtomicU64::new(0));
        let input = Box::new(Endless {
            left: 100 << 20,
            taken: Arc::clone(&taken),
        });
        let refused = import(
            &test.store,
            TENANT,
            &clock,
            What::Users,
            format,
            input,
            &|_| {},
        )
        .await;
        let Err(AppError::Invalid(reason)) = refused else {
            panic!("{refused:?}")
        };
        assert!(reason.contains("longer than 1024 KiB"), "{reason}");
        assert!(
            taken.load(Ordering::Relaxed) < 3 << 20,
            "{}",
            taken.load(Ordering::Relaxed)
        );
    }
    let head = io::Cursor::new(b"userPrincipalName\nana@a.example\n".to_vec());
    let long = Endless {
        left: 100 << 20,
        taken: Arc::default(),
    };
    let tail = io::Cursor::new(b"\nbo@a.example\n".to_vec());
    let input = Box::new(head.chain(long).chain(tail));
    let report = import(
        &test.store,
        TENANT,
        &clock,
        What::Users,
        Format::Csv,
        input,
        &|_| {},
    )
    .await;
    let report = report.unwrap();
    assert_eq!(counts(&report), [2, 0, 0, 1]);
    assert_eq!(
        told(&report),
        ["line 3: is longer than 1024 KiB; it was skipped"]
    );
}

async fn nul_bytes_and_ten_thousand_columns_harm_nothing(test: &TestStore) {
    let wide = ",".repeat(10_000);
    let text =
        format!("userPrincipalName,city\na\0@a.example,\nb@a.example,\0\n{wide}\nc@a.example,\n");
    let report = load(test, What::Users, Format::Csv, text).await.unwrap();
    assert_eq!(
        told(&report),
        [
            "line 2, userPrincipalName: holds a NUL character",
            "line 3, city: holds a NUL character",
            "line 4: has more than 200 columns",
        ]
    );
    assert_eq!(counts(&report), [1, 0, 0, 3]);
    let refused = load(test, What::Users, Format::Csv, vec![0; 2_000]).await;
    assert!(matches!(refused, Err(AppError::Invalid(_))), "{refused:?}");
    let names: Vec<String> = (0..10_000)
        .map(|number| format!("\"extension_{number}\":1"))
        .collect();
    let text = format!(
        "{{\"userPrincipalName\":\"a@a.example\",{}}}",
        names.join(",")
    );
    let report = load(test, What::Users, Format::JsonLines, text)
        .await
        .unwrap();
    assert_eq!(told(&report), ["line 1: has more than 200 members"]);
}

/// Fails.
struct Torn;

impl Read for Torn {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the cable is out"))
    }
}

async fn an_input_that_fails_keeps_what_came_before(test: &TestStore) {
    let clock: Arc<dyn Clock> = FixedClock::at("2026-03-01T09:00:00Z");
    let input =
        Box::new(io::Cursor::new(b"userPrincipalName\nana@a.example\n".to_vec()).chain(Torn));
    let failed = import(
        &test.store,
        TENANT,
        &clock,
        What::Users,
        Format::Csv,
        input,
        &|_| {},
    )
    .await;
    let Err(AppError::Invalid(reason)) = failed else {
        panic!("{failed:?}")
    };
    assert!(
        reason.starts_with("the input cannot be read after line 2: the cable is out"),
        "{reason}"
    );
    assert!(user_named(test, "ana@a.example").await.is_some());
}
