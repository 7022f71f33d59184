//! What the pages are made of: one value, whatever page. Pure; it is made from what the rooms above know.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{
    Catalog, Clauses, DefinitionKind, Definitions, Details, Lineage, Origin, Place, Role, Trace,
};
use crate::migration::Migrations;
use crate::recipe::{Answer, Recipe, Recipes};
use crate::sql::Parameter;

/// A schema, for people.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The database.
    pub database: String,
    /// The objects, by name.
    pub objects: Vec<Object>,
    /// The migrations, by version.
    pub migrations: Vec<Change>,
    /// The recipes, by name, each with its answer to the examples.
    pub recipes: Vec<(Recipe, Option<Answer>)>,
    /// The target that sizes and freshness were read from.
    pub target: Option<String>,
}

/// A table, a view, a dictionary or a function.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: DefinitionKind,
    /// Its COMMENT.
    pub comment: String,
    /// Its definition, canonical.
    pub definition: String,
    /// The clauses of it.
    pub clauses: Clauses,
    /// The columns, in their order.
    pub columns: Vec<Column>,
    /// What it is asked with.
    pub parameters: Vec<Parameter>,
    /// What it reads, or who writes into it.
    pub from: Vec<String>,
    /// Who reads it, or the table that it writes into.
    pub into: Vec<String>,
    /// The columns that decide which rows a view has; `None`: not known, or no view.
    pub decided_by: Option<Vec<Origin>>,
    /// The versions of the migrations that name it.
    pub versions: Vec<u64>,
    /// What it holds on the target.
    pub figures: Option<Figures>,
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: String,
    /// Its COMMENT.
    pub comment: String,
    /// `DEFAULT`, `MATERIALIZED`, `ALIAS`, `EPHEMERAL`, or empty.
    pub default: String,
    /// The expression of it.
    pub expression: String,
    /// Its CODEC.
    pub codec: String,
    /// Whether the partition key is made of it.
    pub in_partition_key: bool,
    /// Whether the sorting key is made of it.
    pub in_sorting_key: bool,
    /// All it comes from.
    pub trace: Trace,
    /// Values that the generated events have in it.
    pub sample: Option<Sample>,
    /// What it holds on the target.
    pub figures: Option<ColumnFigures>,
}

/// Values of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// The most frequent ones, as text.
    pub values: Vec<String>,
    /// How many there are.
    pub distinct: u64,
}

/// What a table holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The rows.
    pub rows: u64,
    /// The bytes on disk.
    pub bytes: u64,
    /// The bytes before compression.
    pub uncompressed: u64,
    /// The active parts.
    pub parts: u64,
    /// The partitions.
    pub partitions: u64,
    /// When the last part was written, in UTC.
    pub written: String,
    /// How many seconds ago that was, by the target's clock.
    pub age: u64,
}

/// What a column holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnFigures {
    /// The bytes on disk.
    pub bytes: u64,
    /// The bytes before compression.
    pub uncompressed: u64,
}

/// A migration.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its version.
    pub version: u64,
    /// Its name.
    pub name: String,
    /// The comment above its statements.
    pub comment: String,
    /// Its statements.
    pub statements: Vec<Statement>,
    /// Whether it can be taken back.
    pub has_down: bool,
}

/// A statement of a migration.
#[derive(Clone, Debug)]
pub struct Statement {
    /// What it does: `CREATE TABLE`.
    pub label: String,
    /// The objects that it is about.
    pub objects: Vec<String>,
    /// The table that a materialized view writes into.
    pub into: Option<String>,
    /// Its text.
    pub sql: String,
}

/// What a model is made from.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The database.
    pub database: &'a str,
    /// What exists.
    pub catalog: &'a Catalog,
    /// How it is written down.
    pub definitions: &'a Definitions,
    /// Where columns come from.
    pub lineage: &'a Lineage,
    /// Comments, codecs, keys.
    pub details: &'a Details,
    /// What was done.
    pub migrations: &'a Migrations,
    /// The questions.
    pub recipes: &'a Recipes,
    /// Their answers, by name.
    pub answers: BTreeMap<String, Answer>,
    /// Values, by object and column.
    pub samples: BTreeMap<(String, String), Sample>,
}

impl Model {
    /// Puts together what is known.
    #[must_use]
    pub fn of(parts: Parts<'_>) -> Self {
        let migrations: Vec<Change> = parts.migrations.iter().map(change).collect();
        let mut objects: Vec<Object> = parts
            .definitions
            .iter()
            .map(|definition| {
                let name = definition.name.as_str();
                let found = parts.catalog.get(name);
                let columns = parts.lineage.columns(name);
                Object {
                    name: name.to_owned(),
                    kind: definition.kind,
                    comment: parts.details.comment(name).to_owned(),
                    clauses: Clauses::of(&definition.text),
                    columns: columns
                        .iter()
                        .map(|place| column(place, &definition.text, found, &parts))
                        .collect(),
                    parameters: match definition.kind {
                        DefinitionKind::ParameterizedView => {
                            crate::sql::parameters(&definition.text)
                        }
                        _ => Vec::new(),
                    },
                    definition: definition.text.clone(),
                    from: parts.lineage.sources(name).into_iter().collect(),
                    into: Vec::new(),
                    decided_by: found
                        .filter(|object| !object.select.is_empty())
                        .and_then(|_| parts.lineage.decided_by(name)),
                    versions: migrations
                        .iter()
                        .filter(|change| {
                            change
                                .statements
                                .iter()
                                .any(|statement| statement.objects.iter().any(|it| it == name))
                        })
                        .map(|change| change.version)
                        .collect(),
                    figures: None,
                }
            })
            .collect();
        let flows: Vec<(String, String)> = objects
            .iter()
            .flat_map(|object| {
                object
                    .from
                    .iter()
                    .map(|from| (from.clone(), object.name.clone()))
            })
            .collect();
        for object in &mut objects {
            object.into = flows
                .iter()
                .filter(|(from, _)| *from == object.name)
                .map(|(_, into)| into.clone())
                .collect();
        }
        let mut answers = parts.answers;
        Self {
            database: parts.database.to_owned(),
            objects,
            migrations,
            recipes: parts
                .recipes
                .iter()
                .map(|recipe| (recipe.clone(), answers.remove(&recipe.name)))
                .collect(),
            target: None,
        }
    }

    /// An object by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Object> {
        self.objects.iter().find(|object| object.name == name)
    }

    /// The statements that are about an object, with the version and name of their migrations; about a column, if its name stands in them.
    #[must_use]
    pub fn changes(&self, object: &str, column: Option<&str>) -> Vec<(u64, &str, &Statement)> {
        let mut found = Vec::new();
        for change in &self.migrations {
            for statement in &change.statements {
                let about = statement.objects.iter().any(|name| name == object);
                let names = column.is_none_or(|column| {
                    crate::sql::tokens(&statement.sql).any(|token| {
                        token.span.of(&statement.sql).trim_matches(['`', '"']) == column
                    })
                });
                if about && names {
                    found.push((change.version, change.name.as_str(), statement));
                }
            }
        }
        found
    }

    /// The objects in the order in which somebody reads who wants to ask something: views, tables, dictionaries, triggers, functions.
    #[must_use]
    pub fn groups(&self) -> Vec<(&'static str, Vec<&Object>)> {
        use DefinitionKind as K;
        let groups: [(&'static str, &[K]); 5] = [
            ("Views", &[K::View, K::ParameterizedView]),
            ("Tables", &[K::Table]),
            ("Dictionaries", &[K::Dictionary]),
            (
                "Materialized views",
                &[K::MaterializedView, K::RefreshableView],
            ),
            ("Functions", &[K::Function]),
        ];
        groups
            .into_iter()
            .map(|(title, kinds)| {
                let objects = self.objects.iter();
                (
                    title,
                    objects
                        .filter(|object| kinds.contains(&object.kind))
                        .collect::<Vec<_>>(),
                )
            })
            .filter(|(_, objects)| !objects.is_empty())
            .collect()
    }
}

fn column(
    place: &Place,
    definition: &str,
    object: Option<&crate::catalog::Object>,
    parts: &Parts<'_>,
) -> Column {
    let detail = parts
        .details
        .column(&place.object, &place.column, definition);
    let listed = object.and_then(|object| object.column(&place.column));
    let key = (place.object.clone(), place.column.clone());
    Column {
        name: place.column.clone(),
        r#type: listed
            .map(|column| column.r#type.clone())
            .or(detail.r#type)
            .unwrap_or_default(),
        comment: detail.comment,
        default: listed
            .map(|column| column.default.clone())
            .unwrap_or_default(),
        expression: detail.expression,
        codec: detail.codec,
        in_partition_key: detail.in_partition_key,
        in_sorting_key: detail.in_sorting_key,
        trace: parts.lineage.trace(place),
        sample: parts.samples.get(&key).cloned(),
        figures: None,
    }
}

fn change(migration: &crate::migration::Migration) -> Change {
    let mut comment = String::new();
    for line in migration.text.lines() {
        let Some(said) = line.trim().strip_prefix("--").map(str::trim) else {
            if line.trim().is_empty() {
                continue;
            }
            break;
        };
        if said == "migrate:up" {
            break;
        }
        if !said.is_empty() && !said.starts_with("housewright:") {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(said);
        }
    }
    Change {
        version: migration.version,
        name: migration.name.clone(),
        comment,
        statements: migration
            .up
            .iter()
            .map(|statement| Statement {
                label: statement.header.label.clone(),
                objects: statement
                    .header
                    .objects
                    .iter()
                    .map(|object| object.name.clone())
                    .collect(),
                into: statement.header.target.as_ref().map(|it| it.name.clone()),
                sql: statement.sql().to_owned(),
            })
            .collect(),
        has_down: migration.down.is_some(),
    }
}

impl Column {
    /// The columns that its values come from in the end: those that nothing fills but an INSERT.
    #[must_use]
    pub fn sources(&self) -> Vec<Place> {
        let mut found = BTreeSet::new();
        ends(&self.trace, &mut found);
        found.remove(&self.trace.place);
        found.into_iter().collect()
    }

    /// Whether something on the way is not known.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        fn unknown(trace: &Trace) -> bool {
            trace.steps.iter().any(|(step, below)| {
                step.unknown
                    || step
                        .origins
                        .iter()
                        .zip(below)
                        .any(|(origin, trace)| origin.role == Role::Value && unknown(trace))
            })
        }
        unknown(&self.trace)
    }
}

/// Whether a column's values are the same each time: nothing on the way reads a clock or draws lots.
#[must_use]
pub fn is_steady(trace: &Trace) -> bool {
    trace.steps.iter().all(|(step, below)| {
        !is_volatile(&step.default)
            && step
                .origins
                .iter()
                .all(|origin| !origin.through.iter().any(|name| is_volatile_function(name)))
            && below.iter().all(is_steady)
    })
}

fn ends(trace: &Trace, found: &mut BTreeSet<Place>) {
    let mut inner = false;
    for (step, below) in &trace.steps {
        // A default only stands in where nothing is sent.
        if !step.default.is_empty() {
            continue;
        }
        inner = true;
        for (origin, trace) in step.origins.iter().zip(below) {
            if origin.role == Role::Value {
                ends(trace, found);
            }
        }
    }
    if !inner {
        found.insert(trace.place.clone());
    }
}

/// Whether a text calls a function whose answer changes by itself.
#[must_use]
pub fn is_volatile(sql: &str) -> bool {
    let words: Vec<&str> = crate::sql::tokens(sql)
        .filter(|token| token.kind.is_significant())
        .map(|token| token.span.of(sql))
        .collect();
    words.windows(2).any(|pair| {
        matches!(pair, [name, "("] if is_volatile_function(name))
            || matches!(pair, [name, _] if name.eq_ignore_ascii_case("CURRENT_TIMESTAMP"))
    })
}

fn is_volatile_function(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "now",
        "today",
        "yesterday",
        "curdate",
        "current_",
        "rand",
        "generate",
        "uuid",
        "host",
        "fqdn",
        "server",
        "version",
        "uptime",
        "query",
        "initialquery",
        "user",
        "tcpport",
        "timezone",
        "canonicalrand",
        "rownumberin",
        "runningdiff",
        "blocknumber",
        "filesystem",
        "getmacro",
        "utctimestamp",
        "utc_timestamp",
        "connectionid",
        "connection_id",
        "buildid",
        "any",
        "grouparraysample",
        "quantile",
        "uniqcombined",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}
