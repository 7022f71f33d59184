-- bad: of a sum, added later
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64), INDEX i n * 2 TYPE minmax GRANULARITY 1) ENGINE = AggregatingMergeTree ORDER BY k;
ALTER TABLE t ADD INDEX j n TYPE set(10) GRANULARITY 1;
-- good: of the key
CREATE TABLE t (k String, n SimpleAggregateFunction(sum, UInt64), INDEX i k TYPE bloom_filter GRANULARITY 1) ENGINE = AggregatingMergeTree ORDER BY k;
