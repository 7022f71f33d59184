-- bad: a count put together with max, an average with sum
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(max, UInt64), a SimpleAggregateFunction(sum, Float64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n, avg(y) AS a FROM s GROUP BY k;
-- bad: the first put together with max, distinct ones added up
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, first SimpleAggregateFunction(max, DateTime64(3, 'UTC')), u SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, minIf(at, y > 1) AS first, uniqExact(id) AS u FROM s GROUP BY k;
-- bad: the least values of maps put together as the greatest
CREATE TABLE s (k String, m Map(String, UInt64)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, m SimpleAggregateFunction(maxMap, Map(String, UInt64))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, minMap(s.m) AS m FROM s GROUP BY k;
-- good: what adds up, with conditions and casts
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64), m SimpleAggregateFunction(sum, UInt64), x SimpleAggregateFunction(max, DateTime64(3, 'UTC')), l SimpleAggregateFunction(min, DateTime64(3, 'UTC')), g SimpleAggregateFunction(groupUniqArrayArray, Array(String))) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n, toUInt64(sumIf(y, y > 1)) AS m, max(at) AS x, minSimpleState(at) AS l, groupUniqArray(id) AS g FROM s GROUP BY k;
-- good: rows as they are, and any of what is equal
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64), m SimpleAggregateFunction(max, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, 1 AS n, y AS m FROM s;
