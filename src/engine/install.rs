//! Finding libchdb, and bringing it to a machine that has none.
//!
//! The library is the npm package `@chdb/lib-<os>-<arch>` at one pinned release. It is fetched by the `npm` command, which knows the
//! machine's registry and proxy, checked against the SHA-512 below, unpacked beside its final place and renamed into it, all under a
//! file lock: parallel processes install once, and whatever interrupts an installation leaves nothing that looks like one.

use std::fs::TryLockError;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use camino::{Utf8Path, Utf8PathBuf};
use sha2::{Digest, Sha512};

use crate::config::Environment;

/// The pinned release of libchdb: ClickHouse 26.7.2.1.
pub const VERSION: &str = "26.7.3-stable.1";

/// What is fetched for one platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package {
    /// The npm package.
    pub name: &'static str,
    /// The library's file name.
    pub library: &'static str,
    /// SHA-512 of the package's tarball, in base64, as npm's `dist.integrity` has it. `None`: not pinned yet, so only npm's own
    /// integrity check stands between the registry and us.
    pub sha512: Option<&'static str>,
    /// Bytes of the tarball, for the progress bar; 0 where unknown.
    pub packed: u64,
}

/// The platforms that chDB publishes a library for.
const PACKAGES: [(&str, &str, Package); 4] = [
    (
        "linux",
        "x86_64",
        Package {
            name: "@chdb/lib-linux-x64-gnu",
            library: "libchdb.so",
            sha512: Some(
                "XP97mMqnc5tZpKQywR8N7cLTsHNiTmHr30pC5mzo3jWmukjKn2IBa60c2B/gWUNcuFjOMjWoorQICCqBVj5wpw==",
            ),
            packed: 177_817_999,
        },
    ),
    (
        "linux",
        "aarch64",
        Package {
            name: "@chdb/lib-linux-arm64-gnu",
            library: "libchdb.so",
            sha512: None,
            packed: 0,
        },
    ),
    (
        "macos",
        "x86_64",
        Package {
            name: "@chdb/lib-darwin-x64",
            library: "libchdb.so",
            sha512: None,
            packed: 0,
        },
    ),
    (
        "macos",
        "aarch64",
        Package {
            name: "@chdb/lib-darwin-arm64",
            library: "libchdb.so",
            sha512: None,
            packed: 0,
        },
    ),
];

impl Package {
    /// The package for an operating system and architecture as `std::env::consts` names them.
    #[must_use]
    pub fn of(os: &str, arch: &str) -> Option<Self> {
        PACKAGES
            .iter()
            .find(|(package_os, package_arch, _)| *package_os == os && *package_arch == arch)
            .map(|(_, _, package)| *package)
    }

    /// The package for this machine.
    #[must_use]
    pub fn of_this_machine() -> Option<Self> {
        Self::of(std::env::consts::OS, std::env::consts::ARCH)
    }
}

/// The places where libchdb can be.
#[derive(Clone, Debug)]
pub struct Places {
    /// `$HOUSEWRIGHT_LIBCHDB`: if set, the only one.
    pub explicit: Option<Utf8PathBuf>,
    /// The cache that an installation goes to.
    pub cache: Option<Utf8PathBuf>,
    /// Where a distribution would put it.
    pub system: Vec<Utf8PathBuf>,
}

impl Places {
    /// The places of this machine.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        Self {
            explicit: environment.get("HOUSEWRIGHT_LIBCHDB").map(Into::into),
            cache: environment.cache(),
            system: vec!["/usr/local/lib".into(), "/usr/lib".into()],
        }
    }

    /// The directory that an installation goes to.
    #[must_use]
    pub fn installed(&self) -> Option<Utf8PathBuf> {
        Some(self.cache.as_ref()?.join(format!("libchdb-{VERSION}")))
    }

    /// The library, if it is in one of the places.
    ///
    /// # Errors
    /// [`Error::Explicit`] if `$HOUSEWRIGHT_LIBCHDB` names a file that is not there.
    pub fn find(&self) -> Result<Option<Utf8PathBuf>, Error> {
        if let Some(path) = &self.explicit {
            return if path.is_file() {
                Ok(Some(path.clone()))
            } else {
                Err(Error::Explicit(path.clone()))
            };
        }
        let library = Package::of_this_machine().map_or("libchdb.so", |package| package.library);
        Ok(self
            .installed()
            .into_iter()
            .chain(self.system.iter().cloned())
            .map(|directory| directory.join(library))
            .find(|path| path.is_file()))
    }
}

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `$HOUSEWRIGHT_LIBCHDB` is wrong.
    #[error(
        "HOUSEWRIGHT_LIBCHDB names `{0}`, where there is no file\n  correct it, or unset it to use the installed library"
    )]
    Explicit(Utf8PathBuf),
    /// chDB has no library for this machine.
    #[error(
        "chDB publishes no library for {os} on {arch}\n  use a server instead (`--url`), or name a library you built yourself in HOUSEWRIGHT_LIBCHDB"
    )]
    Platform {
        /// The operating system.
        os: &'static str,
        /// The architecture.
        arch: &'static str,
    },
    /// Neither `XDG_CACHE_HOME` nor `HOME`.
    #[error(
        "no directory to install into: neither XDG_CACHE_HOME nor HOME is set\n  set one of them, or name a library in HOUSEWRIGHT_LIBCHDB"
    )]
    NoCache,
    /// There is no `npm`.
    #[error(
        "the embedded ClickHouse is not installed, and `npm`, which would fetch it, could not be started\n  install npm and try again; or unpack the package {package}@{VERSION} elsewhere and name its library in HOUSEWRIGHT_LIBCHDB; or use a server (`--url`)"
    )]
    NoNpm {
        /// The package.
        package: &'static str,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// `npm` failed.
    #[error(
        "npm could not fetch {package}@{VERSION}\n{output}\n  without a network, unpack the package elsewhere and name its library in HOUSEWRIGHT_LIBCHDB, or use a server (`--url`)"
    )]
    Npm {
        /// The package.
        package: &'static str,
        /// What npm said, indented.
        output: String,
    },
    /// The package is not the one that was pinned.
    #[error(
        "the package {package}@{VERSION} has the wrong SHA-512 and was deleted\n  expected {expected}\n  found    {found}"
    )]
    Checksum {
        /// The package.
        package: &'static str,
        /// The pinned sum.
        expected: &'static str,
        /// The sum of what came.
        found: String,
    },
    /// The package does not hold the library.
    #[error("the package {package}@{VERSION} holds no {library}")]
    NoLibrary {
        /// The package.
        package: &'static str,
        /// The library's file name.
        library: &'static str,
    },
    /// A file operation failed; nothing half-done is left at the final place.
    #[error("could not install the embedded ClickHouse (it needs about 750 MB while unpacking)")]
    Io(#[from] std::io::Error),
}

/// What happens while installing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Another process is installing; this one waits for it.
    Waiting,
    /// The package comes down.
    Downloading {
        /// Bytes so far.
        done: u64,
        /// Bytes in all; 0 where unknown.
        total: u64,
    },
    /// The checksum is computed.
    Verifying,
    /// The library is unpacked.
    Unpacking {
        /// Bytes so far.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// The library is in its place.
    Done,
}

/// The library: where it is, or else installed now. Blocks for as long as that takes.
///
/// # Errors
/// [`Error`].
pub fn ensure(places: &Places, progress: &mut dyn FnMut(Progress)) -> Result<Utf8PathBuf, Error> {
    if let Some(path) = places.find()? {
        return Ok(path);
    }
    let package = Package::of_this_machine().ok_or(Error::Platform {
        os: std::env::consts::OS,
        arch: std::env::consts::ARCH,
    })?;
    install(places, package, progress)
}

/// Installs a package into the cache, unless another process just did.
///
/// # Errors
/// [`Error`].
pub fn install(
    places: &Places,
    package: Package,
    progress: &mut dyn FnMut(Progress),
) -> Result<Utf8PathBuf, Error> {
    let cache = places.cache.as_ref().ok_or(Error::NoCache)?;
    let installed = places.installed().ok_or(Error::NoCache)?;
    let library = installed.join(package.library);
    fs_err::create_dir_all(cache)?;
    let lock = fs_err::File::create(cache.join(format!("libchdb-{VERSION}.lock")))?.into_file();
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress(Progress::Waiting);
            lock.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    if library.is_file() {
        return Ok(library);
    }
    // Under the lock every staging directory is a dead one's.
    let staging = cache.join(format!(".libchdb-{VERSION}.partial"));
    remove_if_there(&staging)?;
    fs_err::create_dir_all(&staging)?;
    let result = stage(&staging, package, progress).and_then(|()| {
        remove_if_there(&installed)?;
        fs_err::rename(staging.join("library"), &installed)?;
        Ok(())
    });
    let cleaned = remove_if_there(&staging);
    result?;
    cleaned?;
    progress(Progress::Done);
    Ok(library)
}

fn remove_if_there(directory: &Utf8Path) -> std::io::Result<()> {
    match fs_err::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Fetches, checks and unpacks into `staging/library`.
fn stage(
    staging: &Utf8Path,
    package: Package,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Error> {
    let tarball = fetch(staging, package, progress)?;
    progress(Progress::Verifying);
    if let Some(expected) = package.sha512 {
        let found = sha512(&tarball)?;
        if found != expected {
            fs_err::remove_file(&tarball)?;
            return Err(Error::Checksum {
                package: package.name,
                expected,
                found,
            });
        }
    }
    unpack(staging, &tarball, package, progress)
}

/// `npm pack`, with a cache of its own in the staging directory, whose growth is the progress.
fn fetch(
    staging: &Utf8Path,
    package: Package,
    progress: &mut dyn FnMut(Progress),
) -> Result<Utf8PathBuf, Error> {
    let output = staging.join("npm.log");
    let log = fs_err::File::create(&output)?.into_file();
    let mut npm = Command::new("npm")
        .args(["pack", "--loglevel=error", "--prefer-online", "--cache"])
        .arg(staging.join("npm"))
        .arg(format!("{}@{VERSION}", package.name))
        .current_dir(staging)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|source| Error::NoNpm {
            package: package.name,
            source,
        })?;
    let status = loop {
        if let Some(status) = npm.try_wait()? {
            break status;
        }
        progress(Progress::Downloading {
            // npm keeps what has come in its cache and then writes the tarball beside it.
            done: size(&staging.join("npm")),
            total: package.packed,
        });
        std::thread::sleep(Duration::from_millis(100));
    };
    if !status.success() {
        let said = fs_err::read(&output).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        return Err(Error::Npm {
            package: package.name,
            output: crate::engine::indented(&said),
        });
    }
    staging
        .read_dir_utf8()?
        .filter_map(Result::ok)
        .map(camino::Utf8DirEntry::into_path)
        .find(|path| path.extension() == Some("tgz"))
        .ok_or(Error::NoLibrary {
            package: package.name,
            library: package.library,
        })
}

/// The bytes below a directory that is being written to; what vanishes meanwhile counts nothing.
fn size(directory: &Utf8Path) -> u64 {
    let Ok(entries) = directory.read_dir_utf8() else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

fn sha512(path: &Utf8Path) -> Result<String, Error> {
    let mut file = fs_err::File::open(path)?;
    let mut hasher = Sha512::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    Ok(base64::engine::general_purpose::STANDARD.encode(hasher.finalize()))
}

/// Takes the library alone out of the tarball.
fn unpack(
    staging: &Utf8Path,
    tarball: &Utf8Path,
    package: Package,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), Error> {
    let file = std::io::BufReader::new(fs_err::File::open(tarball)?);
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.path()?.ends_with(package.library) {
            continue;
        }
        let total = entry.size();
        let directory = staging.join("library");
        fs_err::create_dir_all(&directory)?;
        let mut library = fs_err::File::create(directory.join(package.library))?;
        let mut buffer = vec![0; 1 << 20];
        let mut done = 0;
        loop {
            let read = entry.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            library.write_all(&buffer[..read])?;
            done += read as u64;
            progress(Progress::Unpacking { done, total });
        }
        library.sync_all()?;
        return Ok(());
    }
    Err(Error::NoLibrary {
        package: package.name,
        library: package.library,
    })
}
