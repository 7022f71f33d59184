//! Connections, opened ahead so that a request does not wait for one, each used for one request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::engine::embedded::Embedded;
use crate::engine::library::{Connection, Error};
use crate::engine::server::status::Exception;

/// How many are kept ready.
const READY: usize = 4;

#[derive(Clone)]
pub(crate) struct Stock {
    engine: Arc<Embedded>,
    ready: Arc<Mutex<Vec<Connection>>>,
    closed: Arc<AtomicBool>,
    busy: Arc<AtomicUsize>,
}

/// Says that a thread is inside the engine, which must not be closed meanwhile.
pub(crate) struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Stock {
    pub(crate) fn new(engine: Embedded) -> Self {
        Self {
            engine: Arc::new(engine),
            ready: Arc::default(),
            closed: Arc::default(),
            busy: Arc::default(),
        }
    }

    /// Enters the engine; `None` once it is being closed.
    pub(crate) fn enter(&self) -> Option<Busy> {
        self.busy.fetch_add(1, Ordering::AcqRel);
        let busy = Busy(Arc::clone(&self.busy));
        (!self.closed.load(Ordering::Acquire)).then_some(busy)
    }

    /// Lets nobody in any more, and waits until everybody is out; whether that was so in time.
    pub(crate) async fn close(&self, limit: Duration) -> bool {
        self.closed.store(true, Ordering::Release);
        let out = async {
            while self.busy.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(limit, out).await.is_ok();
        if let Ok(mut ready) = self.ready.lock() {
            ready.clear();
        }
        in_time
    }

    /// A connection nobody has used. Blocks.
    pub(crate) fn take(&self) -> Result<Connection, Error> {
        let taken = self.ready.lock().ok().and_then(|mut ready| ready.pop());
        match taken {
            Some(connection) => Ok(connection),
            None => self.engine.connect(),
        }
    }

    /// Fills the stock up. Blocks; for after an answer was given.
    pub(crate) fn refill(&self) {
        loop {
            let missing = self.ready.lock().is_ok_and(|ready| ready.len() < READY);
            if !missing || self.closed.load(Ordering::Acquire) {
                return;
            }
            let Ok(connection) = self.engine.connect() else {
                return;
            };
            if let Ok(mut ready) = self.ready.lock() {
                ready.push(connection);
            }
        }
    }

    /// The engine's version.
    pub(crate) async fn version(&self) -> Result<String, Exception> {
        let stock = self.clone();
        blocking(move || {
            let mut connection = stock.take()?;
            let output = connection.query(b"SELECT version()", "TSVRaw", &[])?;
            let version = String::from_utf8_lossy(output.bytes()).trim().to_owned();
            drop(output);
            drop(connection);
            stock.refill();
            Ok(version)
        })
        .await
    }

    /// Cancels the query with this id. Never `SYNC`, which would wait for ever.
    pub(crate) fn kill(&self, query_id: &str) {
        let Some(_busy) = self.enter() else { return };
        let Ok(mut connection) = self.take() else {
            return;
        };
        let parameters = [(
            "id".to_owned(),
            query_id
                .replace('\\', "\\\\")
                .replace('\n', "\\n")
                .replace('\t', "\\t"),
        )];
        let _ = connection.query(
            b"KILL QUERY WHERE Settings['log_comment'] = {id:String} ASYNC FORMAT Null",
            "Null",
            &parameters,
        );
    }

    /// Cancels all queries.
    pub(crate) async fn kill_all(&self) {
        let stock = self.clone();
        let _ = blocking(move || {
            let mut connection = stock.take()?;
            connection.query(
                b"KILL QUERY WHERE Settings['log_comment'] != '' ASYNC FORMAT Null",
                "Null",
                &[],
            )?;
            Ok(())
        })
        .await;
    }
}

/// Calls the engine off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Exception> + Send + 'static,
) -> Result<T, Exception> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Exception::new(1001, "STD_EXCEPTION", error)),
    }
}
