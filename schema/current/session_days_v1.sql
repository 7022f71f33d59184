CREATE TABLE session_days_v1
(
    `project_id` String COMMENT 'The tenant' CODEC(ZSTD(1)),
    `day` Date32 COMMENT 'A UTC day on which the session has events' CODEC(Delta(4), ZSTD(1)),
    `session_id` String COMMENT 'The session' CODEC(ZSTD(1)),
    `anonymous_id` String COMMENT 'The visitor' CODEC(ZSTD(1)),
    `id_day` Date32 COMMENT 'sessions_v1.day of this session: another day, or 1970-01-01' CODEC(Delta(4), ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (project_id, day, session_id, anonymous_id)
SETTINGS index_granularity = 1024
COMMENT 'The days of sessions whose id does not name them: ids that a client sent, and ids that name another day';
