-- Begin, commit, count and checksum; empty, rolled back and unselected transactions leave nothing.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(10);
CREATE TABLE item (id int PRIMARY KEY);
CREATE TABLE other (id int PRIMARY KEY);
CREATE UNLOGGED TABLE unlogged_item (id int PRIMARY KEY);
CREATE PUBLICATION decoder FOR TABLE item;
SELECT pg_temp.open();

BEGIN; INSERT INTO item VALUES (1); ROLLBACK;
BEGIN; COMMIT;
INSERT INTO other VALUES (1);
INSERT INTO unlogged_item VALUES (1);
CREATE TEMP TABLE scratch AS SELECT 1;
ANALYZE item;
SELECT is_empty('SELECT pg_temp.records()', 'nothing to tell, nothing sent');

BEGIN;
SELECT pg_current_xact_id()::text AS xid \gset
INSERT INTO item VALUES (1), (2);
INSERT INTO other VALUES (2);
DELETE FROM item WHERE id = 1;
COMMIT;
SELECT pg_current_wal_insert_lsn() AS after_commit \gset
CREATE TEMP TABLE told AS SELECT * FROM pg_temp.records();
SELECT results_eq($$SELECT record->>'kind' FROM told ORDER BY number$$,
  ARRAY['begin', 'relation', 'insert', 'insert', 'delete', 'commit'], 'begin comes first and commit last');
SELECT is(record->>'xid', :'xid', 'begin has the 64-bit number of the transaction') FROM told WHERE record->>'kind' = 'begin';
SELECT is((record->>'format')::int, 1, 'begin has the format') FROM told WHERE record->>'kind' = 'begin';
SELECT is((record->>'commit_time')::timestamptz, pg_xact_commit_timestamp(:'xid'::xid), 'begin has the time of the commit')
  FROM told WHERE record->>'kind' = 'begin' AND current_setting('track_commit_timestamp')::bool
UNION ALL
SELECT ok((record->>'commit_time')::timestamptz BETWEEN now() - interval '1 min' AND clock_timestamp(), 'begin has the time of the commit')
  FROM told WHERE record->>'kind' = 'begin' AND NOT current_setting('track_commit_timestamp')::bool;
SELECT is((record->>'changes')::int, 3, 'commit counts the changes that were sent') FROM told WHERE record->>'kind' = 'commit';
SELECT ok((record->>'end_lsn')::pg_lsn <= :'after_commit'::pg_lsn AND (record->>'end_lsn')::pg_lsn >
    (SELECT (record->>'commit_lsn')::pg_lsn FROM told WHERE record->>'kind' = 'begin'), 'commit has the end of its own record')
  FROM told WHERE record->>'kind' = 'commit';
SELECT is((SELECT record->>'end_lsn' FROM told WHERE record->>'kind' = 'begin'),
  (SELECT record->>'end_lsn' FROM told WHERE record->>'kind' = 'commit'), 'begin says already where the transaction ends');

BEGIN;
INSERT INTO item VALUES (10);
SAVEPOINT a;
INSERT INTO item VALUES (11);
SAVEPOINT b;
INSERT INTO item VALUES (12);
RELEASE b;
ROLLBACK TO a;
INSERT INTO item VALUES (13);
RELEASE a;
SAVEPOINT c;
UPDATE item SET id = 14 WHERE id = 10;
COMMIT;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['insert public.item -> {"id": 10}', 'insert public.item -> {"id": 13}',
  'update public.item key {"id": 10} -> {"id": 14}'], 'what was rolled back to a savepoint never happened');

-- Large enough for several frames and for spilling to disk, with a subtransaction every hundred rows.
SET logical_decoding_work_mem = '64kB';
DO $$
BEGIN
  FOR block IN 1..100 LOOP
    BEGIN
      INSERT INTO item SELECT block * 1000 + i FROM generate_series(1, 100) AS i;
      IF block % 10 = 0 THEN RAISE division_by_zero; END IF;
    EXCEPTION WHEN division_by_zero THEN NULL;
    END;
  END LOOP;
END $$;
SELECT results_eq($$
  SELECT count(*), count(*) FILTER (WHERE record->>'kind' = 'insert'), max((record->>'changes')::int) FROM pg_temp.records()$$,
  $$VALUES (9003::bigint, 9000::bigint, 9000)$$, 'a transaction that was spilled to disk is whole');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE item, other, unlogged_item;
