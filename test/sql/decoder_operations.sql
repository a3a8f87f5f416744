-- Insert, update and delete of a table with a primary key: old rows hold the key when it is needed.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(6);
CREATE TABLE item (id int PRIMARY KEY, name text, price numeric(10, 2));
CREATE PUBLICATION decoder FOR TABLE item;
SELECT pg_temp.open();

INSERT INTO item VALUES (1, 'one', 1.5), (2, NULL, NULL);
UPDATE item SET name = 'uno' WHERE id = 1;
UPDATE item SET id = 3 WHERE id = 1;
DELETE FROM item WHERE id = 2;
UPDATE item SET price = NULL;
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation public.item default id*:1:int4 name:2:text price:3:numeric',
  'insert public.item -> {"id": 1, "name": "one", "price": "1.50"}',
  'insert public.item -> {"id": 2}',
  'update public.item -> {"id": 1, "name": "uno", "price": "1.50"}',
  'update public.item key {"id": 1} -> {"id": 3, "name": "uno", "price": "1.50"}',
  'delete public.item key {"id": 2} ->',
  'update public.item -> {"id": 3, "name": "uno"}'], 'each operation is one record, described once');

INSERT INTO item VALUES (4, 'four', 4) ON CONFLICT (id) DO UPDATE SET name = 'again';
INSERT INTO item VALUES (4, 'four', 4) ON CONFLICT (id) DO UPDATE SET name = 'again';
INSERT INTO item VALUES (4, 'four', 4) ON CONFLICT DO NOTHING;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY[
  'insert public.item -> {"id": 4, "name": "four", "price": "4.00"}',
  'update public.item -> {"id": 4, "name": "again", "price": "4.00"}'], 'INSERT ON CONFLICT is what it did');

COPY item FROM STDIN;
10	ten	\N
11	eleven	11
\.
SELECT results_eq('SELECT pg_temp.changes()', ARRAY[
  'insert public.item -> {"id": 10, "name": "ten"}',
  'insert public.item -> {"id": 11, "name": "eleven", "price": "11.00"}'], 'COPY is a run of inserts');

MERGE INTO item USING (VALUES (10), (12)) AS new (id) ON item.id = new.id
  WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (new.id);
SELECT results_eq('SELECT pg_temp.changes()', ARRAY[
  'delete public.item key {"id": 10} ->', 'insert public.item -> {"id": 12}'], 'MERGE is what it did');

BEGIN;
INSERT INTO item (id) VALUES (20);
UPDATE item SET id = 21 WHERE id = 20;
DELETE FROM item WHERE id = 21;
COMMIT;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY[
  'insert public.item -> {"id": 20}', 'update public.item key {"id": 20} -> {"id": 21}', 'delete public.item key {"id": 21} ->'],
  'a row that lived in one transaction only is told all the same');

UPDATE item SET name = NULL WHERE id = 4;
UPDATE item SET name = '' WHERE id = 4;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY[
  'update public.item -> {"id": 4, "price": "4.00"}', 'update public.item -> {"id": 4, "name": "", "price": "4.00"}'],
  'NULL is an absent field, an empty text is not');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE item;
