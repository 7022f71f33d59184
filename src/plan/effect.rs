//! What each statement of a plan does to what is on the target: how much it rewrites, what it destroys, which views it breaks. Pure: the
//! target comes as [`Holdings`], and the statements before one have their effect on them.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Holding, Holdings};
use crate::diagnostic::thousands;
use crate::sql::{
    Class, Command, Header, Kind, Loss, ObjectName, TokenKind, header, loss, reads, tokens,
};

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
    /// The views that do not work as before afterwards, each with the reason.
    pub breaks: Vec<String>,
}

type Key = (String, String);

/// The target as it will be when the statements so far are executed.
#[derive(Debug)]
pub(crate) struct World {
    database: String,
    known: bool,
    objects: BTreeMap<Key, Holding>,
}

impl World {
    pub(crate) fn of(holdings: &Holdings) -> Self {
        Self {
            database: holdings.database.clone(),
            known: holdings.objects.is_some(),
            objects: holdings.objects.clone().unwrap_or_default(),
        }
    }

    fn key(&self, name: &ObjectName) -> Key {
        let database = name.database.as_ref().unwrap_or(&self.database);
        (database.clone(), name.name.clone())
    }

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
            breaks: self.breaks(&header, sql),
        };
        match header.kind {
            Kind::Alter if header.label.starts_with("ALTER TABLE") => {
                self.alter(&header, sql, &mut effect);
            }
            Kind::Drop | Kind::Detach | Kind::Truncate => self.removal(&header, &mut effect),
            Kind::CreateTable if header.class == Class::Destroys => {
                self.removal(&header, &mut effect);
            }
            Kind::Delete => {
                self.touch(&header, &mut effect);
                self.lose(&header, &mut effect, "the rows that match, of");
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

    fn only(&self, header: &Header) -> Option<&Holding> {
        self.objects.get(&self.key(header.objects.first()?))
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
    fn lose(&self, header: &Header, effect: &mut Effect, what: &str) {
        let name = header
            .objects
            .first()
            .map_or_else(String::new, ToString::to_string);
        effect.class = Class::Destroys;
        match self.only(header) {
            None if self.known => spared(effect, "is not there before this plan"),
            Some(table) if table.is_empty() == Some(true) => {
                spared(effect, "is empty on this target");
            }
            Some(Holding {
                rows: Some(rows), ..
            }) => {
                effect.destroys = Some(format!("{what} {} rows of `{name}`", thousands(*rows)));
            }
            _ => effect.destroys = Some(format!("{what} `{name}`, which nobody can count here")),
        }
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
                self.lose(header, effect, &format!("column `{column}` in"));
                self.column(header, column, effect);
            }
            "DROP PARTITION" | "DROP PART" | "DROP DETACHED" => {
                let partition = command.rest.of(sql);
                self.lose(header, effect, &format!("partition {partition} of the"));
            }
            "DETACH PARTITION" | "DETACH PART" => {
                let partition = command.rest.of(sql);
                self.lose(
                    header,
                    effect,
                    &format!("(until it is attached again) partition {partition} of the"),
                );
            }
            "REPLACE PARTITION" => self.lose(header, effect, "the partition as it was, of the"),
            "DELETE WHERE" | "DELETE IN PARTITION" => {
                self.touch(header, effect);
                self.lose(header, effect, "the rows that match, of");
            }
            "MODIFY TTL" | "MATERIALIZE TTL" => {
                self.lose(header, effect, "what is older than the TTL, of");
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
            "" => self.lose(header, effect, "nobody knows what, of"),
            words if words.contains("PART") || words.contains("FREEZE") || words == "FETCH" => {
                effect.class = Class::Data;
            }
            _ => {}
        }
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
        self.lose(header, effect, &lost);
    }

    /// The views that the statement leaves without what they read or write.
    fn breaks(&self, header: &Header, sql: &str) -> Vec<String> {
        let mut breaks = Vec::new();
        let gone: Vec<Key> = match header.kind {
            Kind::Drop | Kind::Detach if !header.label.ends_with("DATABASE") => {
                header.objects.iter().map(|name| self.key(name)).collect()
            }
            Kind::Rename => header
                .objects
                .iter()
                .step_by(2)
                .map(|name| self.key(name))
                .collect(),
            _ => Vec::new(),
        };
        let verb = if header.kind == Kind::Rename {
            "renamed"
        } else {
            "gone"
        };
        for object in gone.iter().filter(|key| self.objects.contains_key(key)) {
            for (view, holding) in self.views().filter(|(view, _)| !gone.contains(view)) {
                let writes = crate::sql::header(&holding.create)
                    .target
                    .is_some_and(|target| self.key(&target) == *object);
                if writes {
                    breaks.push(format!(
                        "materialized view `{}` writes to `{}`, which is then {verb}: every INSERT into its source fails",
                        view.1, object.1
                    ));
                } else if self.reads(holding, object) {
                    breaks.push(format!(
                        "view `{}` reads `{}`, which is then {verb}",
                        view.1, object.1
                    ));
                }
            }
        }
        if header.kind == Kind::Alter
            && let Some(table) = header.objects.first().map(|name| self.key(name))
        {
            for command in &header.commands {
                let Some(column) = &command.name else {
                    continue;
                };
                let what = match command.words {
                    "DROP COLUMN" => "is then gone",
                    "RENAME COLUMN" => "is then renamed",
                    "MODIFY COLUMN" if self.changes_type(&table, column, command.rest.of(sql)) => {
                        "then has another type"
                    }
                    _ => continue,
                };
                for (view, holding) in self.views() {
                    let trigger = holding.engine == "MaterializedView";
                    if command.words == "MODIFY COLUMN" && !trigger {
                        // A plain view is read with the type that is there then.
                        continue;
                    }
                    if self.reads(holding, &table) && names(&holding.create, column) {
                        breaks.push(format!(
                            "{} `{}` reads column `{column}` of `{}`, which {what}",
                            if trigger { "materialized view" } else { "view" },
                            view.1,
                            table.1
                        ));
                    }
                }
            }
        }
        breaks
    }

    fn changes_type(&self, table: &Key, column: &str, rest: &str) -> bool {
        let now = self
            .objects
            .get(table)
            .and_then(|table| table.columns.get(column));
        let squeeze = |text: &str| text.split_whitespace().collect::<String>();
        now.zip(type_of(rest).0)
            .is_some_and(|(now, written)| squeeze(&now.r#type) != squeeze(&written))
    }

    fn views(&self) -> impl Iterator<Item = (&Key, &Holding)> {
        self.objects
            .iter()
            .filter(|(_, holding)| holding.engine.ends_with("View"))
    }

    /// Whether a view reads an object. What sqlparser does not read is looked for as a word.
    fn reads(&self, view: &Holding, object: &Key) -> bool {
        let qualified = format!("{}.{}", object.0, object.1);
        match reads(&view.create) {
            Some(tables) => tables.iter().any(|table| {
                *table == qualified || (*table == object.1 && object.0 == self.database)
            }),
            None => names(&view.create, &object.1),
        }
    }

    /// What is there after the statement.
    fn happen(&mut self, header: &Header, sql: &str) {
        let keys: Vec<Key> = header.objects.iter().map(|name| self.key(name)).collect();
        match header.kind {
            Kind::Drop | Kind::Detach => {
                for key in &keys {
                    self.objects.remove(key);
                }
            }
            Kind::Truncate => {
                for key in &keys {
                    if let Some(object) = self.objects.get_mut(key) {
                        object.rows = Some(0);
                        object.bytes = 0;
                        object.parts = 0;
                    }
                }
            }
            Kind::Rename | Kind::Exchange => {
                for pair in keys.chunks_exact(2) {
                    let (from, to) = (self.objects.remove(&pair[0]), self.objects.remove(&pair[1]));
                    if let Some(from) = from {
                        self.objects.insert(pair[1].clone(), from);
                    }
                    if let Some(to) = to.filter(|_| header.kind == Kind::Exchange) {
                        self.objects.insert(pair[0].clone(), to);
                    }
                }
            }
            Kind::CreateView | Kind::CreateMaterializedView => {
                let engine = if header.kind == Kind::CreateView {
                    "View"
                } else {
                    "MaterializedView"
                };
                let view = Holding {
                    engine: engine.to_owned(),
                    create: sql.to_owned(),
                    rows: Some(0),
                    ..Holding::default()
                };
                for key in keys {
                    self.objects.insert(key, view.clone());
                }
            }
            Kind::Alter => self.moved(header, sql),
            _ => {}
        }
    }

    /// Rows that MOVE PARTITION carries into another table are the target's own there too.
    fn moved(&mut self, header: &Header, sql: &str) {
        let from = self.only(header).cloned();
        for command in header
            .commands
            .iter()
            .filter(|command| command.words == "MOVE PARTITION")
        {
            let rest = command.rest.of(sql);
            let words: Vec<&str> = tokens(rest)
                .filter(|token| token.kind.is_significant())
                .map(|token| token.span.of(rest))
                .collect();
            let Some(at) = words.windows(2).position(|pair| {
                pair[0].eq_ignore_ascii_case("TO") && pair[1].eq_ignore_ascii_case("TABLE")
            }) else {
                continue;
            };
            let statement = format!("TRUNCATE TABLE {}", words[at + 2..].concat());
            let Some(key) = crate::sql::header(&statement)
                .objects
                .first()
                .map(|name| self.key(name))
            else {
                continue;
            };
            if let Some(from) = &from {
                let to = self.objects.entry(key).or_insert_with(|| Holding {
                    rows: Some(0),
                    parts: 0,
                    bytes: 0,
                    ..from.clone()
                });
                to.rows = to.rows.zip(from.rows).map(|(to, from)| to + from);
            }
        }
    }
}

fn spared(effect: &mut Effect, reason: &'static str) {
    effect.class = Class::Metadata;
    effect.harmless = Some(reason);
}

/// Whether a text has a name as a word of its own.
fn names(sql: &str, name: &str) -> bool {
    tokens(sql)
        .filter(|token| {
            matches!(
                token.kind,
                TokenKind::BareWord | TokenKind::QuotedIdentifier
            )
        })
        .any(|token| token.span.of(sql).trim_matches(['`', '"']) == name)
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
