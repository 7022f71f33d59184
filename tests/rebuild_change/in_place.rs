//! The stories of columns that are added in place: the state that is there gets them, and history comes to its rows while rows come in.

use std::fmt::Write as _;
use std::time::Duration;

use housewright::clickhouse::Client;

use crate::live::Live;
use crate::support::kill::{End, killed_at};
use crate::support::proxy::Fate;
use crate::support::sandbox::{Sandbox, edit, filters, snapshot};
use crate::support::{execute, say, table};
use crate::{EVENTS, JOURNAL, done, ours_and, sizes_and_cuts, statement, support, whole};

/// What the view writes besides.
const COLUMNS: &str = "ALTER TABLE sessions_v1\n    ADD COLUMN last_path SimpleAggregateFunction(max, Tuple(timestamp DateTime('UTC'), event_id String, name String)) COMMENT 'The last event that has a name' AFTER pageview_count,\n    ADD COLUMN names SimpleAggregateFunction(groupUniqArrayArray, Array(String)) AFTER last_path;\nALTER TABLE sessions_v1 ADD COLUMN people AggregateFunction(uniqExact, Nullable(String));\n";
const OUTPUTS: &str = "    max((toDateTime(e.timestamp, 'UTC'), e.event_id, toString(e.event_name))) AS last_path,\n    groupUniqArrayArray([toString(e.event_name)]) AS names,\n    uniqExactState(CAST(e.user_id, 'Nullable(String)')) AS people,\n";

/// The SELECT of our own view, with more outputs.
fn query(outputs: &str) -> String {
    let view = statement(
        "0002_sessions.sql",
        "CREATE MATERIALIZED VIEW sessions_v1_mv",
    );
    let select = view.split("AS SELECT").nth(1).unwrap();
    let select = select.split("\nCOMMENT").next().unwrap();
    let select = select.replace(
        "    count() AS event_count,",
        &format!("    count() AS event_count,\n{outputs}"),
    );
    format!("ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT{select};\n")
}

/// The reader, with what is new.
fn reader() -> String {
    let reader = statement("0002_sessions.sql", "CREATE VIEW sessions\n")
        .replace("CREATE VIEW", "CREATE OR REPLACE VIEW");
    let declared =
        "    pageview_count  UInt64               COMMENT 'Its events called $pageview',";
    let made = "    s.pageview_count AS pageview_count,";
    for place in [declared, made] {
        assert!(reader.contains(place), "{place}");
    }
    reader
        .replace(declared, &format!("{declared}\n    last_name String,\n    names Array(String),\n    people UInt64,"))
        .replace(made, &format!("{made}\n    tupleElement(s.last_path, 'name') AS last_name,\n    arraySort(s.names) AS names,\n    finalizeAggregation(s.people) AS people,"))
        + "\n"
}

/// Our own migrations, and a fourth that adds columns in place.
fn with(section: &str) -> Sandbox {
    let reader = statement("0002_sessions.sql", "CREATE VIEW sessions\n")
        .replace("CREATE VIEW", "CREATE OR REPLACE VIEW");
    let down = format!(
        "{reader}\n{}-- housewright:allow(destructive) because events has it\nALTER TABLE sessions_v1 DROP COLUMN people, DROP COLUMN names, DROP COLUMN last_path;\n",
        query("")
    );
    let sandbox = ours_and("0004_names.sql", section, &down);
    // What is wrong with the file is told by whoever reads it next.
    sandbox.command(&["repair", "-q"]).output().unwrap();
    sandbox
}

fn section() -> String {
    [COLUMNS.to_owned(), query(OUTPUTS), reader()].concat()
}

/// What readers are to say, by the events alone.
const RAW: &str = "SELECT project_id, session_id, anonymous_id, count() AS n, countIf(event_name = '$pageview') AS p, min(timestamp) AS b, argMin(toString(source), (timestamp, event_id)) AS e, \
    tupleElement(max((toDateTime(timestamp, 'UTC'), event_id, toString(event_name))), 3) AS l, arraySort(groupUniqArray(toString(event_name))) AS m, uniqExact(user_id) AS u FROM events GROUP BY 1, 2, 3";
const SEEN: &str = "SELECT project_id, session_id, anonymous_id, event_count AS n, pageview_count AS p, started_at AS b, entry_source AS e, last_name AS l, names AS m, people AS u FROM sessions";

/// Readers say what the events say.
async fn agree(client: &Client, what: &str) {
    for (a, b) in [(RAW, SEEN), (SEEN, RAW)] {
        let differ = table(client, &format!("SELECT * FROM ({a} EXCEPT {b}) LIMIT 3")).await;
        assert_eq!(differ, "", "{what}");
    }
}

fn dump(sandbox: &Sandbox, client: &Client) -> String {
    let output = sandbox.on(client, &["dump"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_are_added_in_place_there_and_back() {
    let sandbox = with(&section());
    let _settings = sizes_and_cuts();
    let empty = support::database("in_place_empty").await;
    done(&sandbox, &empty, &["apply", "--to", "3", "-q"]);
    snapshot!(sandbox.on(&empty, &["plan"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    in_place_empty on http://[ADDRESS]/: 4 statements to execute

    0004_names  schema/migrations/0004_names.sql
      1/4  ALTER TABLE … ADD COLUMN    sessions_v1     metadata
      2/4  ALTER TABLE … ADD COLUMN    sessions_v1     metadata
      3/4  ALTER TABLE … MODIFY QUERY  sessions_v1_mv  metadata
      4/4  CREATE VIEW                 sessions        metadata
      from statement 1 on: plain statements, because events is empty

    ----- stderr -----
    ");
    done(&sandbox, &empty, &["apply", "-q"]);

    let client = support::database("in_place").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    // Rows that are not merged, and such as are.
    execute(&client, "OPTIMIZE TABLE sessions_v1 FINAL").await;
    execute(&client, EVENTS).await;
    let before = whole(&sandbox, &client).await;
    snapshot!(sandbox.on(&client, &["plan", "--chunk-rows", "3"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    in_place on http://[ADDRESS]/: 4 statements to execute

    0004_names  schema/migrations/0004_names.sql
      1/4  ALTER TABLE … ADD COLUMN    sessions_v1     metadata
      2/4  ALTER TABLE … ADD COLUMN    sessions_v1     metadata
      3/4  ALTER TABLE … MODIFY QUERY  sessions_v1_mv  metadata
      4/4  CREATE VIEW                 sessions        metadata
      from statement 1 on: in place, because only `last_path`, `names`, `people` are added, and the same rows, added twice, give the same
        they are filled in `sessions_v1` while rows come in, without a copy: 10 rows ([BYTES]) of `events` in 4 chunks
        then these change over: sessions

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &["apply", "--chunk-rows", "3"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    in_place on http://[ADDRESS]/: 4 statements executed in [DURATION]

    ----- stderr -----
    filling last_path, names, people of sessions_v1 from `events`
      every INSERT from then on fills them
      history: 10 rows in 4 chunks
      3 rows have the same in them as a recomputation from `events`
      readers show them
      0004_names 1/4  ALTER TABLE … ADD COLUMN sessions_v1  [DURATION]
      0004_names 2/4  ALTER TABLE … ADD COLUMN sessions_v1  [DURATION]
      0004_names 3/4  ALTER TABLE … MODIFY QUERY sessions_v1_mv  [DURATION]
      0004_names 4/4  CREATE VIEW sessions  [DURATION]
    ");
    agree(&client, "history").await;
    execute(&client, EVENTS).await;
    agree(&client, "what came in later").await;
    execute(&client, "OPTIMIZE TABLE sessions_v1 FINAL").await;
    agree(&client, "merged").await;
    // Both databases are the same, and what the files say.
    assert_eq!(dump(&sandbox, &client), dump(&sandbox, &empty));
    snapshot!(sandbox.on(&client, &["drift"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    in_place on http://[ADDRESS]/ is what the 4 migrations made that were applied there: 7 objects

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    in_place on http://[ADDRESS]/ is up to date: nothing was executed

    ----- stderr -----
    ");
    execute(
        &client,
        "ALTER TABLE events DELETE WHERE 1 SETTINGS mutations_sync = 1",
    )
    .await;
    execute(&client, "TRUNCATE TABLE sessions_v1").await;
    for _ in 0..2 {
        execute(&client, EVENTS).await;
    }
    done(&sandbox, &client, &["rollback", "-q"]);
    assert_eq!(whole(&sandbox, &client).await, before);
    // There again, although a ledger says that it was done once.
    done(&sandbox, &client, &["apply", "-q"]);
    agree(&client, "again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_anywhere_it_goes_on_or_is_taken_back() {
    let sandbox = with(&section());
    let client = support::database("in_place_killed").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    execute(&client, EVENTS).await;
    let before = whole(&sandbox, &client).await;
    done(&sandbox, &client, &["apply", "-q"]);
    let never_killed = whole(&sandbox, &client).await;
    let journal = table(&client, JOURNAL).await;
    done(&sandbox, &client, &["rollback", "-q"]);
    let mut places = Vec::new();
    let stride = if support::full() { 1 } else { 11 };
    for number in (1..).step_by(stride) {
        let round = number / stride;
        let fate = [Fate::HoldBefore, Fate::HoldAfter, Fate::HoldDuring][round % 3];
        let args = ["apply", "--chunk-rows", "3"];
        let end = killed_at(|url| sandbox.at(url, &client, &args), number, fate);
        let End::Killed(at) = end else {
            assert_eq!(whole(&sandbox, &client).await, never_killed);
            break;
        };
        let place = format!("{number} {fate:?} {at}");
        done(&sandbox, &client, &["unlock", "--force", "-q"]);
        let last = housewright::rebuild::last(&client).await.unwrap();
        if round % 2 == 0 && last.is_some_and(|progress| !progress.ended) {
            done(&sandbox, &client, &["rebuild", "--abort", "-q"]);
            assert_eq!(whole(&sandbox, &client).await, before, "{place}");
        }
        done(&sandbox, &client, &["apply", "-q"]);
        assert_eq!(whole(&sandbox, &client).await, never_killed, "{place}");
        assert_eq!(table(&client, JOURNAL).await, journal, "{place}");
        agree(&client, &place).await;
        done(&sandbox, &client, &["rollback", "-q"]);
        assert_eq!(whole(&sandbox, &client).await, before, "{place}");
        places.push(place);
    }
    say(&format!(
        "killed at {} places:\n  {}",
        places.len(),
        places.join("\n  ")
    ));
    assert!(places.len() > 28 / stride, "{places:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_rows_come_in_every_event_is_in_the_new_columns() {
    let sandbox = with(&section());
    let client = support::database("in_place_live").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    let live = Live::start(&client, 3, |writer, number| {
        // Some are under way while the view's query changes, and each event has a name of its own: one that is missing is seen.
        format!(
            "INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id, session_id, source, user_id) SELECT 'live', '{writer}-{number}-' || toString(number), toDateTime64('2026-05-01 00:00:00', 3, 'UTC') + rand() % 6000000, 'e{writer}-{number}-' || toString(number), 'a' || toString(number % 3), 's' || toString(rand() % 40), 'x', 'u' || toString(rand()) FROM numbers(20) WHERE sleepEachRow({}) = 0",
            if number % 3 == 0 { 0.03 } else { 0.0 }
        )
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut kills = Vec::new();
    for number in [14, 22, usize::MAX] {
        let end = {
            let (sandbox, client) = (&sandbox, &client);
            let args = ["apply", "--chunk-rows", "300"];
            tokio::task::block_in_place(|| {
                killed_at(
                    |url| sandbox.at(url, client, &args),
                    number,
                    Fate::HoldAfter,
                )
            })
        };
        let End::Killed(at) = end else { break };
        kills.push(at);
        done(&sandbox, &client, &["unlock", "--force", "-q"]);
    }
    let (rows, reads) = live.end().await;
    agree(&client, "live").await;
    say(&format!(
        "{rows} rows came in, {reads} reads, killed at {kills:?}"
    ));
    assert!(rows > 200 && reads > 3 && kills.len() == 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_memory_is_short_less_is_filled_at_once() {
    let sandbox = with(&section());
    let client = support::database("in_place_memory").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(
        &client,
        "INSERT INTO events (project_id, event_id, timestamp, event_name, anonymous_id, user_id) SELECT 'p', toString(number), toDateTime64('2026-05-01 00:00:00', 3, 'UTC') + number, 'click' || toString(number % 7), hex(sipHash128(number)), 'u' || toString(number) FROM numbers(120000)",
    )
    .await;
    let limited = |bytes| ["apply", "--max-threads", "2", "--max-memory", bytes];
    let output = sandbox.on(&client, &limited("1000000")).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("MEMORY_LIMIT_EXCEEDED (code 241)"), "{said}");
    let help = said.lines().find(|line| line.contains("= help:")).unwrap();
    insta::assert_snapshot!(help.trim(), @"= help: `apply` again with more `--max-memory` goes on where it stopped; or `housewright rebuild --abort` takes back what was made so far, and `apply` begins again with fewer `--chunk-rows`");
    let said = done(&sandbox, &client, &limited("64000000"));
    assert!(
        said.contains("memory is short: going on in 2 slices"),
        "{said}"
    );
    agree(&client, "in slices").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_added_in_place_is_refused_with_its_place() {
    let client = support::database("in_place_refused").await;
    let first = with(&section());
    done(&first, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    let before = whole(&first, &client).await;
    let added = |column: &str, output: &str| {
        format!(
            "ALTER TABLE sessions_v1 ADD COLUMN {column};\n{}",
            query(&format!("    {output},\n"))
        )
    };
    let mut told = String::new();
    for (what, section) in [
        (
            "a counter",
            added("n SimpleAggregateFunction(sum, UInt64)", "count() AS n"),
        ),
        (
            "a minimum without a DEFAULT",
            added(
                "first SimpleAggregateFunction(min, DateTime('UTC'))",
                "min(toDateTime(e.timestamp, 'UTC')) AS first",
            ),
        ),
        ("no aggregate", added("a String", "any(e.event_name) AS a")),
        (
            "another meaning",
            section().replace("countIf(e.event_name = '$pageview')", "countIf(1)"),
        ),
        (
            "another filter",
            section().replace(
                "FROM events AS e",
                "FROM events AS e WHERE e.country = 'DE'",
            ),
        ),
        ("nothing new", query("")),
        (
            "something less",
            section().replace("    count() AS event_count,\n", ""),
        ),
        ("a column that the table does not have", query(OUTPUTS)),
        (
            "another table",
            section().replace("ALTER TABLE sessions_v1\n", "ALTER TABLE events\n"),
        ),
        (
            "a function that is none",
            section().replace("uniqExactState(", "uniqExactStat("),
        ),
    ] {
        let sandbox = with(&section);
        let output = sandbox.on(&client, &["apply"]).output().unwrap();
        let _ = write!(
            told,
            "## {what}: {}\n{}\n",
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap()
        );
        assert_eq!(whole(&first, &client).await, before, "{what}");
    }
    let _filters = filters();
    insta::assert_snapshot!(told, @"
    ## a counter: 2
    error[rebuild]: `n` cannot be filled in place: the same rows, added twice to sum, count twice, and while rows come in nobody can add each once
     --> schema/migrations/0004_names.sql:3:1
      |
    3 | ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: make a state beside this one, with the columns in it (CREATE TABLE …, CREATE MATERIALIZED VIEW … TO it, CREATE OR REPLACE VIEW), in this section

    ## a minimum without a DEFAULT: 2
    error[rebuild]: `first` cannot be filled in place: what DateTime('UTC') begins with is not the highest of all, so rows that are there would count as that: give the column a DEFAULT that is, or let it be AggregateFunction(min, DateTime('UTC'))
     --> schema/migrations/0004_names.sql:3:1
      |
    3 | ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: make a state beside this one, with the columns in it (CREATE TABLE …, CREATE MATERIALIZED VIEW … TO it, CREATE OR REPLACE VIEW), in this section

    ## no aggregate: 2
    error[rebuild]: `a` cannot be filled in place: it is String, and merges keep one of its values, whichever
     --> schema/migrations/0004_names.sql:3:1
      |
    3 | ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: make a state beside this one, with the columns in it (CREATE TABLE …, CREATE MATERIALIZED VIEW … TO it, CREATE OR REPLACE VIEW), in this section

    ## another meaning: 2
    error[rebuild]: `pageview_count` is made otherwise than now, and only new columns are filled in place
     --> schema/migrations/0004_names.sql:6:1
      |
    6 | ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: if history is to change too, make a state beside this one; if it may keep what it has, MODIFY QUERY belongs into `-- migrate:up`

    ## another filter: 2
    error[rebuild]: the query of `sessions_v1_mv` reads, filters or groups otherwise than now, so that the columns that are there would mean something else from here on
     --> schema/migrations/0004_names.sql:6:1
      |
    6 | ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: if history is to change too, make a state beside this one; if it may keep what it has, MODIFY QUERY belongs into `-- migrate:up`

    ## nothing new: 2
    error[rebuild]: the query writes no column that it does not write now, so there is nothing to fill
     --> schema/migrations/0004_names.sql:2:1
      |
    2 | ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: a query without new columns belongs into `-- migrate:up`

    ## something less: 2
    error[rebuild]: the query writes `event_count` no longer
     --> schema/migrations/0004_names.sql:6:1
      |
    6 | ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: leave it in here; MODIFY QUERY without it, and then DROP COLUMN, belong into `-- migrate:up`

    ## a column that the table does not have: 2
    error[rebuild]: the view writes `last_path`, and `sessions_v1` has no such column
     --> schema/migrations/0004_names.sql:2:1
      |
    2 | ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: add the column to the table, or call the output as the table does

    error[rebuild]: the view writes `names`, and `sessions_v1` has no such column
     --> schema/migrations/0004_names.sql:2:1
      |
    2 | ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: add the column to the table, or call the output as the table does

    error[rebuild]: the view writes `people`, and `sessions_v1` has no such column
     --> schema/migrations/0004_names.sql:2:1
      |
    2 | ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: add the column to the table, or call the output as the table does

    ## another table: 2
    error[changed-definition]: columns are added to `sessions_v1` too
     --> schema/migrations/0004_names.sql:5:1
      |
    5 | ALTER TABLE sessions_v1 ADD COLUMN people AggregateFunction(uniqExact, Nullable(String));
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: change one state at a time, each in a migration of its own

    ## a function that is none: 2
    error[rebuild]: ClickHouse refuses the query of `sessions_v1_mv`: Function with name `uniqExactStat` does not exist. Maybe you meant: ['uniqExact'].
     --> schema/migrations/0004_names.sql:6:1
      |
    6 | ALTER TABLE sessions_v1_mv MODIFY QUERY SELECT
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: mend the SELECT
    ");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn begun_where_nothing_was_it_ends_where_rows_are() {
    let sandbox = with(&section());
    let client = support::database("in_place_filled_since").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    let before = whole(&sandbox, &client).await;
    let mut places = 0;
    let stride = if support::full() { 1 } else { 3 };
    for number in (1..).step_by(stride) {
        let fate = [Fate::HoldBefore, Fate::HoldAfter, Fate::HoldDuring][number / stride % 3];
        let end = killed_at(|url| sandbox.at(url, &client, &["apply"]), number, fate);
        let End::Killed(at) = end else { break };
        let place = format!("{number} {fate:?} {at}");
        done(&sandbox, &client, &["unlock", "--force", "-q"]);
        // There was nothing to fill, and now there is.
        execute(&client, EVENTS).await;
        done(&sandbox, &client, &["apply", "-q"]);
        agree(&client, &place).await;
        done(&sandbox, &client, &["rollback", "-q"]);
        for emptied in ["events", "sessions_v1", "session_days_v1"] {
            execute(&client, &format!("TRUNCATE TABLE {emptied}")).await;
        }
        assert_eq!(whole(&sandbox, &client).await, before, "{place}");
        places += 1;
    }
    assert!(places * stride > 8, "{places}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_somebody_takes_back_meanwhile_is_seen() {
    let sandbox = with(&section());
    let client = support::database("in_place_taken_back").await;
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    sandbox.write("pause", "");
    let args = ["apply", "--pause-file", "pause", "-q"];
    let run = sandbox.on(&client, &args).spawn().unwrap();
    // The first chunk is not begun while the file is there.
    let fills = "SELECT count() AS n FROM system.tables WHERE database = currentDatabase() AND name = 'sessions_v1_mv' AND as_select LIKE '%AS names%'";
    while table(&client, fills).await != "1" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let back = query("").replace(";\n", "");
    execute(&client, &back).await;
    execute(&client, EVENTS).await;
    fs_err::remove_file(sandbox.path("pause")).unwrap();
    assert_eq!(run.wait_with_output().unwrap().status.code(), Some(2));
    let _settings = sizes_and_cuts();
    snapshot!(sandbox.on(&client, &["status"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    in_place_taken_back on http://[ADDRESS]/

      version  name      state    statements  applied                  by
      0001     events    applied  1/1         [TIME]  tester@box, [DURATION]
      0002     sessions  applied  5/5         [TIME]  tester@box, [DURATION]
      0003     sources   applied  1/1         [TIME]  tester@box, [DURATION]
      0004     names     failed   0/4         [TIME]  tester@box, [DURATION]

    3 applied, 1 failed

    0004_names failed at statement 1 of 4: the rebuild of `sessions` cannot go on: somebody changed the query of its view meanwhile, so that what came in since does not fill the columns
      `apply` again changes the query and adds history once more; readers were not changed
      the 0 statements before it are done; correct the file and `apply` again, it continues there

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    in_place_taken_back on http://[ADDRESS]/: 4 statements executed in [DURATION]

    ----- stderr -----
    filling last_path, names, people of sessions_v1 from `events`
      every INSERT from then on fills them
      history: 10 rows in 1 chunk
      3 rows have the same in them as a recomputation from `events`
      readers show them
      0004_names 1/4  ALTER TABLE … ADD COLUMN sessions_v1  [DURATION]
      0004_names 2/4  ALTER TABLE … ADD COLUMN sessions_v1  [DURATION]
      0004_names 3/4  ALTER TABLE … MODIFY QUERY sessions_v1_mv  [DURATION]
      0004_names 4/4  CREATE VIEW sessions  [DURATION]
    ");
    execute(&client, EVENTS).await;
    agree(&client, "once more").await;
}

/// One column more, with a DEFAULT.
fn first(default: &str) -> String {
    format!(
        "ALTER TABLE sessions_v1 ADD COLUMN first SimpleAggregateFunction(min, DateTime('UTC')) DEFAULT {default};\n{}",
        query("    min(toDateTime(e.timestamp, 'UTC')) AS first,\n")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_default_that_counts_is_found_before_anybody_reads_it() {
    let client = support::database("in_place_default").await;
    let sandbox = with(&first("toDateTime('2026-05-15 00:00:00', 'UTC')"));
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    // What came in within the last second is left out of what differs.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = whole(&sandbox, &client).await;
    let _settings = sizes_and_cuts();
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: false
    exit_code: 1
    ----- stdout -----

    ----- stderr -----
    filling first of sessions_v1 from `events`
      every INSERT from then on fills them
      history: 5 rows in 1 chunk
    error[parity]: 2 rows of `sessions_v1` differ from a recomputation from `events`; readers were not swapped
     --> schema/migrations/0004_names.sql:2:1
      |
    2 | ALTER TABLE sessions_v1 ADD COLUMN first SimpleAggregateFunction(min, DateTime('UTC')) DEFAULT toDateTime('2026-05-15 00:00:00', 'UTC');
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: project_id q, session_id t, anonymous_id b: first should be 2026-06-02 11:00:00 and is 2026-05-15 00:00:00
      = note: project_id p, session_id t, anonymous_id b: first should be 2026-06-02 10:00:00 and is 2026-05-15 00:00:00
      = note: nothing was executed in this run; of 0004_names 0 of 2 are done
      = help: does a column's DEFAULT count where it should not, or were rows deleted from the source? `housewright rebuild --abort` takes the columns out again
    ");
    snapshot!(sandbox.on(&client, &["status"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    in_place_default on http://[ADDRESS]/

      version  name      state    statements  applied                  by
      0001     events    applied  1/1         [TIME]  tester@box, [DURATION]
      0002     sessions  applied  5/5         [TIME]  tester@box, [DURATION]
      0003     sources   applied  1/1         [TIME]  tester@box, [DURATION]
      0004     names     failed   0/2         [TIME]  tester@box, [DURATION]

    3 applied, 1 failed

    0004_names failed at statement 1 of 2: 2 rows of `sessions_v1` differ from a recomputation from `events`; readers were not swapped
      the 0 statements before it are done; correct the file and `apply` again, it continues there

    ----- stderr -----
    ");
    snapshot!(sandbox.on(&client, &["rebuild", "--finish"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: the rebuild of `sessions_v1` cannot be finished: the columns are filled with 1 of 1 chunks of history
      columns that are added in place leave no old side; `apply` brings it to its end
    ");
    snapshot!(sandbox.on(&client, &["rebuild", "--rollback"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error: the rebuild of `sessions_v1` cannot be rolled back: the columns are filled with 1 of 1 chunks of history
      `apply` brings it to its end, and `rollback` takes it back then; `housewright rebuild --abort` does at once
    ");
    snapshot!(sandbox.on(&client, &["rebuild", "--abort"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    in_place_default on http://[ADDRESS]/: `sessions_v1`: the rebuild was taken back, in [DURATION]; everything is as it was

    ----- stderr -----
      taking first out of sessions_v1 again
    ");
    assert_eq!(whole(&sandbox, &client).await, before);
    let sandbox = with(&first("toDateTime(4294967295, 'UTC')"));
    done(&sandbox, &client, &["apply", "-q"]);
    assert_eq!(
        table(&client, "SELECT session_id, min(first) AS f FROM sessions_v1 GROUP BY project_id, session_id ORDER BY ALL").await,
        "s | 2026-05-01 10:00:00\nt | 2026-06-02 10:00:00\nt | 2026-06-02 11:00:00"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_may_be_another_generation_and_have_fewer_rows_than_its_source() {
    let client = support::database("in_place_generation").await;
    let sandbox = with(&section());
    done(&sandbox, &client, &["apply", "--to", "3", "-q"]);
    execute(&client, EVENTS).await;
    done(
        &sandbox,
        &client,
        &["rebuild", "sessions", "--lead", "0", "-q"],
    );
    done(&sandbox, &client, &["rebuild", "--finish", "-q"]);
    // Somebody wanted to be forgotten, and the source has not heard of it.
    execute(
        &client,
        "DELETE FROM sessions_v1__housewright_2 WHERE session_id = 's'",
    )
    .await;
    // A trigger on the state would take what fills a column for news.
    execute(
        &client,
        "CREATE TABLE seen (session_id String) ENGINE = MergeTree ORDER BY session_id",
    )
    .await;
    execute(&client, "CREATE MATERIALIZED VIEW seen_mv TO seen AS SELECT session_id FROM sessions_v1__housewright_2").await;
    snapshot!(sandbox.on(&client, &["plan"]), @"
    success: false
    exit_code: 2
    ----- stdout -----

    ----- stderr -----
    error[rebuild]: `seen_mv` is triggered by `sessions_v1__housewright_2`, and would take the rows that fill a column for new ones
     --> schema/migrations/0004_names.sql:2:1
      |
    2 | ALTER TABLE sessions_v1
      | ^^^^^^^^^^^^^^^^^^^^^^^
      |
      = note: nothing was changed
      = help: make a state beside this one, with the columns in it (CREATE TABLE …, CREATE MATERIALIZED VIEW … TO it, CREATE OR REPLACE VIEW), in this section
    ");
    execute(&client, "DROP VIEW seen_mv").await;
    execute(&client, "DROP TABLE seen").await;
    done(&sandbox, &client, &["apply", "-q"]);
    assert_eq!(
        table(
            &client,
            "SELECT project_id, session_id, event_count, names, people FROM sessions ORDER BY ALL"
        )
        .await,
        "p | t | 1 | [\"$pageview\"] | 0\nq | t | 1 | [\"screen\"] | 0"
    );
    snapshot!(sandbox.on(&client, &["drift"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    in_place_generation on http://[ADDRESS]/ is what the 4 migrations made that were applied there: 7 objects

    ----- stderr -----
    ");
}

/// A small project whose files are edited.
fn visits() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.migration(
        "0001_visits.sql",
        "-- migrate:up\n\
         CREATE TABLE events (id String, at DateTime('UTC'), name String, received_at DateTime64(6, 'UTC') MATERIALIZED now64(6)) ENGINE = MergeTree ORDER BY id;\n\
         CREATE TABLE visits_v1 (id String, n SimpleAggregateFunction(sum, UInt64), began SimpleAggregateFunction(min, DateTime('UTC'))) ENGINE = AggregatingMergeTree ORDER BY id;\n\
         CREATE MATERIALIZED VIEW visits_v1_mv TO visits_v1 AS SELECT id, count() AS n, min(at) AS began FROM events GROUP BY id;\n\
         CREATE VIEW visits AS SELECT id, n, began FROM visits_v1 FINAL;\n",
    );
    sandbox.run(&["repair", "-q"]);
    sandbox.run(&["dump", "--write", "-q"]);
    sandbox
}

const VISITS: &str = "INSERT INTO events (id, at, name) VALUES ('a', '2026-05-01 10:00:00', 'x'), ('a', '2026-05-01 11:00:00', 'y'), ('b', '2026-05-02 10:00:00', 'x')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_diff_writes_fills_the_rows_that_are_there() {
    let client = support::database("in_place_diff").await;
    let sandbox = visits();
    done(&sandbox, &client, &["apply", "-q"]);
    execute(&client, VISITS).await;
    edit(
        &sandbox,
        "visits_v1.sql",
        "    `began`",
        "    `names` SimpleAggregateFunction(groupUniqArrayArray, Array(String)),\n    `began`",
    );
    edit(
        &sandbox,
        "visits_v1_mv.sql",
        "    count() AS n,",
        "    count() AS n,\n    groupUniqArrayArray([name]) AS names,",
    );
    edit(
        &sandbox,
        "visits.sql",
        "AS SELECT\n    id,",
        "AS SELECT\n    id,\n    arraySort(names) AS names,",
    );
    edit(
        &sandbox,
        "visits.sql",
        "    `id` String,",
        "    `id` String,\n    `names` Array(String),",
    );
    sandbox.run(&["diff", "--write", "names", "-q"]);
    let text = fs_err::read_to_string(sandbox.path("schema/migrations/0002_names.sql")).unwrap();
    insta::assert_snapshot!(text, @"
    -- migrate:rebuild

    -- Where there are rows, `apply` makes history by these statements, compares it, and lets readers change over; elsewhere it executes them.
    -- In `-- migrate:up` they would take only what is inserted from then on.

    -- visits_v1: column `names` is new
    ALTER TABLE visits_v1 ADD COLUMN `names` SimpleAggregateFunction(groupUniqArrayArray, Array(String)) AFTER `n`;

    -- visits_v1_mv: its query
    -- where there are rows, what is new in it is filled for them too
    ALTER TABLE visits_v1_mv MODIFY QUERY SELECT
        id,
        count() AS n,
        groupUniqArrayArray([name]) AS names,
        min(at) AS began
    FROM events
    GROUP BY id;

    -- visits: is another
    CREATE OR REPLACE VIEW visits
    (
        `id` String,
        `names` Array(String),
        `n` SimpleAggregateFunction(sum, UInt64),
        `began` SimpleAggregateFunction(min, DateTime('UTC'))
    )
    AS SELECT
        id,
        arraySort(names) AS names,
        n,
        began
    FROM visits_v1
    FINAL;

    -- migrate:down

    -- visits: is another
    CREATE OR REPLACE VIEW visits
    (
        `id` String,
        `n` SimpleAggregateFunction(sum, UInt64),
        `began` SimpleAggregateFunction(min, DateTime('UTC'))
    )
    AS SELECT
        id,
        n,
        began
    FROM visits_v1
    FINAL;

    -- visits_v1_mv: its query
    ALTER TABLE visits_v1_mv MODIFY QUERY SELECT
        id,
        count() AS n,
        min(at) AS began
    FROM events
    GROUP BY id;

    -- visits_v1: column `names` is gone
    ALTER TABLE visits_v1 DROP COLUMN `names`;
    ");
    snapshot!(sandbox.on(&client, &["apply"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    in_place_diff on http://[ADDRESS]/: 3 statements executed in [DURATION]

    ----- stderr -----
    filling names of visits_v1 from `events`
      every INSERT from then on fills them
      history: 3 rows in 1 chunk
      2 rows have the same in them as a recomputation from `events`
      readers show them
      0002_names 1/3  ALTER TABLE … ADD COLUMN visits_v1  [DURATION]
      0002_names 2/3  ALTER TABLE … MODIFY QUERY visits_v1_mv  [DURATION]
      0002_names 3/3  CREATE VIEW visits  [DURATION]
    ");
    let read = "SELECT * FROM visits ORDER BY id";
    assert_eq!(
        table(&client, read).await,
        "a | [\"x\",\"y\"] | 2 | 2026-05-01 10:00:00\nb | [\"x\"] | 1 | 2026-05-02 10:00:00"
    );
    sandbox.run(&["check", "-q"]);
    // What is counted twice if it is added twice is made beside it.
    edit(
        &sandbox,
        "visits_v1.sql",
        "    `began`",
        "    `m` SimpleAggregateFunction(sum, UInt64),\n    `began`",
    );
    edit(
        &sandbox,
        "visits_v1_mv.sql",
        "    count() AS n,",
        "    count() AS n,\n    count() AS m,",
    );
    let output = sandbox
        .command(&["diff", "--format", "json"])
        .output()
        .unwrap();
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["rebuild"], serde_json::json!([]), "{value:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_diff_writes_makes_a_second_state_with_history() {
    let client = support::database("beside_diff").await;
    let sandbox = visits();
    done(&sandbox, &client, &["apply", "-q"]);
    execute(&client, VISITS).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    sandbox.write("schema/current/visits_v2.sql", "CREATE TABLE visits_v2 (id String, day Date, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY (id, day);\n");
    sandbox.write("schema/current/visits_v2_mv.sql", "CREATE MATERIALIZED VIEW visits_v2_mv TO visits_v2 AS SELECT id, toDate(at) AS day, count() AS n FROM events GROUP BY id, day;\n");
    sandbox.write(
        "schema/current/visits.sql",
        "CREATE VIEW visits AS SELECT id, sum(n) AS n FROM visits_v2 GROUP BY id;\n",
    );
    sandbox.run(&["diff", "--write", "by day", "-q"]);
    done(&sandbox, &client, &["apply", "--lead", "0", "-q"]);
    assert_eq!(
        table(
            &client,
            "SELECT id, day, n FROM visits_v2 FINAL ORDER BY ALL"
        )
        .await,
        "a | 2026-05-01 | 2\nb | 2026-05-02 | 1"
    );
    assert_eq!(
        table(&client, "SELECT * FROM visits ORDER BY id").await,
        "a | 2\nb | 1"
    );
    done(&sandbox, &client, &["drift", "-q"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_is_changed_alone_leaves_history_and_the_plan_says_so() {
    let sandbox = visits();
    let client = support::database("in_place_alone").await;
    sandbox.migration(
        "0002_named.sql",
        "-- migrate:up\nALTER TABLE visits_v1_mv MODIFY QUERY SELECT id, count() AS n, min(at) AS began FROM events WHERE name != '' GROUP BY id;\n",
    );
    sandbox.run(&["repair", "-q"]);
    done(&sandbox, &client, &["apply", "--to", "1", "-q"]);
    execute(&client, VISITS).await;
    snapshot!(sandbox.on(&client, &["plan"]), @"
    success: true
    exit_code: 0
    ----- stdout -----
    in_place_alone on http://[ADDRESS]/: 1 statement to execute

    0002_named  schema/migrations/0002_named.sql
      1/1  ALTER TABLE … MODIFY QUERY  visits_v1_mv  metadata, for what is inserted from then on; the 2 rows of `visits_v1` keep what they have

    ----- stderr -----
    ");
}
