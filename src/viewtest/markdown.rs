//! A Markdown file → the title, the reason and the steps of a case. Pure.
//!
//! The first heading is the title, the text below it the reason. Every heading of the second level is a step, in the order in which they
//! are done. What a step needs stands below it: a table, or a fenced block. Everything else is prose.

use std::ops::Range;

use camino::Utf8Path;
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use serde_json::Value;

use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::sql::{Span, split};
use crate::viewtest::case::{Action, GivenRow, Row, Rows, Step};

/// The longest that a case may let time pass.
const MAX_ADVANCE_MS: u64 = 10_000;

/// A piece of a Markdown document that matters here.
pub(crate) enum Block {
    Heading {
        level: HeadingLevel,
        span: Span,
        words: String,
    },
    Fence {
        language: String,
        span: Span,
        text: String,
        /// Where the text begins in the file.
        start: usize,
    },
    Table {
        span: Span,
        head: Vec<(String, Span)>,
        rows: Vec<(Vec<String>, Span)>,
    },
    Paragraph {
        words: String,
    },
}

/// Reads one file, and notes all that is wrong with it.
pub(crate) struct Reader<'a> {
    pub(crate) path: &'a Utf8Path,
    pub(crate) text: &'a str,
    pub(crate) findings: Vec<Diagnostic>,
}

fn span(range: &Range<usize>) -> Span {
    Span {
        start: range.start,
        end: range.end,
    }
}

impl Reader<'_> {
    fn complain(&mut self, span: Span, code: &'static str, message: impl Into<String>, help: &str) {
        let mut finding = Diagnostic::new(Severity::Error, code, message)
            .at(Some(Location::within(self.path, self.text, span)));
        if !help.is_empty() {
            finding = finding.help(help);
        }
        self.findings.push(finding);
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut cells: Vec<Span> = Vec::new();
        let mut head: Vec<Span> = Vec::new();
        let mut rows: Vec<(Vec<Span>, Span)> = Vec::new();
        let raw = |span: &Span| cell_text(span.of(self.text));
        let options = Options::ENABLE_TABLES;
        for (event, range) in Parser::new_ext(self.text, options).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { level, .. }) => blocks.push(Block::Heading {
                    level,
                    span: span(&range),
                    words: span(&range)
                        .of(self.text)
                        .trim_start_matches('#')
                        .trim()
                        .trim_end_matches('#')
                        .trim()
                        .to_owned(),
                }),
                Event::Start(Tag::Paragraph) => blocks.push(Block::Paragraph {
                    words: span(&range).of(self.text).trim().to_owned(),
                }),
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                    blocks.push(Block::Fence {
                        language: language.to_string(),
                        span: span(&range),
                        text: String::new(),
                        start: 0,
                    });
                }
                Event::Text(words) => {
                    if let Some(Block::Fence {
                        text, start, span, ..
                    }) = blocks.last_mut()
                        && span.start <= range.start
                        && range.end <= span.end
                    {
                        if text.is_empty() {
                            *start = range.start;
                        }
                        text.push_str(&words);
                    }
                }
                Event::Start(Tag::Table(_)) => rows.clear(),
                Event::Start(Tag::TableHead | Tag::TableRow) => cells.clear(),
                Event::Start(Tag::TableCell) => cells.push(span(&range)),
                Event::End(TagEnd::TableHead) => head.clone_from(&cells),
                Event::End(TagEnd::TableRow) => rows.push((cells.clone(), span(&range))),
                Event::End(TagEnd::Table) => blocks.push(Block::Table {
                    span: span(&range),
                    head: head.iter().map(|span| (raw(span), *span)).collect(),
                    rows: rows
                        .iter()
                        .map(|(cells, span)| (cells.iter().map(raw).collect(), *span))
                        .collect(),
                }),
                _ => {}
            }
        }
        blocks
    }

    pub(crate) fn steps(&mut self, blocks: Vec<Block>) -> (String, String, Vec<Step>) {
        let mut title = String::new();
        let mut why: Vec<String> = Vec::new();
        let mut steps: Vec<Step> = Vec::new();
        let mut blocks = blocks.into_iter().peekable();
        while let Some(block) = blocks.next() {
            match block {
                Block::Heading {
                    level: HeadingLevel::H1,
                    words,
                    span,
                } => {
                    if !title.is_empty() {
                        self.complain(
                            span,
                            "two-titles",
                            "a case has one title",
                            "one story a file",
                        );
                    }
                    title = words;
                }
                Block::Heading {
                    level: HeadingLevel::H2,
                    words,
                    span,
                } => {
                    let mut below = Vec::new();
                    while let Some(block) =
                        blocks.next_if(|block| !matches!(block, Block::Heading { .. }))
                    {
                        below.push(block);
                    }
                    if let Some(action) = self.action(&words, span, below) {
                        steps.push(Step {
                            action,
                            heading: words,
                            location: Location::within(self.path, self.text, span),
                        });
                    }
                }
                Block::Paragraph { words } if steps.is_empty() => why.push(words),
                Block::Fence { span, .. } | Block::Table { span, .. } => self.complain(
                    span,
                    "no-step",
                    "this belongs to no step",
                    "put a heading above it, as in `## insert events` or `## query`",
                ),
                _ => {}
            }
        }
        let start = Span { start: 0, end: 0 };
        if title.is_empty() {
            self.complain(
                start,
                "no-title",
                "the case has no title",
                "begin the file with `# ` and what is true, in a sentence",
            );
        }
        if self.findings.is_empty()
            && !steps.iter().any(|step| {
                matches!(
                    step.action,
                    Action::Query { .. } | Action::Refuse { .. } | Action::States { .. }
                )
            })
        {
            self.complain(
                start,
                "no-query",
                "the case asks nothing, so it could never fail",
                "add `## query` and a SELECT in a ```sql block",
            );
        }
        let mut headings: Vec<&str> = Vec::new();
        let mut twice = Vec::new();
        for step in &steps {
            if matches!(step.action, Action::Query { .. }) {
                if headings.contains(&step.heading.as_str()) {
                    twice.push((step.location.span, step.heading.clone()));
                }
                headings.push(&step.heading);
            }
        }
        for (span, heading) in twice {
            self.complain(
                span,
                "two-queries-of-one-name",
                format!("two steps are called `{heading}`"),
                "give each a name: `## query before`, `## query after`",
            );
        }
        (title, why.join("\n\n"), steps)
    }

    fn action(&mut self, words: &str, span: Span, below: Vec<Block>) -> Option<Action> {
        let mut parts = words.split_whitespace();
        let verb = parts.next().unwrap_or_default();
        let rest: Vec<&str> = parts.collect();
        match (verb, rest.as_slice()) {
            ("insert", [table]) => Some(Action::Insert {
                table: (*table).to_owned(),
                rows: self.rows(span, below)?,
            }),
            ("refuse", [table]) => Some(Action::Refuse {
                table: (*table).to_owned(),
                rows: self.rows(span, below)?,
            }),
            ("merge", []) => Some(Action::Merge),
            ("rebuild", []) => Some(Action::Rebuild),
            ("advance", [number, "ms"]) => match number.parse() {
                Ok(milliseconds) if milliseconds <= MAX_ADVANCE_MS => {
                    Some(Action::Advance { milliseconds })
                }
                _ => {
                    self.complain(
                        span,
                        "bad-step",
                        format!(
                            "`{number}` is not a number of milliseconds up to {MAX_ADVANCE_MS}"
                        ),
                        "",
                    );
                    None
                }
            },
            ("states", [table]) => Some(Action::States {
                table: (*table).to_owned(),
            }),
            ("execute", _) => Some(Action::Execute {
                sql: self.sql(span, below)?,
            }),
            ("query", _) => Some(Action::Query {
                sql: self.sql(span, below)?,
            }),
            _ => {
                self.complain(
                    span,
                    "bad-step",
                    format!("`{words}` is not a step"),
                    "a step is `insert TABLE`, `refuse TABLE`, `merge`, `advance N ms`, `execute`, `rebuild`, `states TABLE` or `query [NAME]`; prose goes under `###`",
                );
                None
            }
        }
    }

    /// The one statement below a heading.
    fn sql(&mut self, heading: Span, below: Vec<Block>) -> Option<String> {
        let mut fences = below.into_iter().filter_map(|block| match block {
            Block::Fence {
                language,
                text,
                span,
                ..
            } if language == "sql" => Some((text, span)),
            _ => None,
        });
        let Some((text, span)) = fences.next() else {
            self.complain(
                heading,
                "no-sql",
                "there is no SQL below this heading",
                "write it into a ```sql block",
            );
            return None;
        };
        let statements = split(&text);
        match statements.as_slice() {
            // Rows that stand in the statement are part of it.
            [statement] if fences.next().is_none() => Some(match statement.data() {
                Some(data) => format!("{}\n{data}", statement.sql()),
                None => statement.sql().to_owned(),
            }),
            _ => {
                self.complain(
                    span,
                    "one-statement",
                    "a step has exactly one statement",
                    "give each a heading of its own",
                );
                None
            }
        }
    }

    fn rows(&mut self, heading: Span, below: Vec<Block>) -> Option<Rows> {
        let mut given = below
            .into_iter()
            .filter(|block| matches!(block, Block::Fence { .. } | Block::Table { .. }));
        let block = given.next();
        if let Some(Block::Fence { span, .. } | Block::Table { span, .. }) = given.next() {
            self.complain(
                span,
                "two-tables",
                "a step takes its rows from one place",
                "give each a heading of its own",
            );
            return None;
        }
        match block {
            Some(Block::Table { head, rows, span }) => self.table(&head, &rows, span),
            Some(Block::Fence {
                language,
                text,
                start,
                span,
            }) => match language.as_str() {
                "json" => self.ndjson(&text, start),
                "sql" => Some(Rows::Select(text.trim().trim_end_matches(';').to_owned())),
                "seed" => self.seed(&text, span),
                _ => {
                    self.complain(
                        span,
                        "bad-rows",
                        format!("rows are not written in `{language}`"),
                        "a table, ```json with one object a line, ```sql with a SELECT, or ```seed",
                    );
                    None
                }
            },
            _ => {
                self.complain(
                    heading,
                    "no-rows",
                    "there are no rows below this heading",
                    "a table of just the columns that matter, ```json with one object a line, ```sql with a SELECT, or ```seed",
                );
                None
            }
        }
    }

    fn table(
        &mut self,
        head: &[(String, Span)],
        rows: &[(Vec<String>, Span)],
        table: Span,
    ) -> Option<Rows> {
        let mut given = Vec::new();
        for (cells, span) in rows {
            let mut row = Row::new();
            for ((column, _), cell) in head.iter().zip(cells) {
                match value(cell) {
                    Ok(None) => {}
                    Ok(Some(value)) => {
                        row.insert(column.clone(), value);
                    }
                    Err(reason) => {
                        self.complain(
                            *span,
                            "bad-cell",
                            format!("`{cell}` in column `{column}`: {reason}"),
                            "a cell that begins with a double quote is a JSON string",
                        );
                        return None;
                    }
                }
            }
            given.push(GivenRow {
                row,
                span: *span,
                columns: head.to_vec(),
            });
        }
        if given.is_empty() {
            self.complain(table, "no-rows", "the table has no rows", "");
            return None;
        }
        Some(Rows::Given(given))
    }

    fn ndjson(&mut self, text: &str, start: usize) -> Option<Rows> {
        let mut given = Vec::new();
        let mut at = start;
        for line in text.split_inclusive('\n') {
            let span = Span {
                start: at,
                end: at + line.trim_end().len(),
            };
            at += line.len();
            if line.trim().is_empty() {
                continue;
            }
            match serde_json::from_str::<Row>(line) {
                Ok(row) => given.push(GivenRow {
                    row,
                    span,
                    columns: Vec::new(),
                }),
                Err(error) => {
                    self.complain(
                        span,
                        "bad-event",
                        format!("this line is not a JSON object: {error}"),
                        "one object a line",
                    );
                    return None;
                }
            }
        }
        Some(Rows::Given(given)).filter(|_| !text.trim().is_empty())
    }

    fn seed(&mut self, text: &str, span: Span) -> Option<Rows> {
        let mut settings = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let Some((key, value)) = line.split_once('=') else {
                self.complain(
                    span,
                    "bad-seed",
                    format!("`{line}` is not `key = value`"),
                    "the keys are seed, events, projects, days, start",
                );
                return None;
            };
            settings.push((key.trim().to_owned(), value.trim().to_owned()));
        }
        Some(Rows::Seed(settings))
    }
}

/// The text of a cell: without the bars and spaces around it.
fn cell_text(cell: &str) -> String {
    cell.trim()
        .trim_start_matches('|')
        .trim()
        .replace("\\|", "|")
}

/// What a cell sends; `None`: nothing.
fn value(cell: &str) -> Result<Option<Value>, String> {
    if cell.is_empty() {
        return Ok(None);
    }
    if cell == "NULL" {
        return Ok(Some(Value::Null));
    }
    let literal = cell
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'));
    if let Some(literal) = literal {
        return Ok(Some(Value::String(literal.to_owned())));
    }
    if cell.starts_with('"') {
        return serde_json::from_str(cell)
            .map(Some)
            .map_err(|error| error.to_string());
    }
    if cell.starts_with(['[', '{'])
        && let Ok(value) = serde_json::from_str(cell)
    {
        return Ok(Some(value));
    }
    Ok(Some(Value::String(cell.to_owned())))
}
