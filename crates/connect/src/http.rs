//! The one place where HTTP clients are built, and what they may reach.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect;

/// Time to connect (section 15, 3).
const CONNECT: Duration = Duration::from_secs(10);
/// Time for one answer (section 15, 3).
pub(crate) const ANSWER: Duration = Duration::from_mins(1);

/// What outbound connections may reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboundPolicy {
    /// Plain http, and addresses of this machine. For demonstrations and tests.
    pub allow_insecure: bool,
}

/// The address may not be used as a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// It is no URL.
    #[error("`{0}` is not a URL such as https://example.com/scim/v2")]
    NotAUrl(String),
    /// Plain http.
    #[error(
        "the target {0} is not https; use https, or set MUSTER_ALLOW_INSECURE_TARGETS=true \
         (targets.allow_insecure) if this is a test on your own machine"
    )]
    NotHttps(String),
    /// An address that no target has.
    #[error(
        "the address {0} belongs to this machine or its network fabric and is refused as a target; \
         for a test on your own machine set MUSTER_ALLOW_INSECURE_TARGETS=true \
         (targets.allow_insecure)"
    )]
    Forbidden(String),
    /// What is to be trusted cannot be read.
    #[error(
        "the file of trusted certificates (targets.authority) holds no certificate in PEM: {0}"
    )]
    Authority(String),
    /// The client cannot be made.
    #[error("the HTTP client failed: {0}")]
    Client(String),
    /// Another status than 200.
    #[error("the server answered HTTP {0}")]
    Answer(u16),
}

impl OutboundPolicy {
    /// May this URL be called? Host names are checked again when they are resolved.
    pub fn check(self, url: &str) -> Result<reqwest::Url, HttpError> {
        let parsed = reqwest::Url::parse(url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| HttpError::NotAUrl(url.chars().take(100).collect()))?;
        let host = parsed.host_str().unwrap_or_default().to_owned();
        if parsed.scheme() != "https" && !self.allow_insecure {
            return Err(HttpError::NotHttps(host));
        }
        let literal = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        let forbidden = match literal {
            Ok(address) => !self.allows(address),
            Err(_) => host.eq_ignore_ascii_case("localhost") && !self.allow_insecure,
        };
        if forbidden {
            Err(HttpError::Forbidden(host))
        } else {
            Ok(parsed)
        }
    }

    /// May this address be called? Link-local addresses (where clouds keep their metadata) never.
    fn allows(self, address: IpAddr) -> bool {
        let address = match address {
            IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
            IpAddr::V4(_) => address,
        };
        let (never, local) = match address {
            IpAddr::V4(v4) => (
                v4.is_link_local() || v4.is_multicast() || v4.is_broadcast(),
                v4.is_loopback(),
            ),
            IpAddr::V6(v6) => (
                v6.is_unicast_link_local() || v6.is_multicast(),
                v6.is_loopback(),
            ),
        };
        !never && !(address.is_unspecified()) && (!local || self.allow_insecure)
    }
}

/// An HTTP client that keeps to a policy: no redirects, bounded waiting, guarded name resolution.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    policy: OutboundPolicy,
}

impl Http {
    /// A client for this policy.
    pub fn new(policy: OutboundPolicy) -> Result<Self, HttpError> {
        Self::trusting(policy, None)
    }

    /// A client for this policy that also trusts these certificates, in PEM, besides those of the system (2.6).
    pub fn trusting(policy: OutboundPolicy, authority: Option<&[u8]>) -> Result<Self, HttpError> {
        let refused = |error: reqwest::Error| HttpError::Authority(error.to_string());
        let read = authority.map(reqwest::Certificate::from_pem_bundle);
        let trusted = read.transpose().map_err(refused)?;
        if trusted.as_ref().is_some_and(Vec::is_empty) {
            return Err(HttpError::Authority("it is empty".to_owned()));
        }
        // A second call finds the provider installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .user_agent(concat!("Muster/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(64)
            .tcp_nodelay(true)
            .dns_resolver(Arc::new(Guarded(policy)))
            .tls_certs_merge(trusted.unwrap_or_default())
            .build()
            .map_err(|error| HttpError::Client(error.to_string()))?;
        Ok(Self { client, policy })
    }

    /// The body of a GET with a bearer token; any answer but 200 is an error.
    pub async fn get(&self, url: &str, token: &str) -> Result<Vec<u8>, HttpError> {
        self.policy.check(url)?;
        let failed = |error: reqwest::Error| HttpError::Client(error.to_string());
        let response = self
            .client
            .get(url)
            .bearer_auth(token)
            .send()
            .await
            .map_err(failed)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(HttpError::Answer(response.status().as_u16()));
        }
        Ok(response.bytes().await.map_err(failed)?.to_vec())
    }

    pub(crate) const fn client(&self) -> &reqwest::Client {
        &self.client
    }

    pub(crate) const fn policy(&self) -> OutboundPolicy {
        self.policy
    }
}

/// Resolves names and leaves out addresses that the policy forbids.
struct Guarded(OutboundPolicy);

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found
                .filter(|address| policy.allows(address.ip()))
                .collect();
            if allowed.is_empty() {
                return Err(HttpError::Forbidden(name.as_str().to_owned()).into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(allow_insecure: bool, url: &str, allowed: bool) {
        let answer = OutboundPolicy { allow_insecure }.check(url);
        assert_eq!(answer.is_ok(), allowed, "{url}: {answer:?}");
    }

    #[test]
    fn only_https_to_other_machines_is_allowed_by_default() {
        check(false, "https://example.com/scim/v2", true);
        check(false, "http://example.com/scim/v2", false);
        check(false, "https://127.0.0.1/scim", false);
        check(false, "https://localhost/scim", false);
        check(false, "https://[::1]/scim", false);
        check(false, "https://169.254.169.254/latest", false);
        check(false, "ftp://example.com", false);
        check(false, "not a url", false);
    }

    #[test]
    fn a_test_setting_allows_this_machine_but_never_the_metadata_address() {
        check(true, "http://127.0.0.1:8080/scim", true);
        check(true, "http://localhost:8080/scim", true);
        check(true, "http://169.254.169.254/latest", false);
        check(true, "http://[::ffff:169.254.169.254]/latest", false);
    }
}
