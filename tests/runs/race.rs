//! Sixteen `apply` at once on one database: each statement is executed once, the others say who is at work, or wait and find nothing to do.
//!
//! One round of each kind here; fifty with `HOUSEWRIGHT_FULL=1`.

use std::process::Stdio;
use std::time::Duration;

use crate::support::sandbox::Sandbox;
use crate::support::{self, database, engine, execute, owner, table};
use housewright::clickhouse::Client;

const RUNS: usize = 16;

/// Statements of which each leaves one row a time that it is executed.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.migration("0001_tally.sql", "-- migrate:up\nCREATE TABLE tally (statement UInt8) ENGINE = MergeTree ORDER BY statement;\nINSERT INTO tally SELECT 2;\n-- migrate:down\nDROP TABLE tally;\n");
    sandbox.migration("0002_more.sql", "-- migrate:up\nINSERT INTO tally SELECT 3;\nINSERT INTO tally SELECT 4 + sleepEachRow(0.2);\nALTER TABLE tally ADD COLUMN note String;\n-- migrate:down\nALTER TABLE tally DROP COLUMN note;\n");
    sandbox.migration("0003_last.sql", "-- migrate:up\nINSERT INTO tally (statement) SELECT 6;\n-- migrate:down\nALTER TABLE tally DELETE WHERE statement = 6;\n");
    sandbox.run(&["repair", "-q"]);
    sandbox
}

/// How the runs of a round ended.
#[derive(Debug, Default)]
struct Ends {
    executed: usize,
    idle: usize,
    locked: usize,
    statements: usize,
}

/// Starts the runs all at once and waits for all of them.
fn race(sandbox: &Sandbox, client: &Client, args: &[&str]) -> Ends {
    let server = engine();
    let runs: Vec<_> = (0..RUNS)
        .map(|_| {
            let mut command = sandbox.command(&["apply", "--format", "json"]);
            command
                .args(args)
                .args(["--url", &server.url, "--database", client.database()])
                .env("HOUSEWRIGHT_USER", &server.user)
                .env(
                    "HOUSEWRIGHT_PASSWORD",
                    server.password.as_ref().unwrap().expose(),
                )
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            command.spawn().unwrap()
        })
        .collect();
    let mut ends = Ends::default();
    for run in runs {
        let output = run.wait_with_output().unwrap();
        let said = String::from_utf8([output.stderr, output.stdout.clone()].concat()).unwrap();
        match output.status.code() {
            Some(0) => {
                let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
                let executed = answer["executed"].as_array().unwrap().len();
                ends.statements += executed;
                if executed == 0 {
                    ends.idle += 1;
                } else {
                    ends.executed += 1;
                }
            }
            Some(4) => {
                assert!(
                    said.contains("is locked by another run: tester@box, process "),
                    "{said}"
                );
                ends.locked += 1;
            }
            code => panic!("{code:?}: {said}"),
        }
    }
    ends
}

/// What shows that each statement was executed once.
async fn assert_once(client: &Client) {
    assert_eq!(
        table(
            client,
            "SELECT statement, count() AS times FROM tally GROUP BY statement ORDER BY statement"
        )
        .await,
        "2 | 1\n3 | 1\n4 | 1\n6 | 1",
    );
    assert_eq!(
        table(
            client,
            "SELECT state, count() AS facts, uniqExact(version, statement) AS statements FROM housewright_journal WHERE position(note, 'staged') = 0 GROUP BY state ORDER BY state"
        )
        .await,
        "done | 6 | 6\nstarted | 6 | 6",
    );
    assert_eq!(
        table(client, "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'housewright_lock%'").await,
        "",
        "nothing of a lock is left"
    );
}

/// A lock whose owner was killed while it held it.
async fn dead_lock(client: &Client) {
    let lock = housewright::journal::Lock::acquire(client, owner())
        .await
        .unwrap();
    // No more heartbeats, and nothing given back.
    drop(lock);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_statement_is_executed_once_whoever_starts_at_the_same_time() {
    let rounds = if support::full() { 50 } else { 1 };
    let sandbox = sandbox();
    let mut dead = Vec::new();
    for round in 0..rounds {
        let client = database(&format!("race_dead_{round}")).await;
        dead_lock(&client).await;
        dead.push(client);
    }
    let died = std::time::Instant::now();
    let mut total = Ends::default();
    let mut add = |ends: Ends| {
        total.executed += ends.executed;
        total.idle += ends.idle;
        total.locked += ends.locked;
        total.statements += ends.statements;
    };
    for round in 0..rounds {
        let client = database(&format!("race_{round}")).await;
        let ends = race(&sandbox, &client, &[]);
        assert_once(&client).await;
        assert_eq!(ends.executed, 1, "without --wait one does it all: {ends:?}");
        add(ends);

        let client = database(&format!("race_wait_{round}")).await;
        let ends = race(&sandbox, &client, &["--wait"]);
        assert_once(&client).await;
        assert_eq!((ends.executed, ends.idle), (1, RUNS - 1), "{ends:?}");
        add(ends);
    }
    // The lease runs out, and sixteen want to be the heir.
    tokio::time::sleep(
        (housewright::journal::LEASE + Duration::from_secs(2)).saturating_sub(died.elapsed()),
    )
    .await;
    for client in &dead {
        let ends = race(&sandbox, client, &["--wait"]);
        assert_once(client).await;
        assert_eq!((ends.executed, ends.idle), (1, RUNS - 1), "{ends:?}");
        add(ends);
    }
    support::say(&format!(
        "race: {} rounds of {RUNS} runs: {} executed, {} found nothing to do, {} said who has the lock; {} statements executed, each once",
        3 * rounds,
        total.executed,
        total.idle,
        total.locked,
        total.statements
    ));
    for round in 0..rounds {
        for name in ["race_", "race_wait_", "race_dead_"] {
            execute(
                &dead[0].in_database("default"),
                &format!("DROP DATABASE {name}{round}"),
            )
            .await;
        }
    }
}
