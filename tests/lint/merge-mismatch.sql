-- bad: an average of parts, the sum of a maximum, counted parts
CREATE TABLE f (k String, site String, n SimpleAggregateFunction(sum, UInt64), last SimpleAggregateFunction(max, DateTime('UTC')), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY (site, k);
CREATE VIEW v AS SELECT site, avg(n) AS a, min(toDateTime(last, 'UTC')) AS b, countIf(n = 1) AS c FROM f GROUP BY site;
-- bad: in HAVING
CREATE TABLE f (k String, site String, n SimpleAggregateFunction(sum, UInt64), last SimpleAggregateFunction(max, DateTime('UTC')), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY (site, k);
CREATE VIEW v AS SELECT site FROM f GROUP BY site HAVING count() > 3;
-- good: the column's own function, merged states, distinct keys
CREATE TABLE f (k String, site String, n SimpleAggregateFunction(sum, UInt64), last SimpleAggregateFunction(max, DateTime('UTC')), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY (site, k);
CREATE VIEW v AS SELECT site, sum(n) AS a, sumIf(n, k != '') AS b, max(last) AS c, uniqMerge(u) AS d, uniqExact(k) AS e FROM f GROUP BY site;
-- good: FINAL, and what was put together before
CREATE TABLE f (k String, site String, n SimpleAggregateFunction(sum, UInt64), last SimpleAggregateFunction(max, DateTime('UTC')), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY (site, k);
CREATE VIEW v AS SELECT site, count() AS a, avg(n) AS b FROM f FINAL GROUP BY site;
CREATE VIEW w AS SELECT site, count() AS a, max(total) AS b FROM (SELECT site, k, sum(n) AS total FROM f GROUP BY site, k) GROUP BY site;
