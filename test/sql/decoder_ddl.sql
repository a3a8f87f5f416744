-- Definitions that change between and within transactions: each row is told under the definition it was written with.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(11);
CREATE TABLE item (id int PRIMARY KEY, a text, b int, g int GENERATED ALWAYS AS (b * 2) STORED);
CREATE PUBLICATION decoder FOR TABLE item;
SELECT pg_temp.open();

INSERT INTO item VALUES (1, 'x', 1);
ALTER TABLE item DROP COLUMN a;
INSERT INTO item VALUES (2, 2);
UPDATE item SET b = 3 WHERE id = 1;
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation public.item default id*:1:int4 a:2:text b:3:int4',
  'insert public.item -> {"a": "x", "b": 1, "id": 1}',
  'relation public.item default id*:1:int4 b:3:int4',
  'insert public.item -> {"b": 2, "id": 2}',
  'update public.item -> {"b": 3, "id": 1}'], 'a dropped column leaves its number behind; a generated one is not sent');

BEGIN;
INSERT INTO item VALUES (3, 3);
ALTER TABLE item ADD COLUMN c text DEFAULT 'new';
INSERT INTO item VALUES (4, 4);
UPDATE item SET b = 5 WHERE id = 3;
ALTER TABLE item RENAME COLUMN c TO d;
ALTER TABLE item RENAME TO thing;
UPDATE thing SET d = NULL WHERE id = 4;
COMMIT;
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation public.item default id*:1:int4 b:3:int4',
  'insert public.item -> {"b": 3, "id": 3}',
  'relation public.item default id*:1:int4 b:3:int4 c:5:text',
  'insert public.item -> {"b": 4, "c": "new", "id": 4}',
  'update public.item -> {"b": 5, "c": "new", "id": 3}',
  'relation public.thing default id*:1:int4 b:3:int4 d:5:text',
  'update public.thing -> {"b": 4, "id": 4}'], 'in the midst of a transaction the description comes again before the next row');

BEGIN;
SAVEPOINT s;
ALTER TABLE thing ADD COLUMN never int DEFAULT 1;
INSERT INTO thing VALUES (5, 5);
ROLLBACK TO s;
INSERT INTO thing VALUES (6, 6);
COMMIT;
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation public.thing default id*:1:int4 b:3:int4 d:5:text',
  'insert public.thing -> {"b": 6, "d": "new", "id": 6}'], 'a definition that was rolled back is not told');

CREATE INDEX ON thing (b);
ANALYZE thing;
COMMENT ON TABLE thing IS 'x';
INSERT INTO thing VALUES (7, 7);
ALTER TABLE thing ALTER b SET DEFAULT 9;
INSERT INTO thing (id) VALUES (8);
SELECT results_eq('SELECT pg_temp.story() OFFSET 1', ARRAY[
  'insert public.thing -> {"b": 7, "d": "new", "id": 7}', 'insert public.thing -> {"b": 9, "d": "new", "id": 8}'],
  'what does not change the description does not repeat it');

-- A rewrite is no change of rows; it is the new description that tells.
BEGIN;
ALTER TABLE thing ALTER b TYPE bigint USING b + 100, DROP COLUMN g;
INSERT INTO thing (id) VALUES (10);
COMMIT;
VACUUM FULL thing;
CLUSTER thing USING item_pkey;
INSERT INTO thing (id) VALUES (11);
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation public.thing default id*:1:int4 b:3:int8 d:5:text', 'insert public.thing -> {"b": 9, "d": "new", "id": 10}',
  'insert public.thing -> {"b": 9, "d": "new", "id": 11}'], 'a rewritten table is no run of inserts');

BEGIN;
CREATE SCHEMA other;
ALTER TABLE thing SET SCHEMA other;
INSERT INTO other.thing (id) VALUES (12);
ALTER SCHEMA other RENAME TO another;
INSERT INTO another.thing (id) VALUES (13);
COMMIT;
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation other.thing default id*:1:int4 b:3:int8 d:5:text', 'insert other.thing -> {"b": 9, "d": "new", "id": 12}',
  'relation another.thing default id*:1:int4 b:3:int8 d:5:text', 'insert another.thing -> {"b": 9, "d": "new", "id": 13}'],
  'a schema that changes its name changes that of its tables');

CREATE TYPE mood AS ENUM ('sad');
ALTER TABLE another.thing ADD COLUMN m mood;
BEGIN;
INSERT INTO another.thing VALUES (14, 1, 'x', 'sad');
ALTER TYPE mood RENAME VALUE 'sad' TO 'triste';
INSERT INTO another.thing VALUES (15, 1, 'x', 'triste');
ALTER TYPE mood RENAME TO humour;
INSERT INTO another.thing VALUES (16, 1, 'x', 'triste');
COMMIT;
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation another.thing default id*:1:int4 b:3:int8 d:5:text m:6:mood',
  'insert another.thing -> {"b": 1, "d": "x", "m": "sad", "id": 14}',
  'insert another.thing -> {"b": 1, "d": "x", "m": "triste", "id": 15}',
  'relation another.thing default id*:1:int4 b:3:int8 d:5:text m:6:humour',
  'insert another.thing -> {"b": 1, "d": "x", "m": "triste", "id": 16}'], 'values are printed by the types as they were at the time');

INSERT INTO another.thing VALUES (17, 1, 'before the drop', 'triste');
ALTER TABLE another.thing DROP COLUMN m;
DROP TYPE humour;
UPDATE another.thing SET d = NULL WHERE id = 17;
DROP TABLE another.thing;
CREATE TABLE another.thing (id int PRIMARY KEY);
ALTER PUBLICATION decoder ADD TABLE another.thing;
INSERT INTO another.thing VALUES (1);
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation another.thing default id*:1:int4 b:3:int8 d:5:text m:6:humour',
  'insert another.thing -> {"b": 1, "d": "before the drop", "m": "triste", "id": 17}',
  'relation another.thing default id*:1:int4 b:3:int8 d:5:text',
  'update another.thing -> {"b": 1, "id": 17}',
  'relation another.thing default id*:1:int4', 'insert another.thing -> {"id": 1}'],
  'columns, types and tables that are gone by now are told as they were');

BEGIN;
CREATE TABLE fresh (id int PRIMARY KEY, v text);
ALTER PUBLICATION decoder ADD TABLE fresh;
INSERT INTO fresh VALUES (1, 'x');
TRUNCATE fresh;
INSERT INTO fresh VALUES (2, 'y');
COMMIT;
SELECT results_eq('SELECT pg_temp.story()', ARRAY['relation public.fresh default id*:1:int4 v:2:text', 'insert public.fresh -> {"v": "x", "id": 1}',
  'truncate public.fresh', 'insert public.fresh -> {"v": "y", "id": 2}'], 'a table that is created and published in the transaction');

BEGIN;
INSERT INTO anabranch.generation VALUES ('fresh'::regclass, 3);
ALTER TABLE fresh ADD COLUMN w int;
INSERT INTO fresh VALUES (3, 'z', 1);
UPDATE anabranch.generation SET generation = 4 WHERE relation = 'fresh'::regclass;
ALTER TABLE fresh ALTER w TYPE text;
INSERT INTO fresh VALUES (4, 'z', 1);
COMMIT;
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation public.fresh default generation 3 id*:1:int4 v:2:text w:3:int4', 'insert public.fresh -> {"v": "z", "w": 1, "id": 3}',
  'relation public.fresh default generation 4 id*:1:int4 v:2:text w:3:text', 'insert public.fresh -> {"v": "z", "w": "1", "id": 4}'],
  'the generation is read as it was at the time');
DELETE FROM anabranch.generation;

DO $$ BEGIN EXECUTE 'CREATE TABLE wide (id int PRIMARY KEY, ' || (SELECT string_agg(format('c%s int DEFAULT %s', i, i), ', ') FROM generate_series(2, 1000) AS i) || ')'; END $$;
ALTER PUBLICATION decoder ADD TABLE wide;
INSERT INTO wide (id) VALUES (1);
SELECT is((SELECT sum(value::int) FROM pg_temp.records(), jsonb_each_text(record->'after') WHERE record->>'kind' = 'insert'), 500500::bigint, 'a thousand columns');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE fresh, wide;
DROP SCHEMA another CASCADE;
