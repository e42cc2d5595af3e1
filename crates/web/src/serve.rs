//! Accepts connections until told to stop, then lets running requests come to their end.

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
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::Peer;
use crate::limits::{CONNECTIONS, GOODBYE, HEAD, LARGEST_HEAD};

/// Serves until `stop`; answers when the last request has ended or was given up on. Proxies that are
/// trusted say whom they speak for.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    trusted: Vec<IpNet>,
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
        let trusted = Arc::clone(&trusted);
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(LARGEST_HEAD)
            .serve_connection(
                TokioIo::new(stream),
                service_fn(move |mut request: hyper::Request<Incoming>| {
                    let peer = Peer::of(peer.ip(), request.headers(), &trusted);
                    request.extensions_mut().insert(peer);
                    service.call(request)
                }),
            );
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(error = %error, "a connection ended badly");
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
