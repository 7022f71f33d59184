-- bad: left out
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, y UInt64, x String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, y FROM s;
-- bad: added to the target and forgotten
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, y FROM s;
-- next
ALTER TABLE t ADD COLUMN id String;
-- good: a default, another writer, computed
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, y UInt64, x String DEFAULT 'none', z UInt64 MATERIALIZED y + 1, id String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, y FROM s;
CREATE MATERIALIZED VIEW mv2 TO t AS SELECT k, id FROM s;
-- good: no view writes it
CREATE TABLE t (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
