//! Flags, environment and `housewright.toml` → settings, once, with the origin of each kept for messages.
//!
//! The only reader of the environment. What was typed wins over the environment, the environment over the file, the file over the
//! default. Nothing below knows where a value came from, and nothing here talks to ClickHouse.

mod environment;
mod equivalent;
mod file;
mod target;

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

pub use crate::config::environment::Environment;
pub use crate::config::equivalent::{Equivalent, Equivalents, FILE_NAME as EQUIVALENTS_FILE};
pub use crate::config::file::{ConfigFile, LintLevel, TargetEntry, TestEntry};
pub use crate::config::target::{Embedded, Secret, Server, Target};

/// The file in the schema directory that names the database and the targets.
pub const FILE_NAME: &str = "housewright.toml";

/// What was typed on the command line; every field is optional because every one has another source.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--schema DIR`
    pub schema: Option<Utf8PathBuf>,
    /// `--target NAME`
    pub target: Option<String>,
    /// `--url URL`
    pub url: Option<String>,
    /// `--database NAME`
    pub database: Option<String>,
}

/// The resolved settings of one run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The schema directory.
    pub schema: Utf8PathBuf,
    /// The database that the migrations live in.
    pub database: String,
    /// Where the statements go.
    pub target: Target,
    /// The directory of the view cases.
    pub cases: Utf8PathBuf,
    /// How views are tested.
    pub test: TestEntry,
    /// `[lint]`: rules whose level is another than their own.
    pub lint: BTreeMap<String, LintLevel>,
}

/// Why the settings could not be resolved. Every message is safe to print: no secret is part of any of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The schema directory is not there.
    #[error(
        "no schema directory at `{0}`\n  run this where the project's `schema/` is, or say where it is: `--schema DIR` or HOUSEWRIGHT_SCHEMA"
    )]
    NoSchema(Utf8PathBuf),
    /// A file could not be read.
    #[error("could not read {what}")]
    Unreadable {
        /// Which file, in words.
        what: String,
        /// The reason, which names the path.
        #[source]
        source: std::io::Error,
    },
    /// `housewright.toml` is not what it should be; the message of the TOML reader has line and column.
    #[error("{path} is not valid\n{message}")]
    File {
        /// The file.
        path: Utf8PathBuf,
        /// What the TOML reader says, with the line.
        message: String,
    },
    /// A target that the file does not have.
    #[error("no target `{name}` in {path}\n  it has: {known}")]
    UnknownTarget {
        /// The name that was asked for.
        name: String,
        /// The file.
        path: Utf8PathBuf,
        /// The names there are.
        known: String,
    },
    /// A target entry that says too little or too much.
    #[error("target `{name}` in {path}: {reason}")]
    Target {
        /// The target.
        name: String,
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// Both a target's name and a URL.
    #[error("{target} and {url} both say where to go; give one of them")]
    TwoTargets {
        /// Where the target's name came from.
        target: &'static str,
        /// Where the URL came from.
        url: &'static str,
    },
    /// A URL that is not one of ClickHouse's HTTP interface.
    #[error("{origin} is not a URL of ClickHouse's HTTP interface: {reason}")]
    Url {
        /// Where the URL came from.
        origin: String,
        /// Why; the URL itself may hold a password and is not repeated.
        reason: String,
    },
    /// A password in a place that others can read.
    #[error(
        "{origin} holds a password, which {exposed}\n  put it into HOUSEWRIGHT_PASSWORD, into a file named by HOUSEWRIGHT_PASSWORD_FILE, or name its variable with `password_env` in {FILE_NAME}"
    )]
    ExposedPassword {
        /// Where the URL came from.
        origin: String,
        /// Who can see it there.
        exposed: &'static str,
    },
    /// The environment variable that should hold the password is not set.
    #[error(
        "the password of {target} should be in the environment variable {variable}, which is not set"
    )]
    NoPassword {
        /// The target.
        target: String,
        /// The variable.
        variable: String,
    },
    /// A database name that cannot be one.
    #[error("`{0}` is not a usable database name: it is empty or holds a control character")]
    Database(String),
}

/// Resolves the settings: what was typed, then the environment, then `housewright.toml`, then the default.
///
/// # Errors
/// [`Error`], with nothing read from the network and nothing written.
pub fn resolve(flags: &Flags, environment: &Environment) -> Result<Settings, Error> {
    let schema = flags
        .schema
        .clone()
        .or_else(|| environment.get("HOUSEWRIGHT_SCHEMA").map(Utf8PathBuf::from))
        .unwrap_or_else(|| Utf8PathBuf::from("schema"));
    if !schema.is_dir() {
        return Err(Error::NoSchema(schema));
    }
    let path = schema.join(FILE_NAME);
    let file = ConfigFile::load(&path)?;
    let (target, target_database) = target(flags, environment, &file, &path)?;
    let database = flags
        .database
        .clone()
        .or_else(|| environment.get("HOUSEWRIGHT_DATABASE").map(str::to_owned))
        .or(target_database)
        .or_else(|| file.database.clone())
        .unwrap_or_else(|| "default".to_owned());
    if database.is_empty() || database.chars().any(char::is_control) {
        return Err(Error::Database(database.escape_debug().to_string()));
    }
    let cases = match &file.test.cases {
        Some(cases) => schema.join(cases),
        None => beside(&schema).join("tests/views"),
    };
    Ok(Settings {
        schema,
        database,
        target,
        cases,
        test: file.test,
        lint: file.lint,
    })
}

/// The directory that a directory stands in.
fn beside(directory: &Utf8Path) -> Utf8PathBuf {
    match directory.parent() {
        Some(parent) if directory.file_name().is_some() => parent.to_owned(),
        _ => directory.join(".."),
    }
}

/// The target and the database that it names itself.
fn target(
    flags: &Flags,
    environment: &Environment,
    file: &ConfigFile,
    path: &Utf8Path,
) -> Result<(Target, Option<String>), Error> {
    let typed = match (&flags.target, &flags.url) {
        (Some(_), Some(_)) => {
            return Err(Error::TwoTargets {
                target: "--target",
                url: "--url",
            });
        }
        (None, None) => None,
        (target, url) => Some((target.as_deref(), url.as_deref(), "--url")),
    };
    let from_environment = match (
        environment.get("HOUSEWRIGHT_TARGET"),
        environment.get("HOUSEWRIGHT_URL"),
    ) {
        (Some(_), Some(_)) if typed.is_none() => {
            return Err(Error::TwoTargets {
                target: "HOUSEWRIGHT_TARGET",
                url: "HOUSEWRIGHT_URL",
            });
        }
        (None, None) => None,
        (target, url) => Some((target, url, "HOUSEWRIGHT_URL")),
    };
    match typed.or(from_environment) {
        Some((_, Some(url), origin)) => {
            let (server, database) = Server::from_url(url, origin, environment)?;
            Ok((Target::Server(server), database))
        }
        Some((Some(name), None, _)) => file.target(name, path, environment),
        Some((None, None, _)) | None => file.target("local", path, environment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino_tempfile::Utf8TempDir;

    fn schema(toml: &str) -> Utf8TempDir {
        let dir = Utf8TempDir::new().unwrap();
        fs_err::write(dir.path().join(FILE_NAME), toml).unwrap();
        dir
    }

    fn resolve_with(
        toml: &str,
        url: Option<&str>,
        target: Option<&str>,
        environment: &[(&str, &str)],
    ) -> Result<Settings, String> {
        let dir = schema(toml);
        let flags = Flags {
            schema: Some(dir.path().to_owned()),
            url: url.map(str::to_owned),
            target: target.map(str::to_owned),
            database: None,
        };
        resolve(&flags, &Environment::of(environment))
            .map_err(|error| error.to_string().replace(dir.path().as_str(), "[SCHEMA]"))
    }

    fn server(settings: &Settings) -> &Server {
        match &settings.target {
            Target::Server(server) => server,
            Target::Embedded(_) => panic!("a server was expected"),
        }
    }

    #[test]
    fn without_a_word_the_target_is_the_embedded_engine_beside_the_project() {
        let settings = resolve_with("database = \"millimetric\"", None, None, &[]).unwrap();
        assert_eq!(settings.database, "millimetric");
        let Target::Embedded(embedded) = &settings.target else {
            panic!("the embedded engine was expected")
        };
        assert_eq!(embedded.path, ".housewright");
    }

    #[test]
    fn what_was_typed_wins_over_the_environment_and_the_environment_over_the_file() {
        let toml = "database = \"from_file\"\n[targets.production]\nurl = \"http://file:8123\"";
        let environment = [
            ("HOUSEWRIGHT_URL", "http://environment:8123"),
            ("HOUSEWRIGHT_DATABASE", "from_environment"),
        ];
        let typed = resolve_with(toml, Some("http://typed:8123"), None, &environment).unwrap();
        assert_eq!(server(&typed).url, "http://typed:8123/");
        let environment_wins = resolve_with(toml, None, None, &environment).unwrap();
        assert_eq!(server(&environment_wins).url, "http://environment:8123/");
        assert_eq!(environment_wins.database, "from_environment");
        let file = resolve_with(toml, None, Some("production"), &[]).unwrap();
        assert_eq!(server(&file).url, "http://file:8123/");
        assert_eq!(file.database, "from_file");
    }

    #[test]
    fn a_password_with_special_characters_arrives_as_it_was_meant() {
        for (written, meant) in [
            ("http://u:p%40ss%2Fw%23rd%3F@host:8123", "p@ss/w#rd?"),
            ("http://u:p@ss@host:8123", "p@ss"),
            ("http://u:50%25@host:8123", "50%"),
            ("http://u:%C3%BC%20%22@host:8123", "ü \""),
        ] {
            let settings = resolve_with("", None, None, &[("HOUSEWRIGHT_URL", written)]).unwrap();
            let password = server(&settings).password.as_ref().unwrap();
            assert_eq!(password.expose(), meant);
            assert!(!format!("{settings:?}").contains(meant), "Debug shows it");
        }
    }

    #[test]
    fn a_password_that_breaks_the_url_is_refused_without_being_repeated() {
        for url in [
            "http://u:s3cr/et@host:8123",
            "http://u:s3cr#et@host:8123",
            "http://u:s3cr?et@host:8123",
            "http://u:s3cr%zzet@host:8123",
            "u:s3cret@host:8123",
            "http://u:s3cr et@ho st:8123",
        ] {
            let message = resolve_with("", None, None, &[("HOUSEWRIGHT_URL", url)]).unwrap_err();
            assert!(!message.contains("s3cr"), "{url}: {message}");
            assert!(message.contains("HOUSEWRIGHT_URL"), "{message}");
        }
        let message = resolve_with("", None, None, &[("HOUSEWRIGHT_URL", "http://u:s3cr#et@h")]);
        insta::assert_snapshot!(message.unwrap_err(), @"HOUSEWRIGHT_URL is not a URL of ClickHouse's HTTP interface: it has an `@` behind the host, so the user or the password seems to hold one of `/ ? #`; write them percent-encoded (`%2F %3F %23`), or give the password in HOUSEWRIGHT_PASSWORD");
    }

    #[test]
    fn a_password_on_the_command_line_or_in_the_file_is_refused() {
        let typed = resolve_with("", Some("http://u:s3cret@host"), None, &[]).unwrap_err();
        insta::assert_snapshot!(typed, @"
        --url holds a password, which every process of the machine can read
          put it into HOUSEWRIGHT_PASSWORD, into a file named by HOUSEWRIGHT_PASSWORD_FILE, or name its variable with `password_env` in housewright.toml
        ");
        let file = resolve_with(
            "[targets.p]\nurl = \"http://u:s3cret@host\"",
            None,
            Some("p"),
            &[],
        )
        .unwrap_err();
        insta::assert_snapshot!(file, @"
        `url` of target `p` in [SCHEMA]/housewright.toml holds a password, which everyone who reads the repository can read
          put it into HOUSEWRIGHT_PASSWORD, into a file named by HOUSEWRIGHT_PASSWORD_FILE, or name its variable with `password_env` in housewright.toml
        ");
    }

    #[test]
    fn the_password_comes_from_the_variable_or_the_file_that_the_target_names() {
        let toml = "[targets.p]\nurl = \"https://host:8443\"\nuser = \"deploy\"\npassword_env = \"CH_PASSWORD\"";
        let settings = resolve_with(toml, None, Some("p"), &[("CH_PASSWORD", "x y")]).unwrap();
        assert_eq!(server(&settings).user, "deploy");
        assert_eq!(server(&settings).password.as_ref().unwrap().expose(), "x y");
        let message = resolve_with(toml, None, Some("p"), &[]).unwrap_err();
        insta::assert_snapshot!(message, @"the password of target `p` should be in the environment variable CH_PASSWORD, which is not set");

        let dir = Utf8TempDir::new().unwrap();
        let path = dir.path().join("password");
        fs_err::write(&path, "from a file\n").unwrap();
        let settings = resolve_with(
            "",
            Some("http://host"),
            None,
            &[("HOUSEWRIGHT_PASSWORD_FILE", path.as_str())],
        )
        .unwrap();
        assert_eq!(
            server(&settings).password.as_ref().unwrap().expose(),
            "from a file"
        );
    }

    #[test]
    fn a_mistake_in_the_file_is_named_with_its_line() {
        let message = resolve_with("databse = \"x\"", None, None, &[]).unwrap_err();
        insta::assert_snapshot!(message, @r#"
        [SCHEMA]/housewright.toml is not valid
        TOML parse error at line 1, column 1
          |
        1 | databse = "x"
          | ^^^^^^^
        unknown field `databse`, expected one of `database`, `targets`, `test`, `lint`
        "#);
        let message = resolve_with("", None, Some("staging"), &[]).unwrap_err();
        insta::assert_snapshot!(message, @"
        no target `staging` in [SCHEMA]/housewright.toml
          it has: local
        ");
        let message = resolve_with("[targets.x]\nuser = \"u\"", None, Some("x"), &[]).unwrap_err();
        insta::assert_snapshot!(message, @"target `x` in [SCHEMA]/housewright.toml: give it a `url` (a server) or a `path` (the embedded engine's data)");
    }
}
