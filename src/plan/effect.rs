//! What each statement of a plan does to what is on the target: how much it rewrites, what it destroys, which views it breaks. Pure: the
//! target comes as a [`World`], on which the statements before one have had their effect.

use std::collections::BTreeSet;

use crate::catalog::DefinitionKind;
use crate::diagnostic::thousands;
use crate::plan::partition::{is_partition, partition};
use crate::plan::world::{Key, World};
use crate::sql::{Class, Command, Header, Kind, Loss, ObjectName, TokenKind, header, loss, tokens};

/// What a statement does on the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The gravest that it does.
    pub class: Class,
    /// The rows it touches; `None` if that is not known or means nothing.
    pub rows: Option<u64>,
    /// The bytes on disk it touches.
    pub bytes: u64,
    /// The parts it touches.
    pub parts: u64,
    /// What of the target's data is lost, in words; `None`: none.
    pub destroys: Option<String>,
    /// Why nothing is lost although the statement looks like it, in words.
    pub harmless: Option<&'static str>,
    /// What stays as it is although the statement looks like it would change, in words.
    pub keeps: Option<String>,
    /// The views that do not work as before afterwards, each with the reason.
    pub breaks: Vec<String>,
}

/// How much of a table a statement is about.
enum Share<'a> {
    Whole,
    /// A partition, as it is written.
    Partition(&'a str),
    /// The rows that match, if they were counted.
    Matching(Option<u64>),
}

impl World {
    /// What a statement does; afterwards it counts as executed.
    pub(crate) fn execute(&mut self, sql: &str) -> Effect {
        let header = header(sql);
        let mut effect = Effect {
            class: header.class,
            rows: None,
            bytes: 0,
            parts: 0,
            destroys: None,
            harmless: None,
            keeps: None,
            breaks: self.breaks(&header, sql),
        };
        match header.kind {
            Kind::Alter if header.label.starts_with("ALTER TABLE") => {
                self.alter(&header, sql, &mut effect);
            }
            Kind::Drop | Kind::Detach | Kind::Truncate => self.removal(&header, &mut effect),
            Kind::CreateTable | Kind::CreateMaterializedView if header.replaces => {
                self.removal(&header, &mut effect);
            }
            Kind::Delete => {
                self.touch(&header, &mut effect);
                let share = Share::Matching(self.matching(&header, sql));
                self.lose(&header, &mut effect, "", share);
            }
            Kind::Update | Kind::Optimize => self.touch(&header, &mut effect),
            _ if header.class == Class::Destroys => {
                effect.destroys =
                    Some("housewright does not know what this statement does".to_owned());
            }
            _ => {}
        }
        self.happen(&header, sql);
        effect
    }

    /// Everything of its table is rewritten.
    fn touch(&self, header: &Header, effect: &mut Effect) {
        if let Some(table) = self.only(header) {
            effect.rows = table.rows;
            effect.bytes = table.bytes;
            effect.parts = table.parts;
        } else if self.known {
            effect.rows = Some(0);
        }
    }

    /// Data of its table is lost, if it has any.
    fn lose(&self, header: &Header, effect: &mut Effect, what: &str, share: Share<'_>) {
        let name = header
            .objects
            .first()
            .map_or_else(String::new, ToString::to_string);
        effect.class = Class::Destroys;
        let table = match self.only(header) {
            None if self.known => return spared(effect, "is not there before this plan"),
            Some(table) if table.is_empty() == Some(true) => {
                return spared(effect, "is empty on this target");
            }
            table => table,
        };
        let all = table.and_then(|table| table.rows).map(thousands);
        effect.destroys = Some(match (share, table.zip(all)) {
            (Share::Whole, Some((_, all))) => format!("{what} {all} rows of `{name}`"),
            (Share::Whole, None) => format!("{what} `{name}`, which nobody can count here"),
            (Share::Partition(wanted), Some((table, all))) => {
                let of_it = table
                    .partitions
                    .iter()
                    .filter(|it| is_partition(wanted, &it.id, &it.partition));
                let (mut rows, mut bytes, mut parts) = (0, 0, 0);
                for it in of_it {
                    rows += it.rows;
                    bytes += it.bytes;
                    parts += it.parts;
                }
                if parts == 0 {
                    format!("{what}partition {wanted}, up to {all} rows of `{name}`")
                } else {
                    (effect.rows, effect.bytes, effect.parts) = (Some(rows), bytes, parts);
                    format!(
                        "{what}partition {wanted}, {} rows of `{name}`",
                        thousands(rows)
                    )
                }
            }
            (Share::Matching(Some(rows)), Some((_, all))) => {
                format!("{what}{} of {all} rows of `{name}`", thousands(rows))
            }
            (Share::Matching(None), Some((_, all))) => {
                format!("{what}the rows that match, up to {all} of `{name}`")
            }
            (Share::Partition(wanted), None) => {
                format!("{what}partition {wanted} of `{name}`, which nobody can count here")
            }
            (Share::Matching(_), None) => {
                format!("{what}the rows that match, of `{name}`, which nobody can count here")
            }
        });
    }

    /// DROP, DETACH, TRUNCATE, REPLACE TABLE.
    fn removal(&self, header: &Header, effect: &mut Effect) {
        let whole_database =
            header.label.ends_with("DATABASE") || header.label.ends_with("TABLES FROM");
        let data = ["TABLE", "VIEW"]
            .iter()
            .any(|word| header.label.ends_with(word))
            || matches!(header.kind, Kind::Truncate | Kind::CreateTable);
        if !data && !whole_database {
            // DROP USER, DETACH DICTIONARY …
            effect.class = effect.class.min(Class::Metadata);
            return;
        }
        effect.class = Class::Destroys;
        if !self.known {
            effect.destroys = Some("what it holds, which this server does not tell".to_owned());
            return;
        }
        let mut lost = Vec::new();
        let mut reasons = BTreeSet::new();
        for object in &header.objects {
            let named = self.key(object);
            let mut there = false;
            for ((database, name), holding) in &self.objects {
                let hit = if whole_database {
                    *database == object.name
                } else {
                    (database, name) == (&named.0, &named.1)
                };
                // The rows of an inner table count as its view's.
                if !hit || name.starts_with(".inner") {
                    continue;
                }
                there = true;
                effect.rows = Some(effect.rows.unwrap_or(0) + holding.rows.unwrap_or(0));
                effect.bytes += holding.bytes;
                effect.parts += holding.parts;
                match (holding.is_empty(), holding.rows) {
                    (Some(true), _) => {
                        reasons.insert(if holding.engine.ends_with("View") {
                            "holds no data of its own"
                        } else {
                            "is empty on this target"
                        });
                    }
                    (_, Some(rows)) => lost.push(format!("{} rows of `{name}`", thousands(rows))),
                    _ => lost.push(format!(
                        "`{name}` ({}), which nobody can count here",
                        holding.engine
                    )),
                }
            }
            if !there {
                reasons.insert("is not there before this plan");
            }
        }
        if lost.is_empty() {
            spared(
                effect,
                reasons
                    .into_iter()
                    .next()
                    .unwrap_or("is empty on this target"),
            );
        } else {
            effect.destroys = Some(lost.join(", "));
        }
    }

    fn alter(&self, header: &Header, sql: &str, effect: &mut Effect) {
        // The gravest command decides; a column's type decides what it is to change it.
        effect.class = Class::Metadata;
        for command in &header.commands {
            let mut one = Effect {
                class: Class::Metadata,
                ..effect.clone()
            };
            one.destroys = None;
            self.command(header, command, sql, &mut one);
            effect.rows = one.rows.or(effect.rows);
            effect.bytes = effect.bytes.max(one.bytes);
            effect.parts = effect.parts.max(one.parts);
            effect.class = effect.class.max(one.class);
            effect.harmless = effect.harmless.or(one.harmless);
            effect.keeps = effect.keeps.take().or(one.keeps);
            if let Some(lost) = one.destroys {
                effect.destroys = Some(match effect.destroys.take() {
                    Some(before) => format!("{before}; {lost}"),
                    None => lost,
                });
            }
        }
    }

    fn command(&self, header: &Header, command: &Command, sql: &str, effect: &mut Effect) {
        let column = command.name.as_deref().unwrap_or_default();
        match command.words {
            "MODIFY COLUMN" | "ALTER COLUMN" => {
                self.modify(header, column, command.rest.of(sql), effect);
            }
            "DROP COLUMN" | "CLEAR COLUMN" => {
                self.lose(
                    header,
                    effect,
                    &format!("column `{column}` in"),
                    Share::Whole,
                );
                self.column(header, column, effect);
            }
            "DROP PARTITION" | "DROP PART" => {
                self.lose(header, effect, "", part(command, sql));
            }
            "DETACH PARTITION" | "DETACH PART" => {
                let what = "(until it is attached again) ";
                self.lose(header, effect, what, part(command, sql));
            }
            "DROP DETACHED" => {
                // Not among the rows of its table.
                effect.class = Class::Destroys;
                if self.known && self.only(header).is_none() {
                    spared(effect, "is not there before this plan");
                } else {
                    let name = header.objects.first().map(ToString::to_string);
                    effect.destroys = Some(format!(
                        "detached {} of `{}`, whose rows nobody can count here",
                        command.rest.of(sql),
                        name.unwrap_or_default()
                    ));
                }
            }
            "REPLACE PARTITION" => {
                let what = "what is now in ";
                self.lose(header, effect, what, part(command, sql));
            }
            "DELETE WHERE" | "DELETE IN PARTITION" => {
                self.touch(header, effect);
                let share = Share::Matching(self.matching(header, sql));
                self.lose(header, effect, "", share);
            }
            "MODIFY TTL" | "MATERIALIZE TTL" => {
                self.lose(
                    header,
                    effect,
                    "what is older than the TTL, of",
                    Share::Whole,
                );
            }
            "UPDATE" | "APPLY DELETED MASK" | "APPLY PATCHES" => {
                effect.class = Class::Mutation;
                self.touch(header, effect);
            }
            "MATERIALIZE COLUMN"
            | "MATERIALIZE INDEX"
            | "MATERIALIZE PROJECTION"
            | "MATERIALIZE STATISTICS"
            | "CLEAR INDEX"
            | "CLEAR PROJECTION" => {
                effect.class = Class::Mutation;
                self.touch(header, effect);
            }
            "MODIFY QUERY" => effect.keeps = self.history(header),
            "" => self.lose(header, effect, "nobody knows what, of", Share::Whole),
            words if words.contains("PART") || words.contains("FREEZE") || words == "FETCH" => {
                effect.class = Class::Data;
            }
            _ => {}
        }
    }

    /// Rows that a trigger has made keep what they have when its query changes.
    fn history(&self, header: &Header) -> Option<String> {
        let view = self.only(header)?;
        let triggers = DefinitionKind::of(&view.create) == Some(DefinitionKind::MaterializedView);
        let target = crate::sql::header(&view.create).target?;
        let rows = self.objects.get(&self.key(&target))?.rows?;
        (triggers && rows > 0).then(|| {
            format!(
                "for what is inserted from then on; {} of `{}` keep what they have",
                if rows == 1 {
                    "the row".to_owned()
                } else {
                    format!("the {} rows", thousands(rows))
                },
                target.name
            )
        })
    }

    /// The bytes of one column, where all of the table's rows lose it or have it rewritten.
    fn column(&self, header: &Header, column: &str, effect: &mut Effect) {
        if let Some(table) = self.only(header) {
            effect.rows = table.rows;
            effect.parts = table.parts;
            effect.bytes = table.columns.get(column).map_or(0, |column| column.bytes);
        }
    }

    /// MODIFY COLUMN: what stands behind the name is a type, or else only a default, a comment, a codec.
    fn modify(&self, header: &Header, column: &str, rest: &str, effect: &mut Effect) {
        let (written, ttl) = type_of(rest);
        if ttl {
            self.lose(
                header,
                effect,
                &format!("what is older than the TTL, in column `{column}` of"),
                Share::Whole,
            );
        }
        let Some(written) = written else { return };
        let Some(table) = self.only(header) else {
            if !self.known {
                effect.class = Class::Mutation;
            }
            return;
        };
        let Some(now) = table.columns.get(column) else {
            return;
        };
        let squeeze = |text: &str| text.split_whitespace().collect::<String>();
        if squeeze(&now.r#type) == squeeze(&written) {
            return;
        }
        effect.class = effect.class.max(Class::Mutation);
        self.column(header, column, effect);
        let lost = match loss(&now.r#type, &written) {
            Some(Loss::Nulls) => {
                format!("NULLs of column `{column}` ({} → {written}) in", now.r#type)
            }
            Some(Loss::Values) => format!(
                "values of column `{column}` that do not fit ({} → {written}) in",
                now.r#type
            ),
            None => return,
        };
        self.lose(header, effect, &lost, Share::Whole);
    }

    pub(super) fn changes_type(&self, table: &Key, column: &str, rest: &str) -> bool {
        let now = self
            .objects
            .get(table)
            .and_then(|table| table.columns.get(column));
        let squeeze = |text: &str| text.split_whitespace().collect::<String>();
        now.zip(type_of(rest).0)
            .is_some_and(|(now, written)| squeeze(&now.r#type) != squeeze(&written))
    }
}

/// The partition that a command is about, as it is written; of a part nobody knows how much of its table it is.
fn part<'a>(command: &Command, sql: &'a str) -> Share<'a> {
    let rest = command.rest.of(sql);
    let length = partition(rest).0.len();
    Share::Partition(rest.trim_start().get(..length).unwrap_or(rest))
}

/// The table of a DELETE, in either way to write it, and the condition; `None` if it is none, or only one of several commands.
#[must_use]
pub fn deleted(sql: &str) -> Option<(ObjectName, &str)> {
    let header = header(sql);
    let text = match header.kind {
        Kind::Delete => sql,
        Kind::Alter => match header.commands.as_slice() {
            [only] if only.words == "DELETE WHERE" => {
                return Some((header.objects.into_iter().next()?, only.rest.of(sql)));
            }
            _ => return None,
        },
        _ => return None,
    };
    let table = header.objects.into_iter().next()?;
    let behind = tokens(text)
        .filter(|token| token.kind.is_significant() && token.span.start >= table.span.end)
        .map(|token| token.span)
        .collect::<Vec<_>>();
    match behind.as_slice() {
        [first, ..] if first.of(text).eq_ignore_ascii_case("WHERE") => {
            Some((table, text.get(first.end..)?))
        }
        _ => None,
    }
}

fn spared(effect: &mut Effect, reason: &'static str) {
    effect.class = Class::Metadata;
    effect.harmless = Some(reason);
}

/// The type behind the name of MODIFY COLUMN, and whether a TTL is set.
fn type_of(rest: &str) -> (Option<String>, bool) {
    const ENDS: [&str; 13] = [
        "DEFAULT",
        "MATERIALIZED",
        "ALIAS",
        "EPHEMERAL",
        "CODEC",
        "COMMENT",
        "TTL",
        "FIRST",
        "AFTER",
        "REMOVE",
        "MODIFY",
        "RESET",
        "SETTINGS",
    ];
    let mut words = tokens(rest)
        .filter(|token| token.kind.is_significant())
        .map(|token| (token, token.span.of(rest)))
        .peekable();
    for skipped in ["IF", "EXISTS"] {
        words.next_if(|(_, word)| word.eq_ignore_ascii_case(skipped));
    }
    words.next();
    words.next_if(|(_, word)| word.eq_ignore_ascii_case("TYPE"));
    let mut span: Option<crate::sql::Span> = None;
    let mut depth = 0_usize;
    let mut ttl = false;
    let mut within = true;
    let mut last = "";
    for (token, word) in words {
        match token.kind {
            TokenKind::OpeningRoundBracket => depth += 1,
            TokenKind::ClosingRoundBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && ENDS.iter().any(|end| word.eq_ignore_ascii_case(end)) {
            within = false;
            ttl |= word.eq_ignore_ascii_case("TTL") && !last.eq_ignore_ascii_case("REMOVE");
        }
        if within {
            let start = span.map_or(token.span.start, |span| span.start);
            span = Some(crate::sql::Span {
                start,
                end: token.span.end,
            });
        }
        last = word;
    }
    (span.map(|span| span.of(rest).to_owned()), ttl)
}
