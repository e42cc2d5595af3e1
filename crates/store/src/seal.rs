//! Secrets at rest: sealed with XChaCha20-Poly1305 under a key that never enters the database.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use muster_model::Secret;

use crate::StoreError;

const NONCE: usize = 24;

/// The key that seals secrets.
pub struct SealingKey(XChaCha20Poly1305);

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey(***)")
    }
}

impl SealingKey {
    /// The key with these 32 bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(&Key::from(*bytes)))
    }

    /// Seals a text; `place` (which row it belongs to) must be given again to open it, so that a
    /// sealed value cannot be moved to another row.
    pub fn seal(&self, place: &[u8], text: &Secret<String>) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0_u8; NONCE];
        getrandom::fill(&mut nonce)
            .map_err(|error| StoreError::Sql(format!("no randomness from the system: {error}")))?;
        let payload = Payload {
            msg: text.expose().as_bytes(),
            aad: place,
        };
        let sealed = self
            .0
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| StoreError::Unsealable)?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`SealingKey::seal`] made for the same place.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Result<Secret<String>, StoreError> {
        let (nonce, sealed) = sealed
            .split_at_checked(NONCE)
            .ok_or(StoreError::Unsealable)?;
        let nonce = <[u8; NONCE]>::try_from(nonce).map_err(|_| StoreError::Unsealable)?;
        let payload = Payload {
            msg: sealed,
            aad: place,
        };
        let text = self
            .0
            .decrypt(&XNonce::from(nonce), payload)
            .map_err(|_| StoreError::Unsealable)?;
        String::from_utf8(text)
            .map(Secret::new)
            .map_err(|_| StoreError::Unsealable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_text_opens_only_with_its_key_and_place() {
        let key = SealingKey::from_bytes(&[7; 32]);
        let text = Secret::new("mst_example".to_owned());
        let sealed = key.seal(b"job 1", &text).unwrap();
        assert_eq!(key.open(b"job 1", &sealed).unwrap(), text);
        assert!(key.open(b"job 2", &sealed).is_err());
        assert!(
            SealingKey::from_bytes(&[8; 32])
                .open(b"job 1", &sealed)
                .is_err()
        );
        assert!(!sealed.windows(7).any(|part| part == b"example"));
    }
}
