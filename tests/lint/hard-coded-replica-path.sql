-- bad: a path
CREATE TABLE t (k String) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/t', '{replica}') ORDER BY k;
-- good: the default, or one with the UUID
CREATE TABLE t (k String) ENGINE = ReplicatedMergeTree ORDER BY k;
CREATE TABLE u (k String) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}') ORDER BY k;
CREATE TABLE v (k String, v UInt8) ENGINE = ReplicatedReplacingMergeTree(v) ORDER BY k;
