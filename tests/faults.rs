//! Every request of a run spoiled in every way: afterwards a plain `apply` ends where an undisturbed one does, and nothing is executed twice.
//!
//! One in eleven of the pairs of request and fault here, all with `HOUSEWRIGHT_FULL=1`.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use camino_tempfile::Utf8TempDir;
use housewright::apply::{Failure, FailureKind, Outcome, Task, Work, perform};
use housewright::clickhouse::{Client, Error, Query};
use housewright::config::Server;
use housewright::journal::{self, LockError, Owner};
use housewright::migration::Migrations;
use housewright::plan::Options;
use support::proxy::{Fate, Proxy};
use support::{bench, database, engine, execute, owner, table};
use test_case::test_case;

/// How long a run under test waits for an answer, and how late a late one is.
const PATIENCE: Duration = Duration::from_secs(3);
const LATE: Duration = Duration::from_secs(5);

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nobody listens any more, from this request on.
    Refused,
    /// The connection is closed before the request goes on.
    Before,
    /// The request is executed, and the connection is closed instead of an answer.
    After,
    /// The request is executed, and the connection is closed in the middle of the answer.
    Within,
    /// The request is executed, and its answer comes later than anybody waits.
    Late,
}

/// A proxy that spoils the request of this number.
fn spoiling(spoiled: usize, fault: Fault) -> (Proxy, Server) {
    let proxy = Proxy::start(&engine().url, move |request| match fault {
        Fault::Refused if request.number + 1 == spoiled => Fate::Last,
        _ if request.number != spoiled => Fate::Pass,
        Fault::Refused => Fate::CutBefore,
        Fault::Before => Fate::CutBefore,
        Fault::After => Fate::CutAfter,
        Fault::Within => Fate::CutWithin,
        Fault::Late => Fate::Late(LATE),
    });
    let server = Server {
        url: proxy.url.clone(),
        ..engine().clone()
    };
    (proxy, server)
}

/// Statements that cannot be executed twice without being noticed: a name that is taken, a row too many.
fn migrations() -> (Utf8TempDir, Migrations) {
    let dir = support::directory();
    fs_err::create_dir(dir.path().join("migrations")).unwrap();
    for (name, text) in [
        (
            "0001_tally.sql",
            "-- migrate:up\nCREATE TABLE tally (statement UInt8) ENGINE = MergeTree ORDER BY statement;\nINSERT INTO tally VALUES (2), (2);\n-- migrate:down\nDROP TABLE tally;\n",
        ),
        (
            "0002_more.sql",
            "-- migrate:up\nALTER TABLE tally ADD COLUMN note String;\nINSERT INTO tally (statement) SELECT 2;\n-- migrate:down\nALTER TABLE tally DROP COLUMN note;\n",
        ),
    ] {
        fs_err::write(dir.path().join("migrations").join(name), text).unwrap();
    }
    let migrations = Migrations::load(dir.path()).unwrap();
    (dir, migrations)
}

async fn run(client: &Client, migrations: &Migrations, owner: &Owner) -> Result<Outcome, Failure> {
    let work = Work {
        migrations,
        task: Task::Apply(Options::default()),
        basis: None,
        patience: Duration::ZERO,
        bench: Some(bench()),
        rebuilds: None,
    };
    perform(client, work, owner, &AtomicBool::new(false), &mut |_| {}).await
}

/// Schema, data and what the journal says in the end.
async fn state(client: &Client) -> String {
    let mut state = String::new();
    for sql in [
        "SELECT name, replaceAll(create_table_query, currentDatabase(), 'db') AS definition FROM system.tables WHERE database = currentDatabase() AND name NOT LIKE 'housewright%' ORDER BY name",
        "SELECT * FROM tally ORDER BY ALL",
        "SELECT version, name, statement, statements, sha256, argMax(state, position) AS state FROM housewright_journal GROUP BY ALL ORDER BY ALL",
    ] {
        state.push_str(&table(client, sql).await);
        state.push('\n');
    }
    state
}

/// A plain `apply`, on a network that works. Waits for nothing: a lock that the spoiled run could not give back is broken as `unlock` does.
async fn again(client: &Client, migrations: &Migrations, ends: &mut BTreeMap<&str, usize>) {
    let mut result = run(client, migrations, &owner()).await;
    if let Err(Failure {
        kind: FailureKind::Lock(LockError::Held { .. }),
        ..
    }) = result
    {
        *ends.entry("had to break its lock").or_default() += 1;
        journal::unlock(client).await.unwrap();
        result = run(client, migrations, &owner()).await;
    }
    result.unwrap();
}

#[test_case(Fault::Refused)]
#[test_case(Fault::Before)]
#[test_case(Fault::After)]
#[test_case(Fault::Within)]
#[test_case(Fault::Late)]
#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_a_request_the_next_apply_ends_where_an_undisturbed_one_does(
    fault: Fault,
) {
    let (_dir, migrations) = migrations();
    let name = format!("faults_undisturbed_{fault:?}");
    let direct = database(&name).await;
    let (proxy, server) = spoiling(usize::MAX, fault);
    let client = Client::new(&server, &name).unwrap();
    let outcome = run(&client, &migrations, &owner()).await.unwrap();
    assert_eq!(outcome.executed.len(), 4);
    let requests = proxy.count();
    let expected = state(&direct).await;
    assert!(expected.contains("2 | "), "{expected}");

    let mut tried = 0;
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    for request in 1..=requests {
        if !support::full() && !(request + fault as usize).is_multiple_of(11) {
            continue;
        }
        let name = format!("faults_{fault:?}_{request}");
        let direct = database(&name).await;
        let (proxy, server) = spoiling(request, fault);
        let client = Client::new(&server, &name)
            .unwrap()
            .answering_within(PATIENCE);
        let spoiled = run(&client, &migrations, &owner()).await;
        if spoiled.is_ok() {
            *ends.entry("came to its end all the same").or_default() += 1;
        }
        drop(proxy);
        again(&direct, &migrations, &mut ends).await;
        if journal::holder(&direct).await.unwrap().is_some() {
            // It could not be given back, and who has nothing to do takes no lock; it dies after its lease.
            *ends.entry("left its lock to die").or_default() += 1;
        }
        assert_eq!(
            state(&direct).await,
            expected,
            "request {request}, {fault:?}: {spoiled:?}"
        );
        tried += 1;
        execute(
            &direct.in_database("default"),
            &format!("DROP DATABASE {name}"),
        )
        .await;
    }
    let ends: Vec<String> = ends.iter().map(|(end, n)| format!("{n} {end}")).collect();
    support::say(&format!(
        "faults: {fault:?} at {tried} of {requests} requests of 4 statements: {}; no difference, nothing executed twice",
        ends.join(", ")
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_in_time_is_said_not_to() {
    let direct = database("faults_late").await;
    execute(
        &direct,
        "CREATE TABLE t (i UInt8) ENGINE = MergeTree ORDER BY i",
    )
    .await;
    let short = Duration::from_secs(1);
    let late = || {
        let (proxy, server) = spoiling(1, Fault::Late);
        let client = Client::new(&server, "faults_late")
            .unwrap()
            .answering_within(short);
        (proxy, client)
    };
    // A read that is late is not asked again: the server is slow enough as it is.
    let (proxy, client) = late();
    let begun = std::time::Instant::now();
    let error = client
        .row::<serde_json::Value>(&Query::new("SELECT 1"))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("no answer from {} within 1 s", proxy.url)
    );
    assert!(begun.elapsed() < LATE, "{:?}", begun.elapsed());
    assert_eq!(proxy.count(), 1);
    // A statement, and an INSERT with its data, may have been executed, and were.
    let (_proxy, client) = late();
    let error = client
        .execute(&Query::new("INSERT INTO t SELECT 1"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::TimedOut { .. }) && error.outcome_is_unknown(),
        "{error:?}"
    );
    let (_proxy, client) = late();
    let mut insert = client.insert(&Query::new("INSERT INTO t FORMAT JSONEachRow"));
    insert.send("{\"i\": 2}\n".into()).await.unwrap();
    let error = insert.end().await.unwrap_err();
    assert!(
        matches!(error, Error::TimedOut { .. }) && error.outcome_is_unknown(),
        "{error:?}"
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(table(&direct, "SELECT i FROM t ORDER BY i").await, "1\n2");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_no_connection_is_given_up_after_a_while() {
    // A socket with a full backlog that nobody accepts from answers to no SYN, as a firewall that drops.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(
        Duration::from_millis(500),
        tokio::net::TcpStream::connect(address),
    )
    .await
    {
        filling.push(stream);
    }
    let server = housewright::config::Server {
        url: format!("http://{address}/"),
        ..engine().clone()
    };
    let client = Client::new(&server, "default").unwrap();
    let begun = std::time::Instant::now();
    let error = client.execute(&Query::new("SELECT 1")).await.unwrap_err();
    assert!(
        matches!(error, Error::Unreachable { .. }) && error.nothing_was_sent(),
        "{error:?}"
    );
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(25) && took < Duration::from_mins(2),
        "three times ten seconds, and not for ever: {took:?}"
    );
}
