\set ECHO none
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(32);
CREATE ROLE owner_of_copy;
CREATE ROLE operator IN ROLE anabranch_operator;
CREATE ROLE stranger;
CREATE TABLE facts (gone int, id int PRIMARY KEY, n int);
GRANT SELECT ON facts TO owner_of_copy;
SELECT define('sums', 'facts', '{n}', '{id}') IS NULL AS ignore \gset
ALTER VIEW sums OWNER TO owner_of_copy;
CREATE FUNCTION wanted() RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT requested || ' ' || state FROM anabranch.copies $$;

SELECT throws_ok(format('SELECT anabranch.%s', call), '22004', 'argument ' || place || ' of anabranch.' || split_part(call, '(', 1) || ' must not be null', call || ' is not passed over')
FROM (VALUES ('pause(NULL)', 1), ('resume(NULL)', 1), ('drop_aggregate_table(NULL)', 1), ($$add_index('sums', NULL)$$, 2), ($$create_aggregate_table('x', NULL)$$, 2)) AS calls (call, place);
SET ROLE stranger;
SELECT throws_ok($$SELECT anabranch.pause('sums')$$, '42501', 'permission denied for copy "sums"', 'a stranger may not pause a copy');
SELECT throws_ok($$SELECT anabranch.resume('sums')$$, '42501', 'permission denied for copy "sums"', 'nor let it go on');
SELECT throws_ok($$SELECT anabranch.drop_aggregate_table('sums')$$, '42501', 'permission denied for copy "sums"', 'nor drop it');
SELECT throws_ok($$SELECT anabranch.add_index('sums', '{n}')$$, '42501', 'permission denied for copy "sums"', 'nor index it');
SELECT throws_ok($$SELECT anabranch.pause('facts')$$, '42809', '"facts" is not a copy made by anabranch', 'what is no copy cannot be paused');
SELECT throws_ok($$SELECT anabranch.pause(1)$$, '42P01', NULL, 'nor what is not there');

SET ROLE owner_of_copy;
SELECT lives_ok($$SELECT anabranch.pause('sums')$$, 'its owner may pause it');
SELECT is(wanted(), 'pause live', 'which is a wish, until the sidecar fulfils it');
SET ROLE operator;
SELECT lives_ok($$SELECT anabranch.resume('sums')$$, 'an operator may let it go on');
SELECT is(wanted(), 'run live', 'before it has even stopped');
RESET ROLE;
UPDATE anabranch.progress SET state = 'paused';
SET ROLE owner_of_copy;
SELECT lives_ok($$SELECT anabranch.resume('sums')$$, 'or afterwards');
SELECT is(wanted(), 'run paused', 'when the sidecar decides whether the log still reaches back to it');

RESET ROLE;
UPDATE anabranch.progress SET state = 'failed', sqlstate = '22012', reason = 'division by zero', lsn = 'F/1';
SELECT anabranch.resume('sums') IS NULL AS ignore \gset
SELECT is((SELECT (state, lsn, sqlstate, reason) FROM anabranch.progress)::text, '(waiting,,,)', 'a failed copy is filled anew');
UPDATE anabranch.progress SET state = 'stale';
ALTER TABLE facts RENAME n TO m;
SELECT throws_ok($$SELECT anabranch.resume('sums')$$, 'AN004', 'copy public.sums cannot be filled: column n of table public.facts was renamed to m', 'a stale copy only if its source is as it was');
SELECT is((SELECT level || ': ' || remedy FROM anabranch.status WHERE kind = 'copy'),
  'critical: undo that and SELECT anabranch.rebuild(''sums''), or give it a query that fits: SELECT anabranch.alter_aggregate_table(''sums'', ...)', 'and status names the remedy');
ALTER TABLE facts RENAME m TO n;
SELECT is((SELECT remedy FROM anabranch.status WHERE kind = 'copy'), 'SELECT anabranch.rebuild(''sums'')', 'which is to fill it, once that is undone');
SELECT lives_ok($$SELECT anabranch.resume('sums')$$, 'so it is filled');
UPDATE anabranch.progress SET state = 'stale';
ALTER TABLE facts DROP CONSTRAINT facts_pkey;
SELECT throws_ok($$SELECT anabranch.resume('sums')$$, 'AN004', 'copy public.sums cannot be filled: table public.facts has lost the key that the copy tells its rows by', 'rows must be told apart');
ALTER TABLE facts ADD PRIMARY KEY (id);
REVOKE SELECT ON facts FROM owner_of_copy;
SELECT throws_ok($$SELECT anabranch.resume('sums')$$, 'AN004', NULL, 'and read by its owner');
GRANT SELECT ON facts TO owner_of_copy;

-- As after pg_restore: no progress, and the columns have closed up.
DELETE FROM anabranch.progress;
UPDATE anabranch.definition_source SET columns = '{1,2}', key = '{1}';
SELECT throws_ok($$SELECT anabranch.pause('sums')$$, 'AN002', 'copy public.sums is unbound: there is nothing to pause', 'an unbound copy cannot be paused');
SELECT lives_ok($$SELECT anabranch.resume('sums')$$, 'an unbound copy is filled');
SELECT is((SELECT (columns, key) FROM anabranch.definition_source)::text, '("{2,3}",{2})', 'and tied to its columns by what they are');
SELECT is((SELECT state FROM anabranch.progress), 'waiting', 'by the sidecar');

SET ROLE owner_of_copy;
CREATE TEMP VIEW above AS SELECT * FROM sums;
SELECT throws_ok($$SELECT anabranch.drop_aggregate_table('sums')$$, '2BP01', NULL, 'a copy that something depends on is not dropped');
DROP VIEW above;
SELECT lives_ok($$SELECT anabranch.drop_aggregate_table('sums')$$, 'a copy is dropped');
RESET ROLE;
SELECT is(concat(to_regclass('sums'), to_regclass('anabranch_data.sums'), (SELECT count(*) FROM anabranch.definition_source)), '0', 'with all that belongs to it');
SELECT is((SELECT count(*)::int FROM pg_class WHERE relname ~ '^shadow_' AND relkind = 'r'), 0, 'also the shadow of its source');
SELECT * FROM finish();
ROLLBACK;
