//! `housewright.toml`: the database's name, the targets, and how views are tested.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::config::{Embedded, Environment, Error, Server, Target};

/// The file as it is written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// The database that the migrations live in; `default` if it is not named.
    pub database: Option<String>,
    /// The places that `--target NAME` can mean.
    #[serde(default)]
    pub targets: BTreeMap<String, TargetEntry>,
    /// How views are tested.
    #[serde(default)]
    pub test: TestEntry,
    /// How bad the findings of a rule of `lint` are.
    #[serde(default)]
    pub lint: BTreeMap<String, LintLevel>,
}

/// How bad the findings of a rule are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each is the level of that name")]
pub enum LintLevel {
    Off,
    Info,
    Warning,
    Error,
}

/// `[test]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestEntry {
    /// The directory of the cases, seen from the schema directory; `../tests/views` if it is not named.
    pub cases: Option<Utf8PathBuf>,
    /// For a table, the values of the columns that a case leaves out of a row. `{n}` is the row's number in the case.
    #[serde(default)]
    pub defaults: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
}

/// One `[targets.NAME]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetEntry {
    /// A server's HTTP interface, without a password.
    pub url: Option<String>,
    /// The embedded engine's data directory.
    pub path: Option<Utf8PathBuf>,
    /// The user; `default` if it is not named.
    pub user: Option<String>,
    /// The environment variable that holds the password.
    pub password_env: Option<String>,
    /// The file that holds the password, in its first line.
    pub password_file: Option<Utf8PathBuf>,
    /// The PEM file with the certificate authority to trust instead of the system's.
    pub ca_file: Option<Utf8PathBuf>,
    /// This target's own database name.
    pub database: Option<String>,
    /// The cluster to whose servers statements are sent, as `system.clusters` calls it.
    pub cluster: Option<String>,
}

impl ConfigFile {
    /// Reads the file; one that is not there is an empty one.
    ///
    /// # Errors
    /// [`Error::Unreadable`] and [`Error::File`], with the line.
    pub fn load(path: &Utf8Path) -> Result<Self, Error> {
        match fs_err::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|error| Error::File {
                path: path.to_owned(),
                message: error.to_string().trim_end().to_owned(),
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(source) => Err(Error::Unreadable {
                what: "the configuration".to_owned(),
                source,
            }),
        }
    }

    /// The target of that name, and the database that it names itself.
    pub(crate) fn target(
        &self,
        name: &str,
        path: &Utf8Path,
        environment: &Environment,
    ) -> Result<(Target, Option<String>), Error> {
        let Some(entry) = self.targets.get(name) else {
            if name == "local" {
                return Ok((Target::Embedded(Embedded::default()), None));
            }
            let mut known: Vec<&str> = self.targets.keys().map(String::as_str).collect();
            if !known.contains(&"local") {
                known.insert(0, "local");
            }
            return Err(Error::UnknownTarget {
                name: name.to_owned(),
                path: path.to_owned(),
                known: known.join(", "),
            });
        };
        let invalid = |reason: &str| Error::Target {
            name: name.to_owned(),
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let target = match (&entry.url, &entry.path) {
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "it has a `url` (a server) and a `path` (the embedded engine's data); keep one",
                ));
            }
            (None, None) => {
                return Err(invalid(
                    "give it a `url` (a server) or a `path` (the embedded engine's data)",
                ));
            }
            (None, Some(data)) => Target::Embedded(Embedded {
                name: name.to_owned(),
                path: data.clone(),
            }),
            (Some(url), None) => {
                let origin = format!("`url` of target `{name}` in {path}");
                Target::Server(Server::from_entry(name, url, &origin, entry, environment)?)
            }
        };
        Ok((target, entry.database.clone()))
    }
}
