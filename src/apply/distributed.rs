//! A statement on all servers of a cluster, followed until the last of them has ended it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clickhouse::{Client, Error, Exception, Query};
use crate::cluster::{TIMEOUT_EXCEEDED, differences, finished, hosts, task};
use crate::plan::Step;
use crate::sql::Class;

/// How often Keeper is asked.
const LOOK: Duration = Duration::from_millis(500);
/// How often in a row Keeper may not answer.
const PATIENCE: u32 = 120;
/// How an exception begins that one of the servers made.
const ON_A_SERVER: &str = "There was an error on [";

/// Sends a distributed statement and follows it; `tell` hears which servers are waited for, whenever that changes.
///
/// # Errors
/// [`Error`]. If somebody asks to stop, that it still goes on.
pub(super) async fn send(
    client: &Client,
    query: Query,
    stop: &AtomicBool,
    tell: &mut (dyn FnMut(&[String]) + Send),
) -> Result<(), Error> {
    let query = query.setting("distributed_ddl_task_timeout", "15");
    let goes_on = match client.execute(&query).await {
        Err(Error::Exception(exception)) if exception.code == TIMEOUT_EXCEEDED => exception,
        result => return result,
    };
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
