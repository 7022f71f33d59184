//! What became of a statement that was begun and whose end nobody wrote down. Pure: which traces a statement leaves where it is executed,
//! and what the traces that were found decide; `apply` looks for them.
//!
//! | the server says | the traces are | so the statement |
//! |---|---|---|
//! | it is still running | | is waited for |
//! | `query_log`: it finished | | is done |
//! | `query_log`: it was refused before it began | | is executed |
//! | | one neither as before nor as after it | stops the run |
//! | | some as before it, others as after it | stops the run |
//! | | as before it | is executed |
//! | | as after it | is done |
//! | | not to be seen, and to repeat it changes nothing | is executed |
//! | | not to be seen | stops the run |
//!
//! What is executed is written down as failed first, so that the journal never holds two that were begun.

use crate::plan::partition::partition;
use crate::sql::{Command, Kind, ObjectName, TokenKind, header, tokens};

/// A change that a statement leaves behind and that can be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trace {
    /// A definition is made, changed, renamed or gone.
    Definitions,
    /// A table of the same name is another than before (`OR REPLACE`).
    Replacement,
    /// Two tables have each other's names; their definitions may be the same.
    Exchange,
    /// A mutation is registered.
    Mutation,
    /// Rows are added to the table, and to what its materialized views write.
    Added,
    /// The rows of a partition, or all rows, are gone.
    Taken(Option<String>),
    /// The rows of a partition are in detached parts.
    Detached(String),
    /// The rows of a partition are in another table.
    Moved(String, ObjectName),
    /// The rows of another table's partition are there too.
    Copied(String, ObjectName),
    /// A partition has the rows of another table's, and no other.
    Replaced(String, ObjectName),
    /// Detached parts are active again.
    Attached(String),
}

/// What there is to look at after a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traces {
    /// The changes.
    pub leaves: Vec<Trace>,
    /// Why it may be executed twice, if it may.
    pub repeatable: Option<&'static str>,
    /// An object that is made and then filled: that it is there does not say that it is full.
    pub fills: bool,
}

/// How a trace was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// As before the statement.
    Before,
    /// As after it.
    After,
    /// It cannot be told there.
    Unseen,
    /// As neither, with what was found.
    Neither(Vec<String>),
}

/// What `system.query_log` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Log {
    /// Nothing, or there is none.
    #[default]
    Silent,
    /// It finished.
    Finished,
    /// It was refused before anything was done.
    Refused,
}

/// What is known of a statement in doubt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Whether the server is still at it.
    pub running: bool,
    /// The server's log.
    pub log: Log,
    /// Each trace: what was looked at, in words, and how it was found.
    pub signs: Vec<(&'static str, Sign)>,
}

/// What is to be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Wait, and look again.
    Wait,
    /// Its effect is there, and how that is known.
    Done(String),
    /// Its effect is not there, and how that is known.
    Execute(String),
    /// Nobody can know; what was found.
    Stop(Vec<String>),
}

impl Traces {
    /// What a statement leaves behind.
    #[must_use]
    pub fn of(sql: &str) -> Self {
        let header = header(sql);
        let word = |wanted: &str| {
            tokens(sql).any(|token| {
                token.kind == TokenKind::BareWord && token.span.of(sql).eq_ignore_ascii_case(wanted)
            })
        };
        let mut traces = Self {
            leaves: Vec::new(),
            repeatable: None,
            fills: false,
        };
        let many = header.label.ends_with("DATABASE") || header.label.ends_with("TABLES FROM");
        match header.kind {
            Kind::CreateTable => {
                traces.leaves.push(Trace::Definitions);
                if header.replaces {
                    traces.leaves.push(Trace::Replacement);
                } else {
                    traces.fills = word("SELECT") || word("CLONE");
                    traces.repeatable = header
                        .repeatable
                        .then_some("it is made only if it is not there");
                }
            }
            Kind::CreateMaterializedView => {
                traces.leaves.push(Trace::Definitions);
                if header.replaces {
                    traces.leaves.push(Trace::Replacement);
                }
                traces.fills = word("POPULATE");
                traces.repeatable = (header.repeatable && !header.replaces)
                    .then_some("it is made only if it is not there");
            }
            Kind::CreateView
            | Kind::CreateDictionary
            | Kind::CreateFunction
            | Kind::CreateDatabase => {
                traces.leaves.push(Trace::Definitions);
                traces.repeatable = header
                    .repeatable
                    .then_some("it is the same when it is made twice");
            }
            Kind::Drop | Kind::Detach | Kind::Attach | Kind::Undrop => {
                traces.leaves.push(Trace::Definitions);
                traces.repeatable = header
                    .repeatable
                    .then_some("what is gone already is let be");
            }
            Kind::Rename => traces.leaves.push(Trace::Definitions),
            Kind::Exchange => traces.leaves.push(Trace::Exchange),
            Kind::Truncate if !many => {
                traces.leaves.push(Trace::Taken(None));
                traces.repeatable = Some("what is empty stays empty");
            }
            Kind::Insert | Kind::InsertSelect | Kind::Update => traces.leaves.push(Trace::Added),
            Kind::Delete => {
                traces.leaves.push(Trace::Mutation);
                traces.repeatable = Some("rows that are deleted are not there a second time");
            }
            Kind::Alter if header.label.starts_with("ALTER TABLE") => {
                let mut repeatable = true;
                for command in &header.commands {
                    repeatable &= traces.alter(command, sql);
                }
                traces.repeatable =
                    repeatable.then_some("it comes to the same when it is done twice");
            }
            Kind::CreateAccess => {
                let safe = header.repeatable || header.label.starts_with("ALTER");
                traces.repeatable = safe.then_some("it is the same when it is made twice");
            }
            Kind::Optimize
            | Kind::System
            | Kind::Kill
            | Kind::Set
            | Kind::Use
            | Kind::Grant
            | Kind::Read => {
                traces.repeatable = Some("it comes to the same when it is done twice");
            }
            // Of these nothing is known.
            Kind::Truncate | Kind::Alter | Kind::Backup | Kind::Other => {}
        }
        traces
    }

    /// Notes what a command of ALTER TABLE leaves; whether it may be done twice.
    fn alter(&mut self, command: &Command, sql: &str) -> bool {
        let mut leave = |trace| {
            if !self.leaves.contains(&trace) {
                self.leaves.push(trace);
            }
        };
        let (partition, other) = partition(command.rest.of(sql));
        match command.words {
            "DELETE WHERE" | "DELETE IN PARTITION" => {
                leave(Trace::Mutation);
                true
            }
            "UPDATE" | "CLEAR COLUMN" => {
                leave(Trace::Mutation);
                command.words == "CLEAR COLUMN"
            }
            "DROP PARTITION" => {
                leave(Trace::Taken(Some(partition)));
                true
            }
            "DETACH PARTITION" => {
                leave(Trace::Detached(partition));
                true
            }
            "ATTACH PARTITION" => {
                leave(match other {
                    Some((_, table)) => Trace::Copied(partition, table),
                    None => Trace::Attached(partition),
                });
                false
            }
            "REPLACE PARTITION" => {
                if let Some((_, table)) = other {
                    leave(Trace::Replaced(partition, table));
                }
                false
            }
            "MOVE PARTITION" => match other {
                Some((word, table)) if word == "TABLE" => {
                    leave(Trace::Moved(partition, table));
                    true
                }
                // To a disk or a volume.
                _ => true,
            },
            words if words.starts_with("MATERIALIZE") || words.starts_with("APPLY") => true,
            "CLEAR INDEX" | "CLEAR PROJECTION" | "CLEAR STATISTICS" | "FREEZE" | "UNFREEZE"
            | "MOVE PART" | "DROP DETACHED" | "FORGET PARTITION" => true,
            "" | "FETCH" | "DROP PART" | "DETACH PART" | "ATTACH PART" => false,
            _ => {
                leave(Trace::Definitions);
                false
            }
        }
    }

    /// Whether a definition may be another afterwards; what is not known may change one.
    #[must_use]
    pub fn define(&self) -> bool {
        let defines = |trace: &Trace| {
            matches!(
                trace,
                Trace::Definitions | Trace::Replacement | Trace::Exchange
            )
        };
        self.leaves.iter().any(defines) || (self.leaves.is_empty() && self.repeatable.is_none())
    }

    /// What `apply` looks at to settle it, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words: Vec<&str> = Vec::new();
        for trace in &self.leaves {
            let word = match trace {
                Trace::Definitions => {
                    "the definitions, against those before and after the statement"
                }
                Trace::Replacement | Trace::Exchange => "the UUIDs of its tables",
                Trace::Mutation => "system.mutations",
                Trace::Added => "how far the journal says it came, or system.query_log",
                Trace::Attached(_) => "the detached parts",
                _ => "the parts of its tables",
            };
            if !words.contains(&word) {
                words.push(word);
            }
        }
        match (words.as_slice(), self.repeatable) {
            ([], Some(why)) => format!("it is executed again: {why}"),
            ([], None) => "by system.query_log, if there is one".to_owned(),
            _ => format!("it looks at {}", words.join(", and at ")),
        }
    }
}

/// What follows from what was found; the table above.
#[must_use]
pub fn decide(traces: &Traces, findings: &Findings) -> Verdict {
    if findings.running {
        return Verdict::Wait;
    }
    match findings.log {
        Log::Finished => return Verdict::Done("system.query_log says that it finished".to_owned()),
        Log::Refused => {
            return Verdict::Execute(
                "system.query_log says that it was refused before it began".to_owned(),
            );
        }
        Log::Silent => {}
    }
    let with = |wanted: &Sign| -> Vec<&str> {
        let found = findings.signs.iter().filter(|(_, sign)| sign == wanted);
        found.map(|(what, _)| *what).collect()
    };
    let (before, after) = (with(&Sign::Before), with(&Sign::After));
    let neither: Vec<String> = findings
        .signs
        .iter()
        .filter_map(|(_, sign)| match sign {
            Sign::Neither(found) => Some(found.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    if !neither.is_empty() {
        return Verdict::Stop(neither);
    }
    match (before.is_empty(), after.is_empty()) {
        (false, false) => Verdict::Stop(vec![format!(
            "it was done in part: as before it {}; as after it {}",
            are(&before),
            are(&after)
        )]),
        (false, true) => Verdict::Execute(format!("{} as before it", are(&before))),
        // That an object is there does not say that it is full.
        (true, false) if !traces.fills => Verdict::Done(format!("{} as after it", are(&after))),
        (true, false) => Verdict::Stop(vec![
            "its object is there, and nothing tells whether all its rows are".to_owned(),
        ]),
        (true, true) => match traces.repeatable {
            Some(why) => Verdict::Execute(why.to_owned()),
            None => Verdict::Stop(vec![
                "nothing on the server tells whether it was executed".to_owned(),
            ]),
        },
    }
}

fn are(what: &[&str]) -> String {
    format!("{} are", what.join(" and "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    #[test]
    fn every_statement_leaves_its_traces() {
        let statements = [
            "CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a",
            "CREATE TABLE IF NOT EXISTS t (a UInt8) ENGINE = Memory",
            "CREATE OR REPLACE TABLE t (a UInt8) ENGINE = Memory",
            "CREATE TABLE t ENGINE = Memory AS SELECT 1 AS a",
            "CREATE TABLE IF NOT EXISTS t CLONE AS u",
            "CREATE VIEW v AS SELECT 1",
            "CREATE OR REPLACE VIEW v AS SELECT 1",
            "CREATE MATERIALIZED VIEW mv TO t AS SELECT 1",
            "CREATE MATERIALIZED VIEW mv ENGINE = Log POPULATE AS SELECT 1",
            "CREATE OR REPLACE MATERIALIZED VIEW mv ENGINE = Log AS SELECT 1",
            "DROP TABLE t",
            "DROP TABLE IF EXISTS t",
            "RENAME TABLE a TO b",
            "EXCHANGE TABLES a AND b",
            "TRUNCATE TABLE t",
            "INSERT INTO t SELECT 1",
            "INSERT INTO t VALUES",
            "DELETE FROM t WHERE a = 1",
            "UPDATE t SET a = 1 WHERE 1",
            "OPTIMIZE TABLE t FINAL",
            "SYSTEM RELOAD DICTIONARY d",
            "ALTER TABLE t ADD COLUMN a UInt8, COMMENT COLUMN b 'x'",
            "ALTER TABLE t MODIFY COLUMN a UInt16",
            "ALTER TABLE t UPDATE a = 1 WHERE 1",
            "ALTER TABLE t DELETE WHERE a = 1",
            "ALTER TABLE t MATERIALIZE INDEX i",
            "ALTER TABLE t DROP PARTITION 202401",
            "ALTER TABLE t DETACH PARTITION ID 'x'",
            "ALTER TABLE t ATTACH PARTITION 202401",
            "ALTER TABLE t ATTACH PARTITION (1, 'a') FROM db.s",
            "ALTER TABLE t REPLACE PARTITION '2024-01-01' FROM s",
            "ALTER TABLE t MOVE PARTITION 1 TO TABLE u",
            "ALTER TABLE t MOVE PARTITION 1 TO DISK 'cold'",
            "ALTER TABLE t DROP PART 'all_1_1_0'",
            "ALTER TABLE t ADD COLUMN b UInt8, UPDATE b = 1 WHERE 1",
            "CREATE USER u",
            "ALTER USER u DEFAULT ROLE r",
            "BACKUP TABLE t TO Disk('b', 'x')",
            "FROB t",
        ];
        let mut text = String::new();
        for statement in statements {
            let traces = Traces::of(statement);
            let leaves: Vec<String> = traces
                .leaves
                .iter()
                .map(|trace| match trace {
                    Trace::Moved(partition, table)
                    | Trace::Copied(partition, table)
                    | Trace::Replaced(partition, table) => {
                        let name = format!("{trace:?}");
                        format!("{}({partition}, {table})", name.split('(').next().unwrap())
                    }
                    other => format!("{other:?}"),
                })
                .collect();
            let _ = writeln!(
                text,
                "{statement}\n    {}{}{}",
                leaves.join(", "),
                traces
                    .repeatable
                    .map_or_else(String::new, |why| format!(" · twice: {why}")),
                if traces.fills { " · fills" } else { "" }
            );
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_table_of_decisions() {
        use Sign::{After, Before, Unseen};
        let neither = || Sign::Neither(vec!["another table".to_owned()]);
        let of = |sql: &str, running: bool, log: Log, signs: &[Sign]| {
            let findings = Findings {
                running,
                log,
                signs: signs
                    .iter()
                    .map(|sign| ("the definitions", sign.clone()))
                    .collect(),
            };
            match decide(&Traces::of(sql), &findings) {
                Verdict::Wait => "wait",
                Verdict::Done(_) => "done",
                Verdict::Execute(_) => "execute",
                Verdict::Stop(_) => "stop",
            }
        };
        let (create, insert, optimize) = (
            "CREATE TABLE t (a UInt8) ENGINE = Memory",
            "INSERT INTO t SELECT 1",
            "OPTIMIZE TABLE t",
        );
        for (sql, running, log, signs, expected) in [
            (create, true, Log::Finished, vec![After], "wait"),
            (create, false, Log::Finished, vec![Before], "done"),
            (create, false, Log::Refused, vec![After], "execute"),
            (
                create,
                false,
                Log::Silent,
                vec![Before, After, neither()],
                "stop",
            ),
            (create, false, Log::Silent, vec![Before, After], "stop"),
            (create, false, Log::Silent, vec![Before, Unseen], "execute"),
            (create, false, Log::Silent, vec![After, Unseen], "done"),
            (create, false, Log::Silent, vec![Unseen], "stop"),
            (optimize, false, Log::Silent, vec![], "execute"),
            (insert, false, Log::Silent, vec![Unseen], "stop"),
            (insert, false, Log::Silent, vec![Before], "execute"),
            (
                "CREATE TABLE t ENGINE = Log AS SELECT 1",
                false,
                Log::Silent,
                vec![After],
                "stop",
            ),
            (
                "CREATE TABLE t ENGINE = Log AS SELECT 1",
                false,
                Log::Silent,
                vec![Before],
                "execute",
            ),
        ] {
            assert_eq!(
                of(sql, running, log, &signs),
                expected,
                "{sql} {running} {log:?} {signs:?}"
            );
        }
    }
}
