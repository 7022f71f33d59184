-- bad: its own, and another
CREATE TABLE m.t (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t2 (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO `m`.t2 AS SELECT k FROM t;
ALTER TABLE m.t ADD COLUMN x UInt8;
-- good: none, and one that is only read
CREATE DATABASE other;
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT name FROM system.tables;
-- bad: in a query
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k FROM m.t AS x WHERE k IN (SELECT k FROM `m`.`t`);
-- good: an alias that is called like it
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT m.k AS k FROM t AS m WHERE m.k != '' AND 1 IN (m.k = '', 1);
