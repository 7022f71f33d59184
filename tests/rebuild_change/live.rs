//! What goes on meanwhile: connections that insert, and one that reads and knows how many rows it may see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use housewright::clickhouse::Client;

use crate::support::{execute, table};

/// Rows of one INSERT.
const ROWS: u64 = 20;

/// Writers and a reader, until they are told to end.
pub(crate) struct Live {
    counts: Arc<Counts>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    /// Rows whose INSERT has begun.
    begun: AtomicU64,
    /// Rows whose INSERT was answered.
    answered: AtomicU64,
    reads: AtomicU64,
    ended: AtomicBool,
}

impl Live {
    /// Starts them; a writer's number and its INSERT's make the text. Every seventh INSERT is sent twice, as by who had no answer.
    pub(crate) fn start(client: &Client, writers: u32, insert: fn(u32, u64) -> String) -> Self {
        let counts = Arc::new(Counts::default());
        let mut tasks: Vec<_> = (0..writers)
            .map(|writer| {
                let (client, counts) = (client.clone(), Arc::clone(&counts));
                tokio::spawn(async move {
                    for number in 0.. {
                        if counts.ended.load(Ordering::Relaxed) {
                            break;
                        }
                        let sql = insert(writer, number);
                        for _ in 0..if number % 7 == 0 { 2 } else { 1 } {
                            counts.begun.fetch_add(ROWS, Ordering::SeqCst);
                            execute(&client, &sql).await;
                            counts.answered.fetch_add(ROWS, Ordering::SeqCst);
                        }
                        tokio::time::sleep(Duration::from_millis(15)).await;
                    }
                })
            })
            .collect();
        let (client, kept) = (client.clone(), Arc::clone(&counts));
        tasks.push(tokio::spawn(async move {
            while !kept.ended.load(Ordering::Relaxed) {
                let at_least = kept.answered.load(Ordering::SeqCst);
                let seen = table(
                    &client,
                    "SELECT sum(event_count) AS n FROM sessions WHERE project_id = 'live'",
                )
                .await;
                let at_most = kept.begun.load(Ordering::SeqCst);
                let seen: u64 = seen.parse().unwrap();
                assert!(
                    (at_least..=at_most).contains(&seen),
                    "{at_least}..{at_most}: {seen}"
                );
                kept.reads.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }));
        Self { counts, tasks }
    }

    /// Ends them after a while: how many rows came in, and how often somebody read.
    pub(crate) async fn end(self) -> (u64, u64) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.counts.ended.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
        (
            self.counts.answered.load(Ordering::Relaxed),
            self.counts.reads.load(Ordering::Relaxed),
        )
    }
}
