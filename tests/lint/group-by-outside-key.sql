-- bad: a number and a text
CREATE TABLE s (k String, status UInt16, day Date, name String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, status UInt16, name String, n UInt64) ENGINE = SummingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, status, name, count() AS n FROM s GROUP BY k, status, name;
-- good: in the key, an aggregate, a constant
CREATE TABLE s (k String, status UInt16, day Date, name String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, status UInt16, one UInt8, n UInt64) ENGINE = SummingMergeTree ORDER BY (k, status);
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, status, 1 AS one, count() AS n FROM s GROUP BY k, status;
-- good: grouped by and not kept, and a view without GROUP BY
CREATE TABLE s (k String, status UInt16, day Date, name String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, n UInt64) ENGINE = SummingMergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, count() AS n FROM s GROUP BY k, status;
CREATE MATERIALIZED VIEW mv2 TO t AS SELECT k, status AS n FROM s;
