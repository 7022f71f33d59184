//! The other version of the schema that `test --against` names: a directory, or a revision of git.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::Stop;
use crate::config::{ConfigFile, FILE_NAME};
use crate::migration::Migrations;
use crate::scratch::Blueprint;

/// What makes that version. `database` is the one of this version, which the other's file may call otherwise.
///
/// # Errors
/// [`Stop`]: it is neither, or it cannot be loaded.
pub(crate) fn blueprint(
    schema: &Utf8Path,
    against: &str,
    database: &str,
) -> Result<Blueprint, Stop> {
    let directory = Utf8Path::new(against);
    if directory.is_dir() {
        return load(directory, database);
    }
    let checkout = camino_tempfile::Utf8TempDir::new().map_err(Stop::usage)?;
    check_out(schema, against, checkout.path())?;
    let mut blueprint = load(checkout.path(), database)?;
    // The places in messages are those of the revision.
    for piece in &mut blueprint.pieces {
        if let Ok(path) = piece.location.path.strip_prefix(checkout.path()) {
            piece.location.path = Utf8PathBuf::from(format!("{against}:{path}"));
        }
    }
    Ok(blueprint)
}

fn load(directory: &Utf8Path, database: &str) -> Result<Blueprint, Stop> {
    let migrations = Migrations::load(directory)?;
    let file = ConfigFile::load(&directory.join(FILE_NAME))?;
    let database = file.database.as_deref().unwrap_or(database);
    Blueprint::of(&migrations, database)
        .map_err(|findings| Stop::findings(2, findings, Some(migrations.clone())))
}

/// Writes the migrations and the configuration of a revision into a directory; nothing in the working tree is touched.
fn check_out(schema: &Utf8Path, revision: &str, into: &Utf8Path) -> Result<(), Stop> {
    let not = |why: &str| {
        Stop::usage(anyhow::anyhow!(
            "`--against {revision}` is neither a schema directory nor a revision that git knows of {schema}\n  {why}"
        ))
    };
    let git = |args: &[&str]| -> Result<Vec<u8>, Stop> {
        let output = Command::new("git")
            .arg("-C")
            .arg(schema)
            .args(args)
            .output()
            .map_err(|error| not(&format!("git could not be started: {error}")))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            Err(not(String::from_utf8_lossy(&output.stderr)
                .lines()
                .next()
                .unwrap_or_default()))
        }
    };
    // Without `--end-of-options` a revision that begins with a dash would be an option.
    let commit = git(&[
        "rev-parse",
        "--verify",
        "--quiet",
        "--end-of-options",
        &format!("{revision}^{{commit}}"),
    ])
    .map_err(|_| not("git knows no such commit"))?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    let names = git(&[
        "ls-tree",
        "-r",
        "-z",
        "--name-only",
        &commit,
        "--",
        FILE_NAME,
        "migrations",
    ])?;
    let names: Vec<String> = names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    if !names.iter().any(|name| name.starts_with("migrations/")) {
        return Err(not("there are no migrations of it in that commit"));
    }
    for name in names {
        let content = git(&["show", &format!("{commit}:./{name}")])?;
        let path = into.join(&name);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent).map_err(Stop::usage)?;
        }
        fs_err::write(path, content).map_err(Stop::usage)?;
    }
    Ok(())
}
