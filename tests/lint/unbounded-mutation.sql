-- bad: all rows
CREATE TABLE s (k String, y UInt64, c Nullable(String), shown String ALIAS upper(k), at DateTime('UTC')) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY k;
ALTER TABLE s UPDATE c = '' WHERE 1;
ALTER TABLE s DELETE WHERE true;
DELETE FROM s WHERE 1 = 1;
-- good: some rows, one partition
CREATE TABLE s (k String, y UInt64, c Nullable(String), shown String ALIAS upper(k), at DateTime('UTC')) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY k;
ALTER TABLE s UPDATE c = '' WHERE c IS NULL;
ALTER TABLE s DELETE WHERE y > 3;
ALTER TABLE s UPDATE c = '' IN PARTITION 202601 WHERE 1;
DELETE FROM s WHERE y = 1;
