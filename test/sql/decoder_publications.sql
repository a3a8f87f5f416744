-- Selection: tables, schemas, all tables, operations, several publications, publications that do not exist.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(12);
CREATE SCHEMA shop;
CREATE TABLE a (id int PRIMARY KEY);
CREATE TABLE shop.b (id int PRIMARY KEY);
CREATE TABLE shop.c (id int PRIMARY KEY);
SELECT pg_temp.open();
-- Reads through the publications that are named, in place of the usual one.
CREATE FUNCTION pg_temp.through(publications text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT pg_temp.line(record)
  FROM (SELECT string_agg(data, '') AS frames
        FROM pg_logical_slot_get_binary_changes('decoder', NULL, NULL, 'proto_version', '1', 'publication_names', publications)) AS read,
       anabranch.decode(frames) AS record
  WHERE record->>'kind' NOT IN ('begin', 'commit', 'relation')
$$;
CREATE PROCEDURE pg_temp.write(id int) LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO a VALUES (id);
  INSERT INTO shop.b VALUES (id);
  INSERT INTO shop.c VALUES (id);
  COMMIT;
END $$;

CALL pg_temp.write(1);
SELECT is_empty('SELECT pg_temp.through(''nobody'')', 'a publication that does not exist selects nothing, and is no error');
CREATE PUBLICATION one_table FOR TABLE a;
CREATE PUBLICATION one_schema FOR TABLES IN SCHEMA shop;
CREATE PUBLICATION everything FOR ALL TABLES;
CREATE PUBLICATION "Odd, ""name""" FOR TABLE shop.c;
CREATE PUBLICATION only_deletes FOR TABLE a, shop.b WITH (publish = 'delete');
CALL pg_temp.write(2);
SELECT results_eq('SELECT pg_temp.through(''one_table'')', ARRAY['insert public.a -> {"id": 2}'], 'one table');
CALL pg_temp.write(3);
SELECT results_eq('SELECT pg_temp.through(''one_schema'')', ARRAY['insert shop.b -> {"id": 3}', 'insert shop.c -> {"id": 3}'], 'a schema');
CALL pg_temp.write(4);
SELECT results_eq('SELECT pg_temp.through(''everything'')', ARRAY['insert public.a -> {"id": 4}', 'insert shop.b -> {"id": 4}', 'insert shop.c -> {"id": 4}'], 'all tables');
CALL pg_temp.write(5);
SELECT results_eq('SELECT pg_temp.through(''One_Table, nobody, "Odd, ""name"""'')', ARRAY['insert public.a -> {"id": 5}', 'insert shop.c -> {"id": 5}'],
  'several publications add up; names are identifiers');
CALL pg_temp.write(6);
DELETE FROM shop.b WHERE id = 1;
DELETE FROM a WHERE id = 1;
SELECT results_eq('SELECT pg_temp.through(''only_deletes, one_schema'')', ARRAY['insert shop.b -> {"id": 6}', 'insert shop.c -> {"id": 6}',
  'delete shop.b key {"id": 1} ->', 'delete public.a key {"id": 1} ->'], 'operations add up');

-- What a publication said when the change was made counts, in the midst of a transaction too.
BEGIN;
INSERT INTO a VALUES (7);
ALTER PUBLICATION one_table DROP TABLE a;
INSERT INTO a VALUES (8);
INSERT INTO a VALUES (9);
ALTER PUBLICATION one_table ADD TABLE a, shop.b;
INSERT INTO a VALUES (10);
COMMIT;
SELECT results_eq('SELECT pg_temp.through(''one_table'')', ARRAY['insert public.a -> {"id": 7}', 'unselected public.a', 'insert public.a -> {"id": 10}'],
  'a relation that leaves is named once');
INSERT INTO a VALUES (11);
DROP PUBLICATION one_table;
INSERT INTO a VALUES (12);
CREATE PUBLICATION one_table FOR TABLE shop.c;
CALL pg_temp.write(13);
SELECT results_eq('SELECT pg_temp.through(''one_table'')', ARRAY['insert public.a -> {"id": 11}', 'unselected public.a', 'insert shop.c -> {"id": 13}'],
  'a publication that is dropped and made again');
INSERT INTO shop.c VALUES (14);
ALTER PUBLICATION one_table SET (publish = 'delete');
INSERT INTO shop.c VALUES (15);
DELETE FROM shop.c WHERE id = 15;
SELECT results_eq('SELECT pg_temp.through(''one_table'')', ARRAY['insert shop.c -> {"id": 14}', 'delete shop.c key {"id": 15} ->'],
  'to stop publishing an operation is not to leave');
INSERT INTO shop.b VALUES (16);
ALTER PUBLICATION one_schema DROP TABLES IN SCHEMA shop;
INSERT INTO shop.b VALUES (17);
SELECT results_eq('SELECT pg_temp.through(''one_schema'')', ARRAY['insert shop.b -> {"id": 16}', 'unselected shop.b'], 'a schema that leaves takes its tables along');
ALTER PUBLICATION one_schema ADD TABLES IN SCHEMA shop;
INSERT INTO shop.b VALUES (18);
ALTER TABLE shop.b SET SCHEMA public;
INSERT INTO b VALUES (19);
SELECT results_eq('SELECT pg_temp.through(''one_schema'')', ARRAY['insert shop.b -> {"id": 18}', 'unselected shop.b'], 'a table that leaves the schema');
ALTER PUBLICATION everything RENAME TO all_of_it;
INSERT INTO a VALUES (20);
SELECT results_eq('SELECT pg_temp.through(''all_of_it'')', ARRAY['insert public.a -> {"id": 20}'], 'a publication under its new name');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION one_table, one_schema, all_of_it, "Odd, ""name""", only_deletes;
DROP TABLE a, b, shop.c;
DROP SCHEMA shop;
