//! `schema.json`: the same for programs. Its structs are the contract; what they say is in README.md, "schema.json".

use serde::Serialize;

use crate::catalog::{Origin, Role};
use crate::docs::{Column, Model, Object};
use crate::recipe::{Answer, AnswerColumn, Recipe};

/// The `version` of the document.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    database: &'a str,
    objects: Vec<ObjectJson<'a>>,
    migrations: Vec<MigrationJson<'a>>,
    recipes: Vec<RecipeJson<'a>>,
}

#[derive(Serialize)]
struct ObjectJson<'a> {
    name: &'a str,
    kind: &'static str,
    comment: &'a str,
    engine: &'a str,
    partition_by: &'a str,
    order_by: &'a str,
    primary_key: &'a str,
    sample_by: &'a str,
    ttl: &'a str,
    settings: &'a str,
    parameters: Vec<ParameterJson<'a>>,
    from: &'a [String],
    into: &'a [String],
    rows_decided_by: Option<Vec<String>>,
    migrations: &'a [u64],
    columns: Vec<ColumnJson<'a>>,
    definition: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    figures: Option<FiguresJson<'a>>,
}

#[derive(Serialize)]
struct ParameterJson<'a> {
    name: &'a str,
    r#type: &'a str,
}

#[derive(Serialize)]
struct ColumnJson<'a> {
    name: &'a str,
    r#type: &'a str,
    comment: &'a str,
    default: Option<DefaultJson<'a>>,
    codec: &'a str,
    in_partition_key: bool,
    in_sorting_key: bool,
    filled: Vec<StepJson<'a>>,
    sources: Vec<String>,
    sample: Option<SampleJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    figures: Option<ColumnFiguresJson>,
}

#[derive(Serialize)]
struct DefaultJson<'a> {
    kind: &'a str,
    expression: &'a str,
}

#[derive(Serialize)]
struct StepJson<'a> {
    by: &'a str,
    default: Option<&'a str>,
    unknown: bool,
    origins: Vec<OriginJson<'a>>,
}

#[derive(Serialize)]
struct OriginJson<'a> {
    column: String,
    role: &'static str,
    through: &'a [String],
}

#[derive(Serialize)]
struct SampleJson<'a> {
    values: &'a [String],
    distinct: u64,
}

#[derive(Serialize)]
struct FiguresJson<'a> {
    rows: u64,
    bytes: u64,
    uncompressed: u64,
    parts: u64,
    partitions: u64,
    written: &'a str,
}

#[derive(Serialize)]
struct ColumnFiguresJson {
    bytes: u64,
    uncompressed: u64,
}

#[derive(Serialize)]
struct MigrationJson<'a> {
    version: u64,
    name: &'a str,
    comment: &'a str,
    has_down: bool,
    statements: Vec<StatementJson<'a>>,
}

#[derive(Serialize)]
struct StatementJson<'a> {
    label: &'a str,
    objects: &'a [String],
    into: Option<&'a str>,
    sql: &'a str,
}

#[derive(Serialize)]
struct RecipeJson<'a> {
    name: &'a str,
    title: &'a str,
    meaning: &'a str,
    parameters: Vec<RecipeParameterJson<'a>>,
    sql: &'a str,
    answer: Option<AnswerJson<'a>>,
}

#[derive(Serialize)]
struct RecipeParameterJson<'a> {
    name: &'a str,
    r#type: &'a str,
    meaning: &'a str,
    default: Option<&'a str>,
    example: &'a str,
}

#[derive(Serialize)]
struct AnswerJson<'a> {
    columns: &'a [AnswerColumn],
    rows: &'a [Vec<serde_json::Value>],
}

/// The document.
#[must_use]
pub fn json(model: &Model) -> String {
    let document = Document {
        version: VERSION,
        database: &model.database,
        objects: model.objects.iter().map(object).collect(),
        migrations: model
            .migrations
            .iter()
            .map(|change| MigrationJson {
                version: change.version,
                name: &change.name,
                comment: &change.comment,
                has_down: change.has_down,
                statements: change
                    .statements
                    .iter()
                    .map(|statement| StatementJson {
                        label: &statement.label,
                        objects: &statement.objects,
                        into: statement.into.as_deref(),
                        sql: &statement.sql,
                    })
                    .collect(),
            })
            .collect(),
        recipes: model
            .recipes
            .iter()
            .map(|(recipe, answer)| self::recipe(recipe, answer.as_ref()))
            .collect(),
    };
    serde_json::to_string_pretty(&document)
        .map(|text| text + "\n")
        .unwrap_or_default()
}

/// One object, as the document has it.
#[must_use]
pub fn object_json(object: &Object) -> serde_json::Value {
    serde_json::to_value(self::object(object)).unwrap_or_default()
}

fn object(object: &Object) -> ObjectJson<'_> {
    let clauses = &object.clauses;
    ObjectJson {
        name: &object.name,
        kind: object.kind.label(),
        comment: &object.comment,
        engine: &clauses.engine,
        partition_by: &clauses.partition_by,
        order_by: &clauses.order_by,
        primary_key: &clauses.primary_key,
        sample_by: &clauses.sample_by,
        ttl: &clauses.ttl,
        settings: &clauses.settings,
        parameters: object
            .parameters
            .iter()
            .map(|it| ParameterJson {
                name: &it.name,
                r#type: &it.r#type,
            })
            .collect(),
        from: &object.from,
        into: &object.into,
        rows_decided_by: object
            .decided_by
            .as_ref()
            .map(|origins| origins.iter().map(|it| it.place.to_string()).collect()),
        migrations: &object.versions,
        columns: object.columns.iter().map(column).collect(),
        definition: &object.definition,
        figures: object.figures.as_ref().map(|it| FiguresJson {
            rows: it.rows,
            bytes: it.bytes,
            uncompressed: it.uncompressed,
            parts: it.parts,
            partitions: it.partitions,
            written: &it.written,
        }),
    }
}

fn column(column: &Column) -> ColumnJson<'_> {
    let origin = |origin: &'_ Origin| -> (String, &'static str) {
        (
            origin.place.to_string(),
            match origin.role {
                Role::Value => "value",
                Role::Decides => "decides",
            },
        )
    };
    ColumnJson {
        name: &column.name,
        r#type: &column.r#type,
        comment: &column.comment,
        default: (!column.default.is_empty()).then_some(DefaultJson {
            kind: &column.default,
            expression: &column.expression,
        }),
        codec: &column.codec,
        in_partition_key: column.in_partition_key,
        in_sorting_key: column.in_sorting_key,
        filled: column
            .trace
            .steps
            .iter()
            .map(|(step, _)| StepJson {
                by: &step.by,
                default: Some(step.default.as_str()).filter(|text| !text.is_empty()),
                unknown: step.unknown,
                origins: step
                    .origins
                    .iter()
                    .map(|it| {
                        let (column, role) = origin(it);
                        OriginJson {
                            column,
                            role,
                            through: &it.through,
                        }
                    })
                    .collect(),
            })
            .collect(),
        sources: column.sources().iter().map(ToString::to_string).collect(),
        sample: column.sample.as_ref().map(|it| SampleJson {
            values: &it.values,
            distinct: it.distinct,
        }),
        figures: column.figures.as_ref().map(|it| ColumnFiguresJson {
            bytes: it.bytes,
            uncompressed: it.uncompressed,
        }),
    }
}

fn recipe<'a>(recipe: &'a Recipe, answer: Option<&'a Answer>) -> RecipeJson<'a> {
    RecipeJson {
        name: &recipe.name,
        title: &recipe.title,
        meaning: &recipe.meaning,
        parameters: recipe
            .parameters
            .iter()
            .map(|it| RecipeParameterJson {
                name: &it.name,
                r#type: &it.r#type,
                meaning: &it.meaning,
                default: it.default.as_deref(),
                example: &it.example,
            })
            .collect(),
        sql: &recipe.sql,
        answer: answer.map(|answer| AnswerJson {
            columns: &answer.columns,
            rows: &answer.rows,
        }),
    }
}
