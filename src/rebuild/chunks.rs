//! History in pieces: conditions on the source that exclude each other and together are all of it, each of about so many rows.
//!
//! A piece is one or more partitions, or a range of the sorting key within one, so that reading it reads little else. Where a range ends
//! does not matter for what comes out, only for how even the pieces are.

use serde::Deserialize;

use crate::clickhouse::{Client, Error, Query, identifier, literal};
use crate::rebuild::ledger::Chunk;
use crate::rebuild::subject::Subject;

#[derive(Deserialize)]
struct PartitionRow {
    id: String,
    rows: u64,
}

/// A table that is cut into pieces, and the expressions by which it is sorted.
struct Table<'a> {
    name: &'a str,
    key: &'a [String],
}

/// A state whose rows are taken over where they are not made anew: its name, the keys that are made anew besides, and its partitions.
struct Kept<'a> {
    state: &'a str,
    touched: Option<&'a str>,
    partitions: Vec<PartitionRow>,
}

/// Cuts the rows from before the cut into pieces, and counts them. Of a rebuild of some rows: what has to be read for these, and the frozen
/// old state.
///
/// # Errors
/// [`Error`].
pub(super) async fn plan(
    client: &Client,
    subject: &Subject,
    frozen: Option<&(String, String)>,
    cut: u64,
    rows: u64,
) -> Result<(Vec<Chunk>, u64), Error> {
    let before = subject.before(cut);
    let there = partitions(client, &subject.source, &before).await?;
    let kept = match frozen {
        Some((state, touched)) => Some(Kept {
            state,
            touched: Some(touched),
            partitions: partitions(client, state, "1").await?,
        }),
        None => None,
    };
    cut_up(client, subject, &before, there, kept, rows).await
}

/// How many pieces [`plan`] would cut if it were asked now, by what the server knows of parts and their indices.
///
/// # Errors
/// [`Error`].
pub(super) async fn expect(client: &Client, subject: &Subject, rows: u64) -> Result<u64, Error> {
    let there = parts(client, &subject.source).await?;
    let kept = match subject.scope {
        Some(_) => Some(Kept {
            state: &subject.old.state,
            touched: None,
            partitions: parts(client, &subject.old.state).await?,
        }),
        None => None,
    };
    let (chunks, _) = cut_up(client, subject, "1", there, kept, rows).await?;
    Ok(chunks.len() as u64)
}

/// Cuts partitions of the source into pieces, and behind them those of a state that is taken over.
async fn cut_up(
    client: &Client,
    subject: &Subject,
    before: &str,
    mut partitions: Vec<PartitionRow>,
    kept: Option<Kept<'_>>,
    rows: u64,
) -> Result<(Vec<Chunk>, u64), Error> {
    let rows = rows.max(1);
    let source = Table {
        name: &subject.source,
        key: &subject.source_key,
    };
    let Some((scope, kept)) = subject.scope.as_ref().zip(kept) else {
        let total = partitions.iter().map(|it| it.rows).sum();
        return Ok((pieces(client, &source, partitions, rows).await?, total));
    };
    for partition in &mut partitions {
        let condition = format!("{before} AND _partition_id = {}", literal(&partition.id));
        let query = scope.within(
            &subject.query(&condition),
            &subject.column_list(),
            kept.touched,
        );
        let read = estimate(client, &subject.source, &query).await?;
        partition.rows = partition.rows.min(read);
    }
    partitions.retain(|partition| partition.rows > 0);
    let state = Table {
        name: kept.state,
        key: &subject.key,
    };
    let all = partitions.iter().chain(&kept.partitions);
    let total = all.map(|it| it.rows).sum();
    let mut chunks = pieces(client, &source, partitions, rows).await?;
    let kept = pieces(client, &state, kept.partitions, rows).await?;
    chunks.extend(kept.into_iter().map(|chunk| Chunk {
        kept: true,
        ..chunk
    }));
    Ok((chunks, total))
}

/// About how many rows of a table the server would read for a query, by the table's index; never fewer than it needs.
///
/// # Errors
/// [`Error`].
pub(super) async fn estimate(client: &Client, table: &str, query: &str) -> Result<u64, Error> {
    #[derive(Deserialize)]
    struct Row {
        rows: u64,
    }
    let query = Query::new(format!(
        "SELECT toUInt64(sum(rows)) AS rows FROM (EXPLAIN ESTIMATE {query}) WHERE database = currentDatabase() AND table = {}",
        literal(table)
    ));
    Ok(client.row::<Row>(&query).await?.rows)
}

/// The partitions of a table that have rows for which a condition holds, with their number.
async fn partitions(
    client: &Client,
    table: &str,
    condition: &str,
) -> Result<Vec<PartitionRow>, Error> {
    let query = Query::new(format!(
        "SELECT _partition_id AS id, toUInt64(count()) AS rows FROM {} WHERE {condition} GROUP BY id ORDER BY id",
        identifier(table),
    ));
    client.rows(&query).await
}

/// All partitions of a table, by its parts: nothing of the table is read.
async fn parts(client: &Client, table: &str) -> Result<Vec<PartitionRow>, Error> {
    let query = Query::new(format!(
        "SELECT partition_id AS id, toUInt64(sum(rows)) AS rows FROM system.parts \
         WHERE active AND database = currentDatabase() AND table = {} GROUP BY id ORDER BY id",
        literal(table)
    ));
    client.rows(&query).await
}

/// Partitions, as pieces.
async fn pieces(
    client: &Client,
    table: &Table<'_>,
    partitions: Vec<PartitionRow>,
    rows: u64,
) -> Result<Vec<Chunk>, Error> {
    let mut chunks = Vec::new();
    let mut small: Vec<PartitionRow> = Vec::new();
    for partition in partitions {
        let gathered: u64 = small.iter().map(|it| it.rows).sum();
        if gathered + partition.rows > rows {
            chunks.extend(whole(&std::mem::take(&mut small)));
        }
        if partition.rows > rows {
            chunks.extend(split(client, table, &partition, rows).await?);
        } else {
            small.push(partition);
        }
    }
    chunks.extend(whole(&small));
    Ok(chunks)
}

/// Whole partitions.
fn whole(partitions: &[PartitionRow]) -> Option<Chunk> {
    let ids: Vec<String> = partitions.iter().map(|it| literal(&it.id)).collect();
    (!ids.is_empty()).then(|| Chunk {
        condition: format!("_partition_id IN ({})", ids.join(", ")),
        rows: partitions.iter().map(|it| it.rows).sum(),
        kept: false,
    })
}

/// A partition in ranges of the sorting key.
async fn split(
    client: &Client,
    table: &Table<'_>,
    partition: &PartitionRow,
    rows: u64,
) -> Result<Vec<Chunk>, Error> {
    let within = format!("_partition_id = {}", literal(&partition.id));
    let keys = range_keys(client, table).await?;
    let bounds = bounds(client, table, &partition.id, &keys, rows).await?;
    let mut chunks = Vec::with_capacity(bounds.len() + 1);
    let each = partition.rows / (bounds.len() as u64 + 1);
    for index in 0..=bounds.len() {
        let from = index.checked_sub(1).and_then(|before| bounds.get(before));
        let mut condition = within.clone();
        if let Some(from) = from {
            condition.push_str(" AND ");
            condition.push_str(&beyond(&keys, from, ">", ">="));
        }
        if let Some(to) = bounds.get(index) {
            condition.push_str(" AND ");
            condition.push_str(&beyond(&keys, to, "<", "<"));
        }
        chunks.push(Chunk {
            condition,
            rows: each,
            kept: false,
        });
    }
    Ok(chunks)
}

/// `(a > x OR (a = x AND (b > y OR (b = y AND c >= z))))`: a lexicographic comparison that the index of a table understands.
fn beyond(keys: &[String], values: &[String], strict: &str, last: &str) -> String {
    let mut text = String::new();
    for (index, (key, value)) in keys.iter().zip(values).enumerate().rev() {
        text = if index + 1 == keys.len() {
            format!("{key} {last} {value}")
        } else {
            format!("({key} {strict} {value} OR ({key} = {value} AND {text}))")
        };
    }
    text
}

/// The first columns of the sorting key by which a range can be named: ordered, without NULL and NaN.
async fn range_keys(client: &Client, table: &Table<'_>) -> Result<Vec<String>, Error> {
    #[derive(Deserialize)]
    struct Row {
        r#type: String,
    }
    const ORDERED: [&str; 13] = [
        "String",
        "FixedString",
        "LowCardinality(String)",
        "Int",
        "UInt",
        "Date",
        "DateTime",
        "UUID",
        "Enum",
        "Bool",
        "IPv4",
        "IPv6",
        "Decimal",
    ];
    let mut keys = Vec::new();
    for key in table.key {
        let query = Query::new(format!(
            "SELECT type FROM system.columns WHERE database = currentDatabase() AND table = {} AND name = {}",
            literal(table.name),
            literal(key.trim_matches('`'))
        ));
        let rows: Vec<Row> = client.rows(&query).await?;
        let ordered = rows
            .first()
            .is_some_and(|row| ORDERED.iter().any(|it| row.r#type.starts_with(it)));
        if !ordered {
            break;
        }
        keys.push(key.clone());
    }
    Ok(keys)
}

/// Values of the key at which about so many rows lie behind the last, as literals.
async fn bounds(
    client: &Client,
    table: &Table<'_>,
    partition: &str,
    keys: &[String],
    rows: u64,
) -> Result<Vec<Vec<String>>, Error> {
    const UNKNOWN_FUNCTION: i32 = 46;
    #[derive(Deserialize)]
    struct Row {
        bound: Vec<(String, String)>,
    }
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let list = keys.join(", ");
    let rendered: Vec<String> = keys
        .iter()
        .map(|key| format!("(hex(toString({key})), toTypeName({key}))"))
        .collect();
    // The table's own index, as it stands in memory; later columns may be missing there, which makes pieces uneven and nothing else.
    let query = Query::new(format!(
        "SELECT [{}] AS bound FROM (\
           SELECT *, sum(rows_in_granule) OVER (ORDER BY {list} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS upto \
           FROM mergeTreeIndex(currentDatabase(), {}) WHERE part_name IN (\
             SELECT name FROM system.parts WHERE active AND database = currentDatabase() AND table = {} AND partition_id = {})) \
         WHERE intDiv(upto - rows_in_granule, {rows}) != intDiv(upto, {rows}) AND upto - rows_in_granule > 0 ORDER BY {list}",
        rendered.join(", "),
        literal(table.name),
        literal(table.name),
        literal(partition)
    ));
    let rows: Vec<Row> = match client.rows(&query).await {
        Ok(rows) => rows,
        Err(error) if error.is_code(UNKNOWN_FUNCTION) => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut bounds: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| {
            row.bound
                .into_iter()
                .map(|(hex, r#type)| {
                    format!("CAST(unhex({}), {})", literal(&hex), literal(&r#type))
                })
                .collect()
        })
        .collect();
    bounds.dedup();
    Ok(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_compared_column_by_column() {
        let keys = ["a".to_owned(), "b".to_owned()];
        let values = ["1".to_owned(), "2".to_owned()];
        assert_eq!(
            beyond(&keys, &values, ">", ">="),
            "(a > 1 OR (a = 1 AND b >= 2))"
        );
        assert_eq!(
            beyond(&keys, &values, "<", "<"),
            "(a < 1 OR (a = 1 AND b < 2))"
        );
        assert_eq!(beyond(&keys[..1], &values[..1], ">", ">="), "a >= 1");
    }
}
