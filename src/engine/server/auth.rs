//! Who may ask: the one user with its key, and no web page behind a browser's back.

use std::net::SocketAddr;

use axum::http::{HeaderMap, header};
use base64::Engine as _;

use crate::config::Secret;
use crate::engine::server::Options;
use crate::engine::server::request::{Parameters, text};
use crate::engine::server::status::Exception;

pub(crate) struct Access {
    user: String,
    password: Option<Secret>,
    /// Only a name of this machine may stand in `Host`: a web page that rebinds its own name to 127.0.0.1 is not let in.
    loopback: bool,
}

impl Access {
    pub(crate) fn new(options: &Options, address: SocketAddr) -> Self {
        Self {
            user: options.user.clone(),
            password: options.password.clone(),
            loopback: address.ip().is_loopback(),
        }
    }

    /// Refuses requests that a browser sends for a page of somewhere else.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> Result<(), Exception> {
        let is_local = |host: &str| {
            let name = host
                .rsplit_once(':')
                .filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
                .map_or(host, |(name, _)| name);
            matches!(name, "localhost" | "127.0.0.1" | "[::1]") || name.ends_with(".localhost")
        };
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let origin = headers
            .get(header::ORIGIN)
            .map(|origin| origin.to_str().unwrap_or("unreadable"))
            .map(|origin| origin.split_once("://").map_or(origin, |(_, host)| host));
        let foreign = host.into_iter().chain(origin).find(|host| !is_local(host));
        match foreign {
            Some(name) if self.loopback => Err(Exception::new(
                497,
                "ACCESS_DENIED",
                format!("This endpoint is for this machine; it was asked as, or from, {name}."),
            )),
            _ => Ok(()),
        }
    }

    /// Checks user and password, given as Basic authentication, as headers or as parameters.
    pub(crate) fn check(
        &self,
        headers: &HeaderMap,
        parameters: &Parameters,
    ) -> Result<(), Exception> {
        let header = |name: &str| text(headers, name);
        let basic = header("authorization").and_then(|value| basic(&value));
        let user = header("x-clickhouse-user")
            .or_else(|| parameters.get("user").map(str::to_owned))
            .or_else(|| basic.as_ref().map(|(user, _)| user.clone()));
        let password = header("x-clickhouse-key")
            .or_else(|| parameters.get("password").map(str::to_owned))
            .or_else(|| basic.map(|(_, password)| password));
        let Some(expected) = &self.password else {
            return Ok(());
        };
        let nothing_given = user.is_none() && password.is_none();
        let user = user.unwrap_or_else(|| "default".to_owned());
        let right = same(user.as_bytes(), self.user.as_bytes())
            & same(
                password.unwrap_or_default().as_bytes(),
                expected.expose().as_bytes(),
            );
        if right {
            return Ok(());
        }
        let code = if nothing_given { 194 } else { 516 };
        let name = if nothing_given {
            "REQUIRED_PASSWORD"
        } else {
            "AUTHENTICATION_FAILED"
        };
        Err(Exception::new(
            code,
            name,
            format!(
                "{user}: Authentication failed: password is incorrect, or there is no user with such name."
            ),
        ))
    }
}

fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(encoded.trim())
        .ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Compares in a time that does not tell how much was right.
fn same(given: &[u8], expected: &[u8]) -> bool {
    let mut difference = given.len() ^ expected.len();
    for (index, byte) in expected.iter().enumerate() {
        difference |= usize::from(byte ^ given.get(index).copied().unwrap_or(0));
    }
    difference == 0
}
