//! A directory → ordered, checksummed migrations.
//!
//! A migration is `migrations/<version>_<name>.sql` with a `-- migrate:up` and a `-- migrate:down` section, and between them perhaps a
//! `-- migrate:rebuild` with a changed definition or columns added in place. All that is wrong with the files is found at
//! once, each with its place and its remedy. Nothing here knows a server.

mod addition;
mod change;
mod file;
mod sum;

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use crate::diagnostic::{Diagnostic, Location, Severity};
use crate::sql::{Span, Statement};

pub use crate::migration::addition::Addition;
pub use crate::migration::change::{Change, Part, Redefinition, columns};
pub use crate::migration::sum::{FILE_NAME as SUM_FILE, Sum};

/// One migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The leading digits of the file's name.
    pub version: u64,
    /// The rest of it.
    pub name: String,
    /// The file.
    pub path: Utf8PathBuf,
    /// Its text, without a byte order mark, with `\n` line ends.
    pub text: String,
    /// SHA-256 of `text`, in hex: the same for a checkout with CRLF.
    pub sha256: String,
    /// The statements of the up section, and behind them those of the section `-- migrate:rebuild`.
    pub up: Vec<Statement>,
    /// What these last ones are together; `None` if there is no such section.
    pub rebuild: Option<Rebuild>,
    /// The down section; `None` if there is none.
    pub down: Option<Down>,
}

/// A section `-- migrate:rebuild`: where there are rows already, its statements are one thing and not single ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    /// The index of its first statement in [`Migration::up`].
    pub first: usize,
    /// What it says.
    pub what: Arc<Redefinition>,
}

impl Rebuild {
    /// The number of its first statement, from 1.
    #[must_use]
    pub fn first_number(&self) -> u32 {
        u32::try_from(self.first + 1).unwrap_or(u32::MAX)
    }
}

/// A down section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// Its text.
    pub text: String,
    /// Its statements.
    pub statements: Vec<Statement>,
}

impl Migration {
    /// The place of a span of `text`.
    #[must_use]
    pub fn location(&self, span: Span) -> Location {
        Location::within(&self.path, &self.text, span)
    }
}

/// The migrations of a schema directory, by version.
#[derive(Clone, Debug, Default)]
pub struct Migrations {
    by_version: BTreeMap<u64, Migration>,
    directory: Utf8PathBuf,
    /// What `housewright.sum` and the files say of each other that is not the same; a verb decides what to make of it.
    pub sum_findings: Vec<Diagnostic>,
}

/// Why there are no migrations to work with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The directory is not there, or cannot be read.
    #[error("could not read the migrations\n  `housewright new NAME` makes the first one")]
    Directory(#[source] std::io::Error),
    /// What is wrong with the files.
    #[error("the migrations are not usable: {} found", crate::migration::problems(.0.len()))]
    Invalid(Vec<Diagnostic>),
    /// A file could not be written.
    #[error("could not write {what}")]
    Write {
        /// Which file, in words.
        what: &'static str,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// A name that leaves nothing for a file's name.
    #[error("`{0}` has no letter or digit to name a migration after")]
    Name(String),
}

fn problems(number: usize) -> String {
    if number == 1 {
        "1 problem".to_owned()
    } else {
        format!("{number} problems")
    }
}

impl Migrations {
    /// Reads `<schema>/migrations`.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong with the files themselves. That the sum file says something else is not an
    /// error here but in [`Migrations::sum_findings`].
    pub fn load(schema: &Utf8Path) -> Result<Self, Error> {
        let directory = schema.join("migrations");
        let mut names = Vec::new();
        for entry in fs_err::read_dir(&directory).map_err(Error::Directory)? {
            let entry = entry.map_err(Error::Directory)?;
            if let Ok(path) = Utf8PathBuf::from_path_buf(entry.path()) {
                names.push(path);
            }
        }
        names.sort();
        let mut findings = Vec::new();
        let mut migrations: BTreeMap<u64, Migration> = BTreeMap::new();
        for path in names {
            // Hidden files are editors' and the system's.
            let hidden = path.file_name().is_none_or(|name| name.starts_with('.'));
            if hidden || path.extension() != Some("sql") || path.is_dir() {
                continue;
            }
            let Some(migration) = file::read(&path, &mut findings) else {
                continue;
            };
            if let Some(first) = migrations.get(&migration.version) {
                findings.push(
                    Diagnostic::new(
                        Severity::Error,
                        "duplicate-version",
                        format!("two migrations have the version {:04}", migration.version),
                    )
                    .at(Some(migration.location(Span::default())))
                    .note(format!("the other is {}", first.path))
                    .help("give the one that no server has yet the next free version"),
                );
                continue;
            }
            migrations.insert(migration.version, migration);
        }
        if !findings.is_empty() {
            return Err(Error::Invalid(findings));
        }
        let mut loaded = Self {
            by_version: migrations,
            directory,
            sum_findings: Vec::new(),
        };
        loaded.sum_findings = Sum::verify(&loaded.sum_path(), &loaded)?;
        Ok(loaded)
    }

    /// The migrations, by version.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Migration> {
        self.by_version.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_version.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_version.is_empty()
    }

    /// The migration of a version.
    #[must_use]
    pub fn get(&self, version: u64) -> Option<&Migration> {
        self.by_version.get(&version)
    }

    /// Those up to a version.
    #[must_use]
    pub fn up_to(&self, version: u64) -> Self {
        let mut migrations = self.clone();
        migrations.by_version.retain(|one, _| *one <= version);
        migrations
    }

    /// The text of a migration's file, by its path.
    #[must_use]
    pub fn text(&self, path: &Utf8Path) -> Option<String> {
        self.iter()
            .find(|migration| migration.path == path)
            .map(|migration| migration.text.clone())
    }

    fn sum_path(&self) -> Utf8PathBuf {
        self.directory.join(SUM_FILE)
    }

    /// Writes `housewright.sum` anew from the files.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write_sum(&mut self) -> Result<(), Error> {
        write_atomically(&self.sum_path(), &Sum::of(self).render()).map_err(|source| {
            Error::Write {
                what: "the sum file",
                source,
            }
        })?;
        self.sum_findings.clear();
        Ok(())
    }

    /// Makes the next migration's file, with both sections, and returns its path.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Write`]; a file that is there is never overwritten.
    pub fn create(schema: &Utf8Path, name: &str) -> Result<Utf8PathBuf, Error> {
        Self::create_with(schema, name, file::TEMPLATE)
    }

    /// Makes the next migration's file with a text, and returns its path.
    ///
    /// # Errors
    /// As [`Migrations::create`].
    pub fn create_with(schema: &Utf8Path, name: &str, text: &str) -> Result<Utf8PathBuf, Error> {
        let slug = slug(name);
        if slug.is_empty() {
            return Err(Error::Name(name.escape_debug().to_string()));
        }
        let write = |source| Error::Write {
            what: "the migration",
            source,
        };
        let directory = schema.join("migrations");
        fs_err::create_dir_all(&directory).map_err(write)?;
        let migrations = Self::load(schema)?;
        let next = migrations
            .iter()
            .next_back()
            .map_or(1, |last| last.version + 1);
        let path = directory.join(format!("{next:04}_{slug}.sql"));
        let mut file = fs_err::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(write)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(write)?;
        Ok(path)
    }
}

/// `Add referrer!` → `add_referrer`.
fn slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('_') {
            slug.push('_');
        }
    }
    slug.trim_end_matches('_').to_owned()
}

/// Beside the file first, then renamed into its place.
fn write_atomically(path: &Utf8Path, text: &str) -> std::io::Result<()> {
    let staged = path.with_extension("sum.partial");
    fs_err::write(&staged, text)?;
    fs_err::rename(&staged, path)
}
