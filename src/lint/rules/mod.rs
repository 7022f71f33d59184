//! The rules, one a file. The list is the only other place that names them; `tests/lint.rs` holds it against the directory.

#![expect(
    clippy::doc_markdown,
    reason = "the headers are pages for a reader of SQL"
)]

use crate::diagnostic::Severity::{Error, Info, Warning};
use crate::lint::Rule;

mod aggregate_in_key;
mod aggregate_mismatch;
mod aggregates_replaced;
mod alias_shadows_column;
mod argmin_over_nullable;
mod arrival_order;
mod broken_view;
mod clause_sees_one_block;
mod datetime_without_time_zone;
mod destructive;
mod down_not_inverse;
mod duplicates_counted;
mod filter_before_merge;
mod finished_in_view;
mod float_id;
mod group_by_outside_key;
mod hard_coded_cluster;
mod hard_coded_database;
mod hard_coded_replica_path;
mod high_cardinality_first;
mod join_in_view;
mod lossy_target;
mod low_cardinality_id;
mod merge_mismatch;
mod missing_down;
mod missing_target;
mod moving_default;
mod non_replicated_engine;
mod nondeterministic_view;
mod not_repeatable;
mod nullable_into_plain;
mod nullable_key;
mod nullable_order;
mod one_sided_deduplication;
mod partial_rows_counted;
mod partition_outside_key;
mod partition_skips_view;
mod partition_too_fine;
mod plain_column_in_aggregate;
mod poisonous_default;
mod populate;
mod secret;
mod skip_index_on_aggregate;
mod source_expires;
mod state_as_value;
mod state_mismatch;
mod subcolumn_under_final;
mod swapped_target;
mod tie_prone_argmin;
mod ttl_on_aggregate;
mod unbounded_mutation;
mod unknown_target_column;
mod unmerged_read;
mod unwritten_column;
mod view_without_target;

macro_rules! rule {
    ($level:expr, $module:ident, $name:literal) => {
        Rule::new(
            $name,
            $level,
            $module::CHECK,
            include_str!(concat!(stringify!($module), ".rs")),
        )
    };
}

/// All rules, by name.
pub(super) const ALL: &[Rule] = &[
    rule!(Error, aggregate_in_key, "aggregate-in-key"),
    rule!(Error, aggregate_mismatch, "aggregate-mismatch"),
    rule!(Error, aggregates_replaced, "aggregates-replaced"),
    rule!(Warning, alias_shadows_column, "alias-shadows-column"),
    rule!(Warning, argmin_over_nullable, "argmin-over-nullable"),
    rule!(Warning, arrival_order, "arrival-order"),
    rule!(Error, broken_view, "broken-view"),
    rule!(Error, clause_sees_one_block, "clause-sees-one-block"),
    rule!(
        Warning,
        datetime_without_time_zone,
        "datetime-without-time-zone"
    ),
    rule!(Error, destructive, "destructive"),
    rule!(Error, down_not_inverse, "down-not-inverse"),
    rule!(Warning, duplicates_counted, "duplicates-counted"),
    rule!(Error, filter_before_merge, "filter-before-merge"),
    rule!(Error, finished_in_view, "finished-in-view"),
    rule!(Warning, float_id, "float-id"),
    rule!(Error, group_by_outside_key, "group-by-outside-key"),
    rule!(Warning, hard_coded_cluster, "hard-coded-cluster"),
    rule!(Warning, hard_coded_database, "hard-coded-database"),
    rule!(Warning, hard_coded_replica_path, "hard-coded-replica-path"),
    rule!(Info, high_cardinality_first, "high-cardinality-first"),
    rule!(Warning, join_in_view, "join-in-view"),
    rule!(Warning, lossy_target, "lossy-target"),
    rule!(Warning, low_cardinality_id, "low-cardinality-id"),
    rule!(Error, merge_mismatch, "merge-mismatch"),
    rule!(Warning, missing_down, "missing-down"),
    rule!(Error, missing_target, "missing-target"),
    rule!(Error, moving_default, "moving-default"),
    rule!(Warning, non_replicated_engine, "non-replicated-engine"),
    rule!(Warning, nondeterministic_view, "nondeterministic-view"),
    rule!(Warning, not_repeatable, "not-repeatable"),
    rule!(Error, nullable_into_plain, "nullable-into-plain"),
    rule!(Warning, nullable_key, "nullable-key"),
    rule!(Error, nullable_order, "nullable-order"),
    rule!(Warning, one_sided_deduplication, "one-sided-deduplication"),
    rule!(Error, partial_rows_counted, "partial-rows-counted"),
    rule!(Warning, partition_outside_key, "partition-outside-key"),
    rule!(Warning, partition_skips_view, "partition-skips-view"),
    rule!(Warning, partition_too_fine, "partition-too-fine"),
    rule!(
        Error,
        plain_column_in_aggregate,
        "plain-column-in-aggregate"
    ),
    rule!(Error, poisonous_default, "poisonous-default"),
    rule!(Error, populate, "populate"),
    rule!(Error, secret, "secret"),
    rule!(Info, skip_index_on_aggregate, "skip-index-on-aggregate"),
    rule!(Info, source_expires, "source-expires"),
    rule!(Info, state_as_value, "state-as-value"),
    rule!(Error, state_mismatch, "state-mismatch"),
    rule!(Error, subcolumn_under_final, "subcolumn-under-final"),
    rule!(Warning, swapped_target, "swapped-target"),
    rule!(Warning, tie_prone_argmin, "tie-prone-argmin"),
    rule!(Error, ttl_on_aggregate, "ttl-on-aggregate"),
    rule!(Warning, unbounded_mutation, "unbounded-mutation"),
    rule!(Error, unknown_target_column, "unknown-target-column"),
    rule!(Error, unmerged_read, "unmerged-read"),
    rule!(Warning, unwritten_column, "unwritten-column"),
    rule!(Warning, view_without_target, "view-without-target"),
];
