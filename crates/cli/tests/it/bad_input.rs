//! Bad input gets one clear line and the right exit code, and nothing is lost.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::run::{Server, file_folder, free_port, json, muster, refusal, run};

const APP: &str = "Symantec Web Security Service";

fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_broken_line_is_reported_and_the_good_ones_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let users = file(
        folder.path(),
        "users.csv",
        "userPrincipalName,displayName,accountEnabled\n\
         ana@example.test,Ana,true\n\
         bo@example.test,Bo,maybe\n\
         carl@example.test,Carl\n\
         dora@example.test,Dora,false\n",
    );
    let output = run(&data, &["import", &users, "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&report["created"], &report["failed"]),
        (&2.into(), &2.into()),
        "{report}"
    );
    assert_eq!(
        (&report["bad"][0]["line"], &report["bad"][0]["column"]),
        (&3.into(), &"accountEnabled".into())
    );
    assert_eq!(report["bad"][1]["line"], 4);
    let again = json(&data, &["app", "list"]);
    assert_eq!(again, serde_json::json!([]));
}

/// The result of saving credentials for a target.
fn credentials(data: &Path, url: &str, token: &str) -> (Option<i32>, String) {
    json(data, &["app", "add", APP]);
    let args = [
        "app",
        "credentials",
        APP,
        "--tenant-url",
        url,
        "--secret-token",
        token,
    ];
    refusal(&run(data, &args))
}

#[test]
fn a_wrong_token_is_told_from_a_wrong_url() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "127.0.0.1:0");
    let integration = json(folder.path(), &["integration", "create", "Receiver"]);
    let url = integration["scimUrl"].as_str().unwrap();
    let (code, said) = credentials(folder.path(), url, "mst_wrong");
    assert_eq!(code, Some(1));
    assert!(
        said.contains("refused the secret token (HTTP 401"),
        "{said}"
    );

    let token = integration["token"].as_str().unwrap();
    let test = |url: &str| {
        let args = [
            "app",
            "test-connection",
            APP,
            "--tenant-url",
            url,
            "--secret-token",
            token,
        ];
        refusal(&run(folder.path(), &args))
    };
    let (code, said) = test(&format!("{}/nothing/here", server.url));
    assert_eq!(code, Some(1));
    assert!(said.contains("NotFound") && said.contains("404"), "{said}");
    let (code, said) = test(&format!("http://127.0.0.1:{}/scim", free_port()));
    assert_eq!(code, Some(1));
    assert!(
        said.contains("CannotConnect") && said.contains("refused"),
        "{said}"
    );
    let (code, said) = test("example.com/scim");
    assert_eq!(code, Some(1));
    assert!(said.contains("is not a URL"), "{said}");
}

#[test]
fn an_insecure_target_is_refused_unless_it_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    json(folder.path(), &["app", "add", APP]);
    let args = [
        "app",
        "test-connection",
        APP,
        "--tenant-url",
        "http://127.0.0.1:1/scim",
        "--secret-token",
        "x",
    ];
    let output = muster(folder.path(), &args)
        .env_remove("MUSTER_ALLOW_INSECURE_TARGETS")
        .output()
        .unwrap();
    let (code, said) = refusal(&output);
    assert_eq!(code, Some(1));
    assert!(
        said.contains("NotAllowed") && said.contains("MUSTER_ALLOW_INSECURE_TARGETS"),
        "{said}"
    );
}

/// Answers every request with a page, as a server does whose SCIM address is another.
fn html_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(20).flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4096]);
            let page = "<!DOCTYPE html><title>Sign in</title>";
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n{page}",
                page.len()
            );
        }
    });
    port
}

#[test]
fn a_target_that_answers_html_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{}/scim", html_server());
    let (code, said) = credentials(folder.path(), &url, "token");
    assert_eq!(code, Some(1));
    assert!(
        said.contains("not in SCIM") && said.contains("HTML"),
        "{said}"
    );
    let shown = json(folder.path(), &["app", "show", APP]);
    assert_eq!(shown["tenantUrl"], serde_json::Value::Null);
}

#[test]
fn a_data_folder_in_use_names_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let _server = Server::start(folder.path(), "127.0.0.1:0");
    let (code, said) = refusal(&run(folder.path(), &["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(code, Some(1));
    assert!(
        said.contains("is in use by process") && said.contains("muster serve"),
        "{said}"
    );
}

#[test]
fn no_file_is_taken_for_a_database_outside_the_folder_that_locks_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let elsewhere = folder.path().join("shared.db");
    let file = elsewhere.to_str().unwrap();
    let sqlite = format!("sqlite:{file}");
    for url in [file, sqlite.as_str(), "mysql://root:hidden@host/name"] {
        let (code, said) = refusal(&run(&data, &["app", "list", "--database", url]));
        assert_eq!(code, Some(2));
        assert!(said.contains("postgres://user@host/name"), "{said}");
        assert!(!said.contains("hidden"), "{said}");
    }
    assert!(!elsewhere.exists() && !data.exists(), "nothing is made");
}

#[test]
fn an_address_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = refusal(&run(folder.path(), &["serve", "--listen", &address]));
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&address) && said.contains("--listen"),
        "{said}"
    );
}

#[test]
fn a_database_newer_than_the_binary_is_left_alone() {
    let folder = file_folder();
    json(folder.path(), &["app", "list"]);
    let database = folder.path().join("muster.db");
    let newer = rusqlite::Connection::open(&database).unwrap();
    newer
        .execute("INSERT INTO schema_migrations (number) VALUES (999)", [])
        .unwrap();
    drop(newer);
    let (code, said) = refusal(&run(folder.path(), &["app", "list"]));
    assert_eq!(code, Some(1));
    assert!(
        said.contains("schema version 999") && said.contains("newer muster"),
        "{said}"
    );
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let folder = file_folder();
    std::fs::write(
        folder.path().join("muster.db"),
        "this is no database at all, is it?",
    )
    .unwrap();
    let (code, said) = refusal(&run(folder.path(), &["app", "list"]));
    assert_eq!(code, Some(1));
    assert!(said.contains("muster.db"), "{said}");
}

#[test]
fn an_unknown_key_of_the_configuration_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(
        folder.path(),
        "muster.toml",
        "[targets]\nallow_insecur = true\n",
    );
    let (code, said) = refusal(&run(folder.path(), &["app", "list", "--config", &config]));
    assert_eq!(code, Some(2));
    assert!(
        said.contains("line 2") && said.contains("allow_insecur"),
        "{said}"
    );
}

#[test]
fn what_cannot_be_meant_is_bad_usage() {
    let folder = tempfile::tempdir().unwrap();
    json(folder.path(), &["app", "add", APP]);
    let credentials = ["app", "credentials", APP, "--tenant-url", "https://x.test"];
    let (code, said) = refusal(&run(folder.path(), &credentials));
    assert_eq!(code, Some(2));
    assert!(said.contains("--secret-token-file"), "{said}");
    for (name, value) in [
        ("MUSTER_LISTEN", "everywhere"),
        ("MUSTER_ALLOW_INSECURE_TARGETS", "maybe"),
        ("MUSTER_PUBLIC_URL", "example.test"),
        ("MUSTER_DATABASE", "here.db"),
    ] {
        let mut command = muster(folder.path(), &["app", "list"]);
        let (code, said) = refusal(&command.env(name, value).output().unwrap());
        assert_eq!(code, Some(2), "{name}: {said}");
    }
}

#[test]
fn of_several_files_none_is_loaded_when_one_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let users = file(
        folder.path(),
        "users.csv",
        "userPrincipalName\nana@example.test\n",
    );
    let missing = folder.path().join("groups.csv").display().to_string();
    for second in [missing.as_str(), folder.path().to_str().unwrap()] {
        let (code, said) = refusal(&run(folder.path(), &["import", &users, second]));
        assert_eq!(code, Some(1));
        assert!(said.contains(second), "{said}");
    }
    let report = json(folder.path(), &["import", &users]);
    assert_eq!(report["created"], 1);
}

#[test]
fn a_lost_sealing_key_is_not_replaced() {
    let folder = file_folder();
    json(folder.path(), &["app", "add", APP]);
    let mode = |name: &str| {
        let data = std::fs::metadata(folder.path().join(name)).unwrap();
        data.permissions().mode() & 0o777
    };
    assert_eq!((mode("muster.db"), mode("muster.key")), (0o600, 0o600));
    std::fs::remove_file(folder.path().join("muster.key")).unwrap();
    let (code, said) = refusal(&run(folder.path(), &["app", "list"]));
    assert_eq!(code, Some(1));
    assert!(said.contains("muster.key is missing"), "{said}");
    assert!(!folder.path().join("muster.key").exists());
}

/// On a file system of a few megabytes that was made for this test. What was there before the disk
/// was full is there afterwards, and everything goes on when there is room again.
#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let small = file(
        folder.path(),
        "small.csv",
        "userPrincipalName\nana@example.test\n",
    );
    let mut many = String::from("userPrincipalName,displayName,jobTitle\n");
    for number in 0..40_000 {
        let filler = "x".repeat(200);
        let _ = writeln!(many, "user{number}@example.test,User {number},{filler}");
    }
    let large = file(folder.path(), "large.csv", &many);
    let data = folder.path().join("disk");
    std::fs::create_dir(&data).unwrap();
    let script = format!(
        "set -e; mount -t tmpfs -o size=8m muster '{data}'; \
         '{muster}' --data '{data}/d' import --kind users '{small}'; \
         set +e; '{muster}' --data '{data}/d' import --kind users '{large}'; code=$?; set -e; \
         echo \"code $code\"; mount -o remount,size=200m '{data}'; \
         '{muster}' --data '{data}/d' import --kind users '{small}'; \
         '{muster}' --data '{data}/d' import --kind users '{large}' | tail -1; umount '{data}'",
        data = data.display(),
        muster = env!("CARGO_BIN_EXE_muster"),
    );
    // A mount of our own needs a name space of our own, as root or as anybody else.
    let output = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", &script])
        .output()
        .expect("unshare (Debian: util-linux)");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert!(output.status.success(), "{said} {complaint}");
    assert!(said.contains("code 1"), "{said}");
    assert!(
        complaint.contains("disk") && complaint.contains("full"),
        "{complaint}"
    );
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    assert!(said.contains("0 created, 0 updated, 1 unchanged"), "{said}");
    assert!(said.lines().last().unwrap().contains("0 failed"), "{said}");
}
