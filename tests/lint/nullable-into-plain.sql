-- bad: any of a Nullable into a String
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c SimpleAggregateFunction(any, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, any(c) AS c FROM s GROUP BY k;
-- bad: the source becomes Nullable later
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, sum(y) AS n FROM s GROUP BY k;
-- next
ALTER TABLE s MODIFY COLUMN y Nullable(UInt64);
-- good: a Nullable target, a state, and a value for NULL
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c SimpleAggregateFunction(any, Nullable(String)), d SimpleAggregateFunction(max, String), u AggregateFunction(uniq, Nullable(String))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, any(s.c) AS c, max(ifNull(s.c, '')) AS d, uniqState(s.c) AS u FROM s GROUP BY k;
-- good: LowCardinality(Nullable)
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c LowCardinality(Nullable(String))) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, c FROM s;
