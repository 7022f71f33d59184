CREATE VIEW sessions
(
    `session_id` String COMMENT 'The session',
    `anonymous_id` String COMMENT 'The visitor; one session_id with two visitors is two rows',
    `project_id` String COMMENT 'The tenant; the same session_id in two projects is two rows',
    `user_id` Nullable(String) COMMENT 'The person: the user_id of the last event that carried one; NULL if none did',
    `started_at` DateTime64(3, 'UTC') COMMENT 'The first event\'s time',
    `ended_at` DateTime64(3, 'UTC') COMMENT 'The last event\'s time',
    `duration_s` Int64 COMMENT 'Whole seconds from the first event to the last; 0 for a single event',
    `event_count` UInt64 COMMENT 'All events of the session, of every name, duplicates included',
    `pageview_count` UInt64 COMMENT 'Its events called $pageview',
    `entry_source` String COMMENT 'What brought the visitor in: the source of the first event',
    `entry_medium` String COMMENT 'The medium of the first event',
    `entry_campaign` String COMMENT 'The campaign of the first event; empty: it had none, whatever later ones have',
    `entry_url` String COMMENT 'The url of the first event',
    `entry_path` String COMMENT 'The path of the first event',
    `entry_referrer` String COMMENT 'The referrer of the first event',
    `country` String COMMENT 'The country of the first event',
    `device_type` String COMMENT 'The device_type of the first event',
    `browser` String COMMENT 'The browser of the first event',
    `os` String COMMENT 'The os of the first event'
)
COMMENT 'What brought this person in: one row for each (project_id, session_id, anonymous_id), right at every moment, without FINAL or OPTIMIZE'
AS SELECT
    s.session_id AS session_id,
    s.anonymous_id AS anonymous_id,
    s.project_id AS project_id,
    if(tupleElement(s.user, 'known') = 1, tupleElement(s.user, 'id'), NULL) AS user_id,
    s.started_at AS started_at,
    s.ended_at AS ended_at,
    intDiv(toUnixTimestamp64Milli(s.ended_at) - toUnixTimestamp64Milli(s.started_at), 1000) AS duration_s,
    s.event_count AS event_count,
    s.pageview_count AS pageview_count,
    tupleElement(s.entry, 'source') AS entry_source,
    tupleElement(s.entry, 'medium') AS entry_medium,
    tupleElement(s.entry, 'campaign') AS entry_campaign,
    tupleElement(s.entry, 'url') AS entry_url,
    tupleElement(s.entry, 'path') AS entry_path,
    tupleElement(s.entry, 'referrer') AS entry_referrer,
    tupleElement(s.entry, 'country') AS country,
    tupleElement(s.entry, 'device_type') AS device_type,
    tupleElement(s.entry, 'browser') AS browser,
    tupleElement(s.entry, 'os') AS os
FROM sessions_v1 AS s
FINAL;
