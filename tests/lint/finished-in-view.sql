-- bad: a duration and whether it is only one
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, d SimpleAggregateFunction(sum, Int64), b SimpleAggregateFunction(max, UInt8)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, dateDiff('second', min(at), max(at)) AS d, (count() = 1)::UInt8 AS b FROM s GROUP BY k;
-- bad: a share
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, d SimpleAggregateFunction(max, Float64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, sum(y) / count() AS d FROM s GROUP BY k;
-- good: computed before it is aggregated, or only converted
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, m SimpleAggregateFunction(max, UInt64), n SimpleAggregateFunction(sum, UInt64), f SimpleAggregateFunction(max, Tuple(UInt8, String))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, max(if(y > 3, y - 3, 0)) AS m, toUInt64(count()) AS n, max((toUInt8(y > 1), id)) AS f FROM s GROUP BY k;
-- good: a target that keeps every block apart
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, d Int64) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, dateDiff('second', min(at), max(at)) AS d FROM s GROUP BY k;
