-- bad: as it is, and in a branch of a union
CREATE TABLE f (k String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), url String)), n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, n FROM f;
CREATE VIEW w AS SELECT k, n FROM f FINAL UNION ALL SELECT k, n + 1 AS n FROM (SELECT k, n FROM f);
-- good: FINAL, GROUP BY, aggregated outside, keys alone
CREATE TABLE f (k String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), url String)), n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, n FROM f FINAL;
CREATE VIEW w AS SELECT k, sum(n) AS n FROM f GROUP BY k;
CREATE VIEW x AS SELECT sum(n) AS n FROM (SELECT k, n FROM f);
CREATE VIEW y AS SELECT DISTINCT k FROM f;
-- good: another engine
CREATE TABLE p (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, n FROM p;
