//! Where statements go: a server's HTTP interface or the embedded engine's data, and the secret that opens it.

use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::config::{Environment, Error, TargetEntry};

/// A password. Neither `Debug` nor anything else shows it; [`Secret::expose`] is the one way to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a password.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The password itself, for the one place that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}

/// Where statements go.
#[derive(Clone, Debug)]
pub enum Target {
    /// The embedded engine over a data directory.
    Embedded(Embedded),
    /// A server.
    Server(Server),
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(embedded) => {
                write!(
                    formatter,
                    "{} (embedded engine, data in {})",
                    embedded.name, embedded.path
                )
            }
            Self::Server(server) => match &server.name {
                Some(name) => write!(formatter, "{name} ({})", server.url),
                None => formatter.write_str(&server.url),
            },
        }
    }
}

/// The embedded engine's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// The target's name.
    pub name: String,
    /// The data directory.
    pub path: Utf8PathBuf,
}

impl Default for Embedded {
    fn default() -> Self {
        Self {
            name: "local".to_owned(),
            path: Utf8PathBuf::from(".housewright"),
        }
    }
}

/// A server's HTTP interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The target's name, if it has one.
    pub name: Option<String>,
    /// The URL, without user and password.
    pub url: String,
    /// The user.
    pub user: String,
    /// The password, if one was given.
    pub password: Option<Secret>,
    /// The PEM file with the certificate authority to trust instead of the system's.
    pub ca_file: Option<Utf8PathBuf>,
    /// The cluster to whose servers statements are sent.
    pub cluster: Option<String>,
}

impl Server {
    /// A server by URL alone: user, password and certificate authority come from the URL or from the environment.
    pub(crate) fn from_url(
        text: &str,
        origin: &str,
        environment: &Environment,
    ) -> Result<(Self, Option<String>), Error> {
        let parsed = Parsed::read(text, origin)?;
        if parsed.password.is_some() && origin == "--url" {
            return Err(Error::ExposedPassword {
                origin: origin.to_owned(),
                exposed: "every process of the machine can read",
            });
        }
        let password = match (parsed.password, environment.get("HOUSEWRIGHT_PASSWORD")) {
            (Some(password), _) => Some(password),
            (None, Some(password)) => Some(Secret::new(password)),
            (None, None) => environment
                .get("HOUSEWRIGHT_PASSWORD_FILE")
                .map(|path| password_file(Utf8Path::new(path)))
                .transpose()?,
        };
        let user = parsed
            .user
            .or_else(|| environment.get("HOUSEWRIGHT_USER").map(str::to_owned))
            .unwrap_or_else(|| "default".to_owned());
        let server = Self {
            name: None,
            url: parsed.url,
            user,
            password,
            ca_file: environment
                .get("HOUSEWRIGHT_CA_FILE")
                .map(Utf8PathBuf::from),
            cluster: None,
        };
        Ok((server, parsed.database))
    }

    /// A server as `housewright.toml` describes it.
    pub(crate) fn from_entry(
        name: &str,
        url: &str,
        origin: &str,
        entry: &TargetEntry,
        environment: &Environment,
    ) -> Result<Self, Error> {
        let parsed = Parsed::read(url, origin)?;
        if parsed.password.is_some() {
            return Err(Error::ExposedPassword {
                origin: origin.to_owned(),
                exposed: "everyone who reads the repository can read",
            });
        }
        let password = match (&entry.password_env, &entry.password_file) {
            (Some(variable), _) => {
                let value = environment.get(variable).ok_or_else(|| Error::NoPassword {
                    target: format!("target `{name}`"),
                    variable: variable.clone(),
                })?;
                Some(Secret::new(value))
            }
            (None, Some(path)) => Some(password_file(path)?),
            (None, None) => environment.get("HOUSEWRIGHT_PASSWORD").map(Secret::new),
        };
        Ok(Self {
            name: Some(name.to_owned()),
            url: parsed.url,
            user: parsed
                .user
                .or_else(|| entry.user.clone())
                .unwrap_or_else(|| "default".to_owned()),
            password,
            ca_file: entry.ca_file.clone(),
            cluster: entry.cluster.clone(),
        })
    }
}

/// The first line of a password file.
fn password_file(path: &Utf8Path) -> Result<Secret, Error> {
    let text = fs_err::read_to_string(path).map_err(|source| Error::Unreadable {
        what: "the password file".to_owned(),
        source,
    })?;
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}

/// A URL taken apart.
struct Parsed {
    url: String,
    user: Option<String>,
    password: Option<Secret>,
    database: Option<String>,
}

impl Parsed {
    fn read(text: &str, origin: &str) -> Result<Self, Error> {
        let refuse = |reason: &str| Error::Url {
            origin: origin.to_owned(),
            reason: reason.to_owned(),
        };
        let behind_host = text
            .split_once("://")
            .and_then(|(_, rest)| Some(&rest[rest.find(['/', '?', '#'])?..]));
        if behind_host.is_some_and(|rest| rest.contains('@')) {
            return Err(refuse(
                "it has an `@` behind the host, so the user or the password seems to hold one of `/ ? #`; write them percent-encoded (`%2F %3F %23`), or give the password in HOUSEWRIGHT_PASSWORD",
            ));
        }
        let mut url = Url::parse(text).map_err(|error| {
            refuse(&format!(
                "{error}; it should look like `https://user@host:8443` (8123 without TLS)"
            ))
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse(
                "it should begin with `http://` or `https://` (the native protocol's port 9000 is not used)",
            ));
        }
        if url.fragment().is_some() {
            return Err(refuse("it has a `#` part, which no server would ever see"));
        }
        let mut database = None;
        for (key, value) in url.query_pairs() {
            if key != "database" {
                return Err(refuse(
                    "of its parameters only `database` has a meaning here",
                ));
            }
            database = Some(value.into_owned());
        }
        let decode = |part: &str| {
            let broken = part.split('%').skip(1).any(|rest| {
                !rest
                    .as_bytes()
                    .get(..2)
                    .is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
            });
            let text = percent_decode_str(part).decode_utf8();
            match text {
                Ok(text) if !broken => Ok(text.into_owned()),
                _ => Err(refuse(
                    "user or password hold a `%` that is no percent-encoding; write a bare `%` as `%25`",
                )),
            }
        };
        let user = Some(url.username())
            .filter(|user| !user.is_empty())
            .map(decode)
            .transpose()?;
        let password = url.password().map(decode).transpose()?.map(Secret::new);
        // Neither call can fail for `http` and `https`, which always have a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_query(None);
        Ok(Self {
            url: url.into(),
            user,
            password,
            database,
        })
    }
}
