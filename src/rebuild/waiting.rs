//! What a run waits for: INSERTs that have to end, statements that a dead run left, a pause, a speed limit.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::catalog::generation::{parse, scratch};
use crate::clickhouse::Query;
use crate::rebuild::barrier::{Running, pauses};
use crate::rebuild::run::{Halt, Run, seconds};
use crate::rebuild::{Error, Event};

/// How often somebody who waits is told what for.
const TELL: Duration = Duration::from_secs(5);

impl Run<'_> {
    /// Waits for all INSERTs that run now; whether they had ended before a moment.
    pub(super) async fn quiet_before(&mut self, at: u64) -> Result<bool, Halt> {
        let since = self.barrier.now().await?;
        let mut told = Instant::now();
        for pause in pauses() {
            let (now, running) = self.barrier.look(since).await?;
            if seconds(now) >= at {
                return Ok(false);
            }
            if running.is_empty() {
                return Ok(true);
            }
            self.tell(&running, &mut told);
            self.pause(pause).await?;
        }
        Ok(false)
    }

    /// Waits for all INSERTs that began before now.
    pub(super) async fn quiet(&mut self) -> Result<(), Halt> {
        let now = self.barrier.now().await?;
        self.quiet_since(now).await
    }

    /// Waits for all INSERTs that began before a moment, and for rows that were sent before it and wait in a queue.
    pub(super) async fn quiet_since(&mut self, before: f64) -> Result<(), Halt> {
        let begun = Instant::now();
        let mut told = Instant::now();
        for pause in pauses() {
            let (now, mut running) = self.barrier.look(before).await?;
            if now > before && running.is_empty() {
                let stamp = &self.subject.received_at;
                running = self.barrier.queued(before, stamp).await?;
                if running.is_empty() {
                    return Ok(());
                }
            }
            if begun.elapsed() > self.options.patience && now > before {
                return Err(self.busy(running).into());
            }
            self.tell(&running, &mut told);
            self.pause(pause).await?;
        }
        Ok(())
    }

    /// Waits for statements that a killed run left running on the server.
    pub(super) async fn wait_for_orphans(&mut self) -> Result<(), Halt> {
        #[derive(Deserialize)]
        struct Row {
            query_id: String,
            user: String,
            elapsed: f64,
            query: String,
        }
        let begun = Instant::now();
        let mut told = Instant::now();
        let (mark, view) = if self.subject.is_written() {
            let view = parse(&self.subject.new.view).0.to_owned();
            (self.subject.new.state.clone(), view)
        } else {
            let view = scratch(parse(&self.subject.old.view).0, "");
            (self.subject.scratch_prefix(), view)
        };
        let query = Query::new(
            "SELECT query_id, user, elapsed, substring(query, 1, 200) AS query FROM system.processes WHERE (position(query, {mark:String}) > 0 OR position(query, {view:String}) > 0) AND position(query, 'system.processes') = 0 AND is_initial_query",
        )
        .text("mark", mark)
        // ALTER … MODIFY QUERY names the view alone.
        .text("view", view);
        for pause in pauses() {
            let rows: Vec<Row> = self.client.rows(&query).await?;
            let running: Vec<Running> = rows
                .into_iter()
                .filter(|row| {
                    !row.query
                        .trim_start()
                        .to_ascii_uppercase()
                        .starts_with("SELECT")
                })
                .map(|row| Running::Insert {
                    query_id: row.query_id,
                    user: row.user,
                    elapsed: row.elapsed,
                    query: row.query,
                })
                .collect();
            if running.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > self.options.patience {
                return Err(self.busy(running).into());
            }
            self.tell(&running, &mut told);
            self.pause(pause).await?;
        }
        Ok(())
    }

    pub(super) fn tell(&mut self, running: &[Running], told: &mut Instant) {
        if told.elapsed() > TELL && !running.is_empty() {
            *told = Instant::now();
            (self.events)(Event::Waiting { running });
        }
    }

    pub(super) fn busy(&self, running: Vec<Running>) -> Error {
        Error::Busy {
            after: self.options.patience,
            running,
        }
    }

    /// No piece is begun while the pause file is there.
    pub(super) async fn hold(&mut self) -> Result<(), Halt> {
        self.pause(Duration::ZERO).await?;
        let Some(file) = &self.options.pause_file else {
            return Ok(());
        };
        let mut told = false;
        while file.exists() {
            if !told {
                (self.events)(Event::Paused { file });
                told = true;
            }
            self.pause(Duration::from_millis(500)).await?;
        }
        Ok(())
    }

    /// Sleeps, so that no more rows a second are read than somebody allows.
    pub(super) async fn throttle(&mut self, rows: u64, took: Duration) -> Result<(), Halt> {
        let Some(limit) = self.options.max_rows_per_second.filter(|it| *it > 0) else {
            return Ok(());
        };
        let should = Duration::from_millis(rows.saturating_mul(1000) / limit);
        let until = Instant::now() + should.saturating_sub(took);
        while Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            self.pause(left.min(Duration::from_millis(500))).await?;
        }
        Ok(())
    }

    pub(super) async fn pause(&mut self, pause: Duration) -> Result<(), Halt> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Halt::Stopped);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
