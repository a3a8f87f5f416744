\set ECHO none
-- The functions a sidecar calls, without a sidecar. A slot cannot be made in a transaction that has written.
SELECT FROM pg_create_logical_replication_slot('anabranch_batches', 'anabranch_decoder') \gset
SELECT FROM pg_create_logical_replication_slot('anabranch_other', 'test_decoding') \gset
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(57);
CREATE ROLE owner_of_copy;
CREATE TABLE facts (id int PRIMARY KEY, n int);
GRANT SELECT ON facts TO owner_of_copy;
SELECT define('sums', 'facts', '{n}', '{id}') IS NULL AS ignore \gset
ALTER VIEW sums OWNER TO owner_of_copy;

SELECT throws_ok($$SELECT * FROM anabranch.begin_batch('home', 1)$$, 'AN002', 'source "home" has not been started', 'a batch needs a sidecar that was announced');
SELECT throws_ok($$SELECT anabranch.start_sidecar('away', 'anabranch_batches', 'anabranch', 'h', 1, '0')$$, '22023', 'unknown source "away"', 'the only source is home');
SELECT throws_ok($$SELECT anabranch.start_sidecar('home', 'no_such_slot', 'anabranch', 'h', 1, '0')$$, '42704', 'replication slot "no_such_slot" does not exist', 'a slot must exist');
SELECT throws_ok($$SELECT anabranch.start_sidecar('home', 'anabranch_other', 'anabranch', 'h', 1, '0')$$, '42809', NULL, 'and be one of our decoder');
SELECT is((SELECT (token, lsn) FROM anabranch.start_sidecar('home', 'anabranch_batches', 'anabranch', 'h', 1, '0'))::text,
  (SELECT (1::bigint, confirmed_flush_lsn) FROM pg_replication_slots WHERE slot_name = 'anabranch_batches')::text, 'the first starts where the slot is');
SELECT is((SELECT token FROM anabranch.start_sidecar('home', 'anabranch_batches', 'anabranch', 'h', 2, '0')), 2::bigint, 'the next gets a newer token');
SELECT throws_ok($$SELECT * FROM anabranch.begin_batch('home', 1)$$, 'AN001', NULL, 'and fences the first');
SELECT throws_ok($$SELECT anabranch.end_batch('home', 1, '0/1', now(), 1, 1)$$, 'AN001', NULL, 'at the end of a batch as well');
SELECT throws_ok($$SELECT anabranch.heartbeat('home', 1)$$, 'AN001', NULL, 'and in its signs of life');

SELECT is((SELECT snapshot FROM anabranch.begin_batch('home', 2))::text, pg_current_snapshot()::text, 'a batch is told what is visible');
SELECT ok((SELECT flush_lsn FROM anabranch.begin_batch('home', 2)) <= pg_current_wal_insert_lsn(), 'and what is on disk');
SELECT lives_ok($$SELECT anabranch.end_batch('home', 2, 'F/10', '2026-01-01', 3, 40)$$, 'a batch ends');
SELECT is((SELECT (lsn, commit_time, applied_transactions, applied_rows) FROM anabranch.source)::text,
  ('F/10'::pg_lsn, '2026-01-01'::timestamptz, 3::bigint, 40::bigint)::text, 'and has recorded position, time and counts');
SELECT lives_ok($$SELECT anabranch.end_batch('home', 2, 'F/5', NULL, 0, 0)$$, 'a batch may hold nothing');
SELECT is((SELECT (lsn, commit_time, applied_transactions, applied_rows) FROM anabranch.source)::text,
  ('F/10'::pg_lsn, '2026-01-01'::timestamptz, 3::bigint, 40::bigint)::text, 'no position moves back, and the time stays');
SELECT anabranch.heartbeat('home', 2) IS NULL AS ignore \gset
SELECT ok((SELECT mark_lsn <= pg_current_wal_insert_lsn() AND marked_at = seen_at AND passed_at IS NULL FROM anabranch.heartbeat), 'a sign of life marks the end of the WAL');
SELECT marked_at AS first_mark FROM anabranch.heartbeat \gset
UPDATE anabranch.source SET lsn = '0/10';
SELECT anabranch.heartbeat('home', 2) IS NULL AS ignore \gset
SELECT ok((SELECT marked_at = :'first_mark' AND seen_at > marked_at AND passed_at IS NULL FROM anabranch.heartbeat), 'a mark that the stream has not passed stays');
SELECT is((SELECT current_as_of FROM anabranch.sources), '2026-01-01'::timestamptz, 'and tells nothing yet');
UPDATE anabranch.source SET lsn = 'F/10';
SELECT is((SELECT current_as_of FROM anabranch.sources), :'first_mark'::timestamptz, 'when it has been passed it does');
SELECT anabranch.heartbeat('home', 2) IS NULL AS ignore \gset
UPDATE anabranch.heartbeat SET mark_lsn = 'F/20';
SELECT is((SELECT (current_as_of, marked_at > passed_at) FROM anabranch.sources, anabranch.heartbeat)::text, (:'first_mark'::timestamptz, true)::text, 'also while the next one is ahead');
UPDATE anabranch.heartbeat SET mark_lsn = NULL;
SAVEPOINT undone;
SELECT anabranch.end_batch('home', 2, 'F/20', NULL, 1, 1) IS NULL AS ignore \gset
ROLLBACK TO undone;
SELECT lives_ok($$SELECT anabranch.begin_batch('home', 2)$$, 'after a rollback the row is found again');
UPDATE anabranch.source SET applied_rows = 0;
SELECT lives_ok($$SELECT anabranch.end_batch('home', 2, 'F/30', NULL, 0, 7)$$, 'and after somebody else has written it');
SELECT is((SELECT (lsn, applied_rows) FROM anabranch.source)::text, ('F/30'::pg_lsn, 7::bigint)::text, 'with nothing lost');
DO $$
BEGIN
  FOR i IN 1..200 LOOP
    PERFORM anabranch.begin_batch('home', 2);
    PERFORM anabranch.end_batch('home', 2, 'F/30', NULL, 1, 1);
  END LOOP;
END
$$;
SELECT is((SELECT applied_rows FROM anabranch.source), 207::bigint, 'versions of the row that are still there are not mistaken for it');

SELECT is((SELECT string_agg(name || ' ' || state || ' ' || lsn || ' ' || relation_name || ' ' || columns::text || ' ' || key::text || coalesce(problem, ''), ',')
           FROM anabranch.copies_to_apply()), 'public.sums live F/30 public.facts {1,2} {1}', 'a live copy is where the source is');
REVOKE SELECT ON facts FROM owner_of_copy;
SELECT is((SELECT problem FROM anabranch.copies_to_apply()), 'role owner_of_copy may not read every column it needs of table public.facts', 'a right that its owner has lost is told');
GRANT SELECT ON facts TO owner_of_copy;
ALTER TABLE facts ENABLE ROW LEVEL SECURITY;
SELECT is((SELECT problem FROM anabranch.copies_to_apply()), 'row-level security of table public.facts applies to role owner_of_copy', 'and row-level security');
ALTER TABLE facts DISABLE ROW LEVEL SECURITY;

SELECT throws_ok($$SELECT anabranch.set_aside('sums'::regclass, 'happy', NULL, NULL, NULL)$$, '22023', 'a copy cannot be set aside as "happy"', 'a copy is set aside for one of the known reasons');
SELECT lives_ok($$SELECT anabranch.set_aside(1, 'failed', NULL, NULL, NULL)$$, 'one that was dropped meanwhile needs no setting aside');
SELECT anabranch.set_aside('sums'::regclass, 'failed', NULL, '22012', 'division by zero', 'F/40') IS NULL AS ignore \gset
SELECT is((SELECT (state, lsn, sqlstate, reason, failed_lsn) FROM anabranch.progress)::text, '(failed,F/30,22012,"division by zero",F/40)', 'it keeps the position that it had');
SELECT anabranch.set_copy_position('sums'::regclass, 'F/50') IS NULL AS ignore \gset
SELECT anabranch.set_copy_position('sums'::regclass, 'F/45') IS NULL AS ignore \gset
SELECT is((SELECT lsn FROM anabranch.copies_to_apply()), 'F/50'::pg_lsn, 'and moves on alone, never back');
SELECT throws_ok($$SELECT anabranch.set_copy_position(1, 'F/45')$$, '42704', NULL, 'a copy that is not there does not move');
DELETE FROM anabranch.progress;
SELECT is_empty('SELECT * FROM anabranch.copies_to_apply()', 'an unbound copy is not applied');

INSERT INTO anabranch.progress (copy, state, lsn) VALUES ('sums', 'live', '0/1');
UPDATE anabranch.source SET lsn = '0/5';
SELECT is((SELECT lsn FROM anabranch.start_sidecar('home', 'anabranch_batches', 'anabranch', 'h', 3, '0')),
  (SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'anabranch_batches'), 'a slot that has moved on without us is followed');
SELECT alike((SELECT state || ' ' || sqlstate || ' ' || reason FROM anabranch.progress), 'stale AN004 the changes between 0/5 and %/% are lost:%', 'and the copies say what they have lost');
UPDATE anabranch.source SET system_identifier = '1';
SELECT lives_ok($$SELECT anabranch.start_sidecar('home', 'anabranch_batches', 'anabranch', 'h', 3, '0')$$, 'files may come from another cluster');
SELECT is((SELECT state FROM anabranch.copies), 'unbound', 'but no position does');

SELECT throws_ok($$SELECT anabranch.start_sidecar('home', 'anabranch_batches', 'anabranch', 'h', 3, '0', 'paper')$$, '22023', 'unknown log "paper"', 'a log is a slot or Kafka');
UPDATE anabranch.source SET lsn = '0/7';
INSERT INTO anabranch.progress (copy, state, lsn) VALUES ('sums', 'live', '0/1');
SELECT is((SELECT (lsn, log_offset) FROM anabranch.start_sidecar('home', 'no_such_slot', 'anabranch', 'h', 4, '0', 'kafka'))::text, '(0/7,)', 'from Kafka a sidecar goes on where it was, and needs no slot');
SELECT anabranch.end_batch('home', (SELECT token FROM anabranch.source), '0/8', NULL, 1, 1, 41) IS NULL AS ignore \gset
SELECT is((SELECT (lsn, log_offset) FROM anabranch.start_sidecar('home', 'anabranch_batches', 'anabranch', 'h', 4, '0', 'kafka'))::text, '(0/8,41)', 'at the offset that its last batch recorded');
SELECT is((SELECT state FROM anabranch.progress), 'live', 'though the slot has moved on: that is the publisher''s');
UPDATE anabranch.progress SET state = 'stale';
SELECT is((SELECT (lsn, log_offset) FROM anabranch.start_sidecar('home', 'anabranch_batches', 'anabranch', 'h', 4, '0', 'kafka'))::text,
  (SELECT (confirmed_flush_lsn, NULL::bigint) FROM pg_replication_slots WHERE slot_name = 'anabranch_batches')::text, 'without a live copy it begins where the publisher is');
UPDATE anabranch.source SET log_offset = 42;
SELECT is((SELECT (lsn, log_offset) FROM anabranch.start_sidecar('home', 'anabranch_batches', 'anabranch', 'h', 4, '0'))::text,
  (SELECT (confirmed_flush_lsn, NULL::bigint) FROM pg_replication_slots WHERE slot_name = 'anabranch_batches')::text, 'read from the slot, an offset means nothing');
SELECT is((SELECT log_offset FROM anabranch.source), NULL, 'and is forgotten');

-- Servers of another history than the copies have followed.
SELECT is(anabranch.lost_history(1, '0/500', 1, '0/500', NULL), NULL, 'on the same timeline, with its WAL, nothing is lost');
SELECT is(anabranch.lost_history(1, '0/500', 1, '0/400', NULL), 'the copies have changes up to 0/500, and the WAL of this server ends at 0/400: its files are older than they', 'but not where it ends before');
SELECT is(anabranch.lost_history(1, '0/500', 2, '0/900', E'1\t0/500\tno recovery target specified\n'), NULL, 'a server that was promoted has all up to where it left');
SELECT is(anabranch.lost_history(1, '0/500', 2, '0/900', E'1\t0/480\tno recovery target specified\n'),
  'the copies have changes up to 0/500 of timeline 1, which this server left at 0/480: it does not have those between', 'and nothing beyond');
SELECT is(anabranch.lost_history(2, '0/800', 4, '0/A00', E'1\t0/480\tx\n\n2\t0/7FF\tx\n3\t0/900\tbefore 2000-01-01 00:00:00+00\n'),
  'the copies have changes up to 0/800 of timeline 2, which this server left at 0/7FF: it does not have those between', 'over several promotions');
SELECT is(anabranch.lost_history(3, '0/800', 4, '0/A00', E'1\t0/480\tx\n'), 'this server is on timeline 4, which does not come from timeline 3 that the copies have followed', 'it may have come another way');
SELECT is(anabranch.lost_history(2, '0/800', 1, '0/A00', NULL), 'this server is on timeline 1, and the copies have followed timeline 2: its files are older than they', 'or be from before');
SELECT is(anabranch.current_timeline(), (SELECT timeline_id FROM pg_control_checkpoint()), 'the timeline is the one being written');
UPDATE anabranch.progress SET state = 'live';
UPDATE anabranch.source SET lsn = 'F/60';
SELECT is((SELECT lsn FROM anabranch.start_sidecar('home', 'anabranch_batches', 'anabranch', 'h', 4, '0')),
  (SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = 'anabranch_batches'), 'such a server is followed from where its slot is');
SELECT alike((SELECT state || ' ' || reason FROM anabranch.progress), 'stale the copies have changes up to F/60, and the WAL of this server ends at %; fill the copy anew with anabranch.rebuild', 'and the copies say what is wrong');
UPDATE anabranch.progress SET state = 'live';
UPDATE anabranch.source SET timeline = 7;
SELECT ok((SELECT token > 0 FROM anabranch.start_sidecar('home', 'anabranch_batches', 'anabranch', 'h', 4, '0')), 'timelines are compared as well');
SELECT alike((SELECT state || ' ' || reason FROM anabranch.progress), 'stale this server is on timeline 1, and the copies have followed timeline 7:%', 'in either direction');
DELETE FROM anabranch.source;
SELECT ok((SELECT lsn <= pg_current_wal_flush_lsn() FROM anabranch.start_sidecar('home', 'no_such_slot', 'anabranch', 'h', 4, '0', 'kafka')), 'the first of all begins at what is on disk');
SELECT * FROM finish();
ROLLBACK;
SELECT FROM pg_drop_replication_slot('anabranch_batches') \gset
SELECT FROM pg_drop_replication_slot('anabranch_other') \gset
