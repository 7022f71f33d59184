//! Who may do what: users, roles, grants, row policies, quotas and profiles, as the server writes them. They belong to the whole server.
//! Secrets are never asked for, and what a server shows of them all the same is hidden.

use std::collections::BTreeMap;

use crate::catalog::canonical::words;
use crate::clickhouse::{Client, Error, Query};

/// The statements that make them again, in the server's order: each behind what it needs.
///
/// # Errors
/// [`Error`]; code 497 without the right `SHOW ACCESS`, code 62 of a server before 20.8.
pub async fn access(client: &Client) -> Result<Vec<String>, Error> {
    let hidden = [("format_display_secrets_in_show_and_select", "0")];
    let query = client
        .known(&hidden)
        .await?
        .into_iter()
        .fold(Query::new("SHOW ACCESS"), |query, (name, value)| {
            query.setting(name, value)
        });
    // The one column has another name on other servers.
    let rows: Vec<BTreeMap<String, String>> = client.rows(&query).await?;
    Ok(rows
        .iter()
        .flat_map(BTreeMap::values)
        .map(|statement| without_secrets(statement))
        .collect())
}

/// Passwords, hashes and salts as `'[HIDDEN]'`.
fn without_secrets(statement: &str) -> String {
    let words = words(statement);
    let mut text = String::with_capacity(statement.len());
    let mut at = 0;
    for pair in words.windows(2) {
        let [before, word] = pair else { continue };
        let secret = word.string().is_some()
            && ["BY", "HASH", "SALT"]
                .iter()
                .any(|keyword| before.is(keyword));
        if secret {
            text.push_str(statement.get(at..word.start).unwrap_or_default());
            text.push_str("'[HIDDEN]'");
            at = word.end;
        }
    }
    text.push_str(statement.get(at..).unwrap_or_default());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        for (shown, expected) in [
            (
                "CREATE USER a IDENTIFIED WITH sha256_hash BY '0A' SALT '0B' HOST LOCAL DEFAULT ROLE r",
                "CREATE USER a IDENTIFIED WITH sha256_hash BY '[HIDDEN]' SALT '[HIDDEN]' HOST LOCAL DEFAULT ROLE r",
            ),
            (
                "CREATE USER b IDENTIFIED WITH plaintext_password BY 'it\\'s', ssh_key BY KEY 'AAAA' TYPE 'ssh-rsa'",
                "CREATE USER b IDENTIFIED WITH plaintext_password BY '[HIDDEN]', ssh_key BY KEY 'AAAA' TYPE 'ssh-rsa'",
            ),
            (
                "CREATE ROW POLICY p ON d.t FOR SELECT USING a = 'x' TO r",
                "CREATE ROW POLICY p ON d.t FOR SELECT USING a = 'x' TO r",
            ),
        ] {
            assert_eq!(without_secrets(shown), expected);
        }
    }
}
