-- bad: the source alone
CREATE TABLE s (k String) ENGINE = MergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 100;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n FROM s GROUP BY k;
-- bad: the target alone, since an ALTER
CREATE TABLE s (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n FROM s GROUP BY k;
-- next
ALTER TABLE t MODIFY SETTING non_replicated_deduplication_window = 100;
-- good: both
CREATE TABLE s (k String) ENGINE = MergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 100;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 100;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n FROM s GROUP BY k;
-- good: neither
CREATE TABLE s (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n FROM s GROUP BY k;
