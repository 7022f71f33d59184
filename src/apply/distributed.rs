//! A statement on all servers of a cluster, followed until the last of them has ended it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clickhouse::{Client, Error, Exception, Query};
use crate::cluster::{HostResult, TIMEOUT_EXCEEDED, differences, finished, hosts, results, task};
use crate::plan::Step;
use crate::sql::Class;

/// How often Keeper is asked.
const LOOK: Duration = Duration::from_millis(500);
/// How often in a row Keeper may not answer.
const PATIENCE: u32 = 120;
/// How an exception begins that one of the servers made.
const ON_A_SERVER: &str = "There was an error on [";
/// An ALTER of a replicated table goes on on replicas that are away.
const UNFINISHED: i32 = 341;

/// Sends a distributed statement and follows it; `tell` hears what is waited for, whenever that changes.
///
/// # Errors
/// [`Error`]. If somebody asks to stop, that it still goes on.
pub(super) async fn send(
    client: &Client,
    step: &Step,
    query: Query,
    stop: &AtomicBool,
    tell: &mut (dyn FnMut(&[String]) + Send),
) -> Result<(), Error> {
    let query = query.setting("distributed_ddl_task_timeout", "15");
    let ended = match client.execute(&query).await {
        Err(Error::Exception(exception)) if exception.code == TIMEOUT_EXCEEDED => {
            ends(client, exception, stop, tell).await
        }
        result => result,
    };
    match ended {
        Err(Error::Exception(exception)) if exception.code == UNFINISHED => {
            agree(client, exception, stop, tell).await
        }
        Err(Error::Exception(exception)) if exception.message.contains(ON_A_SERVER) => Err(
            Error::Exception(with_results(client, step, exception).await),
        ),
        result => result,
    }
}

/// Waits until every server has ended a statement that goes on.
async fn ends(
    client: &Client,
    goes_on: Exception,
    stop: &AtomicBool,
    tell: &mut (dyn FnMut(&[String]) + Send),
) -> Result<(), Error> {
    let Some(task) = task(&goes_on) else {
        return Err(Error::Exception(goes_on));
    };
    let mut told = Vec::new();
    let mut silent = 0;
    loop {
        let asked = async { Ok::<_, Error>((hosts(client).await?, finished(client, task).await?)) };
        match asked.await {
            Ok((hosts, finished)) => {
                silent = 0;
                let waiting: Vec<String> = hosts
                    .into_iter()
                    .filter(|host| !finished.iter().any(|done| done.host == *host))
                    .collect();
                if waiting.is_empty() {
                    let failed = finished
                        .into_iter()
                        .find_map(|result| Some((result.host, result.error?)));
                    return match failed {
                        None => Ok(()),
                        Some((host, error)) => Err(Error::Exception(Exception {
                            message: format!("{ON_A_SERVER}{host}]: {}", error.message),
                            ..error
                        })),
                    };
                }
                if told != waiting {
                    tell(&waiting);
                    told = waiting;
                }
            }
            Err(_) => silent += 1,
        }
        if silent > PATIENCE || stop.load(Ordering::Relaxed) {
            return Err(Error::Exception(goes_on));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until every server has the definitions of the others.
async fn agree(
    client: &Client,
    goes_on: Exception,
    stop: &AtomicBool,
    tell: &mut (dyn FnMut(&[String]) + Send),
) -> Result<(), Error> {
    tell(&["replicas that are away".to_owned()]);
    let mut silent = 0;
    loop {
        match differences(client).await {
            Ok(differences) if differences.is_empty() => return Ok(()),
            Ok(_) => silent = 0,
            Err(_) => silent += 1,
        }
        if silent > PATIENCE || stop.load(Ordering::Relaxed) {
            return Err(Error::Exception(goes_on));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The exception of one server, and what became of the statement on the others.
async fn with_results(client: &Client, step: &Step, exception: Exception) -> Exception {
    let named = step.objects.first().map_or("", String::as_str);
    let mut results = results(client, named).await.unwrap_or_default();
    let order = hosts(client).await.unwrap_or_default();
    results.sort_by_key(|result| order.iter().position(|host| *host == result.host));
    let mut message = exception.message.clone();
    let mut say = |what: &str, of: &dyn Fn(&HostResult) -> bool| {
        let of_them = results.iter().filter(|result| of(result));
        let names: Vec<&str> = of_them.map(|result| result.host.as_str()).collect();
        if !names.is_empty() {
            let _ = write!(message, "; {what} {}", names.join(", "));
        }
    };
    say("done on", &|result| result.error.is_none());
    say("refused on", &|result| result.error.is_some());
    Exception {
        message,
        ..exception
    }
}

/// Whether one server refused what others may have done. If the servers still have the same definitions, none did.
pub(super) async fn is_half_done(client: &Client, step: &Step, error: &Error) -> bool {
    let on_a_server = error
        .exception()
        .is_some_and(|exception| exception.message.contains(ON_A_SERVER));
    if step.sent.is_none() || !on_a_server {
        return false;
    }
    if matches!(step.class, Class::Data | Class::Mutation) {
        return true;
    }
    differences(client)
        .await
        .map_or(true, |differences| !differences.is_empty())
}
