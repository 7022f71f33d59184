//! An exception and the HTTP status that the server gives it (`src/Server/HTTP/exceptionCodeToHTTPStatus.cpp`).

use axum::http::StatusCode;

/// An exception, in ClickHouse's words.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) code: i32,
    /// `Code: 60. DB::Exception: … (UNKNOWN_TABLE)`
    pub(crate) text: String,
}

impl std::fmt::Display for Exception {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Exception {
    /// An exception of this endpoint itself.
    pub(crate) fn new(code: i32, name: &str, message: impl std::fmt::Display) -> Self {
        Self {
            code,
            text: format!("Code: {code}. DB::Exception: {message} ({name})"),
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self.code {
            // REQUIRED_PASSWORD
            194 => StatusCode::UNAUTHORIZED,
            // UNKNOWN_USER, WRONG_PASSWORD, ACCESS_DENIED, SET_NON_GRANTED_ROLE, AUTHENTICATION_FAILED
            192 | 193 | 497 | 512 | 516 => StatusCode::FORBIDDEN,
            // what cannot be parsed, or is of a wrong type
            6 | 15 | 25 | 26 | 27 | 36 | 38 | 41 | 44 | 53 | 62 | 69 | 72 | 117 | 167 | 168
            | 321 | 376 | 427 | 467 | 675 | 676 => StatusCode::BAD_REQUEST,
            // what is not known
            46 | 47 | 50 | 56 | 60 | 63 | 73 | 81 | 115 | 336 | 718 => StatusCode::NOT_FOUND,
            // TIMEOUT_EXCEEDED, TOO_SLOW
            159 | 160 => StatusCode::REQUEST_TIMEOUT,
            // QUERY_IS_TOO_LARGE
            223 => StatusCode::PAYLOAD_TOO_LARGE,
            // HTTP_LENGTH_REQUIRED
            381 => StatusCode::LENGTH_REQUIRED,
            // NOT_IMPLEMENTED
            48 => StatusCode::NOT_IMPLEMENTED,
            // SOCKET_TIMEOUT, CANNOT_SCHEDULE_TASK
            209 | 439 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<crate::engine::library::Error> for Exception {
    fn from(error: crate::engine::library::Error) -> Self {
        let text = error.to_string().trim_end().to_owned();
        let code = text
            .strip_prefix("Code: ")
            .and_then(|rest| rest.split('.').next()?.parse().ok())
            .unwrap_or(1001);
        Self { code, text }
    }
}
