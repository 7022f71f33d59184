//! Sessions: a connection that several requests share, one after the other, under a name that the client chose.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::engine::library::Connection;
use crate::engine::server::request::Request;
use crate::engine::server::status::Exception;
use crate::engine::server::stock::Stock;

/// How many there may be; each holds an engine's connection.
const MOST: usize = 1000;
/// How long one lasts unused, unless the client says.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);
/// A session is released a moment after its answer was sent; a client that asks again at once is no concurrent one.
const RELEASE: Duration = Duration::from_millis(500);
/// What the client may say, as on a server.
const MAX_TIMEOUT: Duration = Duration::from_hours(1);

#[derive(Clone, Default)]
pub(crate) struct Sessions(Arc<Mutex<BTreeMap<String, Slot>>>);

enum Slot {
    /// A request has it.
    Busy,
    Idle {
        connection: Connection,
        until: Instant,
    },
}

/// What became of asking for a session.
enum Claim {
    Idle(Connection),
    New,
    Busy,
}

/// A connection of a session for one request; it goes back when this is dropped.
pub(crate) struct Guard {
    sessions: Sessions,
    id: String,
    timeout: Duration,
    connection: Option<Connection>,
}

impl Guard {
    pub(crate) fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let (Some(connection), Ok(mut slots)) = (self.connection.take(), self.sessions.0.lock())
        {
            slots.insert(
                std::mem::take(&mut self.id),
                Slot::Idle {
                    connection,
                    until: Instant::now() + self.timeout,
                },
            );
        }
    }
}

impl Sessions {
    /// Takes the session's connection, or makes one. Blocks.
    pub(crate) fn take(
        &self,
        id: &str,
        request: &Request,
        stock: &Stock,
    ) -> Result<Guard, Exception> {
        let timeout = match request.parameters.get("session_timeout") {
            None => DEFAULT_TIMEOUT,
            Some(text) => text
                .parse()
                .map(Duration::from_secs)
                .ok()
                .filter(|timeout| *timeout <= MAX_TIMEOUT)
                .ok_or_else(|| {
                    Exception::new(
                        374,
                        "INVALID_SESSION_TIMEOUT",
                        format!("Session timeout '{text}' is not a number of seconds up to 3600."),
                    )
                })?,
        };
        let must_exist = request.parameters.get("session_check") == Some("1");
        let guard = |connection| Guard {
            sessions: self.clone(),
            id: id.to_owned(),
            timeout,
            connection: Some(connection),
        };
        let patience = Instant::now() + RELEASE;
        loop {
            match self.claim(id, must_exist)? {
                Claim::Idle(connection) => return Ok(guard(connection)),
                Claim::New => break,
                Claim::Busy if Instant::now() < patience => std::thread::sleep(RELEASE / 100),
                Claim::Busy => {
                    return Err(Exception::new(
                        373,
                        "SESSION_IS_LOCKED",
                        format!("Session {id} is locked by a concurrent client."),
                    ));
                }
            }
        }
        match stock.take() {
            Ok(connection) => Ok(guard(connection)),
            Err(error) => {
                if let Ok(mut slots) = self.0.lock() {
                    slots.remove(id);
                }
                Err(error.into())
            }
        }
    }

    /// Marks the session as busy, if it is not.
    fn claim(&self, id: &str, must_exist: bool) -> Result<Claim, Exception> {
        let mut slots = self
            .0
            .lock()
            .map_err(|_| Exception::new(1001, "STD_EXCEPTION", "sessions are unusable"))?;
        let now = Instant::now();
        slots.retain(|_, slot| !matches!(slot, Slot::Idle { until, .. } if *until < now));
        let full = slots.len() >= MOST;
        match slots.get_mut(id) {
            Some(slot) => Ok(match std::mem::replace(slot, Slot::Busy) {
                Slot::Idle { connection, .. } => Claim::Idle(connection),
                Slot::Busy => Claim::Busy,
            }),
            None if must_exist => Err(Exception::new(
                372,
                "SESSION_NOT_FOUND",
                format!("Session {id} not found."),
            )),
            None if full => Err(Exception::new(
                202,
                "TOO_MANY_SIMULTANEOUS_QUERIES",
                format!("There are {MOST} sessions already."),
            )),
            None => {
                slots.insert(id.to_owned(), Slot::Busy);
                Ok(Claim::New)
            }
        }
    }

    pub(crate) fn clear(&self) {
        if let Ok(mut slots) = self.0.lock() {
            slots.clear();
        }
    }
}
