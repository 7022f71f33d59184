-- bad: a state by a time
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, f AggregateFunction(argMin, String, DateTime64(3, 'UTC'))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, argMinState(id, at) AS f FROM s GROUP BY k;
-- bad: a plain view, by a day
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, argMaxIf(id, toDate(at), y > 1) AS last FROM s GROUP BY k;
-- good: with an id behind it, by a number, and merged states
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, f AggregateFunction(argMin, String, Tuple(DateTime64(3, 'UTC'), String))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, argMinState(id, (at, id)) AS f FROM s GROUP BY k;
CREATE VIEW v AS SELECT k, argMinMerge(f) AS f FROM t GROUP BY k;
CREATE VIEW w AS SELECT k, argMax(id, y) AS f FROM s GROUP BY k;
