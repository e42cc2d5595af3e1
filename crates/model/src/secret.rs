//! A value that must not be printed.

use std::fmt;

use zeroize::Zeroize;

/// Prints as `***`, is wiped when dropped, and can be read only by [`Secret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Hides a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself; the caller sees to it that it reaches no log.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Zeroize> fmt::Display for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// 256 random bits. The error says that the system gives no randomness.
pub fn random_bytes() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A new token: 256 random bits in hexadecimal behind the prefix by which it is recognised.
/// The error says that the system gives no randomness.
pub fn new_token() -> Result<Secret<String>, getrandom::Error> {
    let mut bytes = random_bytes()?;
    let mut token = String::with_capacity(TOKEN_PREFIX.len() + 64);
    token.push_str(TOKEN_PREFIX);
    for byte in bytes {
        for half in [byte >> 4, byte & 15] {
            token.push(char::from_digit(half.into(), 16).unwrap_or('0'));
        }
    }
    bytes.zeroize();
    Ok(Secret::new(token))
}

/// How tokens of ours begin.
pub const TOKEN_PREFIX: &str = "mst_";

#[cfg(test)]
mod tests {
    use super::{Secret, new_token};

    #[test]
    fn tokens_are_long_recognisable_and_never_the_same() {
        let (one, two) = (new_token().unwrap(), new_token().unwrap());
        assert!(one.expose().starts_with("mst_") && one.expose().len() == 68);
        assert_ne!(one, two);
    }

    #[test]
    fn a_secret_never_prints_itself() {
        let token = Secret::new("mst_abc".to_owned());
        assert_eq!(format!("{token} {token:?}"), "*** ***");
        assert_eq!(token.expose(), "mst_abc");
    }
}
