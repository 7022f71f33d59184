CREATE VIEW sources
(
    `source` String COMMENT 'The source of the sessions\' first events',
    `medium` String COMMENT 'Their medium; empty with breakdown = source',
    `sessions` UInt64 COMMENT 'Sessions that started in the range: rows of the sessions view',
    `events` UInt64 COMMENT 'All events of these sessions, of whatever time',
    `uniques` UInt64 COMMENT 'Distinct anonymous_id',
    `paid_share` Float64 COMMENT 'The share of the events that belongs to sessions with entry medium paid, 0 to 1'
)
COMMENT 'What brought people in: sessions of a project that started from `from` (inclusive) to `to` (exclusive), by source and medium, or by source alone (breakdown = source; medium is then empty). Credit goes by the first event'
AS WITH
    {from:DateTime64(3, 'UTC')} AS range_start,
    {to:DateTime64(3, 'UTC')} AS range_end
SELECT
    tupleElement(entry, 'source') AS source,
    if({breakdown:Enum8('source_medium' = 1, 'source' = 2)} = 'source', '', tupleElement(entry, 'medium')) AS medium,
    count() AS sessions,
    sum(event_count) AS events,
    uniqExact(anonymous_id) AS uniques,
    sumIf(event_count, tupleElement(entry, 'medium') = 'paid') / sum(event_count) AS paid_share
FROM
(
    SELECT
        s.anonymous_id AS anonymous_id,
        s.started_at AS started_at,
        s.event_count AS event_count,
        s.entry AS entry
    FROM sessions_v1 AS s
    FINAL
    WHERE (s.project_id = {project:String}) AND ((s.day >= toDate32(range_start, 'UTC')) AND (s.day <= toDate32(range_end - toIntervalMillisecond(1), 'UTC')))
    UNION ALL
    SELECT
        s.anonymous_id AS anonymous_id,
        s.started_at AS started_at,
        s.event_count AS event_count,
        s.entry AS entry
    FROM sessions_v1 AS s
    FINAL
    WHERE (s.project_id = {project:String}) AND (NOT ((s.day >= toDate32(range_start, 'UTC')) AND (s.day <= toDate32(range_end - toIntervalMillisecond(1), 'UTC')))) AND ((s.day, s.session_id, s.anonymous_id) IN (
        SELECT
            d.id_day,
            d.session_id,
            d.anonymous_id
        FROM session_days_v1 AS d
        WHERE (d.project_id = {project:String}) AND ((d.day >= toDate32(range_start, 'UTC')) AND (d.day <= toDate32(range_end - toIntervalMillisecond(1), 'UTC')))
    ))
)
WHERE (started_at >= range_start) AND (started_at < range_end)
GROUP BY
    source,
    medium;
