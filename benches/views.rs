//! What proving a view costs: start-up, cases, histories, mutants.
//!
//! `cargo bench --bench views`. Everything is the command itself, as CI runs it, on this project's cases.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark that cannot run fails, and prints its figures"
)]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::{library, line, ms, program};
use housewright::config::Environment;
use serde_json::Value;

/// Runs `housewright test` with these arguments.
fn test(args: &[&str]) -> (Duration, Value) {
    let begun = Instant::now();
    let output = Command::new(program())
        .args(["test", "--format", "json"])
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("HOUSEWRIGHT_LIBCHDB", library())
        .env("CI", "true")
        .output()
        .unwrap();
    let took = begun.elapsed();
    assert_eq!(output.status.code(), Some(0), "{args:?}");
    (took, serde_json::from_slice(&output.stdout).unwrap())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "for printing")]
fn a_second(number: usize, took: Duration) -> f64 {
    number as f64 / took.as_secs_f64()
}

fn main() {
    let one: Vec<Duration> = (0..5).map(|_| test(&["--filter", "one_event"]).0).collect();
    let start_up = median(one);
    line(
        "one small case, from the command to its end",
        &format!("{:.0} ms", ms(start_up)),
    );

    let (took, outcome) = test(&[]);
    let cases = outcome["cases"].as_array().unwrap();
    let readings: u64 = cases
        .iter()
        .map(|case| case["readings"].as_u64().unwrap())
        .sum();
    let readings = usize::try_from(readings).unwrap();
    line(
        &format!("all {} cases, {readings} readings", cases.len()),
        &format!(
            "{:.1} s   {:.1} cases a second, {:.0} readings a second",
            took.as_secs_f64(),
            a_second(cases.len(), took),
            a_second(readings, took)
        ),
    );

    let only = Environment::of_this_process()
        .get("HOUSEWRIGHT_BENCH_MUTANTS")
        .map(str::to_owned);
    let args: Vec<&str> = match &only {
        Some(only) => vec!["--mutants", "--mutant", only],
        None => vec!["--mutants"],
    };
    let (with_cases, outcome) = test(&args);
    let mutants = outcome["mutants"].as_array().unwrap().len();
    let alone = with_cases.saturating_sub(took);
    line(
        &format!("{mutants} mutants, besides the cases themselves"),
        &format!(
            "{:.1} s   {:.2} mutants a second, {:.0} s for a hundred",
            alone.as_secs_f64(),
            a_second(mutants, alone),
            100.0 / a_second(mutants, alone)
        ),
    );
    println!();
}
