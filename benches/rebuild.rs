//! What a rebuild costs: against one bare INSERT of the same rows, beside INSERTs that come in meanwhile, and in memory.
//!
//! `cargo bench --bench rebuild`; `HOUSEWRIGHT_BENCH_EVENTS` sets the numbers of events (`1000000,10000000`), `HOUSEWRIGHT_BENCH_INSERTS=0`
//! leaves the INSERTs out, which take most of the time. The engine does the work, so the profile of the build matters little.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark that cannot run fails, and prints its figures"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use common::{apply, database, engine, execute, line, schema, time};
use housewright::clickhouse::{Client, Query};
use housewright::config::Environment;
use housewright::journal::Owner;
use housewright::migration::Migrations;
use housewright::rebuild::{Event, Fact, Only, Options, Task, perform, survey};
use serde_json::Value;

/// What a chunk and the comparison may take, in bytes.
const LIMIT: u64 = 1 << 30;

#[tokio::main]
async fn main() {
    let sizes = Environment::of_this_process()
        .get("HOUSEWRIGHT_BENCH_EVENTS")
        .unwrap_or("1000000,10000000")
        .to_owned();
    for events in sizes.split(',').map(|it| it.trim().parse().unwrap()) {
        // An engine of its own, so that memory is that of this size.
        let handle = engine().await;
        let client = database(&handle, "bench").await;
        measure(&client, events).await;
        handle.end().await;
        println!();
    }
}

async fn measure(client: &Client, events: u64) {
    apply(client, &schema(), Some(1)).await;
    load(client, events).await;
    apply(client, &schema(), None).await;
    let subject = survey(client, "sessions", &Options::default())
        .await
        .unwrap()
        .subject;
    let (bare, ()) = time(execute(
        client,
        &format!(
            "INSERT INTO sessions_v1 ({}) {}",
            subject.column_list(),
            subject.query("1")
        ),
    ))
    .await;
    let sessions = one(client, "SELECT count() AS n FROM sessions").await;
    println!(
        "{events} events, {sessions} sessions; memory of a chunk and of the comparison limited to {} MiB\n",
        LIMIT >> 20
    );
    line(
        "one bare INSERT … SELECT … GROUP BY",
        &format!("{:>8.1} s  1.0", bare.as_secs_f64()),
    );

    let base = one(client, MEMORY).await;
    let quiet = rebuild(client, None).await;
    let ratio = bare.as_secs_f64() / quiet.history.as_secs_f64();
    line(
        "rebuild: history in chunks",
        &format!(
            "{:>8.1} s  {ratio:.2} of its throughput, {:.0} events/s",
            quiet.history.as_secs_f64(),
            events as f64 / quiet.history.as_secs_f64()
        ),
    );
    line(
        "rebuild: every row compared with the events",
        &format!("{:>8.1} s", quiet.compared.as_secs_f64()),
    );
    line(
        "rebuild: all of it",
        &format!(
            "{:>8.1} s  {:.0} events/s",
            quiet.all.as_secs_f64(),
            events as f64 / quiet.all.as_secs_f64()
        ),
    );
    line(
        "the engine's memory: before, and at most",
        &format!("{:>8} MiB  {} MiB", base >> 20, quiet.memory >> 20),
    );
    let some = rebuild(client, Some(Only::Where("project_id = 'p1'".to_owned()))).await;
    line(
        "rebuild --where, one project of eight",
        &format!("{:>8.1} s", some.all.as_secs_f64()),
    );

    if Environment::of_this_process().get("HOUSEWRIGHT_BENCH_INSERTS") != Some("0") {
        beside_inserts(client).await;
    }

    let (added, ()) = time(apply(client, &with_names(), None)).await;
    line(
        "a column added in place: filled, and compared",
        &format!("{:>8.1} s", added.as_secs_f64()),
    );
}

/// What INSERTs take meanwhile, and the rebuild beside them.
async fn beside_inserts(client: &Client) {
    let writer = Writer::start(client);
    tokio::time::sleep(Duration::from_secs(15)).await;
    let alone = writer.take();
    line(
        "INSERTs of 1,000 events: alone",
        &format!("{alone:>8.1} ms  1.0"),
    );
    for (how, threads) in [("", None), (" --max-threads 1", Some(1))] {
        let options = Options {
            max_threads: threads,
            ..options(None)
        };
        writer.take();
        let busy = begin(client, &options).await;
        let during = writer.take();
        line(
            &format!("the same during rebuild{how}"),
            &format!("{during:>8.1} ms  {:.2}", during / alone),
        );
        line(
            &format!("rebuild{how} beside them: all of it"),
            &format!("{:>8.1} s", busy.all.as_secs_f64()),
        );
        // Nothing is made any more, and both sides are fed.
        tokio::time::sleep(Duration::from_secs(15)).await;
        let fed = writer.take();
        line(
            "the same when readers are swapped, both sides fed",
            &format!("{fed:>8.1} ms  {:.2}", fed / alone),
        );
        run(client, &Task::Finish, &options, &mut |_| {}).await;
    }
    writer.end().await;
}

/// Our migrations, and one that adds a set to `sessions_v1` in place.
fn with_names() -> Migrations {
    let schema = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/migrations");
    let copy = camino_tempfile::tempdir().unwrap();
    let migrations = copy.path().join("migrations");
    fs_err::create_dir(&migrations).unwrap();
    let mut view = String::new();
    for name in ["0001_events.sql", "0002_sessions.sql", "0003_sources.sql"] {
        let text = fs_err::read_to_string(schema.join(name)).unwrap();
        if let Some((_, made)) =
            text.split_once("CREATE MATERIALIZED VIEW sessions_v1_mv TO sessions_v1\nAS SELECT")
        {
            made.split("\nCOMMENT")
                .next()
                .unwrap()
                .clone_into(&mut view);
        }
        fs_err::write(migrations.join(name), text).unwrap();
    }
    let view = view.replace(
        "    count() AS event_count,",
        "    count() AS event_count,\n    groupUniqArrayArray([toString(e.event_name)]) AS names,",
    );
    let section = format!(
        "-- migrate:rebuild\nALTER TABLE sessions_v1 ADD COLUMN names SimpleAggregateFunction(groupUniqArrayArray, Array(String));\n\
         ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT{view};\n"
    );
    fs_err::write(migrations.join("0004_names.sql"), section).unwrap();
    Migrations::load(copy.path()).unwrap()
}

const MEMORY: &str =
    "SELECT toUInt64(greatest(value, 0)) AS n FROM system.metrics WHERE metric = 'MemoryTracking'";

async fn one(client: &Client, sql: &str) -> u64 {
    let row: Value = client.row(&Query::new(sql)).await.unwrap();
    let value = &row["n"];
    value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .unwrap()
}

/// Sessions of one to eight events over 30 days, in eight projects.
async fn load(client: &Client, events: u64) {
    execute(
        client,
        &format!(
            "INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id, user_id, source, medium, url, path, country, device_type, browser, os) \
             SELECT concat('p', toString(cityHash64(visitor) % 8)), hex(sipHash64(number)), \
             toDateTime64('2026-04-01 00:00:00', 3, 'UTC') + intDiv(number * 2592000, {events}), if(number % 3 = 0, '$pageview', 'click'), \
             hex(cityHash64(visitor)), if(visitor % 10 = 0, concat('u', toString(visitor)), NULL), \
             ['google', 'facebook', 'direct', 'bing'][1 + visitor % 4], ['organic', 'paid', 'direct', 'organic'][1 + visitor % 4], \
             concat('https://example.com/', toString(number % 1000)), concat('/', toString(number % 1000)), 'DE', 'mobile', 'chrome', 'android' \
             FROM (SELECT number, intDiv(number, 400) * 100 + sipHash64(number) % 100 AS visitor FROM numbers({events})) \
             SETTINGS max_insert_threads = 2"
        ),
    )
    .await;
}

struct Took {
    history: Duration,
    compared: Duration,
    all: Duration,
    /// The engine's, at most, in bytes.
    memory: u64,
}

fn options(only: Option<Only>) -> Options {
    Options {
        max_memory: Some(LIMIT),
        only,
        ..Options::default()
    }
}

/// A rebuild of `sessions`, and the end of its old side.
async fn rebuild(client: &Client, only: Option<Only>) -> Took {
    let options = options(only);
    let took = begin(client, &options).await;
    run(client, &Task::Finish, &options, &mut |_| {}).await;
    took
}

/// A rebuild of `sessions` until its readers are swapped.
async fn begin(client: &Client, options: &Options) -> Took {
    let ended = Arc::new(AtomicBool::new(false));
    let watch = {
        let (client, ended) = (client.clone(), Arc::clone(&ended));
        tokio::spawn(async move {
            let mut most = 0;
            while !ended.load(Ordering::Relaxed) {
                most = most.max(one(&client, MEMORY).await);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            most
        })
    };
    let begun = Instant::now();
    let mut at = [Duration::ZERO; 3];
    let task = Task::Begin {
        view: "sessions".to_owned(),
        change: None,
    };
    run(client, &task, options, &mut |event| {
        if let Event::Wrote { fact, .. } = event {
            match fact {
                Fact::Planned { .. } => at[0] = begun.elapsed(),
                Fact::Moved { .. } => at[1] = begun.elapsed(),
                Fact::Agreed { .. } => at[2] = begun.elapsed(),
                _ => {}
            }
        }
    })
    .await;
    let all = begun.elapsed();
    ended.store(true, Ordering::Relaxed);
    let memory = watch.await.unwrap();
    Took {
        history: at[1].saturating_sub(at[0]),
        compared: at[2].saturating_sub(at[1]),
        all,
        memory,
    }
}

async fn run(
    client: &Client,
    task: &Task,
    options: &Options,
    events: &mut (dyn FnMut(Event<'_>) + Send),
) {
    let owner = Owner {
        run_id: format!("{:016x}", rand::random::<u64>()),
        who: "bench".to_owned(),
        host: "localhost".to_owned(),
        pid: 0,
    };
    let stop = AtomicBool::new(false);
    Box::pin(perform(client, task, options, &owner, &stop, events))
        .await
        .unwrap();
}

/// Two connections that insert without end.
struct Writer {
    tasks: Vec<tokio::task::JoinHandle<()>>,
    ended: Arc<AtomicBool>,
    inserts: Arc<AtomicU64>,
    /// Of all of them, in microseconds.
    took: Arc<AtomicU64>,
}

impl Writer {
    fn start(client: &Client) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let (inserts, took) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let tasks = (0..2)
            .map(|writer| {
                let client = client.clone();
                let (ended, inserts, took) =
                    (Arc::clone(&ended), Arc::clone(&inserts), Arc::clone(&took));
                tokio::spawn(async move {
                    while !ended.load(Ordering::Relaxed) {
                        let begun = Instant::now();
                        execute(&client, &format!("INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id) SELECT 'live{writer}', hex(rand64()), now64(3), '$pageview', toString(rand() % 100000) FROM numbers(1000)")).await;
                        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap();
                        took.fetch_add(micros, Ordering::Relaxed);
                        inserts.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                })
            })
            .collect();
        Self {
            tasks,
            ended,
            inserts,
            took,
        }
    }

    /// The mean since the last time, in milliseconds.
    fn take(&self) -> f64 {
        let took = self.took.swap(0, Ordering::Relaxed) as f64 / 1000.0;
        took / self.inserts.swap(0, Ordering::Relaxed).max(1) as f64
    }

    async fn end(self) {
        self.ended.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}
