//! A materialized view calls a function that answers differently each time.
//!
//! ## Why
//!
//! What `now()`, `rand()` or `generateUUIDv4()` gave when a row was inserted cannot be found again: a view that is built anew from the same
//! rows has other contents, a retried INSERT gives another row, and no test can say what is right.
//!
//! ## Example
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC')) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE ages (id String, seconds SimpleAggregateFunction(max, Int64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW ages_mv TO ages AS SELECT id, max(dateDiff('second', at, now())) AS seconds FROM events GROUP BY id;
//! ```
//!
//! ## Instead
//!
//! Let the source say when a row came, once, and read that.
//!
//! ```sql
//! CREATE TABLE events (id String, at DateTime('UTC'), received_at DateTime('UTC') MATERIALIZED now()) ENGINE = MergeTree ORDER BY id;
//! CREATE TABLE ages (id String, seconds SimpleAggregateFunction(max, Int64)) ENGINE = AggregatingMergeTree ORDER BY id;
//! CREATE MATERIALIZED VIEW ages_mv TO ages AS SELECT id, max(dateDiff('second', at, received_at)) AS seconds FROM events GROUP BY id;
//! ```

use crate::lint::view::function;
use crate::lint::{Check, Found, View};

pub(super) const CHECK: Check = Check::View(check);

/// Functions whose answer is another one later or elsewhere; the engine's `system.functions.deterministic` is 0 for each.
pub(crate) const VARIES: &[&str] = &[
    "now",
    "now64",
    "nowinblock",
    "nowinblock64",
    "today",
    "yesterday",
    "utctimestamp",
    "utc_timestamp",
    "current_timestamp",
    "current_date",
    "curdate",
    "localtime",
    "localtimestamp",
    "rand",
    "rand32",
    "rand64",
    "randcanonical",
    "randconstant",
    "randuniform",
    "randnormal",
    "randlognormal",
    "randexponential",
    "randchisquared",
    "randstudentt",
    "randfisherf",
    "randbernoulli",
    "randbinomial",
    "randnegativebinomial",
    "randpoisson",
    "randomstring",
    "randomfixedstring",
    "randomprintableascii",
    "randomstringutf8",
    "fuzzbits",
    "generateuuidv4",
    "generateuuidv7",
    "generatesnowflakeid",
    "generateserialid",
    "hostname",
    "fqdn",
    "currentuser",
    "currentdatabase",
    "queryid",
    "query_id",
    "initialqueryid",
    "connectionid",
    "uptime",
    "serveruuid",
    "rownumberinblock",
    "rownumberinallblocks",
    "blocknumber",
    "arrayshuffle",
    "arraypartialshuffle",
    "arrayrandomsample",
];

fn check(view: &View<'_>, found: &mut Found) {
    if !view.is_trigger() {
        return;
    }
    for node in view.tree().into_iter().flat_map(crate::catalog::Node::walk) {
        let Some(name) = function(node) else { continue };
        if VARIES.contains(&name.to_ascii_lowercase().as_str()) {
            found
                .say(format!(
                    "`{}` calls `{name}`, which answers differently each time",
                    view.object.name
                ))
                .near(name)
                .help("compute it in the source, once, as a MATERIALIZED column, and read that");
        }
    }
}
