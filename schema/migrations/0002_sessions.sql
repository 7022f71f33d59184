-- What brought this person in? One row a session, kept up to date by a trigger on events.

-- migrate:up

CREATE TABLE sessions_v1
(
    project_id     String                                             COMMENT 'The tenant' CODEC(ZSTD(1)),
    -- A function of the key alone, so that the partial rows of a session always meet. Range queries by day go through it.
    day            Date32                                             MATERIALIZED if(startsWith(session_id, concat(anonymous_id, '-'))
                                                                          AND toString(toUInt32OrZero(substring(session_id, length(anonymous_id) + 2))) = substring(session_id, length(anonymous_id) + 2)
                                                                          AND toUInt32OrZero(substring(session_id, length(anonymous_id) + 2)) < 3000000,
                                                                          toDate32(toInt32(intDiv(toUInt32OrZero(substring(session_id, length(anonymous_id) + 2)), 48))), toDate32(0))
                                                                      COMMENT 'The UTC day that a derived session_id names; 1970-01-01 for an id that names none' CODEC(Delta(4), ZSTD(1)),
    session_id     String                                             COMMENT 'The session' CODEC(ZSTD(1)),
    anonymous_id   String                                             COMMENT 'The visitor' CODEC(ZSTD(1)),
    user           SimpleAggregateFunction(max, Tuple(known UInt8, timestamp DateTime64(3, 'UTC'), event_id String, id String))
                                                                      COMMENT 'The last event that carried a user_id, and that id; known = 0: none did' CODEC(ZSTD(1)),
    started_at     SimpleAggregateFunction(min, DateTime64(3, 'UTC')) COMMENT 'The first event''s time' CODEC(Delta(8), ZSTD(1)),
    ended_at       SimpleAggregateFunction(max, DateTime64(3, 'UTC')) COMMENT 'The last event''s time' CODEC(Delta(8), ZSTD(1)),
    event_count    SimpleAggregateFunction(sum, UInt64)               COMMENT 'Events, duplicates included' CODEC(ZSTD(1)),
    pageview_count SimpleAggregateFunction(sum, UInt64)               COMMENT 'Events called $pageview' CODEC(ZSTD(1)),
    -- One value, so that all of it comes from one event; ordered by (timestamp, event_id) and then by the rest, so that there is one
    -- answer whatever the order of arrival.
    entry          SimpleAggregateFunction(min, Tuple(timestamp DateTime64(3, 'UTC'), event_id String, source String, medium String, campaign String,
                       url String, path String, referrer String, country String, device_type String, browser String, os String))
                                                                      COMMENT 'The first event: its time and id, and what it says of where the visitor came from' CODEC(ZSTD(1))
)
ENGINE = AggregatingMergeTree
ORDER BY (project_id, day, session_id, anonymous_id)
SETTINGS index_granularity = 2048
COMMENT 'Partial rows of sessions, as the engine merges them. Read sessions, not this';

CREATE MATERIALIZED VIEW sessions_v1_mv TO sessions_v1
AS SELECT
    e.project_id AS project_id,
    e.session_id AS session_id,
    e.anonymous_id AS anonymous_id,
    max(if(isNull(e.user_id) OR e.user_id = '',
        (toUInt8(0), toDateTime64(0, 3, 'UTC'), '', ''),
        (toUInt8(1), e.timestamp, e.event_id, assumeNotNull(e.user_id)))) AS user,
    -- Of numbers: in a GROUP BY that it has compiled, ClickHouse 26.7 takes a time before 1970 for the latest of all.
    fromUnixTimestamp64Milli(min(toUnixTimestamp64Milli(e.timestamp)), 'UTC') AS started_at,
    fromUnixTimestamp64Milli(max(toUnixTimestamp64Milli(e.timestamp)), 'UTC') AS ended_at,
    count() AS event_count,
    countIf(e.event_name = '$pageview') AS pageview_count,
    min((e.timestamp, e.event_id, toString(e.source), toString(e.medium), toString(e.campaign), e.url, e.path, e.referrer,
        toString(e.country), toString(e.device_type), toString(e.browser), toString(e.os))) AS entry
FROM events AS e
GROUP BY
    e.project_id,
    e.session_id,
    e.anonymous_id
COMMENT 'Keeps sessions_v1: one partial row for each session of each block that is inserted into events';

CREATE TABLE session_days_v1
(
    project_id   String COMMENT 'The tenant' CODEC(ZSTD(1)),
    day          Date32 COMMENT 'A UTC day on which the session has events' CODEC(Delta(4), ZSTD(1)),
    session_id   String COMMENT 'The session' CODEC(ZSTD(1)),
    anonymous_id String COMMENT 'The visitor' CODEC(ZSTD(1)),
    id_day       Date32 COMMENT 'sessions_v1.day of this session: another day, or 1970-01-01' CODEC(Delta(4), ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (project_id, day, session_id, anonymous_id)
SETTINGS index_granularity = 1024
COMMENT 'The days of sessions whose id does not name them: ids that a client sent, and ids that name another day';

CREATE MATERIALIZED VIEW session_days_v1_mv TO session_days_v1
AS SELECT
    e.project_id AS project_id,
    toDate32(e.timestamp, 'UTC') AS day,
    e.session_id AS session_id,
    e.anonymous_id AS anonymous_id,
    if(startsWith(e.session_id, concat(e.anonymous_id, '-'))
        AND toString(toUInt32OrZero(substring(e.session_id, length(e.anonymous_id) + 2))) = substring(e.session_id, length(e.anonymous_id) + 2)
        AND toUInt32OrZero(substring(e.session_id, length(e.anonymous_id) + 2)) < 3000000,
        toDate32(toInt32(intDiv(toUInt32OrZero(substring(e.session_id, length(e.anonymous_id) + 2)), 48))), toDate32(0)) AS id_day
FROM events AS e
WHERE day != id_day
GROUP BY
    project_id,
    day,
    session_id,
    anonymous_id,
    id_day
COMMENT 'Keeps session_days_v1: a row for each day that a session''s id does not name';

CREATE VIEW sessions
(
    session_id      String               COMMENT 'The session',
    anonymous_id    String               COMMENT 'The visitor; one session_id with two visitors is two rows',
    project_id      String               COMMENT 'The tenant; the same session_id in two projects is two rows',
    user_id         Nullable(String)     COMMENT 'The person: the user_id of the last event that carried one; NULL if none did',
    started_at      DateTime64(3, 'UTC') COMMENT 'The first event''s time',
    ended_at        DateTime64(3, 'UTC') COMMENT 'The last event''s time',
    duration_s      Int64                COMMENT 'Whole seconds from the first event to the last; 0 for a single event',
    event_count     UInt64               COMMENT 'All events of the session, of every name, duplicates included',
    pageview_count  UInt64               COMMENT 'Its events called $pageview',
    entry_source    String               COMMENT 'What brought the visitor in: the source of the first event',
    entry_medium    String               COMMENT 'The medium of the first event',
    entry_campaign  String               COMMENT 'The campaign of the first event; empty: it had none, whatever later ones have',
    entry_url       String               COMMENT 'The url of the first event',
    entry_path      String               COMMENT 'The path of the first event',
    entry_referrer  String               COMMENT 'The referrer of the first event',
    country         String               COMMENT 'The country of the first event',
    device_type     String               COMMENT 'The device_type of the first event',
    browser         String               COMMENT 'The browser of the first event',
    os              String               COMMENT 'The os of the first event'
)
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
FROM sessions_v1 AS s FINAL
COMMENT 'What brought this person in: one row for each (project_id, session_id, anonymous_id), right at every moment, without FINAL or OPTIMIZE';

-- migrate:down

DROP VIEW sessions;
DROP VIEW session_days_v1_mv;
DROP TABLE session_days_v1;
DROP VIEW sessions_v1_mv;
DROP TABLE sessions_v1;
