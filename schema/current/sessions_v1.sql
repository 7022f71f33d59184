CREATE TABLE sessions_v1
(
    `project_id` String COMMENT 'The tenant' CODEC(ZSTD(1)),
    `day` Date32 MATERIALIZED if(startsWith(session_id, concat(anonymous_id, '-')) AND (toString(toUInt32OrZero(substring(session_id, length(anonymous_id) + 2))) = substring(session_id, length(anonymous_id) + 2)) AND (toUInt32OrZero(substring(session_id, length(anonymous_id) + 2)) < 3000000), toDate32(toInt32(intDiv(toUInt32OrZero(substring(session_id, length(anonymous_id) + 2)), 48))), toDate32(0)) COMMENT 'The UTC day that a derived session_id names; 1970-01-01 for an id that names none' CODEC(Delta(4), ZSTD(1)),
    `session_id` String COMMENT 'The session' CODEC(ZSTD(1)),
    `anonymous_id` String COMMENT 'The visitor' CODEC(ZSTD(1)),
    `user` SimpleAggregateFunction(max, Tuple(
        known UInt8,
        timestamp DateTime64(3, 'UTC'),
        event_id String,
        id String)) COMMENT 'The last event that carried a user_id, and that id; known = 0: none did' CODEC(ZSTD(1)),
    `started_at` SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'The first event\'s time' CODEC(Delta(8), ZSTD(1)),
    `ended_at` SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'The last event\'s time' CODEC(Delta(8), ZSTD(1)),
    `event_count` SimpleAggregateFunction(sum, UInt64) COMMENT 'Events, duplicates included' CODEC(ZSTD(1)),
    `pageview_count` SimpleAggregateFunction(sum, UInt64) COMMENT 'Events called $pageview' CODEC(ZSTD(1)),
    `entry` SimpleAggregateFunction(min, Tuple(
        timestamp DateTime64(3, 'UTC'),
        event_id String,
        source String,
        medium String,
        campaign String,
        url String,
        path String,
        referrer String,
        country String,
        device_type String,
        browser String,
        os String)) COMMENT 'The first event: its time and id, and what it says of where the visitor came from' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
ORDER BY (project_id, day, session_id, anonymous_id)
SETTINGS index_granularity = 2048
COMMENT 'Partial rows of sessions, as the engine merges them. Read sessions, not this';
