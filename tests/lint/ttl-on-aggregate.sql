-- bad: the first time, the last time
CREATE TABLE t (k String, first SimpleAggregateFunction(min, DateTime('UTC')), last SimpleAggregateFunction(max, DateTime('UTC'))) ENGINE = AggregatingMergeTree ORDER BY k TTL first + INTERVAL 30 DAY;
ALTER TABLE t MODIFY TTL last + INTERVAL 90 DAY;
-- good: a day of the key
CREATE TABLE t (k String, day Date, n SimpleAggregateFunction(sum, UInt64)) ENGINE = AggregatingMergeTree ORDER BY (k, day) TTL day + INTERVAL 30 DAY;
