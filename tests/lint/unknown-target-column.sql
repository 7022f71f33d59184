-- bad: a name that the target does not have
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c AggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, sumState(y) AS c FROM s GROUP BY k;
-- next
ALTER TABLE mv MODIFY QUERY SELECT k, sumState(y * 2) AS c2 FROM s GROUP BY k;
-- bad: the target's column is dropped
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c AggregateFunction(sum, UInt64), d SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, sumState(y) AS c, sum(y) AS d FROM s GROUP BY k;
ALTER TABLE t DROP COLUMN d;
-- bad: a column that the target computes
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, y UInt64, z UInt64 MATERIALIZED y + 1) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, y FROM s;
ALTER TABLE mv MODIFY QUERY SELECT k, y, y + 2 AS z FROM s;
-- good: the column is there first
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c AggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, sumState(y) AS c FROM s GROUP BY k;
ALTER TABLE t ADD COLUMN c2 AggregateFunction(sum, UInt64);
ALTER TABLE mv MODIFY QUERY SELECT k, sumState(y) AS c, sumState(y * 2) AS c2 FROM s GROUP BY k;
-- good: a view that keeps its rows itself, and one with a union
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW own ENGINE = MergeTree ORDER BY k AS SELECT k, y AS other FROM s;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, y FROM s UNION ALL SELECT k AS a, y + 1 AS b FROM s;
