//! The process that `serve` is: a data directory, the engine over it, the HTTP interface over that, and an orderly end.

use std::fs::TryLockError;
use std::net::{IpAddr, SocketAddr};

use camino::{Utf8Path, Utf8PathBuf};

use crate::config::Secret;
use crate::engine::child::{Endpoint, endpoint_file};
use crate::engine::embedded::Embedded;
use crate::engine::library::Library;
use crate::engine::server::{Options, Server};

/// The lock of a data directory.
const LOCK: &str = "engine.lock";
/// What the names of throw-away directories begin with.
const THROW_AWAY: &str = "housewright-engine-";
/// Where Linux keeps files in memory: thousands of small ones, made and removed, cost a disk's file system more than the queries.
const MEMORY: &str = "/dev/shm";
/// Bytes that have to be free there; a container's often has 64 MB in all.
const ROOM: u64 = 4 << 30;

/// What to serve.
#[derive(Clone, Debug)]
pub struct Hosting {
    /// The library.
    pub library: Utf8PathBuf,
    /// The data directory; `None`: a throw-away one, gone with the process.
    pub path: Option<Utf8PathBuf>,
    /// Whether throw-away data may lie in memory: a command's own, which is little. A `TMPDIR` other than `/tmp` is where it lies all the
    /// same.
    pub in_memory: bool,
    /// The address to listen at.
    pub address: IpAddr,
    /// The port; 0: any that is free.
    pub port: u16,
    /// The password of `default`; `None`: nobody is asked for one.
    pub password: Option<Secret>,
}

/// Why it cannot be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another engine has the data.
    #[error("the data in {0} is held by another engine")]
    Held(Utf8PathBuf),
    /// The directory is unusable.
    #[error("could not use the data directory {path}")]
    Directory {
        /// The directory.
        path: Utf8PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The engine.
    #[error(transparent)]
    Engine(#[from] crate::engine::library::Error),
    /// The address.
    #[error("could not listen at {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
}

/// An engine that is being served.
pub struct Host {
    server: Server,
    endpoint: Endpoint,
    directory: Utf8PathBuf,
    throw_away: bool,
    /// Held until the process ends.
    _lock: std::fs::File,
}

impl Host {
    /// Opens the data directory, and listens.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn start(hosting: &Hosting) -> Result<Self, Error> {
        let throw_away = hosting.path.is_none();
        let directory = match &hosting.path {
            Some(path) => path.clone(),
            None => throw_away_directory(hosting.in_memory),
        };
        let lock = claim(&directory)?;
        let library = Library::load(&hosting.library)?;
        let engine = Embedded::open(library, &directory.join("clickhouse"), !throw_away)?;
        let address = SocketAddr::new(hosting.address, hosting.port);
        let server = Server::start(engine, Options::new(address, hosting.password.clone()))
            .await
            .map_err(|source| Error::Listen { address, source })?;
        let endpoint = Endpoint {
            version: 1,
            url: format!("http://{}", server.address()),
            user: "default".to_owned(),
            key: None,
            pid: std::process::id(),
        };
        let host = Self {
            server,
            endpoint,
            directory,
            throw_away,
            _lock: lock,
        };
        host.announce(hosting.password.as_ref())
            .map_err(|source| Error::Directory {
                path: host.directory.clone(),
                source,
            })?;
        Ok(host)
    }

    /// Where it answers; without the key.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The data directory.
    #[must_use]
    pub fn directory(&self) -> &Utf8Path {
        &self.directory
    }

    /// How many others need it.
    #[must_use]
    pub fn leases(&self) -> usize {
        self.server.leases()
    }

    /// Waits until nobody else needs it.
    pub async fn no_lease(&self) {
        self.server.no_lease().await;
    }

    /// Ends it; throw-away data is removed.
    pub async fn end(self) {
        let _ = fs_err::remove_file(endpoint_file(&self.directory));
        self.server.shutdown().await;
        if self.throw_away {
            let _ = fs_err::remove_dir_all(&self.directory);
        }
    }

    /// Writes down, for this user's eyes only, where the engine of this directory answers.
    fn announce(&self, password: Option<&Secret>) -> std::io::Result<()> {
        let endpoint = Endpoint {
            key: Some(password.map_or("", Secret::expose).to_owned()),
            ..self.endpoint.clone()
        };
        let text = serde_json::to_string(&endpoint).map_err(std::io::Error::other)?;
        let path = endpoint_file(&self.directory);
        let staged = path.with_extension("partial");
        let mut options = fs_err::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        {
            use fs_err::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        std::io::Write::write_all(&mut options.open(&staged)?, text.as_bytes())?;
        fs_err::rename(&staged, &path)
    }
}

/// Makes the directory ours, if it is nobody's.
fn claim(directory: &Utf8Path) -> Result<std::fs::File, Error> {
    let error = |source| Error::Directory {
        path: directory.to_owned(),
        source,
    };
    make_private(directory).map_err(error)?;
    let ignore = directory.join(".gitignore");
    if !ignore.exists() {
        fs_err::write(ignore, "*\n").map_err(error)?;
    }
    let lock = fs_err::File::create(directory.join(LOCK))
        .map_err(error)?
        .into_file();
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Held(directory.to_owned())),
        Err(TryLockError::Error(source)) => Err(error(source)),
    }
}

/// A directory that only this user can look into, unless it is there already.
fn make_private(directory: &Utf8Path) -> std::io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    if let Some(parent) = directory.parent() {
        fs_err::create_dir_all(parent)?;
    }
    match fs_err::create_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        other => other?,
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs_err::set_permissions(directory, std::fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// A new name in the directory for temporary files, or in memory; both are swept of what dead engines left.
fn throw_away_directory(in_memory: bool) -> Utf8PathBuf {
    let temporary =
        Utf8PathBuf::from_path_buf(std::env::temp_dir()).unwrap_or_else(|_| "/tmp".into());
    let memory = Utf8Path::new(MEMORY);
    sweep(&temporary);
    sweep(memory);
    let parent = if in_memory && temporary == "/tmp" && has_room(memory) {
        memory
    } else {
        &temporary
    };
    parent.join(format!("{THROW_AWAY}{:016x}", rand::random::<u64>()))
}

/// Whether this user can write there, and much.
#[cfg(unix)]
fn has_room(directory: &Utf8Path) -> bool {
    use rustix::fs::{Access, access, statvfs};
    access(directory.as_str(), Access::WRITE_OK).is_ok()
        && statvfs(directory.as_str())
            .is_ok_and(|there| there.f_bavail.saturating_mul(there.f_frsize) >= ROOM)
}

#[cfg(not(unix))]
fn has_room(_: &Utf8Path) -> bool {
    false
}

/// Removes what engines that are gone left in a directory.
fn sweep(parent: &Utf8Path) {
    let entries = parent
        .read_dir_utf8()
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    for entry in entries.filter(|entry| entry.file_name().starts_with(THROW_AWAY)) {
        // A directory without its lock file is just being made.
        let Ok(lock) = fs_err::File::open(entry.path().join(LOCK)) else {
            continue;
        };
        if lock.into_file().try_lock().is_ok() {
            let _ = fs_err::remove_dir_all(entry.path());
        }
    }
}
