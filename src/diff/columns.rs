//! Columns: which are new, gone, elsewhere or another.

use std::collections::BTreeSet;

use crate::clickhouse::{identifier, literal};
use crate::diff::Statement;
use crate::diff::shape::Column;
use crate::diff::table::{Extension, Making, named};
use crate::sql::{Loss, loss};

impl Making<'_> {
    pub(super) fn columns(&mut self, extension: Option<Extension>) {
        self.ephemeral();
        self.arrange(extension);
        let new = self.new;
        for column in &new.columns {
            if let Some(old) = self.old.column(&column.name).cloned() {
                self.column(&old, column);
            }
        }
        let gone = self.old.columns.iter();
        let gone = gone.filter(|old| new.column(&old.name).is_none()).cloned();
        // What a default reads outlives it.
        for column in in_order(gone.collect()).into_iter().rev() {
            self.gone(&column);
        }
    }

    /// An EPHEMERAL column that becomes another is made anew: it holds nothing, and ALTER TABLE has no way out of it.
    fn ephemeral(&mut self) {
        let new = self.new;
        let becomes = |old: &Column| {
            let kind = old.default.as_ref().map(|(kind, _)| *kind);
            let new = new.column(&old.name);
            kind == Some("EPHEMERAL")
                && new.is_some_and(|new| new.default != old.default || new.r#type != old.r#type)
        };
        let (gone, kept): (Vec<Column>, Vec<Column>) =
            self.old.columns.drain(..).partition(becomes);
        self.old.columns = kept;
        for column in gone {
            if self.read.before.contains(&column.name) {
                self.refuse_to_remake(&column);
                continue;
            }
            let statement = self.statement(
                format!("column `{}` makes room for what it becomes", column.name),
                &format!("DROP COLUMN {}", column.quoted),
            );
            self.out
                .safe
                .push(statement.harmless("the column is computed and holds no data"));
        }
    }

    /// A column that a materialized view reads cannot be dropped to be made anew.
    fn refuse_to_remake(&mut self, column: &Column) {
        self.refuse(
            format!("what column `{}` is", column.name),
            "it would have to be dropped and added, and a materialized view reads it: ClickHouse drops no column that one reads",
            "take it out of the view's query in a migration of its own, and put it back in the one after this; or add a column under another name",
        );
    }

    fn gone(&mut self, column: &Column) {
        let does = format!("column `{}` is gone", column.name);
        let command = format!("DROP COLUMN {}", column.quoted);
        if self.keyed.contains(&column.name) {
            self.refuse(does, "a key reads it", "take it out of the key first");
        } else if column.is_stored() {
            let statement = self.statement(does, &command);
            let destroys = format!("column `{}`", column.name);
            self.out.last.push(statement.destroys(destroys));
        } else {
            let statement = self.statement(does, &command);
            self.out
                .end
                .push(statement.harmless("the column is computed and holds no data"));
        }
    }

    /// New columns, and those that stand elsewhere.
    fn arrange(&mut self, extension: Option<Extension>) {
        let new = self.new;
        let mut places = Places::of(&self.old.columns, &new.columns);
        let added = new.columns.iter();
        let added = added.filter(|new| self.old.column(&new.name).is_none());
        let mut added: Vec<&Column> = added.collect();
        let keyed = extension
            .as_ref()
            .map_or_else(BTreeSet::new, |extension| extension.columns.clone());
        let with: Vec<&Column> = added
            .iter()
            .filter(|column| keyed.contains(&column.name))
            .copied()
            .collect();
        added.retain(|column| !keyed.contains(&column.name));
        if let Some(extension) = extension.as_ref().filter(|extension| !extension.drops) {
            let statement = self.sorting_key(extension, &with, &mut places);
            self.out.safe.push(statement);
        }
        for column in in_order(added.into_iter().cloned().collect()) {
            let place = places.settle(&column.name);
            self.safe(
                format!("column `{}` is new", column.name),
                add(&column, &place),
            );
        }
        for column in &new.columns {
            let Some(old) = self.old.column(&column.name) else {
                continue;
            };
            if places.is_settled(&column.name) {
                continue;
            }
            let (quoted, r#type) = (column.quoted.clone(), old.r#type.clone());
            let place = places.settle(&column.name);
            // At the end it needs a place all the same.
            let place = if place.is_empty() {
                places.behind(&column.name)
            } else {
                place
            };
            self.safe(
                format!("column `{}` stands elsewhere", column.name),
                format!("MODIFY COLUMN {quoted} {type}{place}"),
            );
        }
        if let Some(extension) = extension.filter(|extension| extension.drops) {
            let statement = self.sorting_key(&extension, &with, &mut places);
            self.out.late.push(statement);
            for column in with {
                self.out.made.column(&column.name);
            }
        }
    }

    fn sorting_key(
        &self,
        extension: &Extension,
        with: &[&Column],
        places: &mut Places,
    ) -> Statement {
        let names: Vec<&str> = with.iter().map(|it| it.quoted.as_str()).collect();
        let does = if names.is_empty() {
            "the sorting key is shorter".to_owned()
        } else {
            format!("new at the end of the sorting key: {}", names.join(", "))
        };
        let mut commands: Vec<String> = with
            .iter()
            .map(|column| add(column, &places.settle(&column.name)))
            .collect();
        commands.push(format!("MODIFY ORDER BY {}", extension.key));
        self.statement(does, &commands.join(", "))
    }

    /// What makes one column another, but for its place.
    fn column(&mut self, old: &Column, new: &Column) {
        let (name, quoted) = (&new.name, &new.quoted);
        let modify = format!("MODIFY COLUMN {quoted}");
        let retyped = old.r#type != new.r#type;
        if retyped && self.keyed.contains(name) && !keeps_order(&old.r#type, &new.r#type) {
            self.refuse(
                format!("the type of column `{name}`, from {} to {}", old.r#type, new.r#type),
                "it is part of a key: the rows on disk are sorted by it",
                "add a column of the new type under another name, or make the table anew beside this one",
            );
            return;
        }
        if retyped && old.is_stored() && !new.is_stored() {
            self.anew(new);
            return;
        }
        // What is taken away goes first: it may not suit the new type.
        if let (Some((kind, _)), None) = (&old.default, &new.default) {
            let does = format!("column `{name}` has no {kind} any more");
            self.safe(does, format!("{modify} REMOVE {kind}"));
        }
        if old.clause("CODEC").is_some() && new.clause("CODEC").is_none() {
            self.safe(
                format!("column `{name}` has no codec of its own any more"),
                format!("{modify} REMOVE CODEC"),
            );
        }
        if old.clause("TTL").is_some() && new.clause("TTL").is_none() {
            self.safe(
                format!("column `{name}` has no TTL any more"),
                format!("{modify} REMOVE TTL"),
            );
        }
        // Where NULL has no place any more the engine wants to be told what to write instead.
        let unnulled =
            retyped && old.r#type.contains("Nullable(") && !new.r#type.contains("Nullable(");
        let default = new
            .default
            .as_ref()
            .filter(|_| old.default != new.default || unnulled)
            .map(|(kind, expression)| match expression.as_str() {
                // MODIFY COLUMN knows no bare EPHEMERAL.
                "" => format!(" {kind} {}", zero(&new.r#type)),
                expression => format!(" {kind} {expression}"),
            });
        let codec = new
            .clause("CODEC")
            .filter(|codec| old.clause("CODEC") != Some(codec))
            .map(|codec| format!(" CODEC{codec}"));
        if retyped {
            let filled = unnulled && new.default.is_none();
            let default = match default {
                None if filled => format!(" DEFAULT {}", zero(&new.r#type)),
                default => default.unwrap_or_default(),
            };
            let codec = codec.unwrap_or_default();
            let command = format!("{modify} {}{default}{codec}", new.r#type);
            self.retype(old, new, &command);
            if filled {
                let does = format!("column `{name}` has no DEFAULT any more");
                let statement = self.statement(does, &format!("{modify} REMOVE DEFAULT"));
                self.out.late.push(statement);
            }
        } else {
            if let Some(default) = default {
                let does = format!("column `{name}`:{default}");
                let command = format!("{modify}{default}");
                if old.is_stored() && !new.is_stored() {
                    self.late(format!("what column `{name}` holds"), does, &command);
                } else {
                    let statement = self.statement(does, &command);
                    let note = old.is_stored() && !matches!(new.default, Some(("DEFAULT", _)));
                    self.out.safe.push(if note {
                        statement.note("rows that are there keep their values")
                    } else {
                        statement
                    });
                }
            }
            if let Some(codec) = codec {
                let statement = self.statement(
                    format!("column `{name}`:{codec}"),
                    &format!("{modify}{codec}"),
                );
                self.out.safe.push(
                    statement.note("for new parts; those that are there change as they merge"),
                );
            }
        }
        self.attributes(old, new, &modify);
    }

    /// A column that held values of one type and computes those of another is made anew.
    fn anew(&mut self, new: &Column) {
        // A view that stops reading it does so before.
        if self.read.before.contains(&new.name) && self.read.after.contains(&new.name) {
            self.refuse_to_remake(new);
            return;
        }
        let columns = &self.new.columns;
        let at = columns.iter().position(|it| it.name == new.name);
        let before = at
            .and_then(|at| at.checked_sub(1))
            .and_then(|at| columns.get(at));
        let place = match before {
            Some(before) => format!(" AFTER {}", before.quoted),
            None => " FIRST".to_owned(),
        };
        let does = format!("column `{}` makes room for what it becomes", new.name);
        let command = format!("DROP COLUMN {}", new.quoted);
        self.late(format!("column `{}`", new.name), does, &command);
        let does = format!("column `{}` is new", new.name);
        let statement = self.statement(does, &add(new, &place));
        self.out.late.push(statement);
        self.out.made.column(&new.name);
    }

    /// Another type.
    fn retype(&mut self, old: &Column, new: &Column, command: &str) {
        let name = &new.name;
        let does = format!(
            "column `{name}` is {} instead of {}",
            new.r#type, old.r#type
        );
        let lost = match loss(&old.r#type, &new.r#type) {
            _ if !old.is_stored() => None,
            Some(Loss::Nulls) => Some(format!("NULLs of column `{name}`")),
            Some(Loss::Values) => Some(format!("values of column `{name}` that do not fit")),
            None => None,
        };
        let statement = self.statement(does, command);
        match lost {
            Some(lost) => {
                self.out.late.push(statement.destroys(lost));
                self.out.made.column(name);
            }
            None => self.out.safe.push(statement),
        }
    }

    /// What changes no value: TTL, comment, settings, statistics.
    fn attributes(&mut self, old: &Column, new: &Column, modify: &str) {
        let (name, quoted) = (&new.name, &new.quoted);
        if let Some(ttl) = new
            .clause("TTL")
            .filter(|ttl| old.clause("TTL") != Some(ttl))
        {
            self.late(
                format!("values of column `{name}` that are older than the TTL"),
                format!("column `{name}`: TTL {ttl}"),
                &format!("{modify} TTL {ttl}"),
            );
        }
        let comment = new.clause("COMMENT").unwrap_or("''");
        if old.clause("COMMENT").unwrap_or("''") != comment {
            self.safe(
                format!("the comment of column `{name}`"),
                format!("COMMENT COLUMN {quoted} {comment}"),
            );
        }
        let settings = |column: &Column| settings(column.clause("SETTINGS").unwrap_or_default());
        let (was, is) = (settings(old), settings(new));
        let does = format!("the settings of column `{name}`");
        for (setting, value) in &is {
            if was.get(setting) != Some(value) {
                self.safe(
                    does.clone(),
                    format!("{modify} MODIFY SETTING {setting} = {value}"),
                );
            }
        }
        for setting in was.keys().filter(|setting| !is.contains_key(*setting)) {
            self.safe(does.clone(), format!("{modify} RESET SETTING {setting}"));
        }
        let (was, is) = (old.clause("STATISTICS"), new.clause("STATISTICS"));
        if was != is {
            let does = format!("the statistics of column `{name}`");
            if was.is_some() {
                self.safe(does.clone(), format!("DROP STATISTICS {quoted}"));
            }
            if let Some(kinds) = is.and_then(inner) {
                self.safe(does, format!("ADD STATISTICS {quoted} TYPE {kinds}"));
            }
        }
        if old.clause("COLLATE") != new.clause("COLLATE") {
            self.refuse(
                format!("the collation of column `{name}`"),
                "no ALTER changes it",
                "add a column under another name",
            );
        }
    }
}

fn add(column: &Column, place: &str) -> String {
    let bare = column.text.ends_with(" EPHEMERAL") && !place.is_empty();
    // Behind a bare EPHEMERAL the place would be read as an expression.
    let zero = if bare {
        format!(" {}", zero(&column.r#type))
    } else {
        String::new()
    };
    format!("ADD COLUMN {}{zero}{place}", column.text)
}

fn zero(r#type: &str) -> String {
    format!("defaultValueOfTypeName({})", literal(r#type))
}

/// What stands between a pair of brackets.
fn inner(text: &str) -> Option<&str> {
    text.strip_prefix('(')?.strip_suffix(')')
}

fn settings(text: &str) -> std::collections::BTreeMap<String, String> {
    inner(text)
        .and_then(crate::diff::shape::settings)
        .unwrap_or_default()
}

/// Whether a change of type leaves the rows of a key where they are.
fn keeps_order(from: &str, to: &str) -> bool {
    let of = |name: &str| from.starts_with(name) && to.starts_with(name);
    let moment = of("DateTime") && !from.starts_with("DateTime64") && !to.starts_with("DateTime64");
    moment || (of("Enum8(") || of("Enum16(")) && loss(from, to).is_none()
}

/// Whether a column's default names another.
fn reads(column: &Column, other: &str) -> bool {
    let default = column.default.as_ref();
    column.name != other && default.is_some_and(|(_, expression)| named(expression).contains(other))
}

/// Each behind those that its default reads.
fn in_order(mut columns: Vec<Column>) -> Vec<Column> {
    let mut sorted = Vec::with_capacity(columns.len());
    while !columns.is_empty() {
        let free = columns
            .iter()
            .position(|column| !columns.iter().any(|other| reads(column, &other.name)));
        sorted.push(columns.remove(free.unwrap_or(0)));
    }
    sorted
}

/// A longest rising part of different numbers: what can stay where it is.
pub(super) fn rising(numbers: &[usize]) -> Vec<usize> {
    // For each length the last number of the part of that length that ends lowest, and the one before each number.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = Vec::with_capacity(numbers.len());
    for (index, number) in numbers.iter().enumerate() {
        let length = ends.partition_point(|end| numbers.get(*end).is_some_and(|it| it < number));
        before.push(length.checked_sub(1).and_then(|at| ends.get(at)).copied());
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut part = Vec::with_capacity(ends.len());
    let mut at = ends.last().copied();
    while let Some(index) = at {
        part.extend(numbers.get(index));
        at = before.get(index).copied().flatten();
    }
    part.reverse();
    part
}

/// The order of a table's columns while they are brought to that of another.
struct Places {
    target: Vec<String>,
    current: Vec<String>,
    /// Those that stand right among each other.
    settled: BTreeSet<String>,
}

impl Places {
    fn of(old: &[Column], new: &[Column]) -> Self {
        let names = |columns: &[Column]| -> Vec<String> {
            columns.iter().map(|column| column.name.clone()).collect()
        };
        let (target, current) = (names(new), names(old));
        let at = |name: &String| current.iter().position(|it| it == name);
        let numbers: Vec<usize> = target.iter().filter_map(at).collect();
        let settled = rising(&numbers)
            .into_iter()
            .filter_map(|at| current.get(at).cloned())
            .collect();
        Self {
            target,
            current,
            settled,
        }
    }

    fn is_settled(&self, name: &str) -> bool {
        self.settled.contains(name)
    }

    /// Puts a column behind the last of those before it that stand right, and says so as ALTER does; nothing at the end of the table.
    fn settle(&mut self, name: &str) -> String {
        self.current.retain(|it| it != name);
        self.settled.insert(name.to_owned());
        let before = self
            .target
            .iter()
            .take_while(|it| *it != name)
            .filter(|it| self.settled.contains(*it))
            .last();
        let at = before
            .and_then(|before| self.current.iter().position(|it| it == before))
            .map_or(0, |at| at + 1);
        let last = at == self.current.len();
        self.current.insert(at, name.to_owned());
        if last {
            String::new()
        } else {
            self.behind(name)
        }
    }

    /// `FIRST`, or `AFTER` the one before.
    fn behind(&self, name: &str) -> String {
        let at = self.current.iter().position(|it| it == name);
        match at
            .and_then(|at| at.checked_sub(1))
            .and_then(|at| self.current.get(at))
        {
            Some(before) => format!(" AFTER {}", identifier(before)),
            None => " FIRST".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rises_longest_stays() {
        assert_eq!(rising(&[]), Vec::<usize>::new());
        assert_eq!(rising(&[2, 0, 1]), [0, 1]);
        assert_eq!(rising(&[3, 0, 4, 1, 2]), [0, 1, 2]);
    }
}
