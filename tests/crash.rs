//! The crash matrix: `apply`, the engine, or both are killed -9 before, during and just after every kind of statement, and a plain `apply`
//! goes on each time. In the end everything is as after a run that nobody disturbed.
//!
//! In one pass every statement of `support/kinds.sql` is struck once, so the passes are long chains of crash and resumption. `cargo test`
//! makes one pass in which the point and the victim change from statement to statement; `HOUSEWRIGHT_FULL=1` makes them all, and one in
//! which each run is killed one request later than the run before it.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use housewright::clickhouse::{Client, Query};
use housewright::config::Server;
use housewright::journal;
use support::proxy::{Fate, Proxy, Request};
use support::sandbox::Sandbox;
use support::{everything, table};

const KINDS: &str = include_str!("support/kinds.sql");
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

    /// `apply` without anybody in its way.
    fn finish(&self, database: &str) -> String {
        let output = self.apply(self.url(), database).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    /// Runs `apply` until a request is held, and strikes. False if the run came to its end.
    async fn strike(
        &mut self,
        victim: Victim,
        pause: Duration,
        fate: impl Fn(&Request) -> Fate + Send + Sync + 'static,
    ) -> bool {
        let proxy = Proxy::start(self.url(), fate);
        let mut child = self.apply(&proxy.url, "crash").spawn().unwrap();
        let begun = std::time::Instant::now();
        while proxy.held(Duration::from_millis(20)).is_none() {
            if let Some(status) = child.try_wait().unwrap() {
                let output = child.wait_with_output().unwrap();
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert!(status.success(), "{said}");
                return false;
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
        true
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

/// Strikes each statement once; what was struck has to end as what was not.
async fn pass(world: &mut World, name: &str, strike: impl Fn(usize) -> (Point, Victim)) {
    let before = world.strikes;
    world.make("crash").await;
    for number in 1..=statements() {
        let (point, victim) = strike(number);
        let pause = match point {
            Point::During => Duration::from_millis(number as u64 * 7 % 40),
            _ => Duration::ZERO,
        };
        let id = format!("-0001-{number}");
        let struck = world
            .strike(victim, pause, move |request| match request.query_id() {
                Some(query) if query.ends_with(&id) => match point {
                    Point::Before => Fate::HoldBefore,
                    Point::During => Fate::HoldDuring,
                    Point::After => Fate::HoldAfter,
                },
                _ => Fate::Pass,
            })
            .await;
        assert!(struck, "{name}: statement {number} was never sent");
    }
    compare(world, name).await;
    support::say(&format!(
        "crash: {name}: {} statements struck, 0 differences",
        world.strikes - before
    ));
}

async fn compare(world: &World, name: &str) {
    world.finish("crash");
    let (is, should) = (world.client("crash"), world.client("undisturbed"));
    same(&everything(&is).await, &everything(&should).await, name);
    same(&end_state(&is).await, &end_state(&should).await, name);
    assert!(
        world.finish("crash").is_empty(),
        "{name}: nothing is left to do"
    );
    is.in_database("default")
        .execute(&Query::new("DROP DATABASE crash SYNC"))
        .await
        .unwrap();
}

fn same(is: &str, should: &str, name: &str) {
    let other: Vec<String> = is
        .lines()
        .zip(should.lines())
        .filter(|(is, should)| is != should)
        .map(|(is, should)| format!("- {should}\n+ {is}"))
        .collect();
    assert!(is == should, "{name}:\n{}", other.join("\n"));
}

#[tokio::test]
async fn killed_anywhere_it_ends_as_if_nobody_had_killed_it() {
    let mut world = World::new();
    world.make("undisturbed").await;
    world.finish("undisturbed");
    let points = [Point::Before, Point::During, Point::After];
    let victims = [Victim::Tool, Victim::Engine, Victim::Both];
    if !support::full() {
        let mixed = |number: usize| (points[number % 3], victims[number / 3 % 3]);
        pass(&mut world, "mixed", mixed).await;
        return;
    }
    for victim in victims {
        for point in points {
            let name = format!("{victim:?} {point:?}");
            pass(&mut world, &name, |_| (point, victim)).await;
        }
    }
    every_request(&mut world).await;
    support::say(&format!(
        "crash: {} strikes in all, 0 differences",
        world.strikes
    ));
}

/// Each run is killed at one request more than the last, before it or after it, until one comes to its end.
async fn every_request(world: &mut World) {
    let before = world.strikes;
    world.make("crash").await;
    'runs: for number in 1.. {
        for hold in [Fate::HoldBefore, Fate::HoldAfter] {
            let fate = move |request: &Request| {
                if request.number == number {
                    hold
                } else {
                    Fate::Pass
                }
            };
            if !world.strike(Victim::Tool, Duration::ZERO, fate).await {
                break 'runs;
            }
        }
    }
    compare(world, "every request").await;
    support::say(&format!(
        "crash: every request: {} runs struck, 0 differences",
        world.strikes - before
    ));
}
