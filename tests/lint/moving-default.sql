-- bad: DEFAULT now() on rows that are there
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
-- next
ALTER TABLE t ADD COLUMN a UInt8 DEFAULT 1, ADD COLUMN IF NOT EXISTS at DateTime('UTC') DEFAULT toStartOfDay(now()) COMMENT 'when' AFTER k;
-- bad: MATERIALIZED
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
-- next
ALTER TABLE t ADD COLUMN id UUID MATERIALIZED generateUUIDv4();
-- bad: modified before old rows have a value
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
-- next
ALTER TABLE t ADD COLUMN at DateTime64(6, 'UTC') DEFAULT toDateTime64(0, 6, 'UTC');
-- next
ALTER TABLE t MODIFY COLUMN at DateTime64(6, 'UTC') MATERIALIZED now64(6);
-- good: written in between
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
-- next
ALTER TABLE t ADD COLUMN at DateTime64(6, 'UTC') DEFAULT toDateTime64(0, 6, 'UTC');
ALTER TABLE t MATERIALIZE COLUMN at;
-- next
ALTER TABLE t MODIFY COLUMN at DateTime64(6, 'UTC') MATERIALIZED now64(6);
-- good: written in the same migration
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
-- next
ALTER TABLE t ADD COLUMN at DateTime('UTC') DEFAULT now();
ALTER TABLE t MATERIALIZE COLUMN at;
-- good: a table without rows, a column that has them, a constant, an ALIAS, and words that only look like it
CREATE TABLE u (k String, made DateTime('UTC')) ENGINE = MergeTree ORDER BY k;
-- next
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
ALTER TABLE t ADD COLUMN at DateTime('UTC') DEFAULT now();
ALTER TABLE u MODIFY COLUMN made DateTime('UTC') DEFAULT now();
ALTER TABLE u ADD COLUMN b String DEFAULT 'now()' COMMENT 'rand()', ADD COLUMN c DateTime('UTC') ALIAS now(), ADD COLUMN d UInt64 DEFAULT length(k);
