-- bad: WHERE over a sum before GROUP BY
CREATE TABLE f (k String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), url String)), n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, sum(n) AS total FROM f WHERE f.n > 1 GROUP BY k;
CREATE VIEW w AS SELECT k, sum(n) AS total FROM f PREWHERE tupleElement(entry, 'url') != '' GROUP BY k;
-- good: FINAL, HAVING, the key, and sums that were made before
CREATE TABLE f (k String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), url String)), n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, n FROM f FINAL WHERE n > 1;
CREATE VIEW w AS SELECT k, sum(n) AS total FROM f WHERE k != '' GROUP BY k HAVING total > 1;
CREATE VIEW x AS SELECT k, total FROM (SELECT k, sum(n) AS total FROM f GROUP BY k) WHERE total > 1;
