//! A statement of a file → what is sent to a cluster. Token by token; nothing else of the text changes.

use crate::clickhouse::{identifier, literal};
use crate::cluster::Place;
use crate::sql::{Kind, Span, Token, TokenKind, header, tokens};

/// Why a statement cannot be sent to such a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What is wrong.
    pub code: &'static str,
    /// In words.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

/// What is sent for a statement; `None`: its text as it stands. `unique` tells it from every other statement of the files.
///
/// # Errors
/// [`Reason`] if it would not do there what it does on one server.
pub fn adapted(sql: &str, place: &Place, unique: &str) -> Result<Option<String>, Reason> {
    if *place == Place::Plain {
        return Ok(None);
    }
    let header = header(sql);
    if let Some(named) = &header.on_cluster {
        return Err(Reason {
            code: "on-cluster",
            message: format!("it names the cluster `{named}` itself"),
            help: match place {
                Place::Cluster { .. } => {
                    "take `ON CLUSTER` out of the file: the target's `cluster` says where it goes, and it is added when it is sent"
                }
                _ => {
                    "take `ON CLUSTER` out of the file: this database brings its definitions to all replicas by itself"
                }
            },
        });
    }
    let words: Vec<Token> = tokens(sql)
        .filter(|token| token.kind.is_significant())
        .collect();
    let engine = match header.kind {
        Kind::CreateTable | Kind::CreateMaterializedView | Kind::Attach => engine(sql, &words),
        _ => None,
    };
    let (name, database, is_atomic) = match place {
        Place::Replicated if engine.is_some() => {
            return Err(Reason {
                code: "not-replicated",
                message: "it makes a table that is not replicated in a database that is: each replica would have rows of its own".to_owned(),
                help: "write `ReplicatedMergeTree` (without arguments) instead of `MergeTree`, and so for its relatives",
            });
        }
        Place::Cluster {
            name,
            database,
            is_atomic,
        } => (name, database, *is_atomic),
        _ => return Ok(None),
    };
    let clause = format!(" ON CLUSTER {}", identifier(name));
    let at = match header.kind {
        Kind::CreateDatabase
        | Kind::CreateTable
        | Kind::CreateView
        | Kind::CreateMaterializedView
        | Kind::CreateDictionary
        | Kind::CreateFunction
        | Kind::Attach
        | Kind::Detach
        | Kind::Undrop
        | Kind::Truncate
        | Kind::Alter
        | Kind::Update
        | Kind::Delete
        | Kind::Optimize => header.objects.first().map(|object| object.span.end),
        Kind::Drop => header.objects.last().map(|object| object.span.end),
        Kind::Rename | Kind::Exchange => words.last().map(|last| last.span.end),
        Kind::Insert
        | Kind::InsertSelect
        | Kind::Read
        | Kind::Set
        | Kind::Use
        | Kind::System
        | Kind::Kill => return Ok(None),
        Kind::CreateAccess | Kind::Grant | Kind::Backup | Kind::Other => None,
    };
    let Some(at) = at else {
        return Err(Reason {
            code: "not-for-a-cluster",
            message: format!(
                "housewright does not know how `{}` is sent to a cluster",
                header.label
            ),
            help: "execute it on each server by hand, or by what else manages users and servers there",
        });
    };
    let mut inserts = vec![(Span { start: at, end: at }, clause)];
    if let Some(engine) = engine {
        let table = header.objects.first();
        let path = if is_atomic {
            "/clickhouse/tables/{uuid}/{shard}".to_owned()
        } else {
            let table = table.map_or("", |table| table.name.as_str());
            let database = header
                .objects
                .first()
                .and_then(|table| table.database.as_ref())
                .unwrap_or(database);
            format!("/clickhouse/tables/{{shard}}/{database}/{table}.{unique}")
        };
        let arguments = format!("{}, '{{replica}}'", literal(&path));
        inserts.push((engine.name, format!("Replicated{}", engine.name.of(sql))));
        inserts.push(match engine.arguments {
            None => {
                let at = engine.name.end;
                (Span { start: at, end: at }, format!("({arguments})"))
            }
            Some((at, is_empty)) => {
                let comma = if is_empty { "" } else { ", " };
                (Span { start: at, end: at }, format!("{arguments}{comma}"))
            }
        });
    }
    inserts.sort_by_key(|(span, _)| (span.start, span.end));
    let mut text = String::with_capacity(sql.len() + 128);
    let mut from = 0;
    for (span, insert) in inserts {
        text.push_str(sql.get(from..span.start).unwrap_or_default());
        text.push_str(&insert);
        from = span.end;
    }
    text.push_str(sql.get(from..).unwrap_or_default());
    Ok(Some(text))
}

/// A table engine that is not replicated and could be.
struct Engine {
    name: Span,
    /// The byte behind its `(`, and whether a `)` follows at once; `None` without parentheses.
    arguments: Option<(usize, bool)>,
}

fn engine(sql: &str, words: &[Token]) -> Option<Engine> {
    let mut depth = 0_usize;
    for (at, word) in words.iter().enumerate() {
        match word.kind {
            TokenKind::OpeningRoundBracket => depth += 1,
            TokenKind::ClosingRoundBracket => depth = depth.saturating_sub(1),
            _ if depth == 0 && word.span.of(sql).eq_ignore_ascii_case("ENGINE") => {
                let mut rest = words.get(at + 1..)?.iter();
                let mut name = rest.next()?;
                if name.span.of(sql) == "=" {
                    name = rest.next()?;
                }
                let family = name.span.of(sql);
                if !family.ends_with("MergeTree")
                    || family.starts_with("Replicated")
                    || family.starts_with("Shared")
                {
                    return None;
                }
                let arguments = rest
                    .next()
                    .filter(|next| next.span.of(sql) == "(")
                    .map(|open| {
                        let is_empty = rest.next().is_some_and(|next| next.span.of(sql) == ")");
                        (open.span.end, is_empty)
                    });
                return Some(Engine {
                    name: name.span,
                    arguments,
                });
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(sql: &str) -> String {
        let place = Place::Cluster {
            name: "trio".to_owned(),
            database: "shop".to_owned(),
            is_atomic: false,
        };
        match adapted(sql, &place, "0003.2") {
            Ok(Some(text)) => text,
            Ok(None) => "as it stands".to_owned(),
            Err(reason) => format!("{}: {}", reason.code, reason.message),
        }
    }

    #[test]
    fn a_statement_goes_to_the_whole_cluster_and_its_table_is_replicated() {
        insta::assert_snapshot!(
            [
                "CREATE TABLE t (a UInt64 COMMENT 'ENGINE = MergeTree') ENGINE = MergeTree ORDER BY a",
                "CREATE TABLE IF NOT EXISTS `my db`.`t` (a UInt64) ENGINE = ReplacingMergeTree(v) ORDER BY a",
                "CREATE TABLE t (a UInt64) ENGINE SummingMergeTree() ORDER BY a",
                "CREATE TABLE t (a UInt64) ENGINE = ReplicatedMergeTree('/p', 'r') ORDER BY a",
                "CREATE TABLE t (a UInt64) ENGINE = Memory",
                "CREATE MATERIALIZED VIEW mv TO t AS SELECT a FROM s -- all",
                "CREATE MATERIALIZED VIEW mv ENGINE = AggregatingMergeTree ORDER BY a AS SELECT a FROM s",
                "CREATE OR REPLACE VIEW v AS SELECT 'ENGINE' AS engine",
                "ALTER TABLE t ADD COLUMN b UInt8 AFTER a, DROP COLUMN c",
                "ALTER TABLE t MOVE PARTITION 1 TO TABLE u",
                "DROP TABLE IF EXISTS t SYNC",
                "RENAME TABLE a TO b, c TO d",
                "EXCHANGE TABLES a AND b",
                "TRUNCATE TABLE t",
                "OPTIMIZE TABLE t FINAL",
                "DELETE FROM t WHERE a = 1",
                "INSERT INTO t SELECT 1",
                "SYSTEM FLUSH LOGS",
                "GRANT SELECT ON t TO u",
                "DROP TABLE t ON CLUSTER mine",
            ]
            .map(sent)
            .join("\n"),
            @"
        CREATE TABLE t ON CLUSTER `trio` (a UInt64 COMMENT 'ENGINE = MergeTree') ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/shop/t.0003.2', '{replica}') ORDER BY a
        CREATE TABLE IF NOT EXISTS `my db`.`t` ON CLUSTER `trio` (a UInt64) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/my db/t.0003.2', '{replica}', v) ORDER BY a
        CREATE TABLE t ON CLUSTER `trio` (a UInt64) ENGINE ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/shop/t.0003.2', '{replica}') ORDER BY a
        CREATE TABLE t ON CLUSTER `trio` (a UInt64) ENGINE = ReplicatedMergeTree('/p', 'r') ORDER BY a
        CREATE TABLE t ON CLUSTER `trio` (a UInt64) ENGINE = Memory
        CREATE MATERIALIZED VIEW mv ON CLUSTER `trio` TO t AS SELECT a FROM s -- all
        CREATE MATERIALIZED VIEW mv ON CLUSTER `trio` ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{shard}/shop/mv.0003.2', '{replica}') ORDER BY a AS SELECT a FROM s
        CREATE OR REPLACE VIEW v ON CLUSTER `trio` AS SELECT 'ENGINE' AS engine
        ALTER TABLE t ON CLUSTER `trio` ADD COLUMN b UInt8 AFTER a, DROP COLUMN c
        ALTER TABLE t ON CLUSTER `trio` MOVE PARTITION 1 TO TABLE u
        DROP TABLE IF EXISTS t ON CLUSTER `trio` SYNC
        RENAME TABLE a TO b, c TO d ON CLUSTER `trio`
        EXCHANGE TABLES a AND b ON CLUSTER `trio`
        TRUNCATE TABLE t ON CLUSTER `trio`
        OPTIMIZE TABLE t ON CLUSTER `trio` FINAL
        DELETE FROM t ON CLUSTER `trio` WHERE a = 1
        as it stands
        as it stands
        not-for-a-cluster: housewright does not know how `GRANT` is sent to a cluster
        on-cluster: it names the cluster `mine` itself
        "
        );
    }

    #[test]
    fn what_replicates_itself_is_left_alone_and_a_plain_table_in_it_is_refused() {
        let ask = |sql, place: &Place| adapted(sql, place, "0001.1").map_err(|reason| reason.code);
        let plain = "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a";
        let replicated = "CREATE TABLE t (a UInt64) ENGINE = ReplicatedMergeTree ORDER BY a";
        assert_eq!(ask(plain, &Place::Replicated), Err("not-replicated"));
        assert_eq!(ask(replicated, &Place::Replicated), Ok(None));
        assert_eq!(ask(plain, &Place::Cloud), Ok(None));
        assert_eq!(ask(plain, &Place::Plain), Ok(None));
        assert_eq!(
            ask("DROP TABLE t ON CLUSTER mine", &Place::Replicated),
            Err("on-cluster")
        );
        assert_eq!(ask("DROP TABLE t ON CLUSTER mine", &Place::Plain), Ok(None));
    }
}
