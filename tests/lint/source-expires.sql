-- bad: the source forgets
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k TTL toDateTime(at) + INTERVAL 30 DAY;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n FROM s GROUP BY k;
-- bad: since an ALTER
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n FROM s GROUP BY k;
-- next
ALTER TABLE s MODIFY TTL toDateTime(at) + INTERVAL 30 DAY;
-- good: both forget, or the source only compresses
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k TTL toDateTime(at) + INTERVAL 30 DAY;
CREATE TABLE t (k String, day Date, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY (k, day) TTL day + INTERVAL 30 DAY;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, toDate(at) AS day, count() AS n FROM s GROUP BY k, day;
-- good: a target that holds nothing
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k TTL toDateTime(at) + INTERVAL 30 DAY;
CREATE TABLE t (k String) ENGINE = Null;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k FROM s;
