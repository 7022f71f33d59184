-- bad: any, anyLast, their states
CREATE TABLE t (k String, a SimpleAggregateFunction(any, String), b SimpleAggregateFunction(anyLast, Nullable(String)), c AggregateFunction(any, String)) ENGINE = AggregatingMergeTree ORDER BY k;
-- good: min, max, argMin
CREATE TABLE t (k String, a SimpleAggregateFunction(min, Tuple(at DateTime('UTC'), id String, x String)), c AggregateFunction(argMin, String, Tuple(DateTime('UTC'), String))) ENGINE = AggregatingMergeTree ORDER BY k;
