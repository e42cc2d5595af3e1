//! Reading a body within bounds.

use std::time::Duration;

use axum::body::{Body, Bytes};

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than allowed.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// The connection broke off.
    Broken,
}

/// Reads a body of at most `most` bytes within a time.
pub async fn read_body(body: Body, most: usize, time: Duration) -> Result<Bytes, BodyError> {
    match tokio::time::timeout(time, axum::body::to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let source = std::error::Error::source(&error);
            let limit = source.is_some_and(|source| source.to_string().contains("length limit"));
            Err(if limit {
                BodyError::TooLarge
            } else {
                BodyError::Broken
            })
        }
        Err(_) => Err(BodyError::TooSlow),
    }
}
