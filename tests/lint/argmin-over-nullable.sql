-- bad: two of one event, one of them Nullable
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, f AggregateFunction(argMin, Nullable(String), Tuple(DateTime64(3, 'UTC'), String)), g AggregateFunction(argMin, UInt64, Tuple(DateTime64(3, 'UTC'), String))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, argMinState(c, (at, id)) AS f, argMinState(y, (at, id)) AS g FROM s GROUP BY k;
-- bad: any beside any
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, any(c) AS x, any(y) AS z FROM s GROUP BY k;
-- good: one alone, one that says it skips, and one tuple
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, argMax(c, (at, id)) AS last, argMin(y, (at, id)) AS a, argMin(nullIf(id, ''), (at, id)) AS b, argMin((c, y), (at, id)) AS d FROM s GROUP BY k;
-- good: with a condition
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, argMinIf(c, (at, id), isNotNull(c)) AS a, argMinIf(y, (at, id), isNotNull(c)) AS b FROM s GROUP BY k;
