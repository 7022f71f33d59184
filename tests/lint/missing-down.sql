-- bad: no section
-- migrate:up
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
-- bad: an empty one
-- migrate:up
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
-- migrate:down
-- nothing
-- good: a section
-- migrate:up
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
-- migrate:down
DROP TABLE t;
-- good: rows only
-- migrate:up
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
-- migrate:down
DROP TABLE t;
-- next
-- migrate:up
INSERT INTO t VALUES (1);
