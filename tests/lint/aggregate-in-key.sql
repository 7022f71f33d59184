-- bad: a partition of the first time
CREATE TABLE t (k String, first SimpleAggregateFunction(min, DateTime('UTC'))) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(first) ORDER BY k;
-- bad: a key of the first day
CREATE TABLE t (k String, `first time` SimpleAggregateFunction(min, DateTime('UTC'))) ENGINE = AggregatingMergeTree ORDER BY (toDate(`first time`), k);
-- good: functions of the identity
CREATE TABLE t (k String, day Date, first SimpleAggregateFunction(min, DateTime('UTC'))) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(day) ORDER BY (day, k);
