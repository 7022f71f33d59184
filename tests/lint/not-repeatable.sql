-- bad: INSERT … SELECT
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
-- next
INSERT INTO s SELECT toString(number), number FROM numbers(10);
-- bad: a token that nobody remembers
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
-- next
INSERT INTO s SETTINGS insert_deduplication_token = 'x' SELECT toString(number), number FROM numbers(10);
-- bad: a value computed from itself
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
ALTER TABLE s UPDATE y = y + 1 WHERE k = 'a';
-- good: a token, a table that replaces, one without parts, an UPDATE that settles
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 10;
-- next
INSERT INTO s SETTINGS insert_deduplication_token = 'x' SELECT toString(number), number FROM numbers(10);
CREATE TABLE r (k String) ENGINE = ReplacingMergeTree ORDER BY k;
INSERT INTO r SELECT k FROM s;
ALTER TABLE s UPDATE y = if(y = 0, 1, y) WHERE k = 'a';
CREATE TABLE n (k String) ENGINE = Null;
INSERT INTO n SELECT k FROM s;
-- good: a table of its own, and its partition moved
CREATE TABLE s (k String, y UInt64) ENGINE = MergeTree ORDER BY k;
-- next
CREATE TABLE stage AS s;
INSERT INTO stage SELECT k, y FROM s;
ALTER TABLE stage MOVE PARTITION tuple() TO TABLE s;
