-- bad: in the output, in a filter and behind an alias
CREATE TABLE f (k String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), url String)), n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, f.entry.url AS url FROM f FINAL;
CREATE VIEW w AS SELECT k FROM f AS x FINAL WHERE x.entry.url != '';
-- good: tupleElement, and an aggregated tuple
CREATE TABLE f (k String, entry SimpleAggregateFunction(min, Tuple(at DateTime64(3, 'UTC'), url String)), n SimpleAggregateFunction(sum, UInt64), u AggregateFunction(uniq, String)) ENGINE = AggregatingMergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, tupleElement(entry, 'url') AS url, e.at AS at FROM (SELECT k, entry, entry AS e FROM f FINAL);
CREATE VIEW w AS SELECT k, min(f.entry).url AS url FROM f GROUP BY k;
-- good: a tuple that is no aggregate
CREATE TABLE p (k String, entry Tuple(url String)) ENGINE = ReplacingMergeTree ORDER BY k;
CREATE VIEW v AS SELECT k, p.entry.url AS url FROM p FINAL;
