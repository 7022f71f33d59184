//! A part of a state: which of its rows are made anew, and that a condition can tell them from the others whatever merges. Only reads.
//!
//! The others are not made from the source but taken over as the old state has them, so what a row is has to be the same on both sides: the
//! values of the key. A row whose key came in between the cut and the look at the old state cannot be taken over, and is made anew too
//! (*touched*).

use serde::{Deserialize, Serialize};

use crate::catalog::{Object, list};
use crate::clickhouse::{Client, Error as ClickHouseError, Query, identifier, literal};
use crate::rebuild::obstacles::{Refusal, refusal};
use crate::rebuild::parity::Comparison;
use crate::rebuild::subject::Subject;
use crate::sql::{TokenKind, tokens};

/// What of a state is to be made anew, as somebody asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Only {
    /// The rows for which a condition on columns of the key holds.
    Where(String),
    /// A partition, by its ID.
    Partition(String),
}

/// Which rows of a state are made anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// As it was asked for, for a person.
    pub asked: String,
    /// A condition on columns of the key.
    pub condition: String,
    /// The columns that tell rows apart.
    pub keys: Vec<KeyColumn>,
    /// The columns that are taken over of the others: all that can be inserted.
    pub kept: Vec<String>,
    /// Whether the old state has to be read with FINAL, so that what merges would keep does not depend on the order of reading.
    pub merged: bool,
}

/// A column of the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// Its type in the state.
    pub r#type: String,
    /// Whether the view writes another type, which has to be cast before it is compared.
    pub cast: bool,
}

impl Scope {
    /// Whether a row is made anew: a condition on the key. Of a table of keys that came in meanwhile, all.
    #[must_use]
    pub(super) fn holds(&self, touched: Option<&str>) -> String {
        let Some(touched) = touched else {
            return format!("({})", self.condition);
        };
        let names = self.key_list();
        format!(
            "(({}) OR ({names}) IN (SELECT {names} FROM {}))",
            self.condition,
            identifier(touched)
        )
    }

    /// The rows of the view's query that are made anew. The server moves the condition down to the source's index by itself.
    #[must_use]
    pub(super) fn within(&self, query: &str, columns: &str, touched: Option<&str>) -> String {
        format!(
            "SELECT {columns} FROM ({}) WHERE {}",
            self.typed(query),
            self.holds(touched)
        )
    }

    /// The rows of a frozen state that are not made anew, and for which a condition holds: the columns, and the query for them.
    #[must_use]
    pub(super) fn rest(&self, state: &str, touched: &str, condition: &str) -> (String, String) {
        let columns = names(&self.kept);
        let query = format!(
            "SELECT {columns} FROM {}{} WHERE {condition} AND NOT {}",
            identifier(state),
            if self.merged { " FINAL" } else { "" },
            self.holds(Some(touched))
        );
        (columns, query)
    }

    /// The keys of the view's query.
    #[must_use]
    pub(super) fn keys_of(&self, query: &str) -> String {
        format!(
            "SELECT DISTINCT {} FROM ({})",
            self.key_list(),
            self.typed(query)
        )
    }

    /// The view's query with the key in the types of the state.
    fn typed(&self, query: &str) -> String {
        let casts: Vec<String> = self
            .keys
            .iter()
            .filter(|key| key.cast)
            .map(|key| {
                let name = identifier(&key.name);
                format!("CAST({name}, {}) AS {name}", literal(&key.r#type))
            })
            .collect();
        if casts.is_empty() {
            query.to_owned()
        } else {
            format!("SELECT * REPLACE ({}) FROM ({query})", casts.join(", "))
        }
    }

    /// The definition of the columns of a table of keys.
    #[must_use]
    pub(super) fn key_columns(&self) -> String {
        let columns: Vec<String> = self
            .keys
            .iter()
            .map(|key| format!("{} {}", identifier(&key.name), key.r#type))
            .collect();
        columns.join(", ")
    }

    fn key_list(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(|key| key.name.clone()).collect();
        names(&keys)
    }
}

fn names(columns: &[String]) -> String {
    let names: Vec<String> = columns.iter().map(|name| identifier(name)).collect();
    names.join(", ")
}

/// Holds what somebody asks for against the state and its view.
///
/// # Errors
/// [`ClickHouseError`]; what cannot be done exactly is a refusal.
pub(super) async fn scope(
    client: &Client,
    only: &Only,
    subject: &Subject,
    state: &Object,
    view: &Object,
    refusals: &mut Vec<Refusal>,
) -> Result<Option<Scope>, ClickHouseError> {
    let keys: Vec<KeyColumn> = Comparison::of(subject)
        .keys
        .into_iter()
        .map(|key| KeyColumn {
            cast: view
                .column(&key.name)
                .is_none_or(|it| it.r#type != key.r#type),
            name: key.name,
            r#type: key.r#type,
        })
        .collect();
    let whole = "rebuild all of it: leave `--where` and `--partition` out";
    let before = refusals.len();
    if keys.is_empty() {
        refusals.push(refusal(
            format!("`{}` has no column that tells its rows apart", state.name),
            whole,
        ));
    }
    for key in &keys {
        if key.r#type.contains("Nullable(") || key.r#type.starts_with("Float") {
            refusals.push(refusal(
                format!(
                    "`{}` of the key of `{}` is {}, whose values are not all equal to themselves, so rows could be missed",
                    key.name, state.name, key.r#type
                ),
                whole,
            ));
        }
    }
    if state.folds() {
        let expressions = state
            .sorting_key
            .iter()
            .filter(|it| state.column(it.trim_matches('`')).is_none());
        for expression in expressions {
            refusals.push(refusal(
                format!(
                    "`{}` is sorted by {expression}, so rows with different values of its columns may be one row by now",
                    state.name
                ),
                whole,
            ));
        }
    }
    if refusals.len() > before {
        return Ok(None);
    }
    let scope = |asked: String, condition: String| Scope {
        asked,
        condition,
        keys: keys.clone(),
        kept: state
            .columns
            .iter()
            .filter(|column| matches!(column.default.as_str(), "" | "DEFAULT"))
            .map(|column| column.name.clone())
            .collect(),
        merged: state.folds(),
    };
    match only {
        Only::Where(condition) => {
            let scope = scope(condition.clone(), condition.clone());
            let sound = judge(client, &scope, state, refusals).await?;
            Ok(sound.then_some(scope))
        }
        Only::Partition(id) => {
            let Some(expressions) = partition_key(client, state, refusals).await? else {
                return Ok(None);
            };
            // Judged before a value is looked for: what it names has to be known of the source's rows too.
            let by_key = scope(String::new(), format!("({}) = 1", expressions.join(", ")));
            if let Err(error) = described(client, &by_key, state).await?
                && error.contains("UNKNOWN_IDENTIFIER")
            {
                refusals.push(refusal(
                    format!(
                        "`{}` is partitioned by {}, which is not of columns of the key that the view writes ({}), so raw rows do not say to which partition they go",
                        state.name,
                        expressions.join(", "),
                        by_key.key_list()
                    ),
                    "name the rows by their key: `--where`",
                ));
                return Ok(None);
            }
            let Some(condition) = partition(client, state, id, &expressions, refusals).await?
            else {
                return Ok(None);
            };
            let scope = scope(format!("partition {id}"), condition);
            let sound = judge(client, &scope, state, refusals).await?;
            Ok(sound.then_some(scope))
        }
    }
}

/// Whether a condition is one that says the same of a row whenever and wherever it is asked.
async fn judge(
    client: &Client,
    scope: &Scope,
    state: &Object,
    refusals: &mut Vec<Refusal>,
) -> Result<bool, ClickHouseError> {
    let condition = &scope.condition;
    let reason = if let Some(what) = not_an_expression(condition) {
        Some(what.to_owned())
    } else if let Some(function) = fickle(client, condition).await? {
        Some(format!("{function} may say something else the next time"))
    } else {
        match described(client, scope, state).await? {
            Ok(r#type) if r#type.starts_with("Nullable(") => {
                Some("it may be NULL, neither true nor false".to_owned())
            }
            Ok(_) => None,
            Err(refused) => Some(refused),
        }
    };
    if let Some(reason) = &reason {
        refusals.push(refusal(
            format!(
                "`{condition}` does not tell which rows of `{}` to make anew: {reason}",
                state.name
            ),
            format!(
                "a condition on columns that stay what they are when rows merge: {}",
                scope.key_list()
            ),
        ));
    }
    Ok(reason.is_none())
}

/// Why a text is no expression over columns alone.
fn not_an_expression(text: &str) -> Option<&'static str> {
    let mut depth = 0_i32;
    for token in tokens(text) {
        match token.kind {
            TokenKind::OpeningRoundBracket => depth += 1,
            TokenKind::ClosingRoundBracket => {
                depth -= 1;
                if depth < 0 {
                    return Some("its brackets do not match");
                }
            }
            TokenKind::Comment | TokenKind::Semicolon | TokenKind::OpeningCurlyBrace => {
                return Some("it is more than an expression");
            }
            TokenKind::BareWord => {
                let word = token.span.of(text).to_ascii_uppercase();
                if matches!(word.as_str(), "SELECT" | "WITH" | "OVER") {
                    return Some("it asks for rows of other tables");
                }
            }
            kind if kind.is_unclosed() => return Some("a quote is not closed"),
            _ => {}
        }
    }
    (depth != 0).then_some("its brackets do not match")
}

/// A function of an expression whose result is not given by its arguments.
async fn fickle(client: &Client, text: &str) -> Result<Option<String>, ClickHouseError> {
    const UNKNOWN_IDENTIFIER: i32 = 47;
    #[derive(Deserialize)]
    struct Row {
        name: String,
    }
    let significant: Vec<&str> = tokens(text)
        .filter(|token| token.kind.is_significant())
        .map(|token| token.span.of(text))
        .collect();
    let called: Vec<String> = significant
        .windows(2)
        .filter_map(|pair| match pair {
            [name, "("] => Some(name.trim_matches(['`', '"']).to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    let query = Query::new(
        "SELECT name FROM system.functions WHERE lower(name) IN {names:Array(String)} AND (deterministic = 0 OR origin != 'System' OR is_aggregate) LIMIT 1",
    )
    .texts("names", called.clone());
    let known = match client.rows::<Row>(&query).await {
        Ok(rows) => rows.into_iter().next().map(|row| row.name),
        // A server that does not say it of its functions.
        Err(error) if error.is_code(UNKNOWN_IDENTIFIER) => {
            let sure = [
                "and",
                "or",
                "not",
                "in",
                "like",
                "toyyyymm",
                "todate",
                "startswith",
            ];
            called
                .into_iter()
                .find(|name| !sure.contains(&name.as_str()))
        }
        Err(error) => return Err(error),
    };
    Ok(known.map(|name| format!("{name}()")))
}

/// The type of a condition over the columns of the key, or what the server says against it.
async fn described(
    client: &Client,
    scope: &Scope,
    state: &Object,
) -> Result<Result<String, String>, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        r#type: String,
    }
    let query = Query::new(format!(
        "DESCRIBE TABLE (SELECT ({}) AS _housewright_condition FROM (SELECT {} FROM {} WHERE 0) WHERE _housewright_condition)",
        scope.condition,
        scope.key_list(),
        identifier(&state.name)
    ));
    match client.rows::<Row>(&query).await {
        Ok(rows) => Ok(Ok(rows
            .into_iter()
            .next()
            .map_or_else(String::new, |row| row.r#type))),
        Err(error) => match error.exception() {
            Some(exception) => Ok(Err(said(&exception.to_string()).to_owned())),
            None => Err(error),
        },
    }
}

/// What the server says, without our own query in it.
fn said(text: &str) -> &str {
    [" in scope ", ". In query ", ": while executing "]
        .iter()
        .filter_map(|mark| text.find(mark))
        .min()
        .and_then(|end| text.get(..end))
        .unwrap_or(text)
}

/// The expressions by which a state is partitioned.
async fn partition_key(
    client: &Client,
    state: &Object,
    refusals: &mut Vec<Refusal>,
) -> Result<Option<Vec<String>>, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        partition_key: String,
    }
    let query = Query::new(
        "SELECT partition_key FROM system.tables WHERE database = currentDatabase() AND name = {name:String}",
    )
    .text("name", state.name.clone());
    let key = client.row::<Row>(&query).await?.partition_key;
    let key = key.trim();
    if key.is_empty() {
        refusals.push(refusal(
            format!("`{}` is not partitioned", state.name),
            "name the rows by their key: `--where`",
        ));
        return Ok(None);
    }
    let inner = key.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    Ok(Some(list(inner.unwrap_or(key))))
}

/// The condition for a partition, by the values that it stands for.
async fn partition(
    client: &Client,
    state: &Object,
    id: &str,
    expressions: &[String],
    refusals: &mut Vec<Refusal>,
) -> Result<Option<String>, ClickHouseError> {
    #[derive(Deserialize)]
    struct Row {
        values: Vec<(String, String)>,
    }
    #[derive(Deserialize)]
    struct Known {
        ids: Vec<String>,
    }
    let values: Vec<String> = expressions
        .iter()
        .map(|it| format!("(hex(toString({it})), toTypeName({it}))"))
        .collect();
    let query = Query::new(format!(
        "SELECT [{}] AS values FROM {} WHERE _partition_id = {{id:String}} LIMIT 1",
        values.join(", "),
        identifier(&state.name)
    ))
    .text("id", id.to_owned());
    let Some(row) = client.rows::<Row>(&query).await?.into_iter().next() else {
        let query = Query::new(
            "SELECT groupUniqArray(20)(partition_id) AS ids FROM system.parts WHERE active AND database = currentDatabase() AND table = {name:String}",
        )
        .text("name", state.name.clone());
        let mut ids = client.row::<Known>(&query).await?.ids;
        ids.sort();
        refusals.push(refusal(
            format!("`{}` has no partition {id}", state.name),
            format!("it has {}", ids.join(", ")),
        ));
        return Ok(None);
    };
    let equal: Vec<String> = expressions
        .iter()
        .zip(row.values)
        .map(|(expression, (hex, r#type))| {
            format!(
                "{expression} = CAST(unhex({}), {})",
                literal(&hex),
                literal(&r#type)
            )
        })
        .collect();
    Ok(Some(equal.join(" AND ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_one_expression() {
        assert_eq!(not_an_expression("project_id = 'p;--)'"), None);
        assert_eq!(not_an_expression("(a = 1) OR b IN (1, 2)"), None);
        for text in [
            "1) OR (1",
            "(1",
            "a = 1; DROP TABLE t",
            "1 -- more",
            "a IN (SELECT a FROM t)",
            "a = 'x",
            "a = {p:String}",
        ] {
            assert!(not_an_expression(text).is_some(), "{text}");
        }
    }
}
