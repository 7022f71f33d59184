-- bad: the target is renamed
CREATE TABLE s (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k FROM s;
-- next
RENAME TABLE t TO t_old;
-- bad: the target is dropped
CREATE TABLE s (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k FROM s;
DROP TABLE t;
-- good: another takes its name in the same statement
CREATE TABLE s (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t2 (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k FROM s;
RENAME TABLE t TO t_old, t2 TO t;
-- good: both go
CREATE TABLE s (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k FROM s;
DROP TABLE t;
DROP VIEW mv;
-- good: a target in another database is not known
CREATE DATABASE other;
CREATE TABLE other.t (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE s (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO other.t AS SELECT k FROM s;
