CREATE TABLE events
(
    `project_id` String COMMENT 'The tenant, and the only boundary between tenants',
    `event_id` String COMMENT 'The id of the event: the client\'s, or the API\'s where the client sends none; the same id sent twice is two rows' CODEC(ZSTD(1)),
    `timestamp` DateTime64(3, 'UTC') COMMENT 'When it happened, by the client\'s clock; may lie long before received_at' CODEC(Delta(8), ZSTD(1)),
    `event_name` LowCardinality(String) COMMENT 'What happened; names with $ are the system\'s: $pageview, $identify',
    `anonymous_id` String COMMENT 'The visitor, as the client\'s device knows it' CODEC(ZSTD(1)),
    `user_id` Nullable(String) COMMENT 'The person, once /v1/identify has named one; NULL until then, and an empty one counts as NULL' CODEC(ZSTD(1)),
    `session_id` String DEFAULT concat(anonymous_id, '-', toString(intDiv(toUnixTimestamp64Milli(timestamp) - positiveModulo(toUnixTimestamp64Milli(timestamp), 1800000), 1800000))) COMMENT 'The session: sent by the client, or <anonymous_id>-<half hours since 1970>, so that live and replayed events get the same' CODEC(ZSTD(1)),
    `source` LowCardinality(String) COMMENT 'Where this event came from, by the classifier: facebook, google, direct, a host',
    `medium` LowCardinality(String) COMMENT 'How it came, by the classifier: paid, organic, social, email, referral, direct',
    `campaign` LowCardinality(String) COMMENT 'utm_campaign; empty: none',
    `source_confidence` LowCardinality(String) COMMENT 'How sure the classifier is: low, medium, high',
    `source_rule_id` LowCardinality(String) COMMENT 'The classifier\'s rule that fired',
    `referrer` String COMMENT 'The page that linked here; empty: none' CODEC(ZSTD(1)),
    `url` String COMMENT 'The full address; empty for events that no page sent' CODEC(ZSTD(1)),
    `path` String COMMENT 'The path of url; empty for events that no page sent' CODEC(ZSTD(1)),
    `country` LowCardinality(String) COMMENT 'ISO 3166 country code of the visitor; empty: unknown',
    `device_type` LowCardinality(String) COMMENT 'mobile, tablet or desktop',
    `browser` LowCardinality(String) COMMENT 'chrome, firefox, safari, ...; empty: unknown',
    `os` LowCardinality(String) COMMENT 'windows, macos, ios, ...; empty: unknown',
    `ip_hash` String COMMENT 'HMAC of the visitor\'s address with a salt of the day, 16 bytes in hex' CODEC(ZSTD(1)),
    `properties` String COMMENT 'What else the client sent, as JSON text of up to 8 KB' CODEC(ZSTD(3)),
    `received_at` DateTime64(6, 'UTC') MATERIALIZED now64(6) COMMENT 'When ClickHouse took the row: one value for all rows of an INSERT; what a client sends here is not taken' CODEC(Delta(8), ZSTD(1)),
    CONSTRAINT project_id_given CHECK project_id != '',
    CONSTRAINT event_id_given CHECK event_id != '',
    CONSTRAINT anonymous_id_given CHECK anonymous_id != '',
    CONSTRAINT session_id_given CHECK session_id != ''
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(timestamp)
ORDER BY (project_id, timestamp, event_id)
SETTINGS index_granularity = 8192
COMMENT 'Every event that clients sent, one row each, as it came: append-only, nothing is removed for being sent twice';
