-- bad: hours, a time, an id
CREATE TABLE t (k String, at DateTime('UTC')) ENGINE = MergeTree PARTITION BY toStartOfHour(at) ORDER BY k;
CREATE TABLE u (k String, at DateTime('UTC')) ENGINE = MergeTree PARTITION BY (k, at) ORDER BY k;
CREATE TABLE v (user_id String) ENGINE = MergeTree PARTITION BY user_id ORDER BY user_id;
-- good: months, days, a tenant, buckets
CREATE TABLE t (k String, at DateTime('UTC')) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY k;
CREATE TABLE u (tenant String, day Date) ENGINE = MergeTree PARTITION BY (tenant, day) ORDER BY tenant;
CREATE TABLE v (user_id String) ENGINE = MergeTree PARTITION BY cityHash64(user_id) % 16 ORDER BY user_id;
