-- bad: an object is left
-- migrate:up
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k FROM t;
-- migrate:down
DROP TABLE t;
-- bad: a column comes back in another place
-- migrate:up
CREATE TABLE t (k String, a UInt8, b UInt8) ENGINE = MergeTree ORDER BY k;
-- migrate:down
DROP TABLE t;
-- next
-- migrate:up
ALTER TABLE t DROP COLUMN a;
-- migrate:down
ALTER TABLE t ADD COLUMN a UInt8;
-- bad: refused
-- migrate:up
CREATE TABLE t (k String, a UInt8, b UInt8) ENGINE = MergeTree ORDER BY k;
-- migrate:down
DROP TABLE t;
-- next
-- migrate:up
ALTER TABLE t ADD COLUMN c UInt8;
-- migrate:down
ALTER TABLE t DROP COLUMN c;
ALTER TABLE t DROP COLUMN d;
-- next
-- migrate:up
ALTER TABLE t ADD COLUMN e UInt8;
-- migrate:down
ALTER TABLE t DROP COLUMN e;
-- bad: a type that is another
-- migrate:up
CREATE TABLE t (k String, a UInt8, b UInt8) ENGINE = MergeTree ORDER BY k;
-- migrate:down
DROP TABLE t;
-- next
-- migrate:up
ALTER TABLE t MODIFY COLUMN a UInt16;
-- migrate:down
ALTER TABLE t MODIFY COLUMN a UInt32;
-- good: the opposite order, and the place
-- migrate:up
CREATE TABLE t (k String, a UInt8, b UInt8) ENGINE = MergeTree ORDER BY k;
-- migrate:down
DROP TABLE t;
-- next
-- migrate:up
ALTER TABLE t DROP COLUMN a;
CREATE VIEW `v.1` AS SELECT k FROM t;
INSERT INTO t SELECT 'x', 1;
-- migrate:down
DROP VIEW `v.1`;
ALTER TABLE t ADD COLUMN a UInt8 AFTER k;
-- good: a view is replaced and replaced back
-- migrate:up
CREATE TABLE t (k String, a UInt8, b UInt8) ENGINE = MergeTree ORDER BY k;
-- migrate:down
DROP TABLE t;
-- next
-- migrate:up
CREATE VIEW v AS SELECT k FROM t;
-- migrate:down
DROP VIEW v;
-- next
-- migrate:up
CREATE OR REPLACE VIEW v AS SELECT k, a FROM t;
RENAME TABLE t TO t1;
RENAME TABLE t1 TO t;
-- migrate:down
CREATE OR REPLACE VIEW v AS SELECT k FROM t;
