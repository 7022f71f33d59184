//! A schema as pages that people read: Markdown for git, JSON for programs, one HTML file, a drawing. Pure: a [`Model`] → texts.
//!
//! Nothing here asks a server (that is `survey`'s) or reads a clock: the same schema gives the same bytes on every machine.

mod escape;
mod html;
mod json;
mod layout;
mod markdown;
mod mermaid;
mod model;
mod sql;
mod svg;

use camino::{Utf8Path, Utf8PathBuf};

pub use crate::docs::json::{json, object_json};
pub use crate::docs::mermaid::mermaid;
pub use crate::docs::model::{
    Change, Column, ColumnFigures, Figures, Model, Object, Parts, Sample, Statement, is_steady,
    is_volatile,
};
pub use crate::docs::svg::svg;

/// The directory of the pages in the schema directory.
pub const DIRECTORY: &str = "docs";

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its name.
    pub name: &'static str,
    /// Its media type.
    pub media: &'static str,
    /// Its text.
    pub text: String,
}

/// All pages of a schema.
#[must_use]
pub fn pages(model: &Model) -> Vec<Page> {
    let page = |name, media, text| Page { name, media, text };
    vec![
        page(
            "SCHEMA.md",
            "text/markdown; charset=utf-8",
            markdown::markdown(model),
        ),
        page("index.html", "text/html; charset=utf-8", html::html(model)),
        page("lineage.svg", "image/svg+xml", svg(model)),
        page("schema.json", "application/json", json(model)),
    ]
}

/// A page that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// The file.
    pub path: Utf8PathBuf,
    /// Whether it is there at all.
    pub exists: bool,
}

/// The pages of a directory that are not what they should be.
///
/// # Errors
/// As reading a file that is there.
pub fn stale(directory: &Utf8Path, pages: &[Page]) -> std::io::Result<Vec<Stale>> {
    let mut found = Vec::new();
    for page in pages {
        let path = directory.join(page.name);
        match fs_err::read_to_string(&path) {
            Ok(text) if text.replace("\r\n", "\n") == page.text => {}
            Ok(_) => found.push(Stale { path, exists: true }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                found.push(Stale {
                    path,
                    exists: false,
                });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// Writes the pages.
///
/// # Errors
/// As writing a file.
pub fn write(directory: &Utf8Path, pages: &[Page]) -> std::io::Result<()> {
    fs_err::create_dir_all(directory)?;
    for page in pages {
        fs_err::write(directory.join(page.name), &page.text)?;
    }
    Ok(())
}
