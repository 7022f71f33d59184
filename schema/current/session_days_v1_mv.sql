CREATE MATERIALIZED VIEW session_days_v1_mv TO session_days_v1
(
    `project_id` String,
    `day` Date32,
    `session_id` String,
    `anonymous_id` String,
    `id_day` Date32
)
COMMENT 'Keeps session_days_v1: a row for each day that a session\'s id does not name'
AS SELECT
    e.project_id AS project_id,
    toDate32(e.timestamp, 'UTC') AS day,
    e.session_id AS session_id,
    e.anonymous_id AS anonymous_id,
    if(startsWith(e.session_id, concat(e.anonymous_id, '-')) AND (toString(toUInt32OrZero(substring(e.session_id, length(e.anonymous_id) + 2))) = substring(e.session_id, length(e.anonymous_id) + 2)) AND (toUInt32OrZero(substring(e.session_id, length(e.anonymous_id) + 2)) < 3000000), toDate32(toInt32(intDiv(toUInt32OrZero(substring(e.session_id, length(e.anonymous_id) + 2)), 48))), toDate32(0)) AS id_day
FROM events AS e
WHERE day != id_day
GROUP BY
    project_id,
    day,
    session_id,
    anonymous_id,
    id_day;
