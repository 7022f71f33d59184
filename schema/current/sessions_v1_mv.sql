CREATE MATERIALIZED VIEW sessions_v1_mv TO sessions_v1
(
    `project_id` String,
    `session_id` String,
    `anonymous_id` String,
    `user` Tuple(
        UInt8,
        DateTime64(3, 'UTC'),
        String,
        String),
    `started_at` DateTime64(3, 'UTC'),
    `ended_at` DateTime64(3, 'UTC'),
    `event_count` UInt64,
    `pageview_count` UInt64,
    `entry` Tuple(
        DateTime64(3, 'UTC'),
        String,
        String,
        String,
        String,
        String,
        String,
        String,
        String,
        String,
        String,
        String)
)
COMMENT 'Keeps sessions_v1: one partial row for each session of each block that is inserted into events'
AS SELECT
    e.project_id AS project_id,
    e.session_id AS session_id,
    e.anonymous_id AS anonymous_id,
    max(if(isNull(e.user_id) OR (e.user_id = ''), (toUInt8(0), toDateTime64(0, 3, 'UTC'), '', ''), (toUInt8(1), e.timestamp, e.event_id, assumeNotNull(e.user_id)))) AS user,
    fromUnixTimestamp64Milli(min(toUnixTimestamp64Milli(e.timestamp)), 'UTC') AS started_at,
    fromUnixTimestamp64Milli(max(toUnixTimestamp64Milli(e.timestamp)), 'UTC') AS ended_at,
    count() AS event_count,
    countIf(e.event_name = '$pageview') AS pageview_count,
    min((e.timestamp, e.event_id, toString(e.source), toString(e.medium), toString(e.campaign), e.url, e.path, e.referrer, toString(e.country), toString(e.device_type), toString(e.browser), toString(e.os))) AS entry
FROM events AS e
GROUP BY
    e.project_id,
    e.session_id,
    e.anonymous_id;
