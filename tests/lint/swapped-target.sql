-- bad: EXCHANGE of a target
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t2 (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k FROM s;
EXCHANGE TABLES t AND t2;
-- bad: RENAME that gives the source's name to another
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t2 (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k FROM s;
CREATE TABLE s2 AS s;
RENAME TABLE s TO s_old, s2 TO s;
-- good: tables of which no view knows
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t2 (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k FROM s;
CREATE TABLE t3 (k String) ENGINE = MergeTree ORDER BY k;
EXCHANGE TABLES t2 AND t3;
RENAME TABLE t3 TO t4;
