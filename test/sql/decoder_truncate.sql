-- TRUNCATE of one table and of several, with its options.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(4);
CREATE TABLE parent (id serial PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY REFERENCES parent);
CREATE TABLE hidden (id int REFERENCES parent);
CREATE PUBLICATION decoder FOR TABLE parent, child;
SELECT pg_temp.open();
TRUNCATE child;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['truncate public.child'], 'one table');
TRUNCATE parent RESTART IDENTITY CASCADE;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['truncate public.child, public.parent cascade restart'],
  'several tables in one record, without those that are not published');
TRUNCATE hidden;
ALTER PUBLICATION decoder SET (publish = 'insert, update, delete');
TRUNCATE child;
SELECT is_empty('SELECT pg_temp.records()', 'truncates that are not published');
BEGIN;
ALTER PUBLICATION decoder SET (publish = 'insert, truncate');
INSERT INTO parent VALUES (1);
SAVEPOINT a;
TRUNCATE parent CASCADE;
ROLLBACK TO a;
INSERT INTO child VALUES (1);
COMMIT;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['insert public.parent -> {"id": 1}', 'insert public.child -> {"id": 1}'],
  'a truncate that was rolled back never happened');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE parent, child, hidden;
