//! Running the binary: commands, and servers that end with the test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;

use serde_json::Value;

/// The tutorial's application.
pub(crate) const APP: &str = "Symantec Web Security Service";

/// A command on a data folder.
pub(crate) fn muster(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command
        .arg("--data")
        .arg(data)
        .args(args)
        .env("MUSTER_ALLOW_INSECURE_TARGETS", "true")
        .env_remove("MUSTER_DATABASE")
        .stdin(Stdio::null());
    if let Some(url) = database(data) {
        command.env("MUSTER_DATABASE", url);
    }
    command
}

/// A data folder whose database is a file, wherever those of other tests are.
pub(crate) fn file_folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix(FILE).tempdir().unwrap()
}

/// How the name of such a folder begins.
const FILE: &str = "muster-file-";

/// With `MUSTER_TEST_BINARY=postgres` every data folder has a database of its own:
/// `MUSTER_TEST_BINARY=postgres cargo xtask with-postgres -- cargo nextest run -p muster-cli`
#[expect(clippy::disallowed_methods, reason = "whoever runs it says on what")]
fn database(data: &Path) -> Option<String> {
    static MADE: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());
    let mut names = data.iter().filter_map(std::ffi::OsStr::to_str);
    if std::env::var("MUSTER_TEST_BINARY").as_deref() != Ok("postgres")
        || names.any(|name| name.starts_with(FILE))
    {
        return None;
    }
    let make = || {
        let make = || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(muster_testkit::postgres_database())
        };
        // A test may be in a runtime already.
        std::thread::spawn(make).join().unwrap()
    };
    let mut made = MADE.lock().unwrap();
    Some(made.entry(data.to_owned()).or_insert_with(make).clone())
}

/// Runs a command to its end.
pub(crate) fn run(data: &Path, args: &[&str]) -> Output {
    muster(data, args).output().expect("the binary runs")
}

/// Runs a command that must succeed and answers its JSON.
#[track_caller]
pub(crate) fn json(data: &Path, args: &[&str]) -> Value {
    let output = run(data, &[args, &["--json"]].concat());
    assert!(output.status.success(), "{args:?}: {output:?}");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    serde_json::from_str(said.lines().last().unwrap_or_default()).expect("JSON")
}

/// Makes an integration; answers its SCIM URL and token.
pub(crate) fn receiver(data: &Path) -> (String, String) {
    let integration = json(data, &["integration", "create", "Receiver"]);
    let text = |name: &str| integration[name].as_str().expect(name).to_owned();
    (text("scimUrl"), text("token"))
}

/// Adds the tutorial's application with everybody in scope, and gives it credentials.
pub(crate) fn everybody(data: &Path, tenant_url: &str, token: &str) {
    json(data, &["app", "add", APP]);
    json(data, &["app", "scope", APP, "all"]);
    let credentials = ["--tenant-url", tenant_url, "--secret-token", token];
    json(
        data,
        &[&["app", "credentials", APP][..], &credentials].concat(),
    );
}

/// The exit code and the one line on standard error of a command that fails.
#[track_caller]
pub(crate) fn refusal(output: &Output) -> (Option<i32>, String) {
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    (output.status.code(), said)
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    /// Where its metrics are.
    pub(crate) metrics: Option<String>,
    /// The link for the first administrator, as long as there is none.
    pub(crate) welcome: Option<String>,
}

impl Server {
    /// Starts `muster serve` and waits until it listens.
    pub(crate) fn start(data: &Path, listen: &str) -> Self {
        let mut child = muster(data, &["serve", "--listen", listen, "--json"])
            .env("MUSTER_METRICS_LISTEN", "127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let said: Value = serde_json::from_str(&line).expect("what it says is JSON");
        let url = said["url"].as_str().expect("a URL").to_owned();
        let metrics = said["metrics"].as_str().map(str::to_owned);
        let welcome = said["welcome"].as_str().map(str::to_owned);
        Self {
            child,
            url,
            metrics,
            welcome,
        }
    }

    /// Asks it to end and waits; answers its exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(asked.is_ok_and(|asked| asked.success()));
        self.child.wait().ok()?.code()
    }

    /// Ends it without warning, as `kill -9` does.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that is free now.
pub(crate) fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
