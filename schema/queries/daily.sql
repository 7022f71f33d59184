-- Sessions a day
--
-- The traffic of a project, UTC day by day. A session belongs to the day on which it started; a day without sessions is there too. All
-- sessions of the project are read, whatever the range.
--
-- param project, like p0: the tenant
-- param from, like 2026-05-11: the first day
-- param to, like 2026-05-18: the day behind the last
-- bar sessions

SELECT
    toDate(started_at, 'UTC') AS day,
    count() AS sessions,
    uniqExact(anonymous_id) AS visitors,
    uniqExact(user_id) AS people,
    sum(pageview_count) AS pageviews,
    countIf(entry_medium = 'paid') AS paid_sessions,
    ifNotFinite(round(avg(duration_s), 1), 0) AS seconds
FROM sessions
WHERE project_id = {project:String}
    AND started_at >= toDateTime64({from:Date}, 3, 'UTC')
    AND started_at < toDateTime64({to:Date}, 3, 'UTC')
GROUP BY day
ORDER BY day WITH FILL FROM {from:Date} TO {to:Date}
