\set ECHO none
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(16);
CREATE TABLE facts (id int PRIMARY KEY, n int);
CREATE FUNCTION said(kind text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' | ', name, state, level, problem, remedy), E'\n') FROM anabranch.status AS s WHERE s.kind = said.kind
$$;
SELECT is(said('source'), 'home | never started | warning | no sidecar has run yet | anabranch init, then anabranch run', 'at first there is no sidecar');
SELECT is(said('copy'), NULL, 'and no copy');
SELECT define('sums', 'facts', '{n}', '{id}') IS NULL AS ignore \gset
INSERT INTO anabranch.source (name, system_identifier, timeline, slot, publication, token, lsn) VALUES ('home', '1', 1, 'no_such_slot', 'anabranch', 1, '0/10');
INSERT INTO anabranch.heartbeat (source, seen_at) VALUES ('home', clock_timestamp());
SELECT is(said('source'), 'home | running | critical | replication slot "no_such_slot" does not exist | anabranch init', 'a slot may be missing');
UPDATE anabranch.heartbeat SET seen_at = '2026-01-01 00:00:00+00';
SET LOCAL TimeZone = 'UTC';
SELECT alike(said('source'), 'home | stopped | critical | %', 'a sidecar that was not seen for 10 s has stopped');
UPDATE anabranch.heartbeat SET seen_at = clock_timestamp();

SELECT is(said('copy'), 'sums | live | ok', 'of a live copy there is nothing to say');
UPDATE anabranch.progress SET state = 'waiting';
SELECT is(said('copy'), 'sums | waiting | ok | waits to be filled', 'of others there is what they do');
UPDATE anabranch.progress SET state = 'filling', fill_rows = 250, fill_rows_total = 1000, fill_started_at = clock_timestamp() - interval '10.5 s';
SELECT matches(said('copy'), '^sums \| filling \| ok \| 250 of about 1000 rows, 00:00:3[0-9] left$', 'with what is left of it');
UPDATE anabranch.progress SET fill_rows = 1001;
SELECT is((SELECT fill_rows_total FROM anabranch.copies), 1001::bigint, 'an estimate is never less than what is there');
UPDATE anabranch.progress SET state = 'catching_up';
SELECT is(said('copy'), 'sums | catching_up | ok | applies what was written during the fill', 'and what comes after');
UPDATE anabranch.progress SET state = 'paused';
UPDATE anabranch.definition SET requested = 'pause';
SELECT is(said('copy'), 'sums | paused | warning | paused on request | SELECT anabranch.resume(''sums'')', 'a paused copy can go on');
UPDATE anabranch.progress SET state = 'failed', sqlstate = '22012', reason = 'division by zero';
SELECT is(said('copy'), 'sums | failed | critical | 22012: division by zero | SELECT anabranch.resume(''sums'')', 'a failed one says why');
CREATE ROLE poor;
ALTER VIEW sums OWNER TO poor;
UPDATE anabranch.progress SET state = 'live', sqlstate = NULL, reason = NULL;
SELECT alike(said('copy'), 'sums | live | critical | role poor may not read every column it needs of table %facts | %', 'a right that is missing shows');
GRANT SELECT ON facts TO poor;
DELETE FROM anabranch.progress;
SELECT is(said('copy'), 'sums | unbound | critical | restored from a dump and not filled since | SELECT anabranch.resume(''sums'')', 'a restored copy is to be filled');
INSERT INTO anabranch.progress (copy, state, lsn) VALUES ('sums', 'live', '0/5');
SELECT is((SELECT lsn FROM anabranch.copies), '0/10'::pg_lsn, 'a live copy is where the source is');
SELECT define('zero', 'facts', '{n}', '{id}') IS NULL AS ignore \gset
UPDATE anabranch.progress SET state = 'stale', reason = 'because' WHERE copy = 'sums'::regclass;
SELECT is((SELECT string_agg(name, ' ') FROM anabranch.status WHERE kind = 'copy'), 'zero sums', 'the worst stands last');
SELECT is((SELECT holder FROM anabranch.snapshot_holder()), NULL, 'a snapshot is nobody''s fault in its first minute');
SELECT * FROM finish();
ROLLBACK;
