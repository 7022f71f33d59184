-- bad: a session, a visitor, a UUID
CREATE TABLE t (k String, session_id LowCardinality(String), VisitorId LowCardinality(String), row_uuid LowCardinality(UUID)) ENGINE = MergeTree ORDER BY k;
-- good: ids of which there are few
CREATE TABLE t (k String, source_rule_id LowCardinality(String), campaign_id LowCardinality(String), tenant_id LowCardinality(String), session_id String, country LowCardinality(String)) ENGINE = MergeTree ORDER BY k;
