//! A throw-away database in which cases are played, one after the other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::Value;

use crate::catalog::{Catalog, Kind, Object};
use crate::clickhouse::{Client, Error, Query, identifier};
use crate::scratch::{Blueprint, BuildError, Scratch};
use crate::sql::{TokenKind, tokens};
use crate::viewtest::case::Row;
use crate::viewtest::rows::Rows;

/// What makes a question's answer the same on every machine.
const ASK: [(&str, &str); 2] = [
    ("session_timezone", "UTC"),
    ("output_format_json_quote_64bit_integers", "0"),
];
/// What an INSERT of a case is sent with: nothing that is misspelt is ignored, and when it is answered it is there.
const INSERT: [(&str, &str); 4] = [
    ("session_timezone", "UTC"),
    ("async_insert", "0"),
    ("input_format_skip_unknown_fields", "0"),
    ("materialized_views_ignore_errors", "0"),
];
const EXECUTE: [(&str, &str); 4] = [
    ("session_timezone", "UTC"),
    ("mutations_sync", "1"),
    ("alter_sync", "1"),
    ("lightweight_deletes_sync", "1"),
];

/// What all stages of a run share.
#[derive(Debug)]
pub struct Theatre {
    scratch: Scratch,
    ask: Vec<(String, String)>,
    insert: Vec<(String, String)>,
    execute: Vec<(String, String)>,
}

impl Theatre {
    /// On a server; `settings` go with every query.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn new(
        client: &Client,
        run: &str,
        settings: &[(String, String)],
    ) -> Result<Self, Error> {
        let mut all = Vec::new();
        for some in [&ASK[..], &INSERT[..], &EXECUTE[..]] {
            let mut known: Vec<(String, String)> = client
                .known(some)
                .await?
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            known.extend(settings.iter().cloned());
            all.push(known);
        }
        let mut all = all.into_iter();
        let mut next = || all.next().unwrap_or_default();
        Ok(Self {
            scratch: Scratch::new(client, run).await?,
            ask: next(),
            insert: next(),
            execute: next(),
        })
    }

    /// Removes every database of this run that is still there.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn sweep(&self) -> Result<(), Error> {
        self.scratch.sweep().await
    }
}

/// A database with the schema in it, and nothing else.
#[derive(Debug)]
pub struct Stage<'a> {
    theatre: &'a Theatre,
    blueprint: &'a Blueprint,
    client: Client,
    /// What is in the database.
    pub catalog: Catalog,
    /// Whether migrations put rows into tables, which a TRUNCATE would take away.
    stocked: bool,
    /// Whether anything was done here since it was built or cleared.
    used: AtomicBool,
    /// The token of the last INSERT: where inserts are deduplicated, no two of them are one unless a history says so.
    token: AtomicU64,
}

fn with(query: Query, settings: &[(String, String)]) -> Query {
    settings
        .iter()
        .fold(query, |query, (name, value)| query.setting(name, value))
}

impl<'a> Stage<'a> {
    /// Builds the database.
    ///
    /// # Errors
    /// [`BuildError`].
    pub async fn open(
        theatre: &'a Theatre,
        blueprint: &'a Blueprint,
    ) -> Result<Stage<'a>, BuildError> {
        let client = theatre.scratch.build(blueprint).await?;
        let mut stage = Self {
            theatre,
            blueprint,
            client,
            catalog: Catalog::default(),
            stocked: false,
            used: AtomicBool::new(false),
            token: AtomicU64::new(0),
        };
        match stage.furnish().await {
            Ok(()) => Ok(stage),
            Err(error) => {
                stage.close().await;
                Err(error.into())
            }
        }
    }

    async fn furnish(&mut self) -> Result<(), Error> {
        self.catalog = Catalog::read(&self.client).await?;
        Scratch::hold_merges(&self.client, &self.catalog).await?;
        if self.blueprint.pieces.iter().any(|piece| {
            matches!(
                crate::sql::header(&piece.sql).kind,
                crate::sql::Kind::Insert | crate::sql::Kind::InsertSelect
            )
        }) {
            self.stocked = true;
        }
        Ok(())
    }

    /// Removes the database. That it could not be is no reason to hide what was found.
    pub async fn close(self) {
        let _ = self.theatre.scratch.remove(&self.client).await;
    }

    /// Takes all rows out, except those that migrations put in.
    ///
    /// # Errors
    /// [`BuildError`].
    pub async fn clear(&mut self) -> Result<(), BuildError> {
        if !self.used.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        if self.stocked {
            self.theatre.scratch.remove(&self.client).await?;
            self.client = self.theatre.scratch.build(self.blueprint).await?;
            return Ok(self.furnish().await?);
        }
        for table in self.catalog.objects.iter().filter(|table| holds(table)) {
            let query = Query::new(format!("TRUNCATE TABLE {}", identifier(&table.name)));
            self.client.execute(&query).await?;
        }
        Ok(())
    }

    /// Inserts rows as one INSERT. `raw`: the rows of a view are stored as it made them. `retry`: it is the one before it, sent again,
    /// with the same deduplication token.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn insert(
        &self,
        table: &str,
        rows: &[&Row],
        raw: bool,
        retry: bool,
    ) -> Result<(), Error> {
        self.used.store(true, Ordering::Relaxed);
        if !retry {
            self.token.fetch_add(1, Ordering::Relaxed);
        }
        let mut body = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut body, row).map_err(|source| Error::Answer {
                url: self.client.url().to_owned(),
                source,
            })?;
            body.push(b'\n');
        }
        let query = Query::new(format!(
            "INSERT INTO {} FORMAT JSONEachRow",
            identifier(table)
        ));
        let mut query = with(query, &self.theatre.insert);
        if raw {
            query = query.setting("optimize_on_insert", "0");
        }
        if self.catalog.objects.iter().any(Object::deduplicates) {
            let token = format!(
                "{}-{}",
                self.client.database(),
                self.token.load(Ordering::Relaxed)
            );
            query = query.setting("insert_deduplication_token", &token);
        }
        let mut insert = self.client.insert(&query);
        insert.send(body.into()).await?;
        insert.end().await
    }

    /// Merges all parts of all tables whose rows a merge may change.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn merge(&self) -> Result<(), Error> {
        for table in self.catalog.objects.iter().filter(|table| table.folds()) {
            let query = Query::new(format!("OPTIMIZE TABLE {} FINAL", identifier(&table.name)));
            self.client.execute(&query).await?;
        }
        Ok(())
    }

    /// Executes a statement, and waits for the mutation that it may be.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn execute(&self, sql: &str) -> Result<(), Error> {
        self.used.store(true, Ordering::Relaxed);
        self.client
            .execute(&with(Query::new(sql), &self.theatre.execute))
            .await
    }

    /// The answer of a SELECT; sorted, unless it has an ORDER BY of its own.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn query(&self, sql: &str) -> Result<Rows, Error> {
        let query = with(Query::new(sql), &self.theatre.ask);
        let bytes = self.client.fetch(&query, "TabSeparatedWithNames").await?;
        let mut rows = Rows::from_tsv(&bytes);
        if !is_ordered(sql) {
            rows.sort();
        }
        Ok(rows)
    }

    /// The rows of a SELECT as they could be inserted.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn rows(&self, sql: &str) -> Result<Vec<Row>, Error> {
        let rows: Vec<Value> = self
            .client
            .rows(&with(Query::new(sql), &self.theatre.ask))
            .await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| match row {
                Value::Object(row) => Some(row),
                _ => None,
            })
            .collect())
    }

    /// Makes the targets of all materialized views anew from what their sources hold now. Those that are fed by another view's target
    /// are refilled by their trigger.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn rebuild(&self) -> Result<(), Error> {
        let fed: Vec<&str> = self
            .catalog
            .triggers()
            .map(|(view, _)| target(view))
            .collect();
        for target in &fed {
            self.execute(&format!("TRUNCATE TABLE {}", identifier(target)))
                .await?;
        }
        for (view, source) in self.catalog.triggers() {
            if !fed.contains(&source.name.as_str()) {
                self.execute(&refill(view, target(view))).await?;
            }
        }
        Ok(())
    }

    /// The raw rows of a table: aggregate states as the values they stand for.
    #[must_use]
    pub fn states(table: &Object) -> String {
        let columns: Vec<String> = table.columns.iter().map(finalized).collect();
        format!(
            "SELECT {} FROM {}",
            columns.join(", "),
            identifier(&table.name)
        )
    }
}

/// The table that a materialized view writes to; its own name stands for the one it keeps itself.
pub(crate) fn target(view: &Object) -> &str {
    view.target.as_deref().unwrap_or(&view.name)
}

/// `INSERT INTO target SELECT …`, by the names of the columns, as the trigger does it.
pub(crate) fn refill(view: &Object, into: &str) -> String {
    let columns: Vec<String> = view
        .columns
        .iter()
        .map(|column| identifier(&column.name))
        .collect();
    format!(
        "INSERT INTO {} ({}) {}",
        identifier(into),
        columns.join(", "),
        view.select
    )
}

/// A column, readable.
pub(crate) fn finalized(column: &crate::catalog::Column) -> String {
    let name = identifier(&column.name);
    if column.r#type.starts_with("AggregateFunction(") {
        format!("finalizeAggregation({name}) AS {name}")
    } else {
        name
    }
}

/// Whether a table holds rows that can be taken out.
fn holds(table: &Object) -> bool {
    table.kind == Kind::Table
        && (table.merges()
            || matches!(
                table.engine.as_str(),
                "Memory" | "Log" | "TinyLog" | "StripeLog" | "Set" | "Join"
            ))
}

/// Whether a SELECT has an ORDER BY outside of all brackets.
fn is_ordered(sql: &str) -> bool {
    let mut depth = 0_usize;
    let mut order = false;
    for token in tokens(sql).filter(|token| token.kind.is_significant()) {
        match token.kind {
            TokenKind::OpeningRoundBracket => depth += 1,
            TokenKind::ClosingRoundBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        let word = token.span.of(sql);
        if order && word.eq_ignore_ascii_case("BY") {
            return true;
        }
        order = depth == 0 && word.eq_ignore_ascii_case("ORDER");
    }
    false
}
