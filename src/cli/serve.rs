//! `serve`: the embedded engine as a ClickHouse HTTP endpoint.

use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::anyhow;
use camino::Utf8PathBuf;
use tokio::io::AsyncReadExt as _;

use crate::cli::apply::{apply_all, signal};
use crate::cli::connect::library;
use crate::cli::seed::load_generated;
use crate::cli::{Context, Stop};
use crate::clickhouse::{Client, Query, identifier};
use crate::config::{Secret, Server, resolve};
use crate::engine::child::{EXIT_HELD, endpoint_file};
use crate::engine::host::{Error, Host, Hosting};
use crate::migration::Migrations;
use crate::seed;

/// Serve the embedded ClickHouse over its HTTP interface
///
/// Any ClickHouse client can use it. It listens on this machine only, unless `--listen` says otherwise, and asks for a password: the one
/// in the variable that `--password-env` names, or a key made at start, which stands in `engine.json` of the data directory.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The port; 0 takes any that is free
    #[arg(long, default_value_t = 8123)]
    port: u16,
    /// The address to listen at
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    listen: IpAddr,
    /// Keep the data in this directory; without it the data is gone when the command ends
    #[arg(long, value_name = "DIR")]
    path: Option<Utf8PathBuf>,
    /// The environment variable that holds the password of `default`
    #[arg(long, value_name = "VAR", conflicts_with = "no_password")]
    password_env: Option<String>,
    /// Ask nobody for a password; only on this machine
    #[arg(long)]
    no_password: bool,
    /// Apply the migrations of the schema directory first
    #[arg(long)]
    apply: bool,
    /// Load so many generated events first; applies the migrations too
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// End when standard input does, unless another command needs the engine
    #[arg(long, hide = true)]
    for_parent: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    if args.no_password && !args.listen.is_loopback() {
        return Err(Stop::usage(anyhow!(
            "--no-password is for this machine only; give --password-env to listen at {}",
            args.listen
        )));
    }
    let made: String = format!("{:032x}", rand::random::<u128>());
    let password = match (&args.password_env, args.no_password) {
        (_, true) => None,
        (None, false) => Some(Secret::new(made)),
        (Some(variable), false) => Some(Secret::new(context.environment.get(variable).ok_or_else(|| {
            Stop::usage(anyhow!("the environment variable {variable}, which should hold the password, is not set"))
        })?)),
    };
    let hosting = Hosting {
        library: library(context)?,
        path: args.path.clone(),
        in_memory: args.for_parent,
        address: args.listen,
        port: args.port,
        password: password.clone(),
    };
    let host = match Host::start(&hosting).await {
        Ok(host) => host,
        Err(error @ Error::Held(_)) => return Err(Stop::failed(EXIT_HELD, error)),
        Err(error) => return Err(Stop::failed(3, error)),
    };
    // Heard from here on: whoever reads the URL may end it at once, and whoever is tired of waiting for `--seed`.
    let result = tokio::select! {
        biased;
        heard = signal() => heard.map(|()| ExitCode::SUCCESS).map_err(Stop::usage),
        result = serve(&args, password, &host, context) => result,
    };
    host.end().await;
    result
}

/// Prepares what was asked for, says where it answers, and lasts until nobody needs it; a signal is its caller's to hear.
async fn serve(
    args: &Args,
    password: Option<Secret>,
    host: &Host,
    context: &Context,
) -> Result<ExitCode, Stop> {
    let endpoint = host.endpoint();
    let printer = &context.printer;
    if args.apply || args.seed.is_some() {
        prepare(args.seed, password.clone(), host, context).await?;
    }
    if args.for_parent || printer.is_json() {
        let line = serde_json::to_string(endpoint).map_err(Stop::usage)?;
        printer.data(&format!("{line}\n"));
    } else {
        printer.data(&format!("{}\n", endpoint.url));
        let how = match (&args.password_env, args.no_password, &args.path) {
            (_, true, _) => "no password".to_owned(),
            (Some(variable), _, _) => format!("the password is that of {variable}"),
            (None, false, path) => format!(
                "the key is in {}",
                path.as_ref().map_or_else(
                    || endpoint_file(host.directory()),
                    |path| endpoint_file(path)
                )
            ),
        };
        printer.talk(&format!(
            "ClickHouse {} answers there; user default, {how}; Ctrl-C ends it",
            crate::engine::install::VERSION
        ));
    }
    if !args.for_parent {
        return std::future::pending().await;
    }
    parent_gone().await;
    if host.leases() > 0 {
        printer.data("{\"kept\":true}\n");
        host.no_lease().await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits for the end of standard input, which the operating system closes with its writer.
async fn parent_gone() {
    let mut input = tokio::io::stdin();
    let mut bytes = [0; 64];
    while input.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
}

/// Applies the migrations, and loads generated events, over the interface itself.
async fn prepare(
    events: Option<u64>,
    password: Option<Secret>,
    host: &Host,
    context: &Context,
) -> Result<(), Stop> {
    let settings = resolve(&context.flags, &context.environment)?;
    let server = Server {
        name: None,
        url: host.endpoint().url.clone(),
        user: host.endpoint().user.clone(),
        password,
        ca_file: None,
        cluster: None,
    };
    let client = Client::new(&server, "default")?;
    client
        .execute(&Query::new(format!(
            "CREATE DATABASE IF NOT EXISTS {}",
            identifier(&settings.database)
        )))
        .await?;
    let client = client.in_database(&settings.database);
    apply_all(&client, &Migrations::load(&settings.schema)?, context).await?;
    if let Some(events) = events {
        let options = seed::Options {
            events,
            ..seed::Options::default()
        };
        load_generated(&client, &options, context).await?;
    }
    Ok(())
}
