-- bad: HAVING over a count
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n FROM s GROUP BY k HAVING count() >= 2;
-- bad: LIMIT, LIMIT BY and a window function
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, r UInt64) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t2 (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, row_number() OVER (PARTITION BY k ORDER BY at) AS r FROM s;
CREATE MATERIALIZED VIEW mv2 TO t2 AS SELECT k FROM (SELECT k FROM s ORDER BY at LIMIT 1 BY k);
CREATE MATERIALIZED VIEW mv3 TO t2 AS SELECT k FROM s LIMIT 10;
-- good: HAVING over the key, a plain view, a refreshed one, and a limit of another table
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n FROM s WHERE id NOT IN (SELECT id FROM s LIMIT 1) GROUP BY k HAVING k != '';
CREATE VIEW v AS SELECT k, count() AS n FROM s GROUP BY k HAVING n > 2 LIMIT 3;
CREATE TABLE top (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW top_mv REFRESH EVERY 1 HOUR TO top AS SELECT k FROM s ORDER BY at LIMIT 10;
