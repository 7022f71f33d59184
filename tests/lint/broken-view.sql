-- bad: the type of a source's column does not suit the aggregate any more
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c AggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, sumState(y) AS c FROM s GROUP BY k;
-- next
ALTER TABLE s MODIFY COLUMN y String;
-- bad: a source's column is renamed
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, sum(y) AS c FROM s GROUP BY k;
ALTER TABLE s RENAME COLUMN y TO z;
ALTER TABLE s ADD COLUMN later UInt8;
-- bad: a source is dropped, of a trigger and of a plain view
CREATE TABLE `s.1` (k String, `a b` UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW `mv``1` TO t AS SELECT k FROM `s.1`;
CREATE VIEW `Übersicht` AS SELECT k, `a b` FROM `s.1`;
CREATE VIEW `select` AS SELECT * FROM `Übersicht`;
DROP TABLE `s.1`;
-- good: a view is changed in the same migration
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, c SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, sum(y) AS c FROM s GROUP BY k;
ALTER TABLE s RENAME COLUMN y TO z;
ALTER TABLE mv MODIFY QUERY SELECT k, sum(z) AS c FROM s GROUP BY k;
-- good: a view with parameters, a table function and a subquery
CREATE TABLE s (k String, y UInt64, d DateTime('UTC')) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, sum(y) AS y FROM s WHERE d >= {from:DateTime('UTC')} AND k IN {keys:Array(String)} GROUP BY k;
CREATE VIEW w AS WITH (SELECT max(y) FROM s) AS top SELECT number, top FROM numbers(3);
