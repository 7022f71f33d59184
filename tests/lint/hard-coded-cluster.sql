-- bad: a table, an ALTER
CREATE TABLE t ON CLUSTER 'c-1' (k String) ENGINE = MergeTree ORDER BY k;
ALTER TABLE t ON CLUSTER 'c-1' ADD COLUMN x UInt8;
-- good: none
CREATE TABLE t (k String, cluster String) ENGINE = MergeTree ORDER BY k COMMENT 'ON CLUSTER x';
