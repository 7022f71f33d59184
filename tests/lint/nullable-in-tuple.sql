-- bad: min of a tuple, argMax by a tuple
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, min((at, c)) AS a, argMax(id, (c, at)) AS b FROM s GROUP BY k;
-- good: without NULL, and NULL in the value only
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, min((at, ifNull(c, ''))) AS a, argMax((id, c), (at, id)) AS b, max(c) AS d FROM s GROUP BY k;
