-- Old rows by replica identity: default, index, full, nothing, and none at all.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(7);
CREATE TABLE item (id int PRIMARY KEY, code text NOT NULL UNIQUE, note text);
CREATE TABLE keyless (a int, b text);
CREATE PUBLICATION decoder FOR TABLE item WITH (publish = 'insert, update, delete, truncate');
SELECT pg_temp.open();

INSERT INTO item VALUES (1, 'a', 'x'), (2, 'b', NULL);
ALTER TABLE item REPLICA IDENTITY USING INDEX item_code_key;
UPDATE item SET note = 'y' WHERE id = 1;
UPDATE item SET code = 'c' WHERE id = 1;
DELETE FROM item WHERE id = 1;
SELECT results_eq('SELECT pg_temp.story() OFFSET 3', ARRAY[
  'relation public.item index id:1:int4 code*:2:text note:3:text',
  'update public.item -> {"id": 1, "code": "a", "note": "y"}',
  'update public.item key {"code": "a"} -> {"id": 1, "code": "c", "note": "y"}',
  'delete public.item key {"code": "c"} ->'], 'index: the columns of that index');

ALTER TABLE item REPLICA IDENTITY FULL;
UPDATE item SET note = 'z' WHERE id = 2;
UPDATE item SET note = 'z' WHERE id = 2;
DELETE FROM item WHERE id = 2;
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  'relation public.item full id*:1:int4 code*:2:text note*:3:text',
  'update public.item full {"id": 2, "code": "b"} -> {"id": 2, "code": "b", "note": "z"}',
  'update public.item full {"id": 2, "code": "b", "note": "z"} -> {"id": 2, "code": "b", "note": "z"}',
  'delete public.item full {"id": 2, "code": "b", "note": "z"} ->'], 'full: every column');

-- The server refuses these where the table is published; the publication may come after the fact.
DROP PUBLICATION decoder;
INSERT INTO item VALUES (3, 'd', NULL);
ALTER TABLE item REPLICA IDENTITY NOTHING;
CREATE PUBLICATION decoder FOR TABLE item, keyless WITH (publish = 'insert');
INSERT INTO keyless VALUES (1, 'x');
UPDATE item SET note = 'w';
DELETE FROM item;
UPDATE keyless SET b = 'y';
DELETE FROM keyless;
SELECT results_eq('SELECT pg_temp.story()', ARRAY['relation public.keyless default a:1:int4 b:2:text', 'insert public.keyless -> {"a": 1, "b": "x"}'],
  'operations that are not published are not sent');
SELECT throws_like('ALTER PUBLICATION decoder SET (publish = ''insert, delete''); DELETE FROM item', '%replica identity%', 'the server itself refuses to publish what nobody can identify');

-- Published as the log is read, though not when it was written: a table gets its row events under a catalog that is older.
BEGIN;
INSERT INTO item VALUES (4, 'e', NULL);
ALTER TABLE item REPLICA IDENTITY DEFAULT;
UPDATE item SET id = 5 WHERE id = 4;
ALTER TABLE item REPLICA IDENTITY FULL;
UPDATE item SET id = 6 WHERE id = 5;
COMMIT;
SELECT results_eq('SELECT pg_temp.story()', ARRAY['relation public.item nothing id:1:int4 code:2:text note:3:text',
  'insert public.item -> {"id": 4, "code": "e"}'], 'only inserts are published');
ALTER PUBLICATION decoder SET (publish = 'insert, update, delete');
BEGIN;
INSERT INTO item VALUES (7, 'g', NULL);
ALTER TABLE item REPLICA IDENTITY DEFAULT;
UPDATE item SET id = 8 WHERE id = 7;
ALTER TABLE item REPLICA IDENTITY FULL;
UPDATE item SET id = 9 WHERE id = 8;
COMMIT;
SELECT results_eq('SELECT pg_temp.story()', ARRAY['relation public.item full id*:1:int4 code*:2:text note*:3:text',
  'insert public.item -> {"id": 7, "code": "g"}',
  'relation public.item default id*:1:int4 code:2:text note:3:text',
  'update public.item key {"id": 7} -> {"id": 8, "code": "g"}',
  'relation public.item full id*:1:int4 code*:2:text note*:3:text',
  'update public.item full {"id": 8, "code": "g"} -> {"id": 9, "code": "g"}'], 'a replica identity that changes within the transaction');

ALTER TABLE item DROP CONSTRAINT item_pkey;
ALTER TABLE item REPLICA IDENTITY DEFAULT;
DROP PUBLICATION decoder;
DELETE FROM item WHERE id = 9;
CREATE PUBLICATION decoder FOR ALL TABLES WITH (publish = 'insert, truncate');
SELECT is_empty('SELECT pg_temp.story()', 'a publication that did not exist at the time selects nothing');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE item, keyless;
