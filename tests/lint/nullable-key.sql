-- bad: allowed by a setting
CREATE TABLE t (k String, `c c` Nullable(String)) ENGINE = MergeTree ORDER BY (k, `c c`) SETTINGS allow_nullable_key = 1;
-- good: with a value for NULL, and outside of the key
CREATE TABLE t (k String, c Nullable(String)) ENGINE = MergeTree ORDER BY (k, ifNull(c, ''));
