-- Visitors who come back
--
-- How many visitors had one session in the range, two, three, and so on. The half hour that a derived session_id stands for cuts a visit
-- that goes on in two; gap leaves out sessions that begin so soon after the last one ended. All sessions of the project are read, whatever
-- the range.
--
-- param project, like p0: the tenant
-- param from, like 2026-05-11: the first moment of the range, UTC
-- param to, like 2026-05-18: the moment behind its last, UTC
-- param gap = 1800: seconds of silence before a session counts as another visit; 0 counts every session
-- bar visitors

WITH
    visits AS
    (
        SELECT
            anonymous_id,
            row_number() OVER visitor = 1
                OR dateDiff('second', max(ended_at) OVER (visitor ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), started_at)
                    >= {gap:UInt32} AS begins
        FROM sessions
        WHERE project_id = {project:String}
            AND started_at >= {from:DateTime64(3, 'UTC')}
            AND started_at < {to:DateTime64(3, 'UTC')}
        WINDOW visitor AS (PARTITION BY anonymous_id ORDER BY started_at, session_id)
    ),
    visitors AS
    (
        SELECT anonymous_id, countIf(begins) AS visits, count() AS sessions
        FROM visits
        GROUP BY anonymous_id
    )
SELECT
    visits,
    count() AS visitors,
    round(visitors / sum(count()) OVER (), 4) AS share,
    sum(sessions) AS sessions
FROM visitors
GROUP BY visits
ORDER BY visits
