-- bad: the month of a change
CREATE TABLE t (k String, v UInt64, changed Date) ENGINE = ReplacingMergeTree(v) PARTITION BY toYYYYMM(changed) ORDER BY k;
-- bad: one of two
CREATE TABLE t (k String, a UInt8, n UInt64) ENGINE = SummingMergeTree(n) PARTITION BY (k, a) ORDER BY k;
-- good: in the key, computed from the key, and an engine that folds nothing
CREATE TABLE t (k String, day Date, m UInt8 MATERIALIZED length(k) % 7) ENGINE = ReplacingMergeTree PARTITION BY (toYYYYMM(day), m) ORDER BY (day, k);
CREATE TABLE p (k String, day Date) ENGINE = MergeTree PARTITION BY day ORDER BY k;
