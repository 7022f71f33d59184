//! Leases: connections that say no more than "somebody still needs this engine".

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::watch;

/// How often a lease is written to, so that a guest that vanished is noticed.
const BEAT: Duration = Duration::from_secs(2);

pub(crate) struct Leases {
    count: watch::Sender<usize>,
    ended: watch::Sender<bool>,
}

impl Default for Leases {
    fn default() -> Self {
        Self {
            count: watch::Sender::new(0),
            ended: watch::Sender::new(false),
        }
    }
}

/// Counts one as long as it lives.
struct Lease(watch::Sender<usize>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

impl Leases {
    pub(crate) fn count(&self) -> usize {
        *self.count.borrow()
    }

    pub(crate) async fn none(&self) {
        let mut count = self.count.subscribe();
        let _ = count.wait_for(|count| *count == 0).await;
    }

    /// Ends all leases, so that a shutdown does not wait for them.
    pub(crate) fn end(&self) {
        self.ended.send_replace(true);
    }

    /// A body that lasts until the guest goes, or the server does.
    pub(crate) fn body(&self) -> Body {
        self.count.send_modify(|count| *count += 1);
        let lease = Lease(self.count.clone());
        let ended = self.ended.subscribe();
        let beats = stream::unfold(
            (lease, ended, true),
            |(lease, mut ended, first)| async move {
                if !first {
                    let end = tokio::time::timeout(BEAT, ended.wait_for(|ended| *ended)).await;
                    if end.is_ok() {
                        return None;
                    }
                }
                Some((
                    Ok::<_, Infallible>(Bytes::from_static(b"\n")),
                    (lease, ended, false),
                ))
            },
        );
        Body::from_stream(beats)
    }
}
