//! The lock as a table: `CREATE TABLE housewright_lock` succeeds for one only, on every ClickHouse.
//!
//! CREATE tests and sets at once; removal has to be as careful, or a lock that changed hands between a look and a DROP would be taken from a
//! living run. Nothing in ClickHouse drops a table only if it says this or that, but a RENAME of two tables holds both names while it works
//! and stops at the first that is not there. So every lock has a *badge*, an empty table with its owner's run in its name, made before it;
//! badge and lock are renamed away together, badge first, and only the lock of exactly that run can be removed, once.
//!
//! In a cluster each of these statements is a distributed one: all servers execute them in the same order, so the one whose CREATE comes first
//! is first everywhere.

use std::time::Instant;

use serde::Deserialize;

use crate::clickhouse::{Client, Error, Query, literal};
use crate::cluster::{brief, engine, keep_house, on_cluster};
use crate::journal::lock::{
    BEAT, Found, LEASE, Owner, TABLE, TABLE_ALREADY_EXISTS, UNKNOWN_TABLE, owner_text,
};

/// Makes the lock: whether it was this run that made it.
pub(super) async fn take(client: &Client, owner: &Owner) -> Result<bool, Error> {
    let begun = Instant::now();
    let holder = literal(&owner_text(owner));
    let badge = badge(&owner.run_id);
    let badge_is_made = Query::new(format!(
        "CREATE TABLE IF NOT EXISTS {badge}{} (holder String DEFAULT {holder}) ENGINE = MergeTree ORDER BY holder",
        on_cluster(client)
    ));
    keep_house(client, badge_is_made.clone()).await?;
    let create = Query::new(format!(
        "CREATE TABLE {TABLE}{} (holder String DEFAULT {holder}, beat DateTime DEFAULT now()) ENGINE = {} ORDER BY beat",
        on_cluster(client),
        engine(client, &badge)
    ));
    let create = if client.cluster().is_some() {
        brief(create)
    } else {
        create
    };
    match client.execute(&create).await {
        Ok(()) => {}
        // Our own CREATE may have been carried out by a request whose answer was lost.
        Err(error) if error.is_code(TABLE_ALREADY_EXISTS) || error.outcome_is_unknown() => {
            if !is_held_by(client, owner).await? {
                drop_table(client, &badge).await?;
                return if error.outcome_is_unknown() {
                    Err(error)
                } else {
                    Ok(false)
                };
            }
        }
        Err(error) => {
            let _ = drop_table(client, &badge).await;
            return Err(error);
        }
    }
    if begun.elapsed() > BEAT {
        // A run that stood still here may have had its badge swept away as litter.
        keep_house(client, badge_is_made).await?;
    }
    Ok(true)
}

/// Who has it, and how long ago it gave a sign of life.
pub(super) async fn look(client: &Client) -> Result<Option<Found>, Error> {
    #[derive(Deserialize)]
    struct Row {
        silent_for: i64,
    }
    let Some(holder) = definition(client).await? else {
        return Ok(None);
    };
    if holder.is_empty() {
        return Ok(Some(Found {
            holder,
            silent_for: 0,
        }));
    }
    let query = Query::new(format!(
        "SELECT toInt64(now()) - toInt64(greatest((SELECT max(beat) FROM {TABLE}), (SELECT max(metadata_modification_time) FROM system.tables WHERE database = currentDatabase() AND name = '{TABLE}'))) AS silent_for"
    ));
    match client.row::<Row>(&query).await {
        Ok(row) => Ok(Some(Found {
            holder,
            silent_for: row.silent_for,
        })),
        Err(error) if error.is_code(UNKNOWN_TABLE) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether it is this run's.
pub(super) async fn is_held_by(client: &Client, owner: &Owner) -> Result<bool, Error> {
    let holder = definition(client).await?;
    Ok(holder.is_some_and(|holder| holder == owner_text(owner)))
}

/// A sign of life.
pub(super) async fn beat(client: &Client) -> Result<(), Error> {
    let insert = format!("INSERT INTO {TABLE} (beat) SELECT now()");
    client.execute_again(&Query::new(insert)).await
}

/// Removes the lock of exactly this run: whether it was this call that did.
pub(super) async fn remove(client: &Client, owner: &Owner) -> Result<bool, Error> {
    let badge = badge(&owner.run_id);
    let rename = format!(
        "RENAME TABLE {badge} TO {badge}_badge, {TABLE} TO {badge}_lock{}",
        on_cluster(client)
    );
    let removed = match keep_house(client, Query::new(rename)).await {
        Ok(()) => true,
        Err(error) if error.is_code(TABLE_ALREADY_EXISTS) || error.is_code(UNKNOWN_TABLE) => false,
        Err(error) => return Err(error),
    };
    for table in [format!("{badge}_badge"), format!("{badge}_lock")] {
        // The lock is gone; what cannot be dropped is swept away by a later run.
        let _ = drop_table(client, &table).await;
    }
    Ok(removed)
}

/// Removes the lock whoever has it, for the case that a server died between the two names and left it without its badge.
pub(super) async fn remove_without_badge(client: &Client) -> Result<(), Error> {
    drop_table(client, TABLE).await
}

/// Drops what runs left that were killed while they took or gave back a lock.
pub(super) async fn sweep(client: &Client, owner: &Owner) -> Result<(), Error> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let query = Query::new(format!(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE '{}\\\\_%' AND toInt64(now()) - toInt64(metadata_modification_time) > {}",
        TABLE.replace('_', "\\\\_"),
        LEASE.as_secs()
    ));
    for Row { name } in client.rows::<Row>(&query).await? {
        if !name.starts_with(&badge(&owner.run_id)) {
            drop_table(client, &name).await?;
        }
    }
    Ok(())
}

/// The name that says whose a lock is.
fn badge(run_id: &str) -> String {
    let run: String = run_id.chars().filter(char::is_ascii_alphanumeric).collect();
    format!("{TABLE}_{run}")
}

/// The holder as the lock's definition has it; empty if it is a table of another kind.
async fn definition(client: &Client) -> Result<Option<String>, Error> {
    #[derive(Deserialize)]
    struct Row {
        name: String,
        default_expression: String,
    }
    let query = Query::new(format!(
        "SELECT name, default_expression FROM system.columns WHERE database = currentDatabase() AND table = '{TABLE}'"
    ));
    let rows: Vec<Row> = client.rows(&query).await?;
    let holder = rows.iter().find(|row| row.name == "holder");
    Ok((!rows.is_empty())
        .then(|| holder.map_or_else(String::new, |row| unquote(&row.default_expression))))
}

/// A string literal as `system.columns` prints it, read back.
fn unquote(literal: &str) -> String {
    let inner = literal
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .unwrap_or(literal);
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

async fn drop_table(client: &Client, table: &str) -> Result<(), Error> {
    let drop = format!("DROP TABLE IF EXISTS {table}{}", on_cluster(client));
    keep_house(client, Query::new(drop)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_quotes_comes_back_from_the_definition() {
        let owner = Owner {
            run_id: "r".to_owned(),
            who: "o'neil \\ \"x\"".to_owned(),
            host: "h".to_owned(),
            pid: 7,
        };
        let back: Owner = serde_json::from_str(&unquote(&literal(&owner_text(&owner)))).unwrap();
        assert_eq!(back, owner);
    }
}
