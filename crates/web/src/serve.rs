//! Accepts connections until told to stop, then lets running requests come to their end.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::Peer;
use crate::limits::{CONNECTIONS, GOODBYE, HEAD, LARGEST_HEAD};

/// Serves until `stop`; answers when the last request has ended or was given up on. Proxies that are
/// trusted say whom they speak for. Over TLS, when there is a certificate.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    trusted: Vec<IpNet>,
    tls: Option<Tls>,
    stop: CancellationToken,
) {
    let trusted: Arc<[IpNet]> = trusted.into();
    let router = router.layer(CatchPanicLayer::new());
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, for example: those in use come back.
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let caller = Caller {
            router: router.clone(),
            trusted: Arc::clone(&trusted),
            address: peer.ip(),
            watcher: graceful.watcher(),
        };
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                None => caller.serve(stream).await,
                Some(Tls(acceptor)) => {
                    match tokio::time::timeout(HEAD, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => caller.serve(stream).await,
                        Ok(Err(error)) => {
                            tracing::debug!(error = %error, "a connection was not made secure");
                        }
                        Err(_) => {}
                    }
                }
            }
            drop(place);
        });
    }
    drop(listener);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(GOODBYE) => {}
    }
}

/// Who is at the other end of a connection, and who answers.
struct Caller {
    router: Router,
    trusted: Arc<[IpNet]>,
    address: IpAddr,
    watcher: Watcher,
}

impl Caller {
    async fn serve<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self {
            router,
            trusted,
            address,
            watcher,
        } = self;
        let service = TowerToHyperService::new(router);
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(
                TokioIo::new(stream),
                service_fn(move |mut request: hyper::Request<Incoming>| {
                    let peer = Peer::of(address, request.headers(), &trusted);
                    request.extensions_mut().insert(peer);
                    service.call(request)
                }),
            );
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error = %error, "a connection ended badly");
        }
    }
}

/// A certificate with its key, for TLS 1.2 and 1.3.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// A certificate or its key is not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is none in the file.
    #[error("the file of the certificate holds none in PEM")]
    Certificate,
    /// There is none in the file.
    #[error("the file of the key holds no private key in PEM")]
    Key,
    /// They do not go together.
    #[error("the certificate and its key cannot be used: {0}")]
    Unfit(#[from] rustls::Error),
}

impl Tls {
    /// A certificate with those that sign it, and its key, each in PEM.
    pub fn new(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        // A second call finds the provider installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        let chain = chain.ok_or(TlsError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Key)?;
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

/// A text that is made anew for whoever asks; 503 when it cannot be made.
pub fn text<F, T>(path: &str, content_type: &'static str, make: F) -> Router
where
    F: Fn() -> T + Clone + Send + Sync + 'static,
    T: Future<Output = Option<String>> + Send + 'static,
{
    let answer = move || {
        let text = make();
        async move {
            match text.await {
                Some(text) => ([(CONTENT_TYPE, content_type)], text).into_response(),
                None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            }
        }
    };
    Router::new().route(path, get(answer))
}
