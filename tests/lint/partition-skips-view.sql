-- bad: ATTACH FROM, MOVE TO
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t2 (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k FROM s;
CREATE TABLE s2 AS s;
ALTER TABLE s ATTACH PARTITION tuple() FROM s2;
ALTER TABLE s2 MOVE PARTITION tuple() TO TABLE s;
-- good: into a table that triggers nothing
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t2 (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k FROM s;
ALTER TABLE t ATTACH PARTITION tuple() FROM t2;
ALTER TABLE t2 MOVE PARTITION tuple() TO TABLE t;
