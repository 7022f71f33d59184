-- bad: a count and a minimum
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n UInt64, first DateTime64(3, 'UTC')) ENGINE = ReplacingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n, min(at) AS first FROM s GROUP BY k;
-- good: distinct rows, and aggregates in the key
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, at DateTime64(3, 'UTC'), y UInt64) ENGINE = ReplacingMergeTree ORDER BY (k, at);
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, max(s.at) AS at, y FROM s GROUP BY k, y;
-- good: the rows themselves
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, y UInt64) ENGINE = ReplacingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, y FROM s;
