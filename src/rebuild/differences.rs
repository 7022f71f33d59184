//! New against old, as readers see them: which columns of which rows are other than they were. Where the definition changed they should
//! be; what was said to differ is then the only thing that may.
//!
//! A reader is compared with itself as it will be, row by row, by those columns of it that are the new state's key.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::catalog::{Column, DefinitionKind};
use crate::clickhouse::{Error as ClickHouseError, Query, identifier, literal};
use crate::rebuild::agreement::ROUNDS;
use crate::rebuild::change::{Changed, ROWS, Reader, describe};
use crate::rebuild::ledger::Fact;
use crate::rebuild::run::{Halt, Run, seconds};
use crate::rebuild::slices::{Notes, Of, number};
use crate::rebuild::subject::size;
use crate::rebuild::{Error, Event, Example};

/// How often what changed is compared again where that is only for a summary.
const PATIENT_ROUNDS: u32 = 3;

/// How a reader differs from what it says now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// The reader; empty if none could be compared.
    pub reader: String,
    /// Why nothing was compared, or not row by row.
    pub not_compared: Option<String>,
    /// The columns by which its rows are told apart.
    pub keys: Vec<String>,
    /// Rows that are the same.
    pub same: u64,
    /// The columns that differ, each with the number of rows in which it does.
    pub columns: Vec<(String, u64)>,
    /// Rows that only the old side has.
    pub only_old: u64,
    /// Rows that only the new side has.
    pub only_new: u64,
    /// Columns that only the new side has.
    pub added: Vec<String>,
    /// Columns that only the old side has.
    pub gone: Vec<String>,
    /// Rows that looked different and into which events came meanwhile, so that nothing is said of them.
    pub moving: u64,
    /// Some rows that differ; the first value is the old one.
    pub examples: Vec<Example>,
}

impl Differences {
    /// Whether no row is known to differ.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.columns.is_empty() && self.only_old == 0 && self.only_new == 0
    }

    /// What one more look found of rows of which nothing was known.
    fn add(&mut self, look: &Look, sides: &Sides) {
        self.same += look.same;
        self.only_old += look.only_old;
        self.only_new += look.only_new;
        self.moving += look.moving;
        let known: BTreeMap<String, u64> = std::mem::take(&mut self.columns).into_iter().collect();
        // In the order of the reader's columns.
        for Pair { name, .. } in &sides.columns {
            let rows = [&known, &look.columns]
                .into_iter()
                .filter_map(|rows| rows.get(name))
                .sum();
            if rows > 0 {
                self.columns.push((name.clone(), rows));
            }
        }
    }

    /// What differs and is not among what may: columns, and [`ROWS`].
    fn beyond(&self, expects: &[String]) -> Vec<String> {
        let rows = [self.only_old, self.only_new].into_iter().zip(ROWS);
        self.columns
            .iter()
            .map(|(column, _)| column.clone())
            .chain(rows.filter(|(n, _)| *n > 0).map(|(_, it)| it.to_owned()))
            .chain(self.gone.iter().cloned())
            .filter(|it| !expects.contains(it))
            .collect()
    }
}

/// Two tables or views, column by column. Only SQL, and pure.
struct Sides {
    old: String,
    new: String,
    keys: Vec<String>,
    columns: Vec<Pair>,
}

/// A column that both have.
struct Pair {
    name: String,
    /// Whether both have the same type; otherwise they are compared as text.
    alike: bool,
    /// Sums of floats depend on the order of summation.
    float: bool,
}

impl Sides {
    fn of(old: (&str, &[Column]), new: (&str, &[Column]), key: &[String]) -> Self {
        let find = |columns: &[Column], name: &str| {
            columns.iter().find(|column| column.name == name).cloned()
        };
        let keys: Vec<String> = key
            .iter()
            .map(|expression| expression.trim_matches('`').to_owned())
            .filter(|name| find(old.1, name).is_some() && find(new.1, name).is_some())
            .collect();
        let columns = old
            .1
            .iter()
            .filter(|column| !keys.contains(&column.name))
            .filter_map(|column| {
                let other = find(new.1, &column.name)?;
                Some(Pair {
                    name: column.name.clone(),
                    alike: column.r#type == other.r#type
                        && !column.r#type.starts_with("AggregateFunction"),
                    float: column.r#type.contains("Float"),
                })
            })
            .collect();
        Self {
            old: old.0.to_owned(),
            new: new.0.to_owned(),
            keys,
            columns,
        }
    }

    /// The number of a key.
    fn hash(&self) -> String {
        number(self.keys.iter().map(String::as_str))
    }

    fn side(&self, number: u8, of: &Of<'_>) -> String {
        let from = if number == 1 { &self.old } else { &self.new };
        let columns = self.columns.iter().enumerate().map(|(index, pair)| {
            let name = identifier(&pair.name);
            if pair.alike {
                format!(", {name} AS c_{index}")
            } else {
                format!(", toString({name}) AS c_{index}")
            }
        });
        let names = self
            .keys
            .iter()
            .map(|name| format!("({}, toString({}))", literal(name), identifier(name)));
        format!(
            "SELECT toUInt8({number}) AS _side, {0} AS kh, CAST([{1}], 'Array(Tuple(String, String))') AS names{2} FROM {3}{4}",
            self.hash(),
            names.collect::<Vec<_>>().join(", "),
            columns.collect::<String>(),
            identifier(from),
            of.filter(&self.hash())
        )
    }

    /// One row a key: how many rows each side has, and the columns that differ.
    fn compared(&self, of: &Of<'_>, shown: bool) -> String {
        let differing = self.columns.iter().enumerate().map(|(index, pair)| {
            let (a, b) = (
                format!("anyIf(c_{index}, _side = 1)"),
                format!("anyIf(c_{index}, _side = 2)"),
            );
            let differs = if pair.alike && pair.float {
                format!("toString({a}) != toString({b}) AND NOT ifNull(abs({a} - {b}) <= 1e-9 * greatest(abs({a}), abs({b})), 0)")
            } else {
                format!("NOT ifNull({a} = {b}, isNull({a}) AND isNull({b}))")
            };
            format!("if({differs}, {}, '')", literal(&pair.name))
        });
        let differing: Vec<String> = differing.collect();
        let cells = if shown {
            let cells = self.columns.iter().enumerate().map(|(index, pair)| {
                let value = |side: u8| {
                    format!("ifNull(toString(anyIf(c_{index}, _side = {side})), 'NULL')")
                };
                format!("({}, {}, {})", literal(&pair.name), value(1), value(2))
            });
            format!(
                ", any(names) AS names, CAST([{}], 'Array(Tuple(String, String, String))') AS cells",
                cells.collect::<Vec<_>>().join(", ")
            )
        } else {
            String::new()
        };
        format!(
            "SELECT kh, toUInt64(countIf(_side = 1)) AS old, toUInt64(countIf(_side = 2)) AS new, \
             if(old = 1 AND new = 1, arrayFilter(x -> x != '', CAST([{}], 'Array(String)')), []) AS columns{cells} \
             FROM ({} UNION ALL {}) GROUP BY kh",
            differing.join(", "),
            self.side(1, of),
            self.side(2, of)
        )
    }

    /// Of some keys all that differ, and the number of those that do not in one row.
    fn query(&self, of: &Of<'_>) -> String {
        format!(
            "SELECT if(d, kh, 0) AS key, if(d, old, 1) AS o, if(d, new, 1) AS n, columns AS c, toUInt64(count()) AS times FROM (\
             SELECT kh, old, new, columns, old != 1 OR new != 1 OR notEmpty(columns) AS d FROM ({})) GROUP BY key, o, n, c",
            self.compared(of, false)
        )
    }

    /// The keys that some rows of the new view's query touch.
    fn touched(&self, rows: &str) -> String {
        format!("SELECT DISTINCT {} FROM ({rows})", self.hash())
    }
}

impl Run<'_> {
    /// New against old, once new is what the raw rows say.
    pub(super) async fn compare_with_old(&mut self) -> Result<(), Halt> {
        let Some(change) = self.subject.change.clone() else {
            return Ok(());
        };
        if self.ledger.progress.compared.is_some() {
            return Ok(());
        }
        let differences = self.differences(&change).await?;
        self.drop_scratch().await?;
        if let (Some(expects), Some(why)) = (&change.expects, &differences.not_compared) {
            return Err(Error::Incomparable {
                expects: expects.clone(),
                why: why.clone(),
            }
            .into());
        }
        self.write(Fact::Compared {
            differences: Box::new(differences),
        })
        .await
    }

    async fn differences(&mut self, change: &Changed) -> Result<Differences, Halt> {
        let plain = |sql: &str| DefinitionKind::of(sql) == Some(DefinitionKind::View);
        let reader: Option<&Reader> = change
            .readers
            .iter()
            .find(|it| it.before.as_deref().is_some_and(plain) && plain(&it.after));
        let Some(reader) = reader else {
            return Ok(Differences {
                not_compared: Some("no reader is a plain view that was there before".to_owned()),
                ..Differences::default()
            });
        };
        let rehearsal = self.rehearsal(reader, None).await?;
        let old = describe(self.client, &identifier(&reader.name)).await?;
        let new = describe(self.client, &identifier(&rehearsal)).await?;
        let written = |name: &String| self.subject.columns.iter().any(|it| it.name == *name);
        let key: Vec<String> = self
            .subject
            .key
            .iter()
            .filter(|name| written(name))
            .cloned()
            .collect();
        let sides = Sides::of((&reader.name, &old), (&rehearsal, &new), &key);
        let missing = |from: &[Column], of: &[Column]| {
            of.iter()
                .filter(|column| from.iter().all(|it| it.name != column.name))
                .map(|column| column.name.clone())
                .collect()
        };
        let mut found = Differences {
            reader: reader.name.clone(),
            keys: sides.keys.clone(),
            added: missing(&old, &new),
            gone: missing(&new, &old),
            ..Differences::default()
        };
        // Readers have about the rows of their states, or fewer.
        let (old_rows, _) = size(self.client, &self.subject.old.state).await?;
        let rows = self.ledger.progress.agreed.unwrap_or(0).max(old_rows);
        let mut only: Option<String> = None;
        for round in 1..=ROUNDS {
            (self.events)(Event::Comparing { round });
            let look = self.look_at(&sides, round, only.as_deref(), rows).await?;
            if look.several > 0 {
                found.not_compared = Some(format!(
                    "one side has several rows with the same {}, so that they cannot be told apart",
                    sides.keys.join(", ")
                ));
                return Ok(found);
            }
            found.add(&look, &sides);
            if found.examples.is_empty() && look.differs() {
                found.examples = self.differing(&sides, &look.table, None).await?;
            }
            if let Some(expects) = &change.expects {
                let beyond = found.beyond(expects);
                if !beyond.is_empty() {
                    let examples = self.differing(&sides, &look.table, Some(expects)).await?;
                    if !examples.is_empty() {
                        found.examples = examples;
                    }
                    self.drop_scratch().await?;
                    return Err(Error::Unexpected {
                        differences: Box::new(found),
                        columns: beyond,
                    }
                    .into());
                }
            }
            // Rows that rest are enough for a summary; where nothing else may differ, none that might is left out.
            let which = match &change.expects {
                Some(expects) => format!("moves = 1 AND {}", unexpected(expects)),
                None => "moves = 1".to_owned(),
            };
            let strict = change.expects.is_some();
            let left = self.count(&look.table, &which).await?;
            if left == 0 || (!strict && round == PATIENT_ROUNDS) {
                return Ok(found);
            }
            found.moving -= found.moving.min(left);
            only = Some(format!("SELECT key FROM {} WHERE {which}", look.table));
            self.pause(Duration::from_secs(1)).await?;
        }
        self.drop_scratch().await?;
        Err(Error::Restless {
            state: self.subject.new.state.clone(),
            count: found.moving.max(1),
        }
        .into())
    }

    async fn count(&mut self, table: &str, which: &str) -> Result<u64, ClickHouseError> {
        #[derive(Deserialize)]
        struct Row {
            rows: u64,
        }
        let query = Query::new(format!(
            "SELECT toUInt64(count()) AS rows FROM {table} WHERE {which}"
        ));
        Ok(self.client.row::<Row>(&query).await?.rows)
    }

    /// One look at both sides: of each key that differs, in what, and whether events came in that touch it since before the look.
    async fn look_at(
        &mut self,
        sides: &Sides,
        round: u32,
        only: Option<&str>,
        rows: u64,
    ) -> Result<Look, Halt> {
        let since = self.barrier.now().await?;
        self.quiet_since(since).await?;
        let notes = Notes {
            name: &format!("against_seen_{round}"),
            columns: "key UInt64, o UInt64, n UInt64, c Array(String), times UInt64",
            order: "key",
        };
        let seen = self.find(&notes, only, rows, |of| sides.query(of)).await?;
        let table = self
            .subject
            .scratch(&format!("against_told_{}_{round}", self.run()));
        let table = identifier(&table);
        self.send(&format!(
            "CREATE TABLE IF NOT EXISTS {table} ({}, moves UInt8) ENGINE = MergeTree ORDER BY key",
            notes.columns
        ))
        .await?;
        // Whatever came in since before the look may have been seen on one side only.
        self.quiet().await?;
        let recent = self.recent(seconds(since).saturating_sub(1)).await?;
        let recent = self.subject.query(&recent);
        self.send(&format!(
            "INSERT INTO {table} (key, o, n, c, times, moves) SELECT key, o, n, c, times, (o != 1 OR n != 1 OR notEmpty(c)) AND key IN ({}) FROM {seen}",
            sides.touched(&recent)
        ))
        .await?;
        Ok(self.look(table).await?)
    }

    /// What one look found.
    async fn look(&mut self, table: String) -> Result<Look, ClickHouseError> {
        #[derive(Deserialize)]
        struct Row {
            column: String,
            rows: u64,
        }
        let query = Query::new(format!(
            "SELECT toUInt64(sumIf(times, o = 1 AND n = 1 AND empty(c))) AS same, toUInt64(countIf(n = 0 AND moves = 0)) AS only_old, \
             toUInt64(countIf(o = 0 AND moves = 0)) AS only_new, toUInt64(countIf(o > 1 OR n > 1)) AS several, toUInt64(sum(moves)) AS moving FROM {table}"
        ));
        let mut look: Look = self.client.row(&query).await?;
        let query = Query::new(format!(
            "SELECT column, toUInt64(count()) AS rows FROM {table} ARRAY JOIN c AS column WHERE moves = 0 GROUP BY column"
        ));
        let rows: Vec<Row> = self.client.rows(&query).await?;
        look.columns = rows.into_iter().map(|row| (row.column, row.rows)).collect();
        look.table = table;
        Ok(look)
    }

    /// Some rows that differ: in anything, or in more than may.
    async fn differing(
        &mut self,
        sides: &Sides,
        table: &str,
        expects: Option<&[String]>,
    ) -> Result<Vec<Example>, ClickHouseError> {
        #[derive(Deserialize)]
        struct Row {
            names: Vec<(String, String)>,
            cells: Vec<(String, String, String)>,
            columns: Vec<String>,
            old: u64,
            new: u64,
        }
        let which = expects.map_or_else(
            || "(o != 1 OR n != 1 OR notEmpty(c))".to_owned(),
            unexpected,
        );
        let only =
            format!("SELECT key FROM {table} WHERE {which} AND moves = 0 ORDER BY key LIMIT 3");
        let query = Query::new(format!(
            "SELECT names, cells, columns, old, new FROM ({}) ORDER BY names",
            sides.compared(&Of::Keys(&only), true)
        ));
        let rows: Vec<Row> = self.client.rows(&query).await?;
        Ok(rows
            .into_iter()
            .map(|row| Example {
                key: row.names,
                in_raw: row.old > 0,
                in_state: row.new > 0,
                cells: row
                    .cells
                    .into_iter()
                    .filter(|(name, ..)| row.columns.contains(name))
                    .collect(),
            })
            .collect())
    }
}

/// What one look found.
#[derive(Deserialize)]
struct Look {
    same: u64,
    only_old: u64,
    only_new: u64,
    /// Keys that stand in several rows of one side.
    several: u64,
    /// Keys that differ, and are touched by what came in meanwhile.
    moving: u64,
    #[serde(skip)]
    columns: BTreeMap<String, u64>,
    #[serde(skip)]
    table: String,
}

impl Look {
    fn differs(&self) -> bool {
        self.only_old > 0 || self.only_new > 0 || !self.columns.is_empty()
    }
}

/// The condition for keys that differ in more than may.
fn unexpected(expects: &[String]) -> String {
    let may = |it: &str| expects.iter().any(|name| name == it);
    let names: Vec<String> = expects.iter().map(|name| literal(name)).collect();
    let mut parts = vec![format!(
        "arrayExists(x -> x NOT IN ({}), c)",
        if names.is_empty() {
            "''".to_owned()
        } else {
            names.join(", ")
        }
    )];
    for (side, name) in ["n = 0", "o = 0"].into_iter().zip(ROWS) {
        if !may(name) {
            parts.push(side.to_owned());
        }
    }
    format!("({})", parts.join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_of_the_keys_that_both_readers_have_and_filters_each_side() {
        let column = |name: &str, r#type: &str| Column {
            name: name.to_owned(),
            r#type: r#type.to_owned(),
            default: String::new(),
        };
        let old = [column("k", "String"), column("n", "UInt64")];
        let new = [column("k", "String"), column("n", "UInt32")];
        let key = ["`k`".to_owned(), "only_in_state".to_owned()];
        let sides = Sides::of(("r", &old), ("s", &new), &key);
        assert_eq!(
            sides.side(2, &Of::Slice(1, 3)),
            "SELECT toUInt8(2) AS _side, cityHash64(isNull(`k`), ifNull(toString(`k`), '')) AS kh, CAST([('k', toString(`k`))], 'Array(Tuple(String, String))') AS names, \
             toString(`n`) AS c_0 FROM `s` WHERE cityHash64(isNull(`k`), ifNull(toString(`k`), '')) % 3 = 1"
        );
        let query = sides.query(&Of::Slice(1, 3));
        assert_eq!(query.matches(" % 3 = 1").count(), 2, "{query}");
        let whole = sides.query(&Of::Slice(0, 1));
        assert!(!whole.contains(" % "), "{whole}");
    }
}
