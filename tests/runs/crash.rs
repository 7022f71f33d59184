//! The crash matrix: `apply`, the engine, or both are killed -9 before, during and just after every kind of statement, and a plain `apply`
//! goes on each time. In the end everything is as after a run that nobody disturbed.
//!
//! In one pass every statement of `tests/support/kinds.sql` is struck once, so the passes are long chains of crash and resumption. `cargo test`
//! makes one pass in which the point and the victim change from statement to statement; `HOUSEWRIGHT_FULL=1` makes them all, and one in
//! which each run is killed one request later than the run before it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::proxy::{Fate, Proxy, Request};
use crate::support::sandbox::Sandbox;
use crate::support::{self, everything, table};
use housewright::clickhouse::{Client, Query};
use housewright::config::Server;
use housewright::journal;
use test_case::test_case;

const KINDS: &str = include_str!("../support/kinds.sql");
/// The machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_mins(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    Before,
    During,
    After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Tool,
    Engine,
    Both,
}

/// A real engine in a process of its own, and a schema directory.
struct World {
    sandbox: Sandbox,
    engine: Option<(Child, String)>,
    strikes: usize,
}

impl World {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        sandbox.migration("0001_kinds.sql", KINDS);
        sandbox.run(&["repair", "-q"]);
        let mut world = Self {
            sandbox,
            engine: None,
            strikes: 0,
        };
        world.start();
        world
    }

    fn start(&mut self) {
        let mut child = self
            .sandbox
            .command(&["serve", "--port", "0", "--no-password", "--path", "data"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut url)
            .unwrap();
        self.engine = Some((child, url.trim().to_owned()));
    }

    fn url(&self) -> &str {
        &self.engine.as_ref().unwrap().1
    }

    fn kill_engine(&mut self) {
        let (mut child, _) = self.engine.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn client(&self, database: &str) -> Client {
        let server = Server {
            name: None,
            url: self.url().to_owned(),
            user: "default".to_owned(),
            password: None,
            ca_file: None,
            cluster: None,
        };
        Client::new(&server, database).unwrap()
    }

    async fn make(&self, database: &str) {
        let query = Query::new(format!("CREATE DATABASE {database}"));
        self.client("default").execute(&query).await.unwrap();
    }

    fn apply(&self, url: &str, database: &str) -> Command {
        let mut command = self.sandbox.command(&["apply", "--allow-destructive"]);
        command
            .args(["--url", url, "--database", database])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// `apply` without anybody in its way: what it said.
    fn finish(&self, database: &str) -> Result<String, String> {
        let output = self.apply(self.url(), database).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(said)
        }
    }

    /// Runs `apply` until a request is held, and strikes. False if the run came to its end; what it said if that is a bad one.
    async fn strike(
        &mut self,
        victim: Victim,
        pause: Duration,
        fate: impl Fn(&Request) -> Fate + Send + Sync + 'static,
    ) -> Result<bool, String> {
        let proxy = Proxy::start(self.url(), fate);
        let mut child = self.apply(&proxy.url, "crash").spawn().unwrap();
        let begun = std::time::Instant::now();
        while proxy.held(Duration::from_millis(20)).is_none() {
            if let Some(status) = child.try_wait().unwrap() {
                let output = child.wait_with_output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                return if status.success() {
                    Ok(false)
                } else {
                    Err(said)
                };
            }
            assert!(begun.elapsed() < PATIENCE, "no request came to be held");
        }
        std::thread::sleep(pause);
        if victim != Victim::Engine {
            child.kill().unwrap();
        }
        if victim != Victim::Tool {
            self.kill_engine();
        }
        drop(proxy);
        let status = child.wait().unwrap();
        if victim == Victim::Engine {
            assert_eq!(status.code(), Some(3));
        }
        if self.engine.is_none() {
            self.start();
        }
        self.strikes += 1;
        // As the lease would, a minute later.
        journal::unlock(&self.client("crash")).await.unwrap();
        Ok(true)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.engine.is_some() {
            self.kill_engine();
        }
    }
}

fn statements() -> usize {
    housewright::sql::split(KINDS).len()
}

/// What the journal comes to.
async fn end_state(client: &Client) -> String {
    table(
        client,
        "SELECT version, direction, statement, sha256, argMax(state, position) AS state FROM housewright_journal GROUP BY ALL ORDER BY ALL",
    )
    .await
}

/// A chain of crashes; how what it ends with differs from what nobody struck.
async fn chain(
    world: &mut World,
    name: &str,
    points: &mut dyn Iterator<Item = Strike>,
) -> Vec<String> {
    let before = world.strikes;
    world.make("crash").await;
    let mut differences = Vec::new();
    for Strike {
        victim,
        pause,
        fate,
        last,
    } in points
    {
        match world.strike(victim, pause, fate).await {
            Ok(true) => {}
            Ok(false) if last => break,
            Ok(false) => differences.push("a statement was never sent".to_owned()),
            Err(said) => {
                differences.push(said);
                break;
            }
        }
    }
    if differences.is_empty() {
        differences.extend(compare(world).await);
    }
    world
        .client("default")
        .execute(&Query::new("DROP DATABASE crash SYNC"))
        .await
        .unwrap();
    support::say(&format!(
        "crash: {name}: {} strikes, {} differences",
        world.strikes - before,
        differences.len()
    ));
    for difference in &differences {
        support::say(difference);
    }
    differences
        .into_iter()
        .map(|difference| format!("{name}: {difference}"))
        .collect()
}

/// When to strike, and whom.
struct Strike {
    victim: Victim,
    pause: Duration,
    fate: Box<dyn Fn(&Request) -> Fate + Send + Sync>,
    /// Whether the run may come to its end instead.
    last: bool,
}

/// Each statement is struck once.
fn each_statement(choose: impl Fn(usize) -> (Point, Victim)) -> impl Iterator<Item = Strike> {
    some_statements(|_| true, choose)
}

/// Some of them are struck.
fn some_statements(
    which: impl Fn(&usize) -> bool,
    choose: impl Fn(usize) -> (Point, Victim),
) -> impl Iterator<Item = Strike> {
    (1..=statements()).filter(which).map(move |number| {
        let (point, victim) = choose(number);
        let id = format!("-0001-{number}");
        Strike {
            victim,
            pause: match point {
                Point::During => Duration::from_millis(number as u64 * 7 % 40),
                _ => Duration::ZERO,
            },
            fate: Box::new(move |request| match request.query_id() {
                Some(query) if query.ends_with(&id) => match point {
                    Point::Before => Fate::HoldBefore,
                    Point::During => Fate::HoldDuring,
                    Point::After => Fate::HoldAfter,
                },
                _ => Fate::Pass,
            }),
            last: false,
        }
    })
}

/// Each run is killed at one request more than the last, before it or after it, until one comes to its end.
fn each_request() -> impl Iterator<Item = Strike> {
    (1..).flat_map(|number| {
        [Fate::HoldBefore, Fate::HoldAfter].map(|hold| Strike {
            victim: Victim::Tool,
            pause: Duration::ZERO,
            fate: Box::new(move |request| {
                if request.number == number {
                    hold
                } else {
                    Fate::Pass
                }
            }),
            last: true,
        })
    })
}

/// How the end of a chain differs from an undisturbed run's.
async fn compare(world: &World) -> Vec<String> {
    let mut differences: Vec<String> = world.finish("crash").err().into_iter().collect();
    let (is, should) = (world.client("crash"), world.client("undisturbed"));
    differences.extend(difference(
        &everything(&is).await,
        &everything(&should).await,
    ));
    differences.extend(difference(&end_state(&is).await, &end_state(&should).await));
    match world.finish("crash") {
        Ok(said) | Err(said) if !said.is_empty() => {
            differences.push(format!("something was left to do: {said}"));
        }
        _ => {}
    }
    differences
}

fn difference(is: &str, should: &str) -> Option<String> {
    let lines: Vec<String> = should
        .lines()
        .filter(|line| !is.lines().any(|other| other == *line))
        .map(|line| format!("- {line}"))
        .chain(
            is.lines()
                .filter(|line| !should.lines().any(|other| other == *line))
                .map(|line| format!("+ {line}")),
        )
        .collect();
    (is != should).then(|| lines.join("\n"))
}

/// One half of the work: each has an engine of its own.
#[test_case(0; "one half")]
#[test_case(1; "the other half")]
#[tokio::test]
async fn killed_anywhere_it_ends_as_if_nobody_had_killed_it(half: usize) {
    let mut world = World::new();
    world.make("undisturbed").await;
    world.finish("undisturbed").unwrap();
    let points = [Point::Before, Point::During, Point::After];
    let victims = [Victim::Tool, Victim::Engine, Victim::Both];
    let mut differences = Vec::new();
    if support::full() {
        let pairs = victims
            .into_iter()
            .flat_map(|victim| points.map(|point| (victim, point)));
        for (victim, point) in pairs.skip(half).step_by(2) {
            let name = format!("{victim:?} {point:?}");
            let mut strikes = each_statement(|_| (point, victim));
            differences.extend(chain(&mut world, &name, &mut strikes).await);
        }
        if half == 1 {
            differences.extend(chain(&mut world, "every request", &mut each_request()).await);
        }
    } else {
        let mixed = |number: usize| (points[number % 3], victims[number / 3 % 3]);
        let mut strikes = some_statements(|number| number % 2 == half, mixed);
        differences.extend(chain(&mut world, "mixed", &mut strikes).await);
    }
    support::say(&format!(
        "crash: {} statements, {} strikes in this half, {} differences",
        statements(),
        world.strikes,
        differences.len()
    ));
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
