//! The recipes of `schema/queries/`: what they answer, on a story told by hand and on generated events, however the rows arrived.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::fmt::Write as _;
use std::process::Output;

use camino::Utf8Path;
use housewright::clickhouse::{Client, Query};
use housewright::recipe::{Recipe, Recipes};
use housewright::{seed, survey};
use support::{database_with_schema, execute, insert};

fn recipes() -> Recipes {
    Recipes::load(&support::schema()).unwrap()
}

/// The rows of a recipe, a line each, below the columns.
async fn asked(client: &Client, recipe: &Recipe, given: &[(&str, &str)]) -> String {
    let given: Vec<(String, String)> = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let values = recipe.bind(&given, true).unwrap();
    let answer = survey::ask(&client.read_only(), recipe, &values)
        .await
        .unwrap_or_else(|error| panic!("{}: {}", recipe.name, housewright::report::causes(&error)));
    let mut text = answer
        .columns
        .iter()
        .map(|column| column.name.as_str())
        .collect::<Vec<_>>()
        .join(" | ");
    for row in &answer.rows {
        let cells: Vec<String> = row
            .iter()
            .map(|value| match value {
                serde_json::Value::String(text) => text.clone(),
                other => other.to_string(),
            })
            .collect();
        let _ = write!(text, "\n{}", cells.join(" | "));
    }
    text
}

/// `at name visitor user source medium`, one event a line; all of project p.
async fn story(client: &Client, lines: &str) {
    let mut body = String::new();
    for (number, line) in lines.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [day, time, name, visitor, user, source, medium] = words.as_slice() else {
            panic!("{line}")
        };
        let event = serde_json::json!({
            "project_id": "p", "event_id": format!("e{number}"), "timestamp": format!("{day} {time}"), "event_name": name,
            "anonymous_id": visitor, "user_id": (*user != "-").then_some(*user), "source": source, "medium": medium,
        });
        let _ = writeln!(body, "{event}");
    }
    insert(client, "INSERT INTO events FORMAT JSONEachRow", body).await;
}

#[tokio::test]
async fn a_week_told_by_hand() {
    let client = database_with_schema("recipes_story").await;
    // ada: an advert on the 11th, known on the 17th. bob: two logins on one device, cut by a half hour. eve: social, never known.
    story(
        &client,
        "2026-05-11 14:00:00 $pageview ada - facebook paid
2026-05-11 14:02:00 clicked_pricing ada - facebook paid
2026-05-15 09:30:00 $pageview ada - direct direct
2026-05-17 11:14:00 $identify ada user_42 direct direct
2026-05-17 11:14:01 signup ada user_42 direct direct
2026-05-12 10:25:00 $pageview bob - google organic
2026-05-12 10:31:00 $identify bob user_7 internal direct
2026-05-13 10:00:00 $identify bob user_8 direct direct
2026-05-13 23:59:59.999 $pageview eve - facebook social
2026-05-18 00:00:00 $pageview eve - direct direct
2026-05-14 08:00:00 $pageview fay - facebook paid
2026-05-14 08:05:00 signup fay user_9 direct direct",
    )
    .await;
    let recipes = recipes();
    let ask = async |name: &str, given: &[(&str, &str)]| {
        let given = [&[("project", "p")], given].concat();
        asked(&client, recipes.get(name).unwrap(), &given).await
    };
    // Eight sessions in the week; eve's second begins at its end.
    insta::assert_snapshot!(ask("channels", &[]).await, @"
    source | medium | sessions | share | visitors | events | paid_share
    direct | direct | 3 | 0.375 | 2 | 4 | 0
    facebook | paid | 2 | 0.25 | 2 | 4 | 1
    facebook | social | 1 | 0.125 | 1 | 1 | 0
    google | organic | 1 | 0.125 | 1 | 1 | 0
    internal | direct | 1 | 0.125 | 1 | 1 | 0
    ");
    insta::assert_snapshot!(ask("channels", &[("breakdown", "source")]).await, @"
    source | medium | sessions | share | visitors | events | paid_share
    direct |  | 3 | 0.375 | 2 | 4 | 0
    facebook |  | 3 | 0.375 | 3 | 5 | 0.8
    google |  | 1 | 0.125 | 1 | 1 | 0
    internal |  | 1 | 0.125 | 1 | 1 | 0
    ");
    insta::assert_snapshot!(ask("first_touch", &[]).await, @"
    user_id | first_source | first_medium | first_campaign | first_seen | days_unknown | visitors | sessions
    user_42 | facebook | paid |  | 2026-05-11 14:00:00.000 | 6 | 1 | 3
    user_7 | google | organic |  | 2026-05-12 10:25:00.000 | 0 | 1 | 3
    user_8 | google | organic |  | 2026-05-12 10:25:00.000 | 1 | 1 | 3
    user_9 | facebook | paid |  | 2026-05-14 08:00:00.000 | 0 | 1 | 1
    ");
    insta::assert_snapshot!(ask("first_touch", &[("user", "user_42")]).await, @"
    user_id | first_source | first_medium | first_campaign | first_seen | days_unknown | visitors | sessions
    user_42 | facebook | paid |  | 2026-05-11 14:00:00.000 | 6 | 1 | 3
    ");
    // A signup that a server reports as direct counts for the advert.
    insta::assert_snapshot!(ask("conversion", &[]).await, @"
    source | medium | sessions | converted | rate
    facebook | paid | 2 | 1 | 0.5
    direct | direct | 3 | 1 | 0.3333
    facebook | social | 1 | 0 | 0
    google | organic | 1 | 0 | 0
    internal | direct | 1 | 0 | 0
    ");
    // ada came three times, bob twice (one visit of two sessions, and one), the others once.
    insta::assert_snapshot!(ask("returning", &[]).await, @"
    visits | visitors | share | sessions
    1 | 2 | 0.5 | 2
    2 | 1 | 0.25 | 3
    3 | 1 | 0.25 | 3
    ");
    insta::assert_snapshot!(ask("returning", &[("gap", "0")]).await, @"
    visits | visitors | share | sessions
    1 | 2 | 0.5 | 2
    3 | 2 | 0.5 | 6
    ");
    insta::assert_snapshot!(ask("daily", &[]).await, @"
    day | sessions | visitors | people | pageviews | paid_sessions | seconds
    2026-05-11 | 1 | 1 | 0 | 1 | 1 | 120
    2026-05-12 | 2 | 1 | 1 | 1 | 0 | 0
    2026-05-13 | 2 | 2 | 1 | 1 | 0 | 0
    2026-05-14 | 1 | 1 | 1 | 1 | 1 | 300
    2026-05-15 | 1 | 1 | 0 | 1 | 0 | 0
    2026-05-16 | 0 | 0 | 0 | 0 | 0 | 0
    2026-05-17 | 1 | 1 | 1 | 0 | 0 | 1
    ");
    insta::assert_snapshot!(ask("daily", &[("project", "nobody")]).await, @"
    day | sessions | visitors | people | pageviews | paid_sessions | seconds
    2026-05-11 | 0 | 0 | 0 | 0 | 0 | 0
    2026-05-12 | 0 | 0 | 0 | 0 | 0 | 0
    2026-05-13 | 0 | 0 | 0 | 0 | 0 | 0
    2026-05-14 | 0 | 0 | 0 | 0 | 0 | 0
    2026-05-15 | 0 | 0 | 0 | 0 | 0 | 0
    2026-05-16 | 0 | 0 | 0 | 0 | 0 | 0
    2026-05-17 | 0 | 0 | 0 | 0 | 0 | 0
    ");
}

#[tokio::test]
async fn the_generated_week_however_it_arrived() {
    let mut lines = Vec::new();
    for event in seed::generate(&seed::Options::default()).unwrap() {
        let mut line = Vec::new();
        event.write_json_line(&mut line).unwrap();
        lines.push(line);
    }
    let recipes = recipes();
    let mut answers = Vec::new();
    for way in ["at_once", "backwards", "merged"] {
        let client = database_with_schema(&format!("recipes_{way}")).await;
        let mut events = lines.clone();
        if way != "at_once" {
            events.reverse();
        }
        for batch in events.chunks(if way == "at_once" { events.len() } else { 1500 }) {
            insert(
                &client,
                "INSERT INTO events FORMAT JSONEachRow",
                batch.concat(),
            )
            .await;
        }
        if way == "merged" {
            for table in ["events", "sessions_v1", "session_days_v1"] {
                execute(&client, &format!("OPTIMIZE TABLE {table} FINAL")).await;
            }
        }
        let mut text = String::new();
        for recipe in recipes.iter() {
            let _ = writeln!(
                text,
                "## {}\n\n{}\n",
                recipe.name,
                asked(&client, recipe, &[]).await
            );
        }
        answers.push((way, text));
    }
    let (_, first) = &answers[0];
    for (way, text) in &answers {
        assert_eq!(text, first, "{way}");
    }
    insta::assert_snapshot!("generated_week", first);
}

/// What the recipes say together has to be one story.
#[tokio::test]
async fn the_recipes_agree_with_each_other_and_with_the_events() {
    #[derive(serde::Deserialize)]
    struct Count {
        n: u64,
    }
    let client = database_with_schema("recipes_agree").await;
    let catalog = housewright::catalog::Catalog::read(&client).await.unwrap();
    assert!(survey::stock(&client, &catalog).await.unwrap());
    let recipes = recipes();
    let sum = async |name: &str, column: &str, given: &[(&str, &str)]| -> u64 {
        let text = asked(&client, recipes.get(name).unwrap(), given).await;
        let mut lines = text.lines();
        let at = lines
            .next()
            .unwrap()
            .split(" | ")
            .position(|it| it == column)
            .unwrap();
        lines
            .map(|line| line.split(" | ").nth(at).unwrap().parse::<u64>().unwrap())
            .sum()
    };
    let sessions = sum("channels", "sessions", &[]).await;
    assert!(sessions > 1000);
    assert_eq!(
        sum("channels", "sessions", &[("breakdown", "source")]).await,
        sessions
    );
    assert_eq!(sum("conversion", "sessions", &[]).await, sessions);
    assert_eq!(sum("returning", "sessions", &[]).await, sessions);
    assert_eq!(sum("daily", "sessions", &[]).await, sessions);
    // From the raw events, without any view.
    let count = async |sql: &str| client.row::<Count>(&Query::new(sql)).await.unwrap().n;
    let week = "project_id = 'p0' GROUP BY session_id, anonymous_id HAVING min(timestamp) >= '2026-05-11' AND min(timestamp) < '2026-05-18'";
    assert_eq!(
        count(&format!(
            "SELECT count() AS n FROM (SELECT 1 FROM events WHERE {week})"
        ))
        .await,
        sessions
    );
    assert_eq!(
        count(&format!("SELECT count() AS n FROM (SELECT countIf(event_name = 'signup') AS c FROM events WHERE {week}) WHERE c > 0")).await,
        sum("conversion", "converted", &[]).await
    );
    assert_eq!(
        count("SELECT uniqExact(anonymous_id) AS n FROM sessions WHERE project_id = 'p0' AND started_at >= '2026-05-11' AND started_at < '2026-05-18'").await,
        sum("returning", "visitors", &[]).await
    );
}

fn query(directory: &Utf8Path, args: &[&str]) -> Output {
    support::command(directory, &[&["query"], args].concat())
        .env("COLUMNS", "100")
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    format!(
        "exit {}\n{}\n---\n{}",
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr)
    )
}

#[test]
fn an_analyst_asks() {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    insta::assert_snapshot!(said(&query(root, &[])), @"
    exit 0
      recipe       answers                      parameters
      channels     Channels                     project from to breakdown=source_medium
      conversion   Conversion by entry channel  project from to goal=signup
      daily        Sessions a day               project from to
      first_touch  First touch of a person      project user= limit=20
      returning    Visitors who come back       project from to gap=1800
    ---
    ");
    insta::assert_snapshot!(said(&query(root, &["channels"])), @"
    exit 0
      source            medium    sessions                         share  visitors  events  paid_share
      direct            direct         553  ████████████████████  0.3426       315    1919           0
      internal          direct         318  ███████████▌           0.197       272     976           0
      facebook          paid           138  █████                 0.0855       129     505           1
      google            paid           121  ████▍                  0.075       115     416           1
      newsletter        email           61  ██▎                   0.0378        61     244           0
      bing              paid            59  ██▏                   0.0366        59     217           1
      duckduckgo        organic         57  ██                    0.0353        57     213           0
      facebook          social          57  ██                    0.0353        56     174           0
      email             email           56  ██                    0.0347        55     228           0
      news.example.org  referral        54  ██                    0.0335        52     213           0
      linkedin          paid            53  █▉                    0.0328        49     172           1
      google            organic         44  █▋                    0.0273        43     142           0
      tiktok            paid            43  █▌                    0.0266        42     162           1
    ---
    on generated events; `--target` asks elsewhere: query channels --param project=p0 --param from=2026-05-11 --param to=2026-05-18 --param breakdown=source_medium
    ");
    insta::assert_snapshot!(said(&query(root, &["daily", "-p", "project=p1", "--format", "csv", "-q"])), @r#"
    exit 0
    "day","sessions","visitors","people","pageviews","paid_sessions","seconds"
    "2026-05-11",146,66,21,338,39,8265.1
    "2026-05-12",126,83,25,256,35,7102.9
    "2026-05-13",121,92,21,273,29,6457.4
    "2026-05-14",131,99,19,282,41,2694.6
    "2026-05-15",92,75,15,180,24,7595.6
    "2026-05-16",66,55,13,154,13,5150.3
    "2026-05-17",114,90,19,233,31,5720.4
    ---
    "#);
    insta::assert_snapshot!(said(&query(root, &["returning", "--show"])), @"
    exit 0
    Visitors who come back

    How many visitors had one session in the range, two, three, and so on. The half hour that a derived session_id stands for cuts a visit that goes on in two; gap leaves out sessions that begin so soon after the last one ended. All sessions of the project are read, whatever the range.

      parameter  type                  value            meaning
      project    String                like p0          the tenant
      from       DateTime64(3, 'UTC')  like 2026-05-11  the first moment of the range, UTC
      to         DateTime64(3, 'UTC')  like 2026-05-18  the moment behind its last, UTC
      gap        UInt32                default: 1800    seconds of silence before a session counts as another visit; 0 counts every session

    WITH
        visits AS
        (
            SELECT
                anonymous_id,
                row_number() OVER visitor = 1
                    OR dateDiff('second', max(ended_at) OVER (visitor ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), started_at)
                        >= {gap:UInt32} AS begins
            FROM sessions
            WHERE project_id = {project:String}
                AND started_at >= {from:DateTime64(3, 'UTC')}
                AND started_at < {to:DateTime64(3, 'UTC')}
            WINDOW visitor AS (PARTITION BY anonymous_id ORDER BY started_at, session_id)
        ),
        visitors AS
        (
            SELECT anonymous_id, countIf(begins) AS visits, count() AS sessions
            FROM visits
            GROUP BY anonymous_id
        )
    SELECT
        visits,
        count() AS visitors,
        round(visitors / sum(count()) OVER (), 4) AS share,
        sum(sessions) AS sessions
    FROM visitors
    GROUP BY visits
    ORDER BY visits
    ---
    ");
    let json = query(root, &["returning", "--format", "json", "-q"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["version"], 1);
    assert_eq!(json["parameters"]["gap"], "1800");
    assert_eq!(
        json["columns"][1],
        serde_json::json!({"name": "visitors", "type": "UInt64"})
    );
    assert!(json["rows"][0][1].as_u64().unwrap() > 100);
}

#[test]
fn what_an_analyst_gets_wrong_is_said() {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    insta::assert_snapshot!(said(&query(root, &["chanels"])), @"
    exit 2

    ---
    error: there is no recipe `chanels`
      there are: channels, conversion, daily, first_touch, returning
    ");
    insta::assert_snapshot!(said(&query(root, &["channels", "-p", "projekt=p0"])), @"
    exit 2

    ---
    error: `channels` has no parameter `projekt`
      it has: project, from, to, breakdown
    ");
    insta::assert_snapshot!(said(&query(root, &["channels", "-p", "project"])), @"
    exit 2

    ---
    error: invalid value 'project' for '--param <NAME=VALUE>': write it as NAME=VALUE

    For more information, try '--help'.
    ");
    // A target has data of its own: no example stands in for what was not said.
    insta::assert_snapshot!(said(&query(root, &["channels", "--url", "http://127.0.0.1:1"])), @"
    exit 2

    ---
    error: `channels` needs a value for `project`, `from`, `to`
      give it with --param project=p0 --param from=2026-05-11 --param to=2026-05-18
    ");
    insta::assert_snapshot!(said(&query(root, &["daily", "-p", "from=yesterday", "-q"])), @"
    exit 3

    ---
    error: ClickHouse says CANNOT_PARSE_DATE (code 38): Cannot parse date: value is too short: value yesterday cannot be parsed as Date for query parameter 'from'.
    ");
}

#[test]
fn a_recipe_that_is_not_one_is_shown_where_it_stands() {
    let directory = support::directory();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    write(
        "schema/migrations/0001_t.sql",
        "-- migrate:up\nCREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a;\n-- migrate:down\nDROP TABLE t;\n",
    );
    write(
        "schema/queries/all.sql",
        "-- All\n-- param least: from here\nSELECT a FROM t WHERE a >= {least:UInt8} AND a < {most:UInt8};\nDROP TABLE t\n",
    );
    insta::assert_snapshot!(said(&query(directory.path(), &["all"])), @"
    exit 2

    ---
    error[recipe-parameter]: `param least: from here` is no description of a parameter
     --> schema/queries/all.sql:2:1
      |
    2 | -- param least: from here
      | ^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: write `param NAME = DEFAULT: what it means`, or `param NAME, like EXAMPLE: what it means`

    error[recipe-statement]: a recipe is one SELECT under a comment
     --> schema/queries/all.sql:3:1
      |
    3 | SELECT a FROM t WHERE a >= {least:UInt8} AND a < {most:UInt8};
      | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: keep one query in each file of queries/, and nothing that changes data
    ");
    // Without a table `events` nothing is generated, and the recipe is asked all the same.
    write(
        "schema/queries/all.sql",
        "-- All\nSELECT a, 'x\u{1b}[31m' AS b FROM t UNION ALL SELECT 1, 'y\u{1b}[31m\\nz'\n",
    );
    insta::assert_snapshot!(said(&query(directory.path(), &["all"])), @"
    exit 0
      a  b
      1  y␣[31m␣z
    ---
    ");
}
