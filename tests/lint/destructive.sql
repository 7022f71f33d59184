-- bad: tables, columns, partitions, rows
CREATE TABLE s (k String, y UInt64, c Nullable(String), shown String ALIAS upper(k), at DateTime('UTC')) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY k;
-- next
ALTER TABLE s DROP COLUMN c;
ALTER TABLE s DROP PARTITION 202601;
ALTER TABLE s DELETE WHERE y = 1;
DELETE FROM s WHERE y = 1;
TRUNCATE TABLE s;
DROP TABLE s;
-- bad: types that become narrower
CREATE TABLE s (k String, y UInt64, c Nullable(String), shown String ALIAS upper(k), at DateTime('UTC')) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY k;
-- next
ALTER TABLE s MODIFY COLUMN y UInt32;
ALTER TABLE s MODIFY COLUMN c String DEFAULT '';
-- bad: a TTL, and a table that is replaced
CREATE TABLE s (k String, y UInt64, c Nullable(String), shown String ALIAS upper(k), at DateTime('UTC')) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY k;
-- next
ALTER TABLE s MODIFY TTL at + INTERVAL 30 DAY;
CREATE OR REPLACE TABLE s (k String) ENGINE = MergeTree ORDER BY k;
-- bad: a view that keeps its rows itself
CREATE TABLE s (k String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv ENGINE = MergeTree ORDER BY k AS SELECT k FROM s;
-- next
DROP VIEW mv;
-- good: wider types, what is computed, what holds nothing, views
CREATE TABLE s (k String, y UInt64, c Nullable(String), shown String ALIAS upper(k), at DateTime('UTC')) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY k;
-- next
ALTER TABLE s MODIFY COLUMN y UInt128, MODIFY COLUMN k LowCardinality(String);
ALTER TABLE s DROP COLUMN shown;
CREATE VIEW v AS SELECT k FROM s;
DROP VIEW v;
CREATE TABLE n (k String) ENGINE = Null;
-- next
DROP TABLE n;
DROP TABLE IF EXISTS never;
-- good: made in the same migration
CREATE TABLE stage (k String) ENGINE = MergeTree ORDER BY k;
DROP TABLE stage;
-- good: allowed, with a reason
CREATE TABLE s (k String, y UInt64, c Nullable(String), shown String ALIAS upper(k), at DateTime('UTC')) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY k;
-- next
-- housewright:allow(destructive) because nobody has filled it since 2025
ALTER TABLE s DROP COLUMN c;
