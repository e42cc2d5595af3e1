//! A running server: SCIM provider, worker, and the socket that takes commands.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use muster_app::notices::Postman;
use muster_app::received::Provider;
use muster_app::webhooks::Deliverer;
use muster_engine::Worker;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::node::Node;
use crate::remote;

/// The type of what stands at `/metrics`.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A server that runs until it is stopped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) node: Arc<Node>,
    pub(crate) address: SocketAddr,
    /// Makes the worker look at its jobs at once.
    pub(crate) poke: Arc<Notify>,
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
    provider: Provider,
    deliverer: Deliverer,
    socket: Option<PathBuf>,
}

impl Server {
    /// Takes the address; SCIM URLs are handed out for it unless a public URL is configured.
    pub(crate) async fn bind(listen: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
        let listener = TcpListener::bind(listen).await.with_context(|| {
            format!("cannot listen on {listen}; choose another address with --listen")
        })?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }

    /// Starts everything.
    pub(crate) fn start(
        node: Node,
        listener: TcpListener,
        socket: Option<PathBuf>,
    ) -> Result<Self> {
        let address = listener.local_addr()?;
        let (node, stop) = (Arc::new(node), CancellationToken::new());
        let provider = Provider::new(node.ctx.store.clone(), Arc::clone(&node.ctx.clock));
        let router = muster_scim_api::router(provider.clone(), node.public_url.clone());
        let worker = Worker::new(Arc::clone(&node.ctx.engine));
        let poke = worker.poke();
        let router = router.merge(muster_portal::router(
            node.ctx.clone(),
            node.public_url.clone(),
            node.tls.is_some(),
            Arc::clone(&poke),
            node.issuer.clone(),
        ));
        let router = router.merge(muster_graph_api::router(
            node.ctx.clone(),
            node.configured_url.clone(),
            node.tls.is_some(),
            Arc::clone(&poke),
        ));
        let deliverer = Deliverer::new(node.ctx.clone(), &node.holder);
        let mut running = vec![
            tokio::spawn(muster_web::serve(
                listener,
                router,
                node.trusted_proxies.clone(),
                node.tls.clone(),
                stop.clone(),
            )),
            tokio::spawn(worker.run()),
            tokio::spawn({
                let (stop, deliverer) = (stop.clone(), deliverer.clone());
                async move {
                    tokio::select! {
                        () = deliverer.run() => {}
                        () = stop.cancelled() => {}
                    }
                }
            }),
        ];
        let mailer = node.mailer.clone().map_err(anyhow::Error::msg)?;
        let postman = Postman::new(node.ctx.clone(), mailer);
        running.push(tokio::spawn({
            let stop = stop.clone();
            async move {
                tokio::select! {
                    () = postman.run() => {}
                    () = stop.cancelled() => {}
                }
            }
        }));
        running.push(tokio::spawn({
            let (stop, node) = (stop.clone(), Arc::clone(&node));
            async move {
                tokio::select! {
                    () = muster_app::directory::bin::keep_purging(&node.ctx) => {}
                    () = stop.cancelled() => {}
                }
            }
        }));
        if let Some(path) = &socket {
            let listening = remote::listen(path)?;
            let (node, stop, poke) = (Arc::clone(&node), stop.clone(), Arc::clone(&poke));
            running.push(tokio::spawn(remote::serve(listening, node, poke, stop)));
        }
        Ok(Self {
            node,
            address,
            poke,
            stop,
            running,
            provider,
            deliverer,
            socket,
        })
    }

    /// Answers at `/metrics` of an address of its own.
    pub(crate) fn show_metrics(&mut self, listener: TcpListener) {
        let node = Arc::clone(&self.node);
        let router = muster_web::text("/metrics", METRICS, move || {
            let node = Arc::clone(&node);
            async move {
                let text = muster_app::metrics::text(&node.ctx).await;
                text.inspect_err(|error| tracing::warn!(error = %error, "no figures"))
                    .ok()
            }
        });
        let serving = muster_web::serve(listener, router, Vec::new(), None, self.stop.clone());
        self.running.push(tokio::spawn(serving));
    }

    /// Stops everything: running requests and cycles come to an orderly end.
    pub(crate) async fn stop(self) {
        self.node.ctx.engine.stop();
        self.stop.cancel();
        self.provider.stop_waiting();
        for task in self.running {
            let _ = task.await;
        }
        self.deliverer.release().await;
        self.provider.close().await;
        if let Some(socket) = self.socket {
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// Waits until somebody asks the process to end.
pub(crate) async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
