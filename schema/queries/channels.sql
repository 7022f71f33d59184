-- Channels
--
-- What brought people in: the sessions that started in the range, by the source and medium of their first event. Facebook paid and
-- Facebook social stand on separate rows; with breakdown = source they are one, and its paid_share says how much of it was paid for.
--
-- param project, like p0: the tenant
-- param from, like 2026-05-11: the first moment of the range, UTC
-- param to, like 2026-05-18: the moment behind its last, UTC
-- param breakdown = source_medium: source_medium, or source alone
-- bar sessions

SELECT
    source,
    medium,
    sessions,
    round(sessions / sum(sessions) OVER (), 4) AS share,
    uniques AS visitors,
    events,
    round(paid_share, 4) AS paid_share
FROM sources(
    project = {project:String},
    `from` = {from:String},
    `to` = {to:String},
    breakdown = {breakdown:String})
ORDER BY sessions DESC, source, medium
