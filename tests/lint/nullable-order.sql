-- bad: min of a tuple, argMax by a tuple
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, min((at, c)) AS a, argMax(id, (c, at)) AS b FROM s GROUP BY k;
-- bad: an order that is NULL in some rows
CREATE TABLE s (k String, y UInt64, at Nullable(DateTime64(3, 'UTC')), id String) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, argMin(id, at) AS a FROM s GROUP BY k;
-- good: one that says what it skips, and a plain minimum
CREATE TABLE s (k String, at Nullable(DateTime64(3, 'UTC')), id String) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, argMinIf(id, at, isNotNull(at)) AS a, min(at) AS b FROM s GROUP BY k;
-- good: without NULL, and NULL in the value only
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, min((at, ifNull(c, ''))) AS a, argMax((id, c), (at, id)) AS b, max(c) AS d FROM s GROUP BY k;
