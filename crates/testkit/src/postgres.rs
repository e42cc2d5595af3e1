//! A private PostgreSQL cluster: made from the installed binaries, ended with its owner.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a cluster may take to answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running cluster that listens on a socket in a temporary folder; stopped when dropped.
#[derive(Debug)]
pub struct Cluster {
    folder: TempDir,
    server: Child,
}

impl Cluster {
    /// Makes and starts a cluster.
    ///
    /// PostgreSQL refuses to run as root; there it runs as `nobody`.
    pub fn start() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("muster-pg-").tempdir()?;
        let owner = owner_for(folder.path())?;
        let data = folder.path().join("data");
        let made = as_user(&binary("initdb")?, owner)
            .args(["--pgdata".as_ref(), data.as_os_str()])
            .args([
                "--username=muster",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--no-sync", "--no-instructions"])
            .current_dir(folder.path())
            .output()?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(io::Error::other(format!("initdb failed: {said}")));
        }
        let log = std::fs::File::create(folder.path().join("server.log"))?;
        let server = as_user(&binary("postgres")?, owner)
            .args(["-D".as_ref(), data.as_os_str()])
            .args(["-k".as_ref(), folder.path().as_os_str()])
            .args(["-c", "listen_addresses=", "-c", "max_connections=200"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut cluster = Self { folder, server };
        cluster.wait()?;
        Ok(cluster)
    }

    fn wait(&mut self) -> io::Result<()> {
        // The server writes `ready` into this file when it takes connections.
        let status = self.folder.path().join("data/postmaster.pid");
        let begun = Instant::now();
        loop {
            let said = std::fs::read_to_string(&status).unwrap_or_default();
            if said.lines().any(|line| line.trim() == "ready") {
                return Ok(());
            }
            if let Some(status) = self.server.try_wait()? {
                return Err(io::Error::other(format!(
                    "postgres ended at once: {status}"
                )));
            }
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::other("postgres did not answer within a minute"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
        let host = self.folder.path().to_string_lossy().replace('/', "%2F");
        format!("postgresql://muster@{host}/{database}")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Immediate shutdown: nothing of it is kept.
        let _ = Command::new("kill")
            .args(["-QUIT", &self.server.id().to_string()])
            .status();
        let _ = self.server.wait();
    }
}

fn as_user(program: &Path, owner: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = owner {
        command.gid(group).uid(user);
    }
    command
}

/// Who must own the cluster: `nobody` when we are root, otherwise whoever we are.
fn owner_for(folder: &Path) -> io::Result<Option<(u32, u32)>> {
    if std::fs::metadata(folder)?.uid() != 0 {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd")?;
    let ids = |line: &str| -> Option<(u32, u32)> {
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    let (user, group) = accounts
        .lines()
        .find(|line| line.starts_with("nobody:"))
        .and_then(ids)
        .ok_or_else(|| io::Error::other("no user `nobody` to run PostgreSQL as"))?;
    std::os::unix::fs::chown(folder, Some(user), Some(group))?;
    std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700))?;
    Ok(Some((user, group)))
}

/// Debian keeps the server's binaries apart from the PATH.
fn binary(name: &str) -> io::Result<PathBuf> {
    let mut places: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin").join(name))
        .collect();
    places.sort();
    places.reverse();
    places.extend(
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|folder| folder.join(name)),
    );
    places
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| {
            io::Error::other(format!(
                "`{name}` is not installed (Debian: apt-get install postgresql)"
            ))
        })
}
