//! Which pages are not what they should be, or were written.

use std::fmt::Write as _;

use camino::Utf8Path;
use serde::Serialize;

use crate::docs::{Page, Stale};
use crate::report::{BAD, GOOD, JSON_VERSION, bytes, count, styled};

/// For a person.
#[must_use]
pub fn human(stale: &[Stale], pages: &[Page], directory: &Utf8Path, written: bool) -> String {
    if stale.is_empty() {
        return format!(
            "{directory} is up to date: {}\n",
            count(pages.len(), "page")
        );
    }
    let mut text = String::new();
    for page in stale {
        let (style, word) = match (written, page.exists) {
            (true, _) => (GOOD, "written"),
            (false, true) => (BAD, "stale  "),
            (false, false) => (BAD, "missing"),
        };
        let size = pages
            .iter()
            .find(|it| Some(it.name) == page.path.file_name())
            .map(|it| format!("  {}", bytes(it.text.len() as u64)))
            .filter(|_| written)
            .unwrap_or_default();
        let _ = writeln!(text, "{}  {}{size}", styled(style, word), page.path);
    }
    if !written {
        text.push_str("\n`housewright docs` writes them anew\n");
    }
    text
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    directory: &'a Utf8Path,
    written: bool,
    pages: Vec<PageJson<'a>>,
}

#[derive(Serialize)]
struct PageJson<'a> {
    path: &'a Utf8Path,
    existed: bool,
}

/// For a program: the pages that were, or would have to be, written.
#[must_use]
pub fn json(stale: &[Stale], directory: &Utf8Path, written: bool) -> String {
    super::json(&Document {
        version: JSON_VERSION,
        directory,
        written,
        pages: stale
            .iter()
            .map(|page| PageJson {
                path: &page.path,
                existed: page.exists,
            })
            .collect(),
    })
}
