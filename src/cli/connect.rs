//! From the settings to a connection: a server's, or that of an embedded engine that is started, joined or installed on the way.

use camino::{Utf8Path, Utf8PathBuf};
use indicatif::ProgressBar;

use crate::cli::printer::{Printer, Unit};
use crate::cli::{Context, Stop};
use crate::clickhouse::{Client, Query, identifier};
use crate::config::{Settings, Target, resolve};
use crate::engine::child::{Handle, Launch, open};
use crate::engine::install::{Places, Progress, ensure};
use crate::journal::Owner;

/// A connection, and the engine behind it if that is ours.
pub(crate) struct Connection {
    /// In the target's database.
    pub(crate) client: Client,
    pub(crate) settings: Settings,
    /// The target, in words.
    pub(crate) target: String,
    handle: Option<Handle>,
}

impl Connection {
    /// Gives an embedded engine back.
    pub(crate) async fn end(self) {
        if let Some(handle) = self.handle {
            handle.end().await;
        }
    }

    /// Whether an embedded engine is behind it.
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.settings.target, Target::Embedded(_))
    }
}

/// Connects to the target of the settings. The database of an embedded engine is made; one on a server has to be there.
pub(crate) async fn connect(context: &Context) -> Result<Connection, Stop> {
    let settings = resolve(&context.flags, &context.environment)?;
    let target = settings.target.to_string();
    match &settings.target {
        Target::Server(server) => Ok(Connection {
            client: Client::new(server, &settings.database)?,
            settings,
            target,
            handle: None,
        }),
        Target::Embedded(embedded) => {
            let path = embedded.path.clone();
            let (client, handle) = start(context, Some(&path), &settings.database).await?;
            Ok(Connection {
                client,
                settings,
                target,
                handle: Some(handle),
            })
        }
    }
}

/// Starts an engine over a directory, or over a throw-away one, and makes the database in it.
pub(crate) async fn start(
    context: &Context,
    path: Option<&Utf8Path>,
    database: &str,
) -> Result<(Client, Handle), Stop> {
    let handle = open(&launch(context, path)?).await?;
    let client = Client::new(handle.server(), "default")?;
    client
        .execute(&Query::new(format!(
            "CREATE DATABASE IF NOT EXISTS {}",
            identifier(database)
        )))
        .await?;
    Ok((client.in_database(database), handle))
}

/// An engine over a directory, or over a throw-away one, that is not started yet; its library is there.
pub(crate) fn launch(context: &Context, path: Option<&Utf8Path>) -> Result<Launch, Stop> {
    Ok(Launch {
        program: program()?,
        library: library(context)?,
        path: path.map(Utf8Path::to_owned),
    })
}

fn program() -> Result<Utf8PathBuf, Stop> {
    let path = std::env::current_exe().map_err(Stop::usage)?;
    Utf8PathBuf::from_path_buf(path).map_err(|path| {
        Stop::usage(anyhow::anyhow!(
            "the path of this program is not UTF-8: {}",
            path.display()
        ))
    })
}

/// The library, installed if it has to be, with a bar.
pub(crate) fn library(context: &Context) -> Result<Utf8PathBuf, Stop> {
    let places = Places::of(&context.environment);
    let mut bars = InstallBars::new(&context.printer);
    let path = ensure(&places, &mut |progress| bars.show(progress))?;
    Ok(path)
}

/// The bars of an installation.
pub(crate) struct InstallBars<'a> {
    printer: &'a Printer,
    bar: Option<(&'static str, ProgressBar)>,
}

impl<'a> InstallBars<'a> {
    pub(crate) fn new(printer: &'a Printer) -> Self {
        Self { printer, bar: None }
    }

    pub(crate) fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Waiting => {
                self.at("waiting for another process that installs ClickHouse", 0, 0);
            }
            Progress::Downloading { done, total } => {
                // npm's cache holds a little more than the package.
                self.at("fetching ClickHouse", done.min(total), total);
            }
            Progress::Verifying => self.at("verifying", 0, 0),
            Progress::Unpacking { done, total } => self.at("unpacking", done, total),
            _ => {
                if let Some((_, bar)) = self.bar.take() {
                    bar.finish_and_clear();
                    self.printer.talk("the embedded ClickHouse is installed");
                }
            }
        }
    }

    fn at(&mut self, message: &'static str, done: u64, total: u64) {
        if self.bar.as_ref().is_none_or(|(shown, _)| *shown != message) {
            if let Some((_, bar)) = self.bar.take() {
                bar.finish_and_clear();
            }
            self.bar = Some((message, self.printer.bar(total, Unit::Bytes, message)));
        }
        if let Some((_, bar)) = &self.bar {
            bar.set_position(done);
        }
    }
}

/// Who this run is, for the journal and the lock.
pub(crate) fn owner(context: &Context) -> Owner {
    Owner {
        run_id: format!("{:016x}", rand::random::<u64>()),
        who: context.environment.user(),
        host: context.environment.host(),
        pid: std::process::id(),
    }
}
