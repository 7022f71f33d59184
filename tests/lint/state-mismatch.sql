-- bad: the state of another argument type
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c AggregateFunction(uniq, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, uniqState(y) AS c FROM s GROUP BY k;
-- next
ALTER TABLE mv MODIFY QUERY SELECT k, uniqState(toString(y)) AS c FROM s GROUP BY k;
-- bad: of another precision
CREATE TABLE s (k String, at DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c AggregateFunction(argMin, String, DateTime64(3, 'UTC'))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, argMinState(k, at) AS c FROM s GROUP BY k;
ALTER TABLE s MODIFY COLUMN at DateTime64(6, 'UTC');
-- bad: the target's column becomes another
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c UInt64) ENGINE = SummingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, sum(y) AS c FROM s GROUP BY k;
ALTER TABLE t DROP COLUMN c;
ALTER TABLE t ADD COLUMN c Array(UInt64);
-- good: LowCardinality is none of a state's business
CREATE TABLE s (k LowCardinality(String), y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, uniqState(k) AS c FROM s GROUP BY k;
-- good: numbers are converted, and a tuple has no names
CREATE TABLE s (k String, y UInt8, at DateTime('UTC')) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c SimpleAggregateFunction(sum, UInt64), f SimpleAggregateFunction(min, Tuple(at DateTime('UTC'), k String))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS c, min((at, k)) AS f FROM s GROUP BY k;
