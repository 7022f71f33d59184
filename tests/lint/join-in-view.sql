-- bad: a left join, and one inside
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE p (k String, who String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, who String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT s.k AS k, p.who AS who FROM s LEFT JOIN p ON p.k = s.k;
CREATE MATERIALIZED VIEW mv2 TO t AS SELECT k, who FROM (SELECT s.k AS k, p.who AS who FROM s, p WHERE s.k = p.k);
-- good: ARRAY JOIN, and a join where it is read
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE TABLE p (k String, who String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE t (k String, who String) ENGINE = MergeTree ORDER BY k;
CREATE MATERIALIZED VIEW mv TO t AS SELECT k, w AS who FROM s ARRAY JOIN splitByChar(' ', s.id) AS w;
CREATE VIEW v AS SELECT s.k AS k, p.who AS who FROM s LEFT JOIN p ON p.k = s.k;
