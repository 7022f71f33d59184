//! Schemas that ClickHouse accepts and should not have been given: one rule a file, whose header is its manual page. Pure.
//!
//! Rules judge a [`History`]: what the migrations say, and the state of the database after each of their statements, as the embedded
//! engine replayed them. A rule about what there is (a table, a view) is judged where the sequence ends, so that a later migration may
//! mend what an earlier one did, and is blamed on the statement since which it holds. What cannot be known is not reported.

mod found;
mod history;
mod judge;
mod rules;
mod state;
mod table;
mod view;

use crate::diagnostic::Severity;

pub(crate) use crate::lint::found::Found;
pub use crate::lint::history::{History, Moment, Reversal, Reverse};
pub use crate::lint::judge::{Levels, UnknownRule, judge};
pub use crate::lint::state::State;
pub(crate) use crate::lint::state::{Entry, Query, touched};
pub(crate) use crate::lint::table::Table;
pub(crate) use crate::lint::view::View;

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name: what is wrong, `like-this`, so that `allow(like-this)` reads well.
    pub name: &'static str,
    /// How bad a finding is, unless the configuration says otherwise.
    pub level: Severity,
    check: Check,
    source: &'static str,
}

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// A table that there is at the end.
    Table(fn(&Table<'_>, &mut Found)),
    /// A view that there is at the end, of any kind.
    View(fn(&View<'_>, &mut Found)),
    /// A statement of an up section, with the states before and after it.
    Statement(fn(&Moment<'_>, &mut Found)),
    /// A down section.
    Reversal(fn(&Reversal<'_>, &mut Found)),
    /// A statement, among all others.
    Among(fn(&Moment<'_>, &History<'_>, &mut Found)),
}

impl Rule {
    const fn new(name: &'static str, level: Severity, check: Check, source: &'static str) -> Self {
        Self {
            name,
            level,
            check,
            source,
        }
    }

    /// The manual page, as Markdown: what it finds, why, an example, and what to write instead.
    #[must_use]
    pub fn page(&self) -> String {
        let body: Vec<&str> = self
            .source
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(|line| line.strip_prefix(' ').unwrap_or(line))
            .collect();
        format!("# {}\n\n{}\n", self.name, body.join("\n").trim())
    }

    /// What it finds, in one sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        self.page()
            .lines()
            .nth(2)
            .unwrap_or_default()
            .trim_end_matches('.')
            .to_owned()
    }

    /// The SQL of a section of its page, as in `Example` or `Instead`.
    #[must_use]
    pub fn sql(&self, section: &str) -> Option<String> {
        let page = self.page();
        let (_, rest) = page.split_once(&format!("## {section}\n"))?;
        let rest = rest.split("\n## ").next().unwrap_or(rest);
        let (_, code) = rest.split_once("```sql\n")?;
        code.split_once("```").map(|(code, _)| code.to_owned())
    }
}

/// All rules, by name.
#[must_use]
pub fn rules() -> &'static [Rule] {
    rules::ALL
}

/// A rule by its name.
#[must_use]
pub fn rule(name: &str) -> Option<&'static Rule> {
    rules::ALL.iter().find(|rule| rule.name == name)
}
