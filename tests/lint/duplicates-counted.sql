-- bad: count and sum
CREATE TABLE r (k String, y UInt64, day Date) ENGINE = ReplacingMergeTree ORDER BY k;
CREATE TABLE t (day Date, n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniqExact, String)) ENGINE = AggregatingMergeTree ORDER BY day;
CREATE MATERIALIZED VIEW mv TO t AS SELECT day, count() + sum(y) AS n, uniqExactState(k) AS u FROM r GROUP BY day;
-- good: what does not mind duplicates
CREATE TABLE r (k String, y UInt64, day Date) ENGINE = ReplacingMergeTree ORDER BY k;
CREATE TABLE t (day Date, m SimpleAggregateFunction(max, UInt64), u AggregateFunction(uniqExact, String)) ENGINE = AggregatingMergeTree ORDER BY day;
CREATE MATERIALIZED VIEW mv TO t AS SELECT day, max(y) AS m, uniqExactState(k) AS u FROM r GROUP BY day;
-- good: a plain view with FINAL
CREATE TABLE r (k String, y UInt64, day Date) ENGINE = ReplacingMergeTree ORDER BY k;
CREATE VIEW v AS SELECT day, sum(y) AS n FROM r FINAL GROUP BY day;
