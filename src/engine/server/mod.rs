//! ClickHouse's HTTP interface over the embedded engine.
//!
//! What a request means is what `src/Server/HTTPHandler.cpp` of ClickHouse says it means, as far as real clients depend on it. Every
//! request has a connection of its own, used once and closed, so that nothing of it (settings, temporary tables, output of a failed
//! query) can reach the next; `session_id` is the one exception, as it is on a server. The engine blocks, so it is called off the
//! runtime's threads.

mod auth;
mod blocks;
mod body;
mod execute;
mod lease;
mod output;
mod request;
mod response;
mod session;
mod status;
mod stock;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use tokio::sync::watch;

use crate::config::Secret;
use crate::engine::embedded::Embedded;
use crate::engine::server::auth::Access;
use crate::engine::server::lease::Leases;
use crate::engine::server::session::Sessions;
use crate::engine::server::stock::Stock;

/// How the interface is offered.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it listens.
    pub address: SocketAddr,
    /// The one user.
    pub user: String,
    /// The password; `None`: nobody is asked for one.
    pub password: Option<Secret>,
    /// Bytes that a statement, without the data of an INSERT, may have.
    pub max_query_size: usize,
    /// Bytes that a result may have in a format that cannot be streamed.
    pub max_result_size: u64,
}

impl Options {
    /// On an address, for `default`, with the limits that a server's defaults come to.
    #[must_use]
    pub fn new(address: SocketAddr, password: Option<Secret>) -> Self {
        Self {
            address,
            user: "default".to_owned(),
            password,
            max_query_size: 64 << 20,
            max_result_size: 128 << 20,
        }
    }
}

/// What all requests share.
struct Shared {
    stock: Stock,
    sessions: Sessions,
    access: Access,
    leases: Leases,
    options: Options,
    version: String,
}

/// The interface, listening.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

/// How long running requests may take to end after a shutdown began; then they are left behind with the process.
const GRACE: Duration = Duration::from_secs(5);

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// The address is taken or may not be used; or the engine does not answer.
    pub async fn start(engine: Embedded, options: Options) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(options.address).await?;
        let address = listener.local_addr()?;
        let stock = Stock::new(engine);
        let version = stock
            .version()
            .await
            .map_err(|error| std::io::Error::other(error.to_string()))?;
        let shared = Arc::new(Shared {
            access: Access::new(&options, address),
            sessions: Sessions::default(),
            leases: Leases::default(),
            stock,
            options,
            version,
        });
        let (stop, mut stopped) = watch::channel(false);
        let router = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move {
            use axum::serve::ListenerExt as _;
            let listener = listener.tap_io(|stream| {
                let _ = stream.set_nodelay(true);
            });
            axum::serve(listener, router)
                .with_graceful_shutdown(async move {
                    let _ = stopped.wait_for(|stop| *stop).await;
                })
                .await
        });
        Ok(Self {
            address,
            shared,
            stop,
            task,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many leases are open.
    #[must_use]
    pub fn leases(&self) -> usize {
        self.shared.leases.count()
    }

    /// Waits until no lease is open.
    pub async fn no_lease(&self) {
        self.shared.leases.none().await;
    }

    /// Stops listening, ends running queries, closes every connection and then the engine.
    pub async fn shutdown(self) {
        let _ = self.stop.send(true);
        self.shared.leases.end();
        self.shared.stock.kill_all().await;
        let _ = tokio::time::timeout(GRACE, self.task).await;
        let everybody_out = self.shared.stock.close(GRACE).await;
        self.shared.sessions.clear();
        if !everybody_out {
            // Closing the engine under a query would crash; the end of the process does not.
            std::mem::forget(self.shared);
        }
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: axum::extract::Request) -> Response {
    let head = request.method() == axum::http::Method::HEAD;
    let mut response = response::answer(&shared, request).await;
    if head {
        *response.body_mut() = axum::body::Body::empty();
    }
    response
}
