-- bad: a count into UInt32, milliseconds into seconds
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(max, UInt32), first SimpleAggregateFunction(min, DateTime('UTC'))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, max(y) AS n, min(at) AS first FROM s GROUP BY k;
-- bad: an average into an integer
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, a UInt64) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, avg(y) AS a FROM s GROUP BY k;
-- good: wider, a day of a moment, a constant, a count into Int64
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, day Date, n Int64, one UInt8, at DateTime64(6, 'UTC')) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, toStartOfDay(max(s.at)) AS day, count() AS n, 1 AS one, max(s.at) AS at FROM s GROUP BY k;
-- good: texts, tuples and maps are not judged
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, f SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), id String))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, min((at, id)) AS f FROM s GROUP BY k;
