\set ECHO none
-- A slot cannot be made in a transaction that has written.
SELECT FROM pg_create_logical_replication_slot('anabranch_status', 'anabranch_decoder') \gset
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(30);
CREATE TABLE facts (id int PRIMARY KEY, n int);
CREATE FUNCTION said(kind text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' | ', name, state, level, problem, remedy), E'\n') FROM anabranch.status AS s WHERE s.kind = said.kind
$$;
SELECT is(said('source'), 'home | never started | warning | no sidecar has run yet | anabranch init, then anabranch run', 'at first there is no sidecar');
SELECT is(said('copy'), NULL, 'and no copy');
SELECT define('sums', 'facts', '{n}', '{id}') IS NULL AS ignore \gset
INSERT INTO anabranch.source (name, system_identifier, timeline, slot, publication, token, lsn) VALUES ('home', '1', 1, 'no_such_slot', 'anabranch', 1, '0/10');
INSERT INTO anabranch.heartbeat (source, seen_at) VALUES ('home', clock_timestamp());
SELECT is(said('source'), 'home | running | critical | replication slot "no_such_slot" does not exist: changes made since it went are lost to the copies'
  ' | anabranch init, then anabranch run; it names the copies to fill anew', 'a slot may be missing');
UPDATE anabranch.heartbeat SET seen_at = '2026-01-01 00:00:00+00';
SET LOCAL TimeZone = 'UTC';
SELECT alike(said('source'), 'home | stopped | critical | %', 'a sidecar that was not seen for 10 s has stopped');
SELECT is((SELECT string_agg(level || ' ' || subject, ', ') FROM anabranch.findings WHERE kind = 'source' AND level <> 'ok'), 'critical sidecar, critical slot', 'every finding is told, not the worst alone');
UPDATE anabranch.heartbeat SET seen_at = clock_timestamp();
UPDATE anabranch.source SET slot = 'anabranch_status', lsn = pg_current_wal_lsn(), commit_time = clock_timestamp() - interval '5.5 s';
SELECT is(said('source'), 'home | running | warning | the sidecar does not read its slot | see the sidecar''s log', 'a slot may be there and not read');
SELECT is((SELECT lag FROM anabranch.sources), interval '0', 'little WAL is no lag');
UPDATE anabranch.source SET commit_time = clock_timestamp() - interval '45.5 s';
SELECT ok((SELECT lag >= interval '45 s' FROM anabranch.sources), 'unless it stays');
UPDATE anabranch.heartbeat SET waiting = 'transaction 7 is committed and not visible yet, for 40 s';
SELECT is((SELECT concat_ws(' | ', level, problem, remedy) FROM anabranch.findings WHERE subject = 'sidecar' AND problem ~ 'waits'),
  'warning | the sidecar waits: transaction 7 is committed and not visible yet, for 40 s | bring the synchronous standby back, or take it out of synchronous_standby_names and reload',
  'and what the sidecar waits for is told');
UPDATE anabranch.heartbeat SET waiting = NULL;
UPDATE anabranch.source SET lsn = pg_current_wal_lsn() - 2 * 1048576;
SELECT is((SELECT level FROM anabranch.findings WHERE subject = 'lag'), 'warning', 'much of it is');
SELECT matches((SELECT problem FROM anabranch.findings WHERE subject = 'lag'), '^live copies are 00:00:4[5-9] behind \([0-9]+ [kM]B of WAL\)$', 'in time and in WAL');
SELECT is((SELECT (level, problem) FROM anabranch.findings WHERE subject = 'slot')::text,
  (SELECT ('critical', format('replication slot "anabranch_status" is confirmed to %s, beyond what has been applied (%s): changes are lost to the copies', k.confirmed_flush_lsn, s.lsn))
   FROM pg_replication_slots AS k, anabranch.source AS s WHERE k.slot_name = s.slot)::text, 'a slot may have been moved past what is applied');
UPDATE anabranch.source SET commit_time = clock_timestamp() - interval '29 s';
SELECT is((SELECT level FROM anabranch.findings WHERE subject = 'lag'), NULL, 'half a minute is allowed');
UPDATE anabranch.source SET commit_time = clock_timestamp() - interval '10 min';
SELECT is((SELECT level FROM anabranch.findings WHERE subject = 'lag'), 'critical', 'ten minutes are too long');
UPDATE anabranch.source SET commit_time = NULL;
SELECT is((SELECT lag FROM anabranch.sources), NULL, 'before anything was applied nothing is known');
UPDATE anabranch.source SET lsn = '0/10';

SELECT is(said('copy'), 'sums | live | ok', 'of a live copy there is nothing to say');
UPDATE anabranch.progress SET state = 'waiting';
SELECT is(said('copy'), 'sums | waiting | ok | waits to be filled', 'of others there is what they do');
UPDATE anabranch.progress SET state = 'filling', fill_rows = 250, fill_rows_total = 1000, fill_started_at = clock_timestamp() - interval '10.5 s';
SELECT matches(said('copy'), '^sums \| filling \| ok \| 250 of about 1000 rows, 00:00:3[0-9] left$', 'with what is left of it');
UPDATE anabranch.progress SET fill_rows = 1001;
SELECT is((SELECT fill_rows_total FROM anabranch.copies), 1001::bigint, 'an estimate is never less than what is there');
UPDATE anabranch.progress SET state = 'catching_up';
SELECT is(said('copy'), 'sums | catching_up | ok | applies what was written during the fill', 'and what comes after');
UPDATE anabranch.progress SET sqlstate = '57014', reason = 'canceling statement';
SELECT is(said('copy'), 'sums | catching_up | ok | applies what was written during the fill', 'a copy that is tried again is no trouble at first');
UPDATE anabranch.progress SET changed_at = '2026-01-01 00:00:00+00';
SELECT alike(said('copy'), 'sums | catching_up | warning | has been tried apart from the others since %2026%: 57014: canceling statement'
  ' | put the cause right; or SELECT anabranch.pause(''sums''), then SELECT anabranch.drop_aggregate_table(''sums'')', 'but after a minute');
UPDATE anabranch.progress SET sqlstate = NULL, reason = NULL, changed_at = now();
UPDATE anabranch.progress SET state = 'paused';
UPDATE anabranch.definition SET requested = 'pause';
SELECT is(said('copy'), 'sums | paused | warning | paused on request | SELECT anabranch.resume(''sums'')', 'a paused copy can go on');
UPDATE anabranch.progress SET state = 'failed', sqlstate = '22012', reason = 'division by zero', failed_lsn = '0/300';
SELECT is(said('copy'), 'sums | failed | critical | 22012: division by zero (in the transaction that ends at 0/300) | put the cause right, then SELECT anabranch.rebuild(''sums'')', 'a failed one says why');
CREATE ROLE poor;
ALTER VIEW sums OWNER TO poor;
UPDATE anabranch.progress SET state = 'live', sqlstate = NULL, reason = NULL, failed_lsn = NULL;
SELECT alike(said('copy'), 'sums | live | critical | role poor may not read every column it needs of table %facts | %', 'a right that is missing shows');
GRANT SELECT ON facts TO poor;
DELETE FROM anabranch.progress;
SELECT is(said('copy'), 'sums | unbound | critical | restored from a dump and not filled since | SELECT anabranch.resume(''sums'')', 'a restored copy is to be filled');
INSERT INTO anabranch.progress (copy, state, lsn) VALUES ('sums', 'live', '0/5');
SELECT is((SELECT lsn FROM anabranch.copies), '0/10'::pg_lsn, 'a live copy is where the source is');
SELECT define('zero', 'facts', '{n}', '{id}') IS NULL AS ignore \gset
UPDATE anabranch.progress SET state = 'stale', reason = 'because' WHERE copy = 'sums'::regclass;
SELECT is((SELECT string_agg(name, ' ') FROM anabranch.status WHERE kind = 'copy'), 'zero sums', 'the worst stands last');
SELECT is((SELECT string_agg(subject || ' ' || level, ' ') FROM anabranch.findings WHERE kind = 'copy'), 'zero ok sums critical', 'also of the findings');
SELECT is((SELECT holder FROM anabranch.snapshot_holder()), NULL, 'a snapshot is nobody''s fault in its first minute');
SELECT * FROM finish();
ROLLBACK;
SELECT FROM pg_drop_replication_slot('anabranch_status') \gset
