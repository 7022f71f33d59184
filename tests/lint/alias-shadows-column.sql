-- bad: the order of argMin is the hour
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT toStartOfHour(at) AS at, argMin(id, (at, id)) AS first FROM s GROUP BY at;
-- bad: the filter looks at the alias
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, toStartOfDay(at) AS at FROM s WHERE at > '2030-01-01 12:00:00';
-- good: only grouped by, qualified, the column itself, another name
CREATE TABLE s (k String, y UInt64, at DateTime64(3, 'UTC'), id String, c Nullable(String)) ENGINE = MergeTree ORDER BY k;
CREATE VIEW v AS SELECT toStartOfHour(at) AS at, count() AS n FROM s GROUP BY at ORDER BY at;
CREATE VIEW w AS SELECT toStartOfHour(s.at) AS at, argMin(s.id, (s.at, s.id)) AS first FROM s GROUP BY s.at;
CREATE VIEW x AS SELECT k AS k, toString(k) AS name, k || '!' AS loud FROM s WHERE k != '';
CREATE VIEW y AS SELECT k, min(at) AS at FROM s GROUP BY k;
