//! A history and the rules → findings with their places, less those that somebody allowed.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Kind, words};
use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::lint::found::Finding;
use crate::lint::{
    Check, Entry, Found, History, Moment, Rule, State, Table, View, rule, rules, touched,
};
use crate::migration::Migration;
use crate::sql::{Allowance, Span, Statement, allowances, allowances_above};

/// How bad the findings of each rule are.
#[derive(Clone, Debug, Default)]
pub struct Levels(BTreeMap<&'static str, Option<Severity>>);

/// A rule that there is none of.
#[derive(Debug, thiserror::Error)]
#[error("there is no rule `{name}`{}\n  `housewright lint --rules` lists them", meant(.name))]
pub struct UnknownRule {
    name: String,
}

impl UnknownRule {
    /// Of a name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }
}

/// The rule that most likely was meant.
fn meant(name: &str) -> String {
    let like = |rule: &&Rule| {
        let parts: BTreeSet<&str> = rule.name.split('-').collect();
        name.split(['-', '_'])
            .filter(|part| parts.contains(part))
            .count()
    };
    let best = rules().iter().max_by_key(like);
    best.filter(|rule| like(rule) > 0)
        .map(|rule| format!("; `{}` is one", rule.name))
        .unwrap_or_default()
}

impl Levels {
    /// With what the configuration says; `None` switches a rule off.
    ///
    /// # Errors
    /// [`UnknownRule`].
    pub fn of<'a>(
        configured: impl IntoIterator<Item = (&'a str, Option<Severity>)>,
    ) -> Result<Self, UnknownRule> {
        let mut levels = BTreeMap::new();
        for (name, level) in configured {
            let rule = rule(name).ok_or_else(|| UnknownRule::new(name))?;
            levels.insert(rule.name, level);
        }
        Ok(Self(levels))
    }

    fn of_rule(&self, rule: &Rule) -> Option<Severity> {
        self.0.get(rule.name).copied().unwrap_or(Some(rule.level))
    }
}

/// Where a finding stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    migration: &'a Migration,
    statement: Option<&'a Statement>,
    /// Used where there is no statement, or the statement is one of the down section.
    span: Span,
}

/// Everything that the rules find, by place.
#[must_use]
pub fn judge(history: &History<'_>, levels: &Levels) -> Vec<Diagnostic> {
    let mut court = Court {
        used: BTreeSet::new(),
        findings: Vec::new(),
    };
    for rule in rules() {
        let Some(level) = levels.of_rule(rule) else {
            continue;
        };
        for (finding, place) in of_sequence(rule, history) {
            court.pass(rule, level, &finding, place);
        }
    }
    for (rule, finding, place) in of_end(history) {
        if let Some(level) = levels.of_rule(rule) {
            court.pass(rule, level, &finding, place);
        }
    }
    for migration in history.migrations.iter() {
        court.unused(migration, levels);
    }
    let mut findings = court.findings;
    findings.extend(history.refused.clone());
    findings
        .sort_by(|a, b| (&a.location, a.code, &a.message).cmp(&(&b.location, b.code, &b.message)));
    findings
}

/// What a rule about statements and sections finds.
fn of_sequence<'a>(rule: &Rule, history: &'a History<'_>) -> Vec<(Finding, Place<'a>)> {
    let mut all = Vec::new();
    match rule.check {
        Check::Statement(check) => {
            for moment in &history.moments {
                let mut found = Found::default();
                check(moment, &mut found);
                all.extend(found.findings.into_iter().map(|it| (it, place(moment))));
            }
        }
        Check::Among(check) => {
            for moment in &history.moments {
                let mut found = Found::default();
                check(moment, history, &mut found);
                all.extend(found.findings.into_iter().map(|it| (it, place(moment))));
            }
        }
        Check::Reversal(check) => {
            for reversal in &history.reversals {
                let mut found = Found::default();
                check(reversal, &mut found);
                let migration = reversal.migration;
                all.extend(found.findings.into_iter().map(|it| {
                    let span = it.span.unwrap_or_default();
                    let place = Place {
                        migration,
                        statement: None,
                        span,
                    };
                    (it, place)
                }));
            }
        }
        Check::Table(_) | Check::View(_) => {}
    }
    all
}

/// What the rules about tables and views find where the sequence ends.
fn of_end<'a>(history: &'a History<'_>) -> Vec<(&'static Rule, Finding, Place<'a>)> {
    let mut all = Vec::new();
    let Some(end) = history.end() else {
        return all;
    };
    for entry in end.entries() {
        if !end
            .involved(&entry.object.name)
            .is_disjoint(&history.unknown)
        {
            continue;
        }
        for (rule, findings) in about(entry, end, rules()) {
            for finding in findings {
                let name = &entry.object.name;
                if let Some(moment) = blame(rule, history, end, name, &finding) {
                    all.push((rule, finding, place(moment)));
                }
            }
        }
    }
    all
}

fn place<'a>(moment: &'a Moment<'_>) -> Place<'a> {
    Place {
        migration: moment.migration,
        statement: Some(moment.statement),
        span: moment.statement.span,
    }
}

/// What rules find about one object.
fn about<'r>(entry: &Entry, state: &State, rules: &'r [Rule]) -> Vec<(&'r Rule, Vec<Finding>)> {
    // Both are read from the definition once, for all rules.
    let table = (entry.object.kind == Kind::Table).then(|| Table::of(&entry.object, state));
    let view = entry.is_view().then(|| View::of(entry, state));
    let mut all = Vec::new();
    for rule in rules {
        let mut found = Found::default();
        match (rule.check, &table, &view) {
            (Check::Table(check), Some(table), _) => check(table, &mut found),
            (Check::View(check), _, Some(view)) => check(view, &mut found),
            _ => {}
        }
        if !found.findings.is_empty() {
            all.push((rule, found.findings));
        }
    }
    all
}

/// The statement since which something is found.
fn blame<'a>(
    rule: &'static Rule,
    history: &'a History<'_>,
    end: &State,
    name: &str,
    finding: &Finding,
) -> Option<&'a Moment<'a>> {
    let involved = end.involved(name);
    let mut first = None;
    for moment in history.moments.iter().rev() {
        let Some(before) = moment.after.as_ref().and(moment.before.as_ref()) else {
            continue;
        };
        let touches =
            touched(&moment.statement.header).is_none_or(|names| !names.is_disjoint(&involved));
        if !touches {
            continue;
        }
        first = Some(moment);
        let known = before.entry(name).is_some_and(|entry| {
            about(entry, before, std::slice::from_ref(rule))
                .iter()
                .flat_map(|(_, findings)| findings)
                .any(|earlier| earlier.message == finding.message)
        });
        if !known {
            break;
        }
    }
    first
}

/// Weighs findings against what is allowed.
struct Court {
    /// The comments that allowed something: the file's version and the comment's first byte.
    used: BTreeSet<(u64, usize)>,
    findings: Vec<Diagnostic>,
}

impl Court {
    fn pass(&mut self, rule: &Rule, level: Severity, finding: &Finding, place: Place<'_>) {
        let migration = place.migration;
        let above = place.statement.map_or(place.span.start, |it| it.span.start);
        let before = migration.text.get(..above).unwrap_or_default();
        for mention in allowances_above(before) {
            if mention.name == rule.name {
                self.used.insert((migration.version, mention.span.start));
                if matches!(mention.allowance, Allowance::Because(_)) {
                    return;
                }
            }
        }
        let mut diagnostic =
            Diagnostic::new(level, rule.name, &finding.message).at(Some(location(finding, place)));
        diagnostic.notes.clone_from(&finding.notes);
        diagnostic.help.clone_from(&finding.help);
        self.findings.push(diagnostic);
    }

    /// Comments that allow nothing.
    fn unused(&mut self, migration: &Migration, levels: &Levels) {
        let destructive: Vec<Span> = migration
            .up
            .iter()
            .filter(|statement| statement.header.class >= crate::sql::Class::Mutation)
            .map(|statement| statement.span)
            .collect();
        let up_ends = migration.up.last().map_or(0, |last| last.span.end);
        let down = migration.down.as_ref().is_some_and(|_| true);
        for mention in allowances(&migration.text) {
            let at = Some(migration.location(mention.span));
            let used = self.used.contains(&(migration.version, mention.span.start));
            let known = rule(&mention.name);
            if known.is_none() {
                self.findings.push(
                    Diagnostic::new(
                        Severity::Warning,
                        "unknown-rule",
                        UnknownRule::new(&mention.name)
                            .to_string()
                            .lines()
                            .next()
                            .unwrap_or_default(),
                    )
                    .at(at)
                    .help("`housewright lint --rules` lists them"),
                );
                continue;
            }
            if matches!(mention.allowance, Allowance::WithoutReason) {
                self.findings.push(
                    Diagnostic::new(
                        Severity::Error,
                        "allow-without-reason",
                        format!(
                            "`{}` is allowed without a reason, which allows nothing",
                            mention.name
                        ),
                    )
                    .at(at)
                    .help(format!(
                        "write why: `-- housewright:allow({}) because …`",
                        mention.name
                    )),
                );
                continue;
            }
            // What a rollback may destroy is weighed where it is rolled back; and what is destroyed on a target, there.
            let elsewhere = mention.name == "destructive"
                && ((down && mention.span.start > up_ends)
                    || destructive
                        .iter()
                        .any(|span| span.start > mention.span.start));
            let off = known.is_some_and(|rule| levels.of_rule(rule).is_none());
            if !used && !elsewhere && !off {
                self.findings.push(
                    Diagnostic::new(
                        Severity::Warning,
                        "unused-allow",
                        format!("this allows `{}`, and nothing of that is found here", mention.name),
                    )
                    .at(at)
                    .help("remove the comment; it has to stand directly above the statement that it is about"),
                );
            }
        }
    }
}

fn location(finding: &Finding, place: Place<'_>) -> Location {
    let migration = place.migration;
    let start = place.span.start;
    let named = finding.near.as_ref().and_then(|name| {
        let words = words(place.statement?.sql());
        let exactly = words.iter().find(|word| word.name().as_ref() == Some(name));
        let found = exactly.or_else(|| words.iter().find(|word| word.is(name)))?;
        Some(Span {
            start: start + found.start,
            end: start + found.end,
        })
    });
    let given = place.statement.and(finding.span).map(|span| Span {
        start: start + span.start,
        end: start + span.end,
    });
    let mut location = migration.location(given.or(named).unwrap_or(place.span));
    if finding.hidden {
        // Behind the end of the text there is nothing to draw: the place is named, and the line is not shown.
        location.span = Span {
            start: usize::MAX,
            end: usize::MAX,
        };
    }
    location
}
