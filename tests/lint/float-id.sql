-- bad: an id, a Nullable one
CREATE TABLE t (k String, id Float64, order_id Nullable(Float32)) ENGINE = MergeTree ORDER BY k;
-- good: numbers that are none
CREATE TABLE t (id UInt64, bid Float64, paid Float32) ENGINE = MergeTree ORDER BY id;
