-- bad: now in a value and in a filter
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, seen DateTime64(3, 'UTC')) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, now64(3, 'UTC') AS seen FROM s WHERE at > NOW() - INTERVAL 1 DAY;
-- bad: an id by chance
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, row UUID) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, generateUUIDv4() AS row FROM s;
-- good: a column that the source stamps, and a plain view
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
ALTER TABLE s ADD COLUMN seen DateTime64(3, 'UTC') MATERIALIZED now64(3);
CREATE TABLE t (k String, seen DateTime64(3, 'UTC'), now UInt8) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, s.seen AS seen, 1 AS now FROM s;
CREATE VIEW v AS SELECT k FROM s WHERE at > now() - INTERVAL 1 DAY;
