//! Who is at the other end, also behind proxies that are trusted.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// The address that a request comes from; among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// Follows `X-Forwarded-For` from the connection's other end backwards, as long as who wrote it is
    /// trusted.
    pub(crate) fn of(connected: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let mut at = connected.to_canonical();
        let values = headers.get_all("x-forwarded-for");
        let texts = values.iter().filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = texts.flat_map(|text| text.split(',')).collect();
        for hop in hops.into_iter().rev() {
            let is_trusted = trusted.iter().any(|network| network.contains(&at));
            match hop.trim().parse::<IpAddr>() {
                Ok(before) if is_trusted => at = before.to_canonical(),
                _ => break,
            }
        }
        Self(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(connected: &str, forwarded: &[&str], trusted: &[&str], expected: &str) {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|it| it.parse().unwrap()).collect();
        let peer = Peer::of(connected.parse().unwrap(), &headers, &trusted);
        assert_eq!(peer, Peer(expected.parse().unwrap()));
    }

    #[test]
    fn only_trusted_proxies_say_whom_they_speak_for() {
        check("198.51.100.1", &[], &[], "198.51.100.1");
        check("198.51.100.1", &["203.0.113.9"], &[], "198.51.100.1");
        check(
            "127.0.0.1",
            &["203.0.113.9"],
            &["127.0.0.0/8"],
            "203.0.113.9",
        );
        // What the client itself claims comes first and is not believed.
        let both = ["10.9.9.9, 203.0.113.9"];
        check("127.0.0.1", &both, &["127.0.0.0/8"], "203.0.113.9");
        let chain = ["203.0.113.9", "10.0.0.2"];
        check(
            "127.0.0.1",
            &chain,
            &["127.0.0.0/8", "10.0.0.0/8"],
            "203.0.113.9",
        );
        check("127.0.0.1", &["nonsense"], &["127.0.0.0/8"], "127.0.0.1");
        check("::ffff:10.1.2.3", &[], &[], "10.1.2.3");
    }
}
