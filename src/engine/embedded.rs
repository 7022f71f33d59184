//! The engine over a data directory: prepared so that it behaves as a server would.

use camino::{Utf8Path, Utf8PathBuf};

use crate::engine::library::{Connection, Error, Library};

/// The engine, opened. It stays open as long as this value lives.
pub struct Embedded {
    library: Library,
    arguments: Vec<String>,
    /// Keeps the engine running between requests.
    _first: std::sync::Mutex<Connection>,
}

/// What makes a connection behave as one to a server. libchdb would read `1+1` as a SELECT, offer introspection, and map files.
const LIKE_A_SERVER: &[u8] = b"SET implicit_select=0, allow_introspection_functions=0, storage_file_read_method='pread', session_timezone='UTC'; USE default";

impl Embedded {
    /// Opens a data directory, which is made if it is not there. `durable`: survive the machine, not only the process.
    ///
    /// # Errors
    /// [`Error::Data`], [`Error::Open`].
    pub fn open(library: Library, path: &Utf8Path, durable: bool) -> Result<Self, Error> {
        let data = |source| Error::Data {
            path: path.to_owned(),
            source,
        };
        fs_err::create_dir_all(path.join("metadata")).map_err(data)?;
        let path = path.canonicalize_utf8().map_err(data)?;
        prepare_default_database(&path).map_err(data)?;
        let config = path.join("housewright.xml");
        let fsync = u8::from(durable);
        fs_err::write(
            &config,
            format!("<clickhouse><user_files_path>{path}/user_files/</user_files_path><fsync_metadata>{fsync}</fsync_metadata></clickhouse>\n"),
        )
        .map_err(data)?;
        let mut arguments = vec![
            format!("--path={path}"),
            // Otherwise a config.xml in the current directory would be read.
            format!("--config-file={config}"),
            "--default_database=_overlay".to_owned(),
        ];
        if !durable {
            arguments.push("--fsync_metadata=0".to_owned());
        }
        let first = library.connect(&arguments).ok_or_else(|| Error::Open {
            reason: reason(&path),
            path: path.clone(),
        })?;
        Ok(Self {
            library,
            arguments,
            _first: std::sync::Mutex::new(first),
        })
    }

    /// A new connection, in the database `default`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn connect(&self) -> Result<Connection, Error> {
        let mut connection = self.library.connect(&self.arguments).ok_or_else(|| {
            Error::Exception("Code: 1001. DB::Exception: the embedded engine gave no connection. (STD_EXCEPTION)".to_owned())
        })?;
        connection.query(LIKE_A_SERVER, "Null", &[])?;
        Ok(connection)
    }
}

/// libchdb's own `default` is an overlay that reads files and refuses refreshable views; a server's is Atomic.
fn prepare_default_database(path: &Utf8Path) -> std::io::Result<()> {
    let link = path.join("metadata").join("default");
    if link.is_symlink() {
        fs_err::remove_file(&link)?;
    }
    let definition = path.join("metadata").join("default.sql");
    if definition.exists() {
        return Ok(());
    }
    let bits: u128 = rand::random();
    // Version 4, variant 1.
    let bits = bits & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let uuid: Vec<&str> = [0..8, 8..12, 12..16, 16..20, 20..32]
        .into_iter()
        .filter_map(|range| hex.get(range))
        .collect();
    fs_err::write(
        definition,
        format!(
            "ATTACH DATABASE _ UUID '{}'\nENGINE = Atomic\n",
            uuid.join("-")
        ),
    )
}

/// Why the engine did not open a directory; it does not say so itself.
fn reason(path: &Utf8PathBuf) -> String {
    let probe = path.join("housewright.probe");
    if let Err(error) = fs_err::write(&probe, "x") {
        return format!("it cannot be written to: {error}");
    }
    let _ = fs_err::remove_file(&probe);
    let status = fs_err::File::open(path.join("status"))
        .ok()
        .map(fs_err::File::into_file);
    if status
        .is_some_and(|status| matches!(status.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
    {
        return "another process has it open".to_owned();
    }
    "it can be written to and nobody else has it open; the engine gives no reason".to_owned()
}
