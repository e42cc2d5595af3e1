//! The data folder: who holds it, and the sealing key.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use muster_store::{SealingKey, StoreUrl};

use crate::config::Config;

/// The data folder, held by this process until dropped.
#[derive(Debug)]
pub(crate) struct Home {
    lock: File,
}

/// Somebody else holds the data folder.
#[derive(Debug)]
pub(crate) struct HeldBy {
    /// `pid 4711, muster serve`
    pub(crate) who: String,
}

impl Home {
    /// Takes the folder, making it when needed; `Err(HeldBy)` when another process has it.
    pub(crate) fn take(folder: &Path, who: &str) -> Result<std::result::Result<Self, HeldBy>> {
        let not_usable = || format!("the data folder {} cannot be used", folder.display());
        if !folder.exists() {
            std::fs::create_dir_all(folder).with_context(not_usable)?;
            std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700))
                .with_context(not_usable)?;
        }
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join("muster.lock"))
            .with_context(not_usable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut who = String::new();
                let _ = (&lock).take(200).read_to_string(&mut who);
                return Ok(Err(HeldBy {
                    who: who.trim().to_owned(),
                }));
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(not_usable),
        }
        let said = format!("process {}, muster {who}", std::process::id());
        lock.set_len(0)
            .and_then(|()| (&lock).rewind())
            .and_then(|()| (&lock).write_all(said.as_bytes()))
            .with_context(not_usable)?;
        Ok(Ok(Self { lock }))
    }

    /// Where the server that holds a folder takes commands.
    pub(crate) fn socket(folder: &Path) -> PathBuf {
        folder.join("muster.sock")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = self.lock.unlock();
    }
}

/// The sealing key: from the environment, or from the data folder, where it is made when missing.
pub(crate) fn sealing_key(config: &Config) -> Result<SealingKey> {
    if let Some(text) = &config.key {
        return parse_key(text)
            .context("MUSTER_KEY must be 64 hexadecimal digits (32 random bytes)");
    }
    let path = config.data.join("muster.key");
    let not_usable = || format!("the sealing key {} cannot be used", path.display());
    if !path.exists() {
        if let StoreUrl::File(database) = &config.database
            && database.exists()
        {
            bail!(
                "the sealing key {} is missing, and without it the secrets in {} cannot be read; \
                 put it back from a backup, or set MUSTER_KEY",
                path.display(),
                database.display()
            );
        }
        std::fs::create_dir_all(&config.data).with_context(not_usable)?;
        let key = muster_model::secret::new_token()
            .map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?;
        let hex = key
            .expose()
            .trim_start_matches(muster_model::secret::TOKEN_PREFIX);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(not_usable)?;
        file.write_all(hex.as_bytes())
            .and_then(|()| file.sync_all())
            .with_context(not_usable)?;
    }
    let text = std::fs::read_to_string(&path).with_context(not_usable)?;
    parse_key(text.trim()).with_context(|| {
        format!(
            "{} does not hold a key: 64 hexadecimal digits",
            path.display()
        )
    })
}

fn parse_key(text: &str) -> Result<SealingKey> {
    let mut bytes = [0_u8; 32];
    if text.len() != 64 || !text.is_ascii() {
        bail!("it has {} characters", text.len());
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16)
            .context("it holds something else than hexadecimal digits")?;
    }
    Ok(SealingKey::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_process_and_says_by_whom() {
        let folder = tempfile::tempdir().unwrap();
        let held = Home::take(folder.path(), "serve").unwrap().unwrap();
        let refused = Home::take(folder.path(), "import").unwrap().unwrap_err();
        assert!(refused.who.ends_with("muster serve"), "{}", refused.who);
        drop(held);
        assert!(Home::take(folder.path(), "import").unwrap().is_ok());
    }
}
