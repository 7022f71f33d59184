-- bad: a state in a view
CREATE TABLE f (k String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), url String)), n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, uniqMergeState(u) AS users FROM f GROUP BY k;
-- good: finalized, merged, and a trigger
CREATE TABLE f (k String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), url String)), n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, finalizeAggregation(u) AS users FROM f FINAL;
CREATE VIEW w AS SELECT k, uniqMerge(u) AS users FROM f GROUP BY k;
CREATE TABLE t (one UInt8, u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY one;
CREATE MATERIALIZED VIEW mv TO t AS SELECT 1 AS one, uniqMergeState(f.u) AS u FROM f GROUP BY one;
