-- First touch of a person
--
-- Which channel brought each person in for the very first time, long before they said who they are: all sessions of all visitors that a
-- person was ever seen as, and of these the earliest. A visitor that two persons share (one device, two logins) counts for both.
--
-- param project, like p0: the tenant
-- param user = '': one person by user_id; empty: everybody
-- param limit = 20: how many persons, those seen first

WITH people AS
(
    SELECT DISTINCT assumeNotNull(user_id) AS person, anonymous_id
    FROM sessions
    WHERE project_id = {project:String}
        AND user_id IS NOT NULL
        AND ({user:String} = '' OR user_id = {user:String})
)
SELECT
    person AS user_id,
    tupleElement(min(s.touch) AS first, 3) AS first_source,
    tupleElement(first, 4) AS first_medium,
    tupleElement(first, 5) AS first_campaign,
    tupleElement(first, 1) AS first_seen,
    dateDiff('day', first_seen, min(if(s.user_id = person, s.started_at, NULL))) AS days_unknown,
    uniqExact(s.anonymous_id) AS visitors,
    count() AS sessions
FROM people AS p
INNER JOIN
(
    SELECT *, (started_at, session_id, entry_source, entry_medium, entry_campaign) AS touch
    FROM sessions
    WHERE project_id = {project:String}
) AS s ON s.anonymous_id = p.anonymous_id
GROUP BY person
ORDER BY first_seen, user_id
LIMIT {limit:UInt64}
