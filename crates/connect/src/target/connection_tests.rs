//! Test Connection on the wire, against servers that answer each in its own way (CR-6 to CR-13).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use muster_engine::port::{Shape, Target, TargetError};
use muster_model::Secret;
use muster_model::directory::Kind;
use muster_model::job::{Access, Credentials, Dialect};
use muster_model::link::TargetId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::ScimTarget;
use crate::{Http, OutboundPolicy};

const NOBODY: &str = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
    "totalResults":0,"Resources":[]}"#;
const EVERYBODY: &str = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
    "totalResults":2,"Resources":[{"id":"1","userName":"ana"},{"id":"2","userName":"bo"}]}"#;

/// The requests that a server got.
type Seen = Arc<Mutex<Vec<(Method, String)>>>;

/// A server that says the same to everybody, after a while.
async fn server(status: u16, body: &'static str, after: Duration) -> (String, Seen) {
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    let answer = move |method: Method, uri: Uri, headers: HeaderMap| async move {
        assert_eq!(headers[header::AUTHORIZATION], "Bearer token");
        let uri = percent_encoding::percent_decode_str(&uri.to_string())
            .decode_utf8_lossy()
            .into_owned();
        noted.lock().unwrap().push((method, uri));
        tokio::time::sleep(after).await;
        let status = StatusCode::from_u16(status).unwrap();
        (
            status,
            [(header::LOCATION, "https://elsewhere.example.com/")],
            body,
        )
    };
    let router = Router::new().fallback(answer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Ends with the runtime of the test.
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, seen)
}

fn target(url: &str, authority: Option<&[u8]>) -> ScimTarget {
    let policy = OutboundPolicy {
        allow_insecure: true,
    };
    let credentials = Credentials {
        tenant_url: url.to_owned(),
        secret_token: Secret::new("token".to_owned()),
        access: Access::default(),
    };
    let shape = Shape {
        hidden: Vec::new(),
        user_paths: vec!["userName".to_owned()],
        group_paths: vec!["displayName".to_owned()],
        user_match: "userName".to_owned(),
        group_match: Some("displayName".to_owned()),
        dialect: Dialect {
            timeout_seconds: 1,
            ..Dialect::default()
        },
    };
    let http = Http::trusting(policy, authority).unwrap();
    ScimTarget::new(
        http,
        &credentials,
        &shape,
        Arc::<super::auth_tests::Drawer>::default(),
    )
    .unwrap()
}

/// The category in which it fails; none when it is well.
async fn category(url: &str, authority: Option<&[u8]>) -> Option<(&'static str, String)> {
    let failure = target(url, authority).test(true).await.err()?;
    Some((failure.category, failure.message))
}

#[tokio::test]
async fn cr_6_to_cr_13_it_asks_for_nobody_and_writes_nothing() {
    let (url, seen) = server(200, NOBODY, Duration::ZERO).await;
    assert_eq!(category(&url, None).await, None);
    let seen = seen.lock().unwrap();
    let [(users, of_users), (groups, of_groups)] = seen.as_slice() else {
        panic!("{seen:?}");
    };
    assert_eq!((users, groups), (&Method::GET, &Method::GET));
    assert!(of_users.starts_with("/Users?filter=userName"), "{of_users}");
    assert!(of_users.contains("eq"), "{of_users}");
    // CR-8
    assert!(of_groups.starts_with("/Groups?"), "{of_groups}");
    assert!(
        of_groups.contains("excludedAttributes=members"),
        "{of_groups}"
    );
    assert!(of_groups.contains("filter=displayName"), "{of_groups}");
}

#[tokio::test]
async fn cr_10_each_way_to_fail_is_told_by_its_name() {
    for (status, body, expected, says) in [
        // CR-7
        (200, EVERYBODY, "NotScimCompliant", "ignores the filter"),
        (401, "", "Unauthorized", "copy the token again"),
        (403, "", "Forbidden", "admin permissions"),
        // CR-9
        (404, "", "NotFound", "check the path of the tenant URL"),
        (302, "", "OtherStatus", "redirects are not followed"),
        (409, "", "OtherStatus", "HTTP 409"),
        (429, "", "OtherStatus", "slow down"),
        (500, "", "OtherStatus", "HTTP 500"),
        (200, "<html><body>Sign in</body></html>", "NotScim", "HTML"),
        (200, "{\"totalResults\":0}", "NotScim", "ListResponse"),
        (200, "{\"schemas\":[", "NotScim", "no JSON"),
    ] {
        let (url, seen) = server(status, body, Duration::ZERO).await;
        let (category, message) = category(&url, None).await.unwrap();
        assert_eq!(category, expected, "{status}: {message}");
        assert!(message.contains(says), "{message}");
        let seen = seen.lock().unwrap();
        assert!(seen.iter().all(|(method, _)| *method == Method::GET));
    }
    let (url, _) = server(200, NOBODY, Duration::from_mins(1)).await;
    let (category_of, message) = category(&url, None).await.unwrap();
    assert_eq!(category_of, "Timeout", "{message}");
    // Nobody listens there any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (category_of, message) = category(&url, None).await.unwrap();
    assert_eq!(category_of, "CannotConnect", "{message}");
}

#[tokio::test]
async fn a_certificate_of_an_own_authority_is_trusted_when_that_is() {
    // 2.6
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate().unwrap();
    let trusted = authority.self_signed(&key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, key);
    let mut of_server = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    of_server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = of_server.signed_by(&key, &issuer).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    // Ends with the runtime of the test.
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 8192];
            while let Ok(read @ 1..) = stream.read(&mut request).await {
                assert!(request[..read].starts_with(b"GET /"));
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/scim+json\r\n\
                     content-length: {}\r\n\r\n{NOBODY}",
                    NOBODY.len()
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    let (category_of, message) = category(&url, None).await.unwrap();
    assert_eq!(category_of, "Tls", "{message}");
    assert!(message.contains("certificate"), "{message}");
    assert_eq!(category(&url, Some(trusted.as_bytes())).await, None);
    let nonsense = Http::trusting(OutboundPolicy::default(), Some(b"nonsense"));
    assert!(nonsense.unwrap_err().to_string().contains("certificate"));
}

/// 10.6: one object is asked for, and a list comes.
#[tokio::test]
async fn a_list_instead_of_an_object_is_told_as_that() {
    let (url, _) = server(200, EVERYBODY, Duration::ZERO).await;
    let read = target(&url, None)
        .read(Kind::User, &TargetId("1".to_owned()))
        .await;
    let error = read.unwrap_err();
    assert!(matches!(error, TargetError::Several(_)), "{error}");
    assert_eq!(
        error.code(),
        "SystemForCrossDomainIdentityManagementMultipleEntriesInResponse"
    );
}
