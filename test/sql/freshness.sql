\set ECHO none
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(32);
CREATE ROLE reader;
CREATE ROLE stranger;
CREATE TABLE facts (id int PRIMARY KEY, n int);
SELECT define('sums', 'facts', '{n}', '{id}') IS NULL AS ignore \gset
GRANT SELECT ON sums TO reader;
INSERT INTO anabranch.source (name, system_identifier, timeline, slot, publication, token, lsn) VALUES ('home', '1', 1, 's', 'p', 1, '0/10');
INSERT INTO anabranch.heartbeat (source, seen_at) VALUES ('home', clock_timestamp());

SET ROLE stranger;
SELECT throws_ok($$SELECT anabranch.wait_for('sums', '0/1')$$, '42501', 'permission denied for view sums', 'who may not read a copy is told nothing of it');
SELECT throws_ok($$SELECT anabranch.is_fresh('sums', '0/1')$$, '42501', 'permission denied for view sums', 'neither by is_fresh');
SELECT throws_ok($$SELECT anabranch.assert_fresh('sums', '1 s')$$, '42501', 'permission denied for view sums', 'nor by assert_fresh');
SET ROLE reader;
SELECT is(anabranch.is_fresh('sums', '0/10'), true, 'a live copy is where the source is');
SELECT is(anabranch.is_fresh('sums', '0/11'), false, 'and no further');
SELECT is(anabranch.wait_for('sums', '0/10'), '0/10', 'who waits for what is there does not wait');
SELECT throws_ok($$SELECT anabranch.wait_for('sums', '0/20', '20 ms')$$, 'AN007', 'copy public.sums has not reached 0/20 in time', 'a wait has an end');
SELECT throws_ok($$SELECT anabranch.wait_for('sums')$$, '25001', 'this transaction has written, and its changes reach the copy only after it has ended', 'a transaction cannot wait for itself');
SELECT throws_ok($$SELECT anabranch.wait_for('sums', '0/10', NULL)$$, '22004', NULL, 'a wait without an end is refused');
SELECT throws_ok($$SELECT anabranch.wait_for('sums', '0/10', '-1 s')$$, '22023', 'timeout must not be negative', 'as is one that ends before it begins');
SELECT throws_ok($$SELECT anabranch.assert_fresh('sums', NULL)$$, '22004', 'copy and bound must not be null', 'a check that NULL passes would be none');
SELECT throws_ok($$SELECT anabranch.assert_fresh('sums', '-1 s')$$, '22023', 'bound must not be negative', 'and nothing is from the future');
RESET ROLE;
SELECT throws_ok($$SELECT anabranch.wait_for('facts', '0/10')$$, '42809', '"facts" is not a copy made by anabranch', 'a table is no copy');
SELECT throws_ok($$SELECT anabranch.wait_for(1, '0/10')$$, '42P01', NULL, 'nor is what is not there');

SELECT throws_ok($$SELECT anabranch.assert_fresh('sums', '1 min')$$, 'AN006', 'copy public.sums is older than allowed', 'a copy of unknown age is not fresh');
UPDATE anabranch.source SET commit_time = clock_timestamp() - interval '30 s';
SELECT lives_ok($$SELECT anabranch.assert_fresh('sums', '1 min')$$, 'what was committed after it last moved is at most so old');
SELECT throws_ok($$SELECT anabranch.assert_fresh('sums', '10 ms')$$, 'AN006', NULL, 'which may be too old');
SELECT lives_ok($$SELECT anabranch.assert_fresh('sums', '1000000 years')$$, 'but not too old for a bound beyond the calendar');
UPDATE anabranch.heartbeat SET mark_lsn = '0/10', marked_at = clock_timestamp();
SELECT lives_ok($$SELECT anabranch.assert_fresh('sums', '1 s')$$, 'a stream that has passed the last mark is as young as that');
UPDATE anabranch.heartbeat SET mark_lsn = '0/11';
SELECT throws_ok($$SELECT anabranch.assert_fresh('sums', '10 ms')$$, 'AN006', NULL, 'one that has not is not');
SELECT is((SELECT date_trunc('second', clock_timestamp() - current_as_of) >= interval '29 s' FROM anabranch.sources), true, 'the view sources tells the age');
UPDATE anabranch.heartbeat SET passed_at = clock_timestamp();
SELECT lives_ok($$SELECT anabranch.assert_fresh('sums', '1 s')$$, 'the mark before it still counts');
SELECT is((SELECT current_as_of FROM anabranch.sources), (SELECT passed_at FROM anabranch.heartbeat), 'in the view as well');
UPDATE anabranch.heartbeat SET passed_at = NULL;

UPDATE anabranch.progress SET state = 'failed', reason = 'division by zero';
SELECT throws_ok($$SELECT anabranch.wait_for('sums', '0/10')$$, 'AN002', 'copy public.sums is failed', 'nobody waits for a copy that stands still');
UPDATE anabranch.progress SET state = 'stale';
SELECT throws_ok($$SELECT anabranch.wait_for('sums', '0/10')$$, 'AN004', 'copy public.sums is stale', 'a stale one says so');
UPDATE anabranch.progress SET state = 'paused';
SELECT throws_ok($$SELECT anabranch.wait_for('sums', '0/20', '20 ms')$$, 'AN007', NULL, 'a copy that is to go on is waited for');
UPDATE anabranch.definition SET requested = 'pause';
SELECT throws_ok($$SELECT anabranch.wait_for('sums', '0/10')$$, 'AN002', 'copy public.sums is paused', 'one that is to stand still is not');
SELECT throws_ok($$SELECT anabranch.assert_fresh('sums', '1 h')$$, 'AN006', NULL, 'nor is it fresh');
SELECT is(anabranch.is_fresh('sums', '0/1'), false, 'at whatever position');
DELETE FROM anabranch.progress;
SELECT throws_ok($$SELECT anabranch.wait_for('sums', '0/10')$$, 'AN002', 'copy public.sums is unbound', 'an unbound copy stands still as well');
COMMIT;

-- Elsewhere a sidecar is at work; here it is another session.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT throws_ok($$SELECT anabranch.wait_for('sums')$$, '25001', 'wait_for needs isolation level READ COMMITTED', 'a transaction that keeps its snapshot would not see what it waits for');
COMMIT;
UPDATE anabranch.definition SET requested = 'run';
INSERT INTO anabranch.progress (copy, state, lsn) VALUES ('sums', 'catching_up', '0/1');
\setenv PGDATABASE :DBNAME
\! (sleep 0.3; psql -Xqc "UPDATE anabranch.source SET lsn = pg_current_wal_insert_lsn()" -c "UPDATE anabranch.progress SET state = 'live'") &
SELECT ok(anabranch.wait_for('sums', NULL, '20 s') > '0/20', 'a wait ends when everything that was committed is there');
SELECT * FROM finish();
DROP PUBLICATION anabranch;
DROP VIEW sums;
DROP TABLE facts, recorded CASCADE;
DROP FUNCTION define, record, take_recorded CASCADE;
DELETE FROM anabranch.source;
DROP ROLE reader, stranger;
