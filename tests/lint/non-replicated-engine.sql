-- bad: a plain one beside a replicated one
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE u (k String) ENGINE = ReplicatedMergeTree('/x/{uuid}', '{replica}') ORDER BY k;
-- good: all plain
CREATE TABLE t (k String) ENGINE = MergeTree ORDER BY k;
CREATE TABLE u (k String) ENGINE = Null;
-- good: all replicated, and engines without parts
CREATE TABLE t (k String) ENGINE = ReplicatedMergeTree ORDER BY k;
CREATE TABLE u (k String) ENGINE = Null;
