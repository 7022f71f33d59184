//! A plain view puts out an aggregate state.
//!
//! ## Why
//!
//! The value of an `AggregateFunction` column is binary. Whoever selects it sees bytes, and whoever compares it compares nothing.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE users (id String, n AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE VIEW numbers AS SELECT id, n FROM users FINAL;
//! ```
//!
//! ## Instead
//!
//! ```sql
//! CREATE TABLE users (id String, n AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE VIEW numbers AS SELECT id, finalizeAggregation(n) AS n FROM users FINAL;
//! ```

use crate::catalog::Kind;
use crate::lint::table::is_state;
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

fn check(view: &View<'_>, found: &mut Found) {
    if view.object.kind == Kind::MaterializedView {
        return;
    }
    for query in view.branches() {
        for output in view.outputs(query) {
            if is_state(&output.r#type) {
                found
                    .say(format!(
                        "`{}` puts out `{}` as a state, which readers see as bytes",
                        view.object.name, output.name
                    ))
                    .near(&output.name)
                    .help("with FINAL `finalizeAggregation(…)`, with GROUP BY the function's `…Merge`");
            }
        }
    }
}
