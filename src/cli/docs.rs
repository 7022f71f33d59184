//! `docs`: the schema as pages that people read.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::cli::apply::signal;
use crate::cli::connect::{connect, start};
use crate::cli::dump::{Bad, refused};
use crate::cli::{Context, Stop};
use crate::config::resolve;
use crate::docs::{self, Model, Page};
use crate::drift::Bench;
use crate::migration::Migrations;
use crate::recipe::Recipes;
use crate::{report, survey};

/// Write the schema as pages that people read: schema/docs/SCHEMA.md, schema.json, lineage.svg and index.html
///
/// From the migrations, on a throw-away embedded ClickHouse, with recipes answered on generated events: the same bytes on every machine,
/// so that they can be committed. With `--target` or `--url` sizes and freshness are read there, and the pages go to .housewright/docs/.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write nothing; exit with 1 if the pages are not what the migrations and recipes say
    #[arg(long, conflicts_with_all = ["open", "serve"])]
    check: bool,
    /// Show index.html in the browser
    #[arg(long)]
    open: bool,
    /// Write nothing; serve the pages on this machine until Ctrl-C
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "0", conflicts_with = "out")]
    serve: Option<u16>,
    /// The directory to write to [default: schema/docs, with a target .housewright/docs]
    #[arg(long, value_name = "DIR")]
    out: Option<Utf8PathBuf>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitCode, Stop> {
    let settings = resolve(&context.flags, &context.environment)?;
    let elsewhere = context.names_a_target();
    let mut model = model(context, true).await?;
    if elsewhere {
        let connection = connect(context).await?;
        let read = survey::figures(&connection.client, &connection.target, &mut model).await;
        connection.end().await;
        read?;
    }
    let pages = docs::pages(&model);
    if let Some(port) = args.serve {
        return serve(port, args.open, &pages, context).await;
    }
    let directory = args.out.clone().unwrap_or_else(|| {
        if elsewhere {
            Utf8PathBuf::from(".housewright").join(docs::DIRECTORY)
        } else {
            settings.schema.join(docs::DIRECTORY)
        }
    });
    let stale = docs::stale(&directory, &pages).map_err(Stop::usage)?;
    if !args.check && !stale.is_empty() {
        docs::write(&directory, &pages).map_err(Stop::usage)?;
    }
    context.printer.data(&if context.printer.is_json() {
        report::docs::json(&stale, &directory, !args.check)
    } else {
        report::docs::human(&stale, &pages, &directory, !args.check)
    });
    if args.open {
        open(directory.join("index.html").as_str(), context);
    }
    Ok(ExitCode::from(u8::from(args.check && !stale.is_empty())))
}

/// The schema of the migrations.
pub(crate) async fn model(context: &Context, samples: bool) -> Result<Model, Stop> {
    let settings = resolve(&context.flags, &context.environment)?;
    let migrations = Migrations::load(&settings.schema)?;
    let recipes = Recipes::load(&settings.schema)?;
    let (engine, handle) = start(context, None, "default").await?;
    let result = async {
        let bench = Bench::new(&engine, &settings.database).await?;
        replayed(&bench, &migrations, &recipes, samples).await
    }
    .await;
    handle.end().await;
    result
}

/// The schema on a bench; a statement that is refused is shown where it stands.
pub(crate) async fn replayed(
    bench: &Bench,
    migrations: &Migrations,
    recipes: &Recipes,
    samples: bool,
) -> Result<Model, Stop> {
    survey::model(bench, migrations, recipes, samples)
        .await
        .map_err(|error| match error {
            survey::Error::Replay(error) => refused(Bad::Drift(error), migrations),
            survey::Error::Page(_) => Stop::usage(error),
            other => Stop::failed(3, other),
        })
}

/// Shows a page with whatever this machine shows pages with.
fn open(what: &str, context: &Context) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let opened = std::process::Command::new(program)
        .arg(what)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
    if opened.is_err() {
        context.printer.talk(&format!(
            "`{program}` is not there; open {what} in a browser"
        ));
    }
}

/// Serves the pages on this machine until a signal.
async fn serve(
    port: u16,
    opens: bool,
    pages: &[Page],
    context: &Context,
) -> Result<ExitCode, Stop> {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| {
            Stop::usage(anyhow::anyhow!(
                "could not listen at 127.0.0.1:{port}: {error}"
            ))
        })?;
    let url = format!("http://{}/", listener.local_addr().map_err(Stop::usage)?);
    context.printer.data(&format!("{url}\n"));
    context.printer.talk("the pages are there; Ctrl-C ends it");
    if opens {
        open(&url, context);
    }
    let accept = async {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let pages = pages.to_vec();
                // Somebody who asks slowly keeps nobody waiting.
                tokio::spawn(async move { answer(stream, &pages).await });
            }
        }
    };
    tokio::select! {
        heard = signal() => heard.map_err(Stop::usage)?,
        () = accept => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// One request, one answer.
async fn answer(mut stream: TcpStream, pages: &[Page]) {
    let mut request = Vec::new();
    let mut buffer = [0; 2048];
    while !request.windows(4).any(|four| four == b"\r\n\r\n") && request.len() < 16_384 {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => {
                request.extend_from_slice(buffer.get(..read).unwrap_or_default());
            }
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request);
    let mut words = request.split_whitespace();
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let name = path
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_start_matches('/');
    let name = if name.is_empty() { "index.html" } else { name };
    let page = pages.iter().find(|page| page.name == name);
    // A name that leads here from elsewhere is not asked for by the reader.
    let local = request.lines().any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            let host = value
                .trim()
                .rsplit_once(':')
                .map_or(value.trim(), |(host, _)| host);
            name.eq_ignore_ascii_case("host") && matches!(host, "127.0.0.1" | "localhost")
        })
    });
    let (status, media, body) = match page {
        _ if !local => ("403 Forbidden", "text/plain", "ask 127.0.0.1\n"),
        _ if method != "GET" && method != "HEAD" => {
            ("405 Method Not Allowed", "text/plain", "only GET\n")
        }
        None => ("404 Not Found", "text/plain", "no such page\n"),
        Some(page) => ("200 OK", page.media, page.text.as_str()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {}\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let body = if method == "HEAD" { "" } else { body };
    // Whoever asked may be gone.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
    let _ = stream.shutdown().await;
}
