-- bad: a plain counter
CREATE TABLE t (k String, `n n` UInt64) ENGINE = AggregatingMergeTree ORDER BY k;
-- bad: added later
CREATE TABLE t (k String) ENGINE = AggregatingMergeTree ORDER BY k;
ALTER TABLE t ADD COLUMN browser String;
-- bad: allowed by a setting
CREATE TABLE t (k String, browser String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k SETTINGS allow_dimensions_outside_sorting_key = 1;
-- good: aggregates, the key, what the key decides, and what is not stored
CREATE TABLE t (k String, day Date, h UInt64 MATERIALIZED cityHash64(k), shown String ALIAS upper(k), n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY (k, toMonday(day)) SETTINGS allow_dimensions_outside_sorting_key = 1;
-- good: another engine
CREATE TABLE t (k String, n UInt64) ENGINE = ReplacingMergeTree ORDER BY k;
-- good: mended by a later migration
CREATE TABLE t (k String, n UInt64) ENGINE = AggregatingMergeTree ORDER BY k;
-- next
DROP TABLE t;
-- bad: a table that the engine refuses since 26.7, and what comes behind it
CREATE TABLE t (k String, browser String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k COMMENT 'c';
CREATE TABLE u (k String, browser String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k SETTINGS index_granularity = 1024;
CREATE TABLE v (k String, browser String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
ALTER TABLE v ADD COLUMN os String;
