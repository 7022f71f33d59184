-- bad: sessions of a day
CREATE TABLE f (k String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), url String)), n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE TABLE t (day Date, n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniqExact, String)) ENGINE = AggregatingMergeTree ORDER BY day;
CREATE MATERIALIZED VIEW mv TO t AS SELECT toDate(tupleElement(entry, 'at')) AS day, countIf(f.n = 1) AS n, uniqExactState(k) AS u FROM f GROUP BY day;
-- good: sums of sums and distinct keys
CREATE TABLE f (k String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), url String)), n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE TABLE t (day Date, n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniqExact, String)) ENGINE = AggregatingMergeTree ORDER BY day;
CREATE MATERIALIZED VIEW mv TO t AS SELECT toDate(tupleElement(entry, 'at')) AS day, sum(f.n) AS n, uniqExactState(k) AS u FROM f GROUP BY day;
-- good: a plain view, and events
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (day Date, n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniqExact, String)) ENGINE = AggregatingMergeTree ORDER BY day;
CREATE TABLE f (k String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), url String)), n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE VIEW v AS SELECT count() AS n FROM f FINAL;
CREATE MATERIALIZED VIEW mv TO t AS SELECT toDate(at) AS day, count() AS n, uniqExactState(k) AS u FROM s GROUP BY day;
