//! libchdb, made safe. The only unsafe code of the project.
//!
//! Loaded once and never unloaded: the engine's threads outlive every connection, and unloading the code under them crashes the
//! process. One engine per process, for the life of the process. A connection is used by one thread at a time.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use libloading::Library as Loaded;

/// Why the engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The library could not be loaded.
    #[error(
        "could not load {path}\n  is it libchdb {}, and made for this machine?",
        crate::engine::install::VERSION
    )]
    Load {
        /// The library.
        path: Utf8PathBuf,
        /// The reason.
        #[source]
        source: libloading::Error,
    },
    /// The data directory could not be prepared.
    #[error("could not prepare the data directory {path}")]
    Data {
        /// The directory.
        path: Utf8PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// The engine did not open the data directory.
    #[error("the embedded engine could not open {path}\n  {reason}")]
    Open {
        /// The directory.
        path: Utf8PathBuf,
        /// Why, as far as that can be found out.
        reason: String,
    },
    /// ClickHouse's exception, as it was said.
    #[error("{0}")]
    Exception(String),
}

type RawConnection = *mut *mut c_void;
type RawResult = *mut c_void;
type RawStream = *mut c_void;

/// A statement, a format, and parameters by name and value, each with its length; a result or a stream comes back.
type Call = unsafe extern "C" fn(
    *mut c_void,
    *const u8,
    usize,
    *const u8,
    usize,
    *const *const u8,
    *const usize,
    *const *const u8,
    *const usize,
    usize,
) -> *mut c_void;

/// The functions of `chdb.h` that are used here, resolved once.
struct Api {
    connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> RawConnection,
    close: unsafe extern "C" fn(RawConnection),
    query: Call,
    stream_query: Call,
    stream_fetch: unsafe extern "C" fn(*mut c_void, RawResult) -> RawResult,
    stream_cancel: unsafe extern "C" fn(*mut c_void, RawResult),
    destroy_result: unsafe extern "C" fn(RawResult),
    result_buffer: unsafe extern "C" fn(RawResult) -> *const u8,
    result_length: unsafe extern "C" fn(RawResult) -> usize,
    result_error: unsafe extern "C" fn(RawResult) -> *const c_char,
    result_rows_read: unsafe extern "C" fn(RawResult) -> u64,
    result_bytes_read: unsafe extern "C" fn(RawResult) -> u64,
    result_storage_rows_read: unsafe extern "C" fn(RawResult) -> u64,
    result_storage_bytes_read: unsafe extern "C" fn(RawResult) -> u64,
    result_rows_written: unsafe extern "C" fn(RawResult) -> u64,
    result_bytes_written: unsafe extern "C" fn(RawResult) -> u64,
    result_elapsed: unsafe extern "C" fn(RawResult) -> f64,
    insert: Call,
    insert_append: unsafe extern "C" fn(RawStream, *const u8, usize) -> c_int,
    insert_done: unsafe extern "C" fn(RawStream) -> RawResult,
    insert_cancel: unsafe extern "C" fn(RawStream),
    insert_destroy: unsafe extern "C" fn(RawStream),
    insert_error: unsafe extern "C" fn(RawStream) -> *const c_char,
}

/// libchdb, loaded.
#[derive(Clone)]
pub struct Library {
    api: Arc<Api>,
    path: Utf8PathBuf,
}

#[expect(unsafe_code, reason = "libchdb is a C library")]
impl Library {
    /// Loads the library and turns its signal handlers off: with them a crash hangs for five minutes, and Ctrl-Z is swallowed.
    ///
    /// # Errors
    /// [`Error::Load`].
    pub fn load(path: &Utf8Path) -> Result<Self, Error> {
        let error = |source| Error::Load {
            path: path.to_owned(),
            source,
        };
        // SAFETY: libchdb's initialisers have no requirements; the handle is leaked below, so no code of it is ever unmapped.
        let loaded = unsafe { Loaded::new(Path::new(path.as_str())) }.map_err(error)?;
        // SAFETY: names and signatures are those of chdb.h of the pinned release.
        let api = unsafe {
            let set_signal_handlers = *loaded
                .get::<unsafe extern "C" fn(c_int)>(b"chdb_set_signal_handlers_enabled\0")
                .map_err(error)?;
            set_signal_handlers(0);
            Api {
                connect: *loaded.get(b"chdb_connect\0").map_err(error)?,
                close: *loaded.get(b"chdb_close_conn\0").map_err(error)?,
                query: *loaded.get(b"chdb_query_with_params_n\0").map_err(error)?,
                stream_query: *loaded
                    .get(b"chdb_stream_query_with_params_n\0")
                    .map_err(error)?,
                stream_fetch: *loaded.get(b"chdb_stream_fetch_result\0").map_err(error)?,
                stream_cancel: *loaded.get(b"chdb_stream_cancel_query\0").map_err(error)?,
                destroy_result: *loaded.get(b"chdb_destroy_query_result\0").map_err(error)?,
                result_buffer: *loaded.get(b"chdb_result_buffer\0").map_err(error)?,
                result_length: *loaded.get(b"chdb_result_length\0").map_err(error)?,
                result_error: *loaded.get(b"chdb_result_error\0").map_err(error)?,
                result_rows_read: *loaded.get(b"chdb_result_rows_read\0").map_err(error)?,
                result_bytes_read: *loaded.get(b"chdb_result_bytes_read\0").map_err(error)?,
                result_storage_rows_read: *loaded
                    .get(b"chdb_result_storage_rows_read\0")
                    .map_err(error)?,
                result_storage_bytes_read: *loaded
                    .get(b"chdb_result_storage_bytes_read\0")
                    .map_err(error)?,
                result_rows_written: *loaded.get(b"chdb_result_rows_written\0").map_err(error)?,
                result_bytes_written: *loaded.get(b"chdb_result_bytes_written\0").map_err(error)?,
                result_elapsed: *loaded.get(b"chdb_result_elapsed\0").map_err(error)?,
                insert: *loaded
                    .get(b"chdb_stream_insert_with_params_n\0")
                    .map_err(error)?,
                insert_append: *loaded.get(b"chdb_stream_append\0").map_err(error)?,
                insert_done: *loaded.get(b"chdb_stream_done\0").map_err(error)?,
                insert_cancel: *loaded.get(b"chdb_stream_cancel_insert\0").map_err(error)?,
                insert_destroy: *loaded.get(b"chdb_destroy_insert_stream\0").map_err(error)?,
                insert_error: *loaded.get(b"chdb_stream_insert_error\0").map_err(error)?,
            }
        };
        std::mem::forget(loaded);
        Ok(Self {
            api: Arc::new(api),
            path: path.to_owned(),
        })
    }

    /// The file it was loaded from.
    #[must_use]
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Opens a connection with these arguments; `None` if the engine did not, for which it gives no reason.
    #[must_use]
    pub fn connect(&self, arguments: &[String]) -> Option<Connection> {
        let arguments: Vec<CString> = std::iter::once("clickhouse")
            .chain(arguments.iter().map(String::as_str))
            .map(|argument| CString::new(argument).ok())
            .collect::<Option<_>>()?;
        let mut pointers: Vec<*mut c_char> = arguments
            .iter()
            .map(|argument| argument.as_ptr().cast_mut())
            .collect();
        let count = c_int::try_from(pointers.len()).ok()?;
        // SAFETY: `count` pointers to strings that live until the call returns; the engine copies them.
        let raw = unsafe { (self.api.connect)(count, pointers.as_mut_ptr()) };
        Some(Connection {
            api: Arc::clone(&self.api),
            raw: NonNull::new(raw)?,
        })
    }
}

/// A connection to the engine in this process: settings, current database and temporary tables are its own.
pub struct Connection {
    api: Arc<Api>,
    raw: NonNull<*mut c_void>,
}

#[expect(unsafe_code, reason = "libchdb is a C library")]
// SAFETY: a connection may be made, used and closed in different threads, one at a time; `&mut self` keeps it to one.
unsafe impl Send for Connection {}

/// Values for `{name:Type}`, each as ClickHouse's TSV writes it.
pub type Parameters = [(String, String)];

/// Pointers and lengths of parameters, in the four arrays that the C interface takes.
struct RawParameters {
    names: Vec<*const u8>,
    name_lengths: Vec<usize>,
    values: Vec<*const u8>,
    value_lengths: Vec<usize>,
}

impl RawParameters {
    fn of(parameters: &Parameters) -> Self {
        Self {
            names: parameters.iter().map(|(name, _)| name.as_ptr()).collect(),
            name_lengths: parameters.iter().map(|(name, _)| name.len()).collect(),
            values: parameters.iter().map(|(_, value)| value.as_ptr()).collect(),
            value_lengths: parameters.iter().map(|(_, value)| value.len()).collect(),
        }
    }
}

/// What a query cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Statistics {
    /// Rows read.
    pub rows_read: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Rows written, through views too.
    pub rows_written: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Seconds.
    pub elapsed: f64,
}

/// A query's output.
pub struct Output {
    api: Arc<Api>,
    raw: NonNull<c_void>,
}

#[expect(unsafe_code, reason = "libchdb is a C library")]
// SAFETY: an output is memory of its own, read only.
unsafe impl Send for Output {}

#[expect(unsafe_code, reason = "libchdb is a C library")]
impl Output {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: buffer and length belong together and live as long as the result.
        unsafe {
            let length = (self.api.result_length)(self.raw.as_ptr());
            let buffer = (self.api.result_buffer)(self.raw.as_ptr());
            if buffer.is_null() || length == 0 {
                &[]
            } else {
                std::slice::from_raw_parts(buffer, length)
            }
        }
    }

    /// What it cost.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let raw = self.raw.as_ptr();
        // SAFETY: the result is not an error, so its counters are set.
        unsafe {
            Statistics {
                rows_read: (self.api.result_storage_rows_read)(raw).max((self
                    .api
                    .result_rows_read)(
                    raw
                )),
                bytes_read: (self.api.result_storage_bytes_read)(raw).max((self
                    .api
                    .result_bytes_read)(
                    raw
                )),
                rows_written: (self.api.result_rows_written)(raw),
                bytes_written: (self.api.result_bytes_written)(raw),
                elapsed: (self.api.result_elapsed)(raw),
            }
        }
    }

    /// Takes over a result; its error, if it is one.
    fn of(api: &Arc<Api>, raw: RawResult) -> Result<Self, Error> {
        let raw = NonNull::new(raw).ok_or_else(|| {
            Error::Exception(
                "Code: 1001. DB::Exception: libchdb gave no result. (STD_EXCEPTION)".to_owned(),
            )
        })?;
        let output = Self {
            api: Arc::clone(api),
            raw,
        };
        // SAFETY: the pointer is null or a string that lives as long as the result.
        match unsafe { text((api.result_error)(output.raw.as_ptr())) } {
            Some(error) => Err(Error::Exception(error)),
            None => Ok(output),
        }
    }
}

#[expect(unsafe_code, reason = "libchdb is a C library")]
impl Drop for Output {
    fn drop(&mut self) {
        // SAFETY: ours alone, destroyed once.
        unsafe { (self.api.destroy_result)(self.raw.as_ptr()) }
    }
}

/// A C string, if there is one; messages of ClickHouse may hold any bytes.
#[expect(unsafe_code, reason = "libchdb is a C library")]
unsafe fn text(pointer: *const c_char) -> Option<String> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: the caller gives a string of the library that ends with a zero byte.
    let text = unsafe { CStr::from_ptr(pointer) };
    Some(text.to_string_lossy().into_owned()).filter(|text| !text.is_empty())
}

#[expect(unsafe_code, reason = "libchdb is a C library")]
impl Connection {
    fn handle(&self) -> *mut c_void {
        // SAFETY: `raw` points to the handle until the connection is closed.
        unsafe { *self.raw.as_ptr() }
    }

    /// Executes a query and keeps its whole output.
    ///
    /// # Errors
    /// [`Error::Exception`]. Output of a failed query would be put before that of the next one on this connection, so it is thrown away
    /// here.
    pub fn query(
        &mut self,
        sql: &[u8],
        format: &str,
        parameters: &Parameters,
    ) -> Result<Output, Error> {
        let result = self.query_once(sql, format, parameters);
        if result.is_err() {
            let _ = self.query_once(b"SELECT 1 FORMAT Null", "Null", &[]);
        }
        result
    }

    fn query_once(
        &mut self,
        sql: &[u8],
        format: &str,
        parameters: &Parameters,
    ) -> Result<Output, Error> {
        let raw = self.call(self.api.query, sql, format, parameters);
        Output::of(&self.api, raw)
    }

    fn call(
        &self,
        function: Call,
        sql: &[u8],
        format: &str,
        parameters: &Parameters,
    ) -> *mut c_void {
        let raw = RawParameters::of(parameters);
        // SAFETY: every pointer comes with its length and lives until the call returns.
        unsafe {
            function(
                self.handle(),
                sql.as_ptr(),
                sql.len(),
                format.as_ptr(),
                format.len(),
                raw.names.as_ptr(),
                raw.name_lengths.as_ptr(),
                raw.values.as_ptr(),
                raw.value_lengths.as_ptr(),
                parameters.len(),
            )
        }
    }

    /// Begins a SELECT whose output comes in chunks, each a complete document of its format.
    ///
    /// # Errors
    /// [`Error::Exception`].
    pub fn stream(
        &mut self,
        sql: &[u8],
        format: &str,
        parameters: &Parameters,
    ) -> Result<Stream<'_>, Error> {
        let raw = self.call(self.api.stream_query, sql, format, parameters);
        let stream = Output::of(&self.api, raw)?;
        Ok(Stream {
            connection: self,
            handle: stream,
            statistics: Statistics::default(),
            ended: false,
        })
    }

    /// Begins an INSERT whose data follows; `head` ends before VALUES or FORMAT.
    ///
    /// # Errors
    /// [`Error::Exception`].
    pub fn insert(
        &mut self,
        head: &[u8],
        format: &str,
        parameters: &Parameters,
    ) -> Result<InsertStream<'_>, Error> {
        let raw = self.call(self.api.insert, head, format, parameters);
        let raw = NonNull::new(raw).ok_or_else(|| {
            Error::Exception(
                "Code: 1001. DB::Exception: libchdb gave no insert stream. (STD_EXCEPTION)"
                    .to_owned(),
            )
        })?;
        let stream = InsertStream {
            connection: self,
            raw,
            open: true,
        };
        match stream.error() {
            Some(error) => Err(Error::Exception(error)),
            None => Ok(stream),
        }
    }
}

#[expect(unsafe_code, reason = "libchdb is a C library")]
impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: ours alone, closed once. Streams borrow the connection, so none is open.
        unsafe { (self.api.close)(self.raw.as_ptr()) }
    }
}

/// A SELECT under way.
pub struct Stream<'a> {
    connection: &'a mut Connection,
    handle: Output,
    statistics: Statistics,
    ended: bool,
}

#[expect(unsafe_code, reason = "libchdb is a C library")]
impl Stream<'_> {
    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Exception`], after which there is nothing more.
    pub fn fetch(&mut self) -> Result<Option<Output>, Error> {
        if self.ended {
            return Ok(None);
        }
        // SAFETY: the stream belongs to this connection and was not cancelled.
        let raw = unsafe {
            (self.connection.api.stream_fetch)(self.connection.handle(), self.handle.raw.as_ptr())
        };
        if raw.is_null() {
            self.ended = true;
            return Ok(None);
        }
        let chunk = Output::of(&self.connection.api, raw).inspect_err(|_| self.ended = true)?;
        self.statistics = chunk.statistics();
        if chunk.bytes().is_empty() {
            self.ended = true;
            return Ok(None);
        }
        Ok(Some(chunk))
    }

    /// What the query cost so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }
}

#[expect(unsafe_code, reason = "libchdb is a C library")]
impl Drop for Stream<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // SAFETY: as in `fetch`.
            unsafe {
                (self.connection.api.stream_cancel)(
                    self.connection.handle(),
                    self.handle.raw.as_ptr(),
                );
            }
        }
    }
}

/// An INSERT under way. Dropped before [`InsertStream::done`], it is cancelled.
pub struct InsertStream<'a> {
    connection: &'a mut Connection,
    raw: NonNull<c_void>,
    open: bool,
}

#[expect(unsafe_code, reason = "libchdb is a C library")]
impl InsertStream<'_> {
    fn error(&self) -> Option<String> {
        // SAFETY: null, or a string that lives as long as the stream.
        unsafe { text((self.connection.api.insert_error)(self.raw.as_ptr())) }
    }

    /// Gives the engine a piece of the data, cut anywhere.
    ///
    /// # Errors
    /// [`Error::Exception`]; the INSERT is then over, and none of its rows are kept that were not in a block already written.
    pub fn append(&mut self, data: &[u8]) -> Result<(), Error> {
        // SAFETY: the pointer comes with its length; the engine copies the bytes.
        let code = unsafe {
            (self.connection.api.insert_append)(self.raw.as_ptr(), data.as_ptr(), data.len())
        };
        match (code, self.error()) {
            (0, None) => Ok(()),
            (_, error) => Err(Error::Exception(error.unwrap_or_default())),
        }
    }

    /// Ends the data and waits for the engine.
    ///
    /// # Errors
    /// [`Error::Exception`].
    pub fn done(mut self) -> Result<Statistics, Error> {
        self.open = false;
        // SAFETY: the stream is open and ended once.
        let raw = unsafe { (self.connection.api.insert_done)(self.raw.as_ptr()) };
        Output::of(&self.connection.api, raw).map(|output| output.statistics())
    }
}

#[expect(unsafe_code, reason = "libchdb is a C library")]
impl Drop for InsertStream<'_> {
    fn drop(&mut self) {
        // SAFETY: ours alone; cancelled only while open, destroyed once.
        unsafe {
            if self.open {
                (self.connection.api.insert_cancel)(self.raw.as_ptr());
            }
            (self.connection.api.insert_destroy)(self.raw.as_ptr());
        }
    }
}
