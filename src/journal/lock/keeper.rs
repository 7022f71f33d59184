//! The lock as a row in Keeper: one for all servers of a cluster, whichever of them a run talks to.
//!
//! In strict mode an INSERT of a key that is there fails, and an UPDATE compares the version that it read, so each step is one
//! compare-and-set in Keeper. The row is made once and never deleted, only marked as free: a row that is made anew begins again with version 0,
//! and of two heirs of a dead run the slower one's DELETE would take the lock from the faster one. Keeper that does not answer is no lock
//! at all: such a run is refused, never let through.

use std::time::Duration;

use serde::Deserialize;

use crate::clickhouse::{Client, Error, Query, literal};
use crate::journal::lock::{Found, Owner, TABLE, TABLE_ALREADY_EXISTS, UNKNOWN_TABLE, owner_text};

/// The settings that make a step a compare-and-set.
const STRICT: [(&str, &str); 3] = [
    ("keeper_map_strict_mode", "1"),
    ("async_insert", "0"),
    ("mutations_sync", "1"),
];

/// Codes by which a server says that it has no KeeperMap: no path prefix (36), no such engine (56), no Keeper in its configuration (225),
/// not for this user (497).
const NOT_HERE: [i32; 4] = [36, 56, 225, 497];
/// Keeper refused: the key is there, or is not what it was.
const KEEPER_EXCEPTION: i32 = 999;

/// How long to wait before Keeper is asked again; one entry a retry.
const RETRIES: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
];

/// Makes the lock's table: whether this server can have one; `None` if a lock of some form is there by now.
pub(super) async fn open(client: &Client) -> Result<Option<bool>, Error> {
    let create = Query::new(format!(
        "CREATE TABLE {TABLE} (key String, holder String, beat DateTime) ENGINE = KeeperMap({}) PRIMARY KEY key",
        literal(&path(client.cluster(), client.database()))
    ));
    match client.execute_again(&create).await {
        Ok(()) => Ok(Some(true)),
        Err(error) if error.is_code(TABLE_ALREADY_EXISTS) => Ok(None),
        Err(error) if NOT_HERE.iter().any(|code| error.is_code(*code)) => Ok(Some(false)),
        Err(error) => Err(error),
    }
}

/// Makes the row this run's: whether it is.
pub(super) async fn take(client: &Client, owner: &Owner) -> Result<bool, Error> {
    let me = owner_text(owner);
    let mut attempt = 0;
    loop {
        let error = match row(client).await? {
            Some(found) if found.holder == me => return Ok(true),
            Some(found) if !found.holder.is_empty() => return Ok(false),
            Some(_) => pass(client, "", &me).await.err(),
            None => {
                let insert = format!("INSERT INTO {TABLE} SELECT 'lock', {}, now()", literal(&me));
                client.execute(&strict(insert)).await.err()
            }
        };
        if let Some(error) = error
            && !error.is_code(KEEPER_EXCEPTION)
            && !error.outcome_is_unknown()
        {
            return Err(error);
        }
        // Whoever was first stands there now.
        if let Some(found) = look(client).await? {
            return Ok(found.holder == me);
        }
        match RETRIES.get(attempt) {
            Some(pause) => tokio::time::sleep(*pause).await,
            None => return Ok(false),
        }
        attempt += 1;
    }
}

/// Who has it, and how long ago it gave a sign of life.
pub(super) async fn look(client: &Client) -> Result<Option<Found>, Error> {
    Ok(row(client).await?.filter(|found| !found.holder.is_empty()))
}

/// The row; free if nobody holds it.
async fn row(client: &Client) -> Result<Option<Found>, Error> {
    #[derive(Deserialize)]
    struct Row {
        holder: String,
        silent_for: i64,
    }
    let query = Query::new(format!(
        "SELECT holder, toInt64(now()) - toInt64(beat) AS silent_for FROM {TABLE} WHERE key = 'lock'"
    ));
    let mut attempt = 0;
    loop {
        let error = match client.rows::<Row>(&query).await {
            Ok(rows) => {
                return Ok(rows.into_iter().next().map(|row| Found {
                    holder: row.holder,
                    silent_for: row.silent_for,
                }));
            }
            Err(error) if error.is_code(UNKNOWN_TABLE) => return Ok(None),
            Err(error) => error,
        };
        // A server that lost its session with Keeper makes another.
        match RETRIES.get(attempt) {
            Some(pause) if error.is_code(KEEPER_EXCEPTION) => tokio::time::sleep(*pause).await,
            _ => return Err(error),
        }
        attempt += 1;
    }
}

/// Whether it is this run's.
pub(super) async fn is_held_by(client: &Client, owner: &Owner) -> Result<bool, Error> {
    let found = look(client).await?;
    Ok(found.is_some_and(|found| found.holder == owner_text(owner)))
}

/// A sign of life.
pub(super) async fn beat(client: &Client, owner: &Owner) -> Result<(), Error> {
    let me = owner_text(owner);
    pass(client, &me, &me).await
}

/// Takes the lock from exactly this run: whether it is not its any more.
pub(super) async fn remove(client: &Client, owner: &Owner) -> Result<bool, Error> {
    let mut attempt = 0;
    loop {
        let passed = pass(client, &owner_text(owner), "").await;
        if passed
            .as_ref()
            .is_err_and(|error| !error.is_code(KEEPER_EXCEPTION))
        {
            return passed.map(|()| false);
        }
        // Somebody was faster, or its owner gave a sign of life at that moment, or the session was lost.
        if !is_held_by(client, owner).await? {
            return Ok(true);
        }
        match (RETRIES.get(attempt), passed) {
            (Some(pause), _) => tokio::time::sleep(*pause).await,
            (None, passed) => return passed.map(|()| false),
        }
        attempt += 1;
    }
}

/// Passes the row from one holder to another, if it is the one's; '' is nobody.
async fn pass(client: &Client, from: &str, to: &str) -> Result<(), Error> {
    let update = strict(format!(
        "ALTER TABLE {TABLE} UPDATE holder = {}, beat = now() WHERE key = 'lock' AND holder = {}",
        literal(to),
        literal(from)
    ));
    client.execute_again(&update).await
}

fn strict(sql: String) -> Query {
    STRICT.iter().fold(Query::new(sql), |query, (name, value)| {
        query.setting(name, *value)
    })
}

/// Where in Keeper the lock of a database is: the name's own characters, the others as their code.
fn path(cluster: Option<&str>, database: &str) -> String {
    use std::fmt::Write as _;
    let mut path = "/housewright/".to_owned();
    let name = cluster.map_or_else(
        || database.to_owned(),
        |cluster| format!("{cluster} {database}"),
    );
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            path.push(c);
        } else {
            let _ = write!(path, "%{:x}", u32::from(c));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_databases_never_share_a_path() {
        assert_eq!(path(None, "shop"), "/housewright/shop");
        assert_eq!(path(None, "a/b"), "/housewright/a%2fb");
        assert_eq!(path(Some("trio"), "shop"), "/housewright/trio%20shop");
        assert_ne!(path(None, "a/b"), path(None, "a%2fb"));
    }
}
