//! A down section that does not lead back to where the up section began.
//!
//! ## Why
//!
//! Nobody tries a down section until it is needed. This rule does: up, down, and up again on the embedded engine; after down every
//! definition has to be what it was before. Rows are not compared.
//!
//! ## Example
//!
//! ```sql
//! -- migrate:up
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE VIEW ids AS SELECT id FROM events;
//! -- migrate:down
//! DROP TABLE events;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! -- migrate:up
//! CREATE TABLE events (id String) ENGINE = MergeTree ORDER BY id;
//! CREATE VIEW ids AS SELECT id FROM events;
//! -- migrate:down
//! DROP VIEW ids;
//! DROP TABLE events;
//! ```

use crate::lint::{Check, Found, Reversal, Reverse};

pub(super) const CHECK: Check = Check::Reversal(check);

fn check(reversal: &Reversal<'_>, found: &mut Found) {
    let migration = reversal.migration;
    let down = migration.down.as_ref();
    // One that is empty is another rule's.
    let Some(first) = down.and_then(|down| down.statements.first()) else {
        return;
    };
    let name = format!("{:04}_{}", migration.version, migration.name);
    match &reversal.reverse {
        Reverse::Missing | Reverse::Inverse => {}
        Reverse::Refused(span, why) => {
            found
                .say(format!("the down section of {name} is refused"))
                .at(*span)
                .note(why.as_str())
                .help("it is executed after the whole up section; take things back in the opposite order");
        }
        Reverse::Differs(differences) => {
            let finding = found
                .say(format!(
                    "the down section of {name} does not lead back to where its up section began"
                ))
                .at(first.span)
                .help("take back all that the up section does, in the opposite order; a column that comes back has its old place with AFTER");
            for difference in differences {
                finding.note(format!("before it and after it: {difference}"));
            }
        }
        Reverse::NoSecondTime(why) => {
            found
                .say(format!(
                    "after the down section of {name}, its up section is refused"
                ))
                .at(first.span)
                .note(why.as_str());
        }
    }
}
