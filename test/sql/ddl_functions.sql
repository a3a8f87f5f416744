\set ECHO none
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(17);

CREATE TABLE facts (id int PRIMARY KEY, n int);
ALTER TABLE facts REPLICA IDENTITY FULL;
CREATE FUNCTION half(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n / 2';
CREATE FUNCTION quarter(n int) RETURNS int IMMUTABLE LANGUAGE sql BEGIN ATOMIC SELECT half(n) / 2; END;
CREATE FUNCTION nearly(a int, b int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT abs(a - b) < 2';
CREATE OPERATOR =~= (FUNCTION = nearly, LEFTARG = int, RIGHTARG = int);
CREATE PUBLICATION anabranch FOR TABLE anabranch.ddl WITH (publish_via_partition_root = true);
SELECT anabranch.create_aggregate_table('halves', 'SELECT half(n) AS h, count(*) AS c FROM facts GROUP BY 1') \g /dev/null
SELECT anabranch.create_aggregate_table('quarters', 'SELECT quarter(n) AS q, count(*) AS c FROM facts GROUP BY 1') \g /dev/null
SELECT anabranch.create_aggregate_table('near', 'SELECT count(*) AS c FROM facts WHERE n =~= 7') \g /dev/null
SELECT anabranch.create_aggregate_table('plain', 'SELECT abs(n) AS a, count(*) AS c FROM facts GROUP BY 1') \g /dev/null
CREATE FUNCTION states() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(copy || ' ' || state || coalesce(': ' || split_part(reason, ';', 1), ''), ', ' ORDER BY copy::text) FROM anabranch.progress
$$;

SELECT is((SELECT string_agg(copy || ' ' || ARRAY(SELECT jsonb_object_keys(functions))::text, ', ' ORDER BY copy::text) FROM anabranch.definition),
  'halves {public.half(integer)}, near {"public.nearly(integer,integer)"}, plain {}, quarters {public.half(integer),public.quarter(integer)}',
  'a definition knows what it calls, behind operators and in bodies that the catalog knows, too');
CREATE OR REPLACE FUNCTION half(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n / 2 + 0';
SELECT is(states(), 'halves waiting, near waiting, plain waiting, quarters waiting', 'before anything was read with it a function may be replaced');
SELECT anabranch.note_functions(copy) FROM anabranch.definition \g /dev/null
UPDATE anabranch.progress SET state = 'live', lsn = '0/1';

CREATE OR REPLACE FUNCTION half(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n / 2 + 0';
ALTER FUNCTION half(int) COST 7;
COMMENT ON FUNCTION half(int) IS 'of a whole';
CREATE FUNCTION half(n bigint) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 0';
CREATE FUNCTION unrelated() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT is(states(), 'halves live, near live, plain live, quarters live', 'the same once more changes nothing, nor does one of other arguments');

SAVEPOINT as_it_was;
CREATE OR REPLACE FUNCTION half(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n / 3';
SELECT is(states(), 'halves stale: function public.half(integer), which its query calls, was replaced, near live, plain live, '
  'quarters stale: function public.half(integer), which its query calls, was replaced', 'another body makes the copies stale at once that were filled with the one before');
SELECT alike((SELECT reason FROM anabranch.progress WHERE copy = 'halves'::regclass), '%; fill the copy anew with anabranch.rebuild', 'and the reason has the remedy');
SELECT is((SELECT remedy FROM anabranch.status WHERE name = 'halves'), 'SELECT anabranch.rebuild(''halves'')', 'as has status');
SELECT anabranch.resume('halves') \g /dev/null
SELECT anabranch.fill_start('halves'::regclass, 'none', '0/1') \g /dev/null
UPDATE anabranch.progress SET state = 'live', lsn = '0/1' WHERE copy = 'halves'::regclass;
CREATE OR REPLACE FUNCTION half(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n / 3';
SELECT alike(states(), 'halves live, %', 'a copy filled anew goes by the new one');
CREATE OR REPLACE FUNCTION half(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n / 2 + 0';
SELECT alike(states(), 'halves stale: %', 'so that the old one is another');
ROLLBACK TO as_it_was;

ALTER FUNCTION half(int) SET work_mem = '1MB';
SELECT alike(states(), 'halves stale: function public.half(integer), which its query calls, was replaced, %', 'settings belong to a function');
ROLLBACK TO as_it_was;
ALTER FUNCTION half(int) RENAME TO halved;
SELECT alike(states(), 'halves stale: function public.half(integer), which its query calls, is gone, %', 'statements call it by its name');
ROLLBACK TO as_it_was;
ALTER ROUTINE half(int) STRICT;
SELECT alike(states(), 'halves stale: function public.half(integer), which its query calls, was replaced, %', 'ALTER ROUTINE is heard as well');
ROLLBACK TO as_it_was;
CREATE OR REPLACE FUNCTION nearly(a int, b int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT a = b';
SELECT is(states(), 'halves live, near stale: function public.nearly(integer,integer), which its query calls, was replaced, plain live, quarters live', 'an operator is its function');
ROLLBACK TO as_it_was;
DROP FUNCTION quarter(int);
SELECT is(states(), 'halves live, near live, plain live, quarters stale: function public.quarter(integer), which its query calls, is gone', 'a function may be dropped');
CREATE FUNCTION quarter(n int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT n / 4';
SELECT alike(states(), '%quarters stale: %', 'and made anew, which is not unnoticed');
ROLLBACK TO as_it_was;
ALTER SCHEMA public RENAME TO moved;
SET search_path = moved, public;
SELECT alike(states(), 'halves stale: function public.half(integer), which its query calls, is gone, %', 'also when its schema is called otherwise');
ROLLBACK TO as_it_was;

SELECT is((SELECT string_agg(copy::text, ' ' ORDER BY copy::text) FROM anabranch.progress WHERE state = 'stale'), NULL, 'nothing of that is left');
-- As by a transaction that did not see the definition.
UPDATE anabranch.definition SET functions = jsonb_set(functions, '{public.half(integer)}', '"another"') WHERE copy = 'halves'::regclass;
INSERT INTO anabranch.source (name, system_identifier, timeline, slot, publication, token, lsn) VALUES ('home', '1', 1, 's', 'anabranch', 1, '0/1');
INSERT INTO anabranch.heartbeat (source, seen_at) VALUES ('home', now());
SELECT anabranch.heartbeat('home', 1) \g /dev/null
SELECT alike(states(), 'halves stale: %', 'what no command of ours has seen, the sidecar does');
SELECT * FROM finish();
ROLLBACK;
