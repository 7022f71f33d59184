-- bad: alone, within other types
CREATE TABLE t (k String, a DateTime, b Nullable(DateTime64(3)), c Array(Tuple(at DateTime, n UInt8)), d SimpleAggregateFunction(min, DateTime64(6)), e AggregateFunction(max, DateTime)) ENGINE = AggregatingMergeTree ORDER BY (k, a, b, c) SETTINGS allow_nullable_key = 1;
-- good: with one, and days
CREATE TABLE t (k String, a DateTime('UTC'), b DateTime64(3, 'Europe/Berlin'), c Tuple(DateTime DateTime('UTC')), d Date, e Date32, f DateTime ALIAS a) ENGINE = MergeTree ORDER BY k;
