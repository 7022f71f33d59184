-- Conversion by entry channel
--
-- Of the sessions that each channel brought in, how many reached a goal, whenever in the session that was. Credit goes to the first
-- event, so a signup that a server reports as direct still counts for the advert. All sessions of the project are read, whatever the range.
--
-- param project, like p0: the tenant
-- param from, like 2026-05-11: the first moment of the range, UTC
-- param to, like 2026-05-18: the moment behind its last, UTC
-- param goal = signup: the event_name that counts
-- bar rate

SELECT
    entry_source AS source,
    entry_medium AS medium,
    count() AS sessions,
    countIf((session_id, anonymous_id) IN (
        SELECT session_id, anonymous_id
        FROM events
        WHERE project_id = {project:String}
            AND timestamp >= {from:DateTime64(3, 'UTC')}
            AND event_name = {goal:String}
    )) AS converted,
    round(converted / sessions, 4) AS rate
FROM sessions
WHERE project_id = {project:String}
    AND started_at >= {from:DateTime64(3, 'UTC')}
    AND started_at < {to:DateTime64(3, 'UTC')}
GROUP BY source, medium
ORDER BY rate DESC, sessions DESC, source, medium
