-- bad: left out by a view
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64), first SimpleAggregateFunction(min, DateTime64(3, 'UTC'))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n FROM s GROUP BY k;
-- bad: left out by the second writer
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64), first SimpleAggregateFunction(min, DateTime64(3, 'UTC'))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n, min(at) AS first FROM s GROUP BY k;
CREATE MATERIALIZED VIEW mv2 TO t AS SELECT id AS k, count() AS n FROM s GROUP BY k;
-- bad: added to rows that are there
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
-- next
ALTER TABLE t ADD COLUMN first SimpleAggregateFunction(min, DateTime('UTC'));
-- good: Nullable, a state, a sum, the maximum as default
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
ALTER TABLE t ADD COLUMN a SimpleAggregateFunction(min, Nullable(DateTime('UTC'))), ADD COLUMN b AggregateFunction(min, DateTime('UTC')), ADD COLUMN c SimpleAggregateFunction(max, DateTime('UTC')), ADD COLUMN d SimpleAggregateFunction(min, DateTime('UTC')) DEFAULT '2106-02-07 06:28:15';
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n FROM s GROUP BY k;
