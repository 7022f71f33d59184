//! What can go wrong between us and ClickHouse, told apart by what it means for the statement that was sent.

use std::time::Duration;

/// An error of the server, or on the way to it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server answered with an exception.
    #[error("{0}")]
    Exception(Exception),
    /// No connection was made; nothing was sent.
    #[error(
        "could not reach ClickHouse at {url}\n  is the server up, and is this its HTTP port (8123, or 8443 with TLS)?"
    )]
    Unreachable {
        /// The URL, without user and password.
        url: String,
        /// The reason.
        #[source]
        source: BoxedError,
    },
    /// The connection broke after the request was sent.
    #[error("lost the connection to {url} before it answered")]
    Interrupted {
        /// The URL, without user and password.
        url: String,
        /// The reason.
        #[source]
        source: BoxedError,
    },
    /// No answer within the time for it.
    #[error("no answer from {url} within {} s", after.as_secs())]
    TimedOut {
        /// The URL, without user and password.
        url: String,
        /// How long was waited.
        after: Duration,
    },
    /// Something answered, but not ClickHouse's HTTP interface.
    #[error("what answers at {url} is not ClickHouse's HTTP interface\n  it says: {answer}")]
    NotClickHouse {
        /// The URL, without user and password.
        url: String,
        /// The beginning of the answer.
        answer: String,
    },
    /// A row that is not what was asked for.
    #[error("an answer of {url} could not be read")]
    Answer {
        /// The URL, without user and password.
        url: String,
        /// The reason.
        #[source]
        source: serde_json::Error,
    },
    /// No row where there must be one.
    #[error("an answer of {url} has no row")]
    NoRow {
        /// The URL, without user and password.
        url: String,
    },
    /// The certificate authorities could not be loaded.
    #[error("could not set up TLS: {reason}")]
    Tls {
        /// Why.
        reason: String,
    },
    /// The request could not be made.
    #[error("the request could not be made")]
    Request(#[source] BoxedError),
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// An exception of ClickHouse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The code, as in `system.errors`.
    pub code: i32,
    /// The name, as in `system.errors`; empty where the server, an old one, does not say it.
    pub name: String,
    /// The message, without code, name and version.
    pub message: String,
}

impl std::fmt::Display for Exception {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.name.is_empty() {
            write!(
                formatter,
                "ClickHouse says (code {}): {}",
                self.code, self.message
            )
        } else {
            write!(
                formatter,
                "ClickHouse says {} (code {}): {}",
                self.name, self.code, self.message
            )
        }
    }
}

impl Exception {
    /// Reads `Code: 60. DB::Exception: … (UNKNOWN_TABLE) (version …)`, and the older `Code: 60, e.displayText() = DB::Exception: …`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = &text[text.find("Code: ")? + "Code: ".len()..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let code = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        if let Some(at) = rest.find("DB::Exception: ") {
            rest = &rest[at + "DB::Exception: ".len()..];
        }
        // An exception of a view or a mutation carries the inner one with the same code in front.
        let nested = format!("Code: {code}. DB::Exception: ");
        while let Some(inner) = rest.strip_prefix(nested.as_str()) {
            rest = inner;
        }
        let mut message = rest.trim();
        for mark in [" (version ", ", e.what() = ", ", Stack trace"] {
            if let Some(at) = message.rfind(mark) {
                message = message[..at].trim_end();
            }
        }
        let mut name = String::new();
        if let Some(head) = message.strip_suffix(')')
            && let Some(at) = head.rfind('(')
            && is_name(&head[at + 1..])
        {
            head[at + 1..].clone_into(&mut name);
            message = head[..at].trim_end();
        }
        Some(Self {
            code,
            name,
            message: message.to_owned(),
        })
    }
}

fn is_name(text: &str) -> bool {
    text.len() > 2
        && text
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

impl Error {
    /// What the crate's error means.
    pub(crate) fn of(error: clickhouse::error::Error, url: &str) -> Self {
        use clickhouse::error::Error as Raw;
        let url = url.to_owned();
        match error {
            Raw::BadResponse(text) => match Exception::parse(&text) {
                Some(exception) => Self::Exception(exception),
                None => Self::NotClickHouse {
                    url,
                    answer: text.chars().take(200).collect(),
                },
            },
            Raw::Network(source) => {
                let connecting = source
                    .downcast_ref::<hyper_util::client::legacy::Error>()
                    .is_some_and(hyper_util::client::legacy::Error::is_connect);
                if connecting {
                    Self::Unreachable { url, source }
                } else {
                    Self::Interrupted { url, source }
                }
            }
            Raw::TimedOut => Self::TimedOut {
                url,
                after: Duration::ZERO,
            },
            other => Self::Request(Box::new(other)),
        }
    }

    /// The server's exception, if that is what this is.
    #[must_use]
    pub fn exception(&self) -> Option<&Exception> {
        match self {
            Self::Exception(exception) => Some(exception),
            _ => None,
        }
    }

    /// Whether the server answered with this code.
    #[must_use]
    pub fn is_code(&self, code: i32) -> bool {
        self.exception()
            .is_some_and(|exception| exception.code == code)
    }

    /// Whether no byte of the request left this machine.
    #[must_use]
    pub fn nothing_was_sent(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether the network, not the server, failed.
    #[must_use]
    pub fn is_network(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Interrupted { .. })
    }

    /// Whether the statement may have been executed although this error came back: the connection was lost, or the server says
    /// itself that it goes on without us.
    #[must_use]
    pub fn outcome_is_unknown(&self) -> bool {
        match self {
            Self::Interrupted { .. } | Self::TimedOut { .. } | Self::NotClickHouse { .. } => true,
            Self::Exception(exception) => UNFINISHED.contains(&exception.code),
            _ => false,
        }
    }
}

/// Codes after which the server may still finish, or may have half finished, what it was asked to do.
const UNFINISHED: [i32; 8] = [
    159, // TIMEOUT_EXCEEDED: a distributed DDL goes on in the background
    209, // SOCKET_TIMEOUT
    210, // NETWORK_ERROR, between servers
    236, // ABORTED
    319, // UNKNOWN_STATUS_OF_INSERT
    341, // UNFINISHED: a mutation or an ALTER of a replica goes on
    394, // QUERY_WAS_CANCELLED
    999, // KEEPER_EXCEPTION
];

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (i32, String, String) {
        let exception = Exception::parse(text).unwrap();
        (exception.code, exception.name, exception.message)
    }

    #[test]
    fn code_name_and_message_come_apart() {
        assert_eq!(
            parse(
                "Code: 60. DB::Exception: Unknown table expression identifier 'nope' in scope SELECT * FROM nope. (UNKNOWN_TABLE) (version 26.7.2.1 (official build))"
            ),
            (
                60,
                "UNKNOWN_TABLE".to_owned(),
                "Unknown table expression identifier 'nope' in scope SELECT * FROM nope."
                    .to_owned()
            )
        );
    }

    #[test]
    fn the_year_2018_has_no_name() {
        assert_eq!(
            parse(
                "Code: 60, e.displayText() = DB::Exception: Table default.nope doesn't exist., e.what() = DB::Exception"
            ),
            (
                60,
                String::new(),
                "Table default.nope doesn't exist.".to_owned()
            )
        );
    }

    #[test]
    fn a_nested_exception_is_said_once() {
        assert_eq!(
            parse(
                "Code: 395. DB::Exception: Code: 395. DB::Exception: Value passed to 'throwIf' function is non-zero: while pushing to view t.mv. (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO)"
            )
            .2,
            "Value passed to 'throwIf' function is non-zero: while pushing to view t.mv."
        );
    }

    #[test]
    fn what_is_no_exception_is_none() {
        for text in ["", "502 Bad Gateway", "Code: ", "Code: x. DB::Exception: y"] {
            assert_eq!(Exception::parse(text), None, "{text}");
        }
    }
}
