-- bad: a UUID, a time in milliseconds
CREATE TABLE t (id UUID, kind Enum8('a' = 1, 'b' = 2)) ENGINE = MergeTree ORDER BY (id, kind);
CREATE TABLE u (at DateTime64(3, 'UTC'), site LowCardinality(String)) ENGINE = MergeTree ORDER BY (at, site);
-- good: few values first, and nothing with few values
CREATE TABLE t (id UUID, kind Enum8('a' = 1, 'b' = 2)) ENGINE = MergeTree ORDER BY (kind, id);
CREATE TABLE u (at DateTime64(3, 'UTC'), id String) ENGINE = MergeTree ORDER BY (at, id);
CREATE TABLE v (at DateTime64(3, 'UTC'), site LowCardinality(String)) ENGINE = MergeTree ORDER BY (toDate(at), site, at);
