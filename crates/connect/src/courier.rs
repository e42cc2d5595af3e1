//! Messages to others over HTTP.

use std::time::Duration;

use async_trait::async_trait;
use muster_engine::port::{Courier, Receipt};
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};

use crate::Http;

/// Time for one answer: a receiver is asked to take a message, not to work it off.
const ANSWER: Duration = Duration::from_secs(15);

#[async_trait]
impl Courier for Http {
    fn check(&self, url: &str) -> Result<(), String> {
        self.policy()
            .check(url)
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<Receipt, String> {
        self.check(url)?;
        let mut request = self
            .client()
            .post(url)
            .timeout(ANSWER)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let response = request
            .send()
            .await
            .map_err(|error| error.without_url().to_string())?;
        let seconds = response.headers().get(RETRY_AFTER);
        let seconds = seconds.and_then(|it| it.to_str().ok()?.trim().parse().ok());
        Ok(Receipt {
            status: response.status().as_u16(),
            retry_after: seconds.map(Duration::from_secs),
        })
    }
}
