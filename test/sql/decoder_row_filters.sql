-- Row filters: an update across the filter is an insert or a delete; one that fails stops nothing.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(6);
CREATE TABLE item (id int PRIMARY KEY, v int, note text);
ALTER TABLE item REPLICA IDENTITY FULL;
CREATE PUBLICATION decoder FOR TABLE item WHERE (v > 10);
SELECT pg_temp.open();
INSERT INTO item VALUES (1, 5), (2, 15), (3, NULL);
UPDATE item SET v = 16 WHERE id = 2;
UPDATE item SET v = 6 WHERE id = 1;
UPDATE item SET v = 20 WHERE id = 1;
UPDATE item SET v = 1 WHERE id = 2;
DELETE FROM item;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['insert public.item -> {"v": 15, "id": 2}',
  'update public.item full {"v": 15, "id": 2} -> {"v": 16, "id": 2}',
  'insert public.item -> {"v": 20, "id": 1}', 'delete public.item full {"v": 16, "id": 2} ->',
  'delete public.item full {"v": 20, "id": 1} ->'], 'rows come and go with their values');

-- An out-of-line value comes from the old row when an update becomes an insert.
ALTER TABLE item ALTER note SET STORAGE EXTERNAL;
INSERT INTO item VALUES (4, 1, repeat('n', 5000));
UPDATE item SET v = 100 WHERE id = 4;
SELECT is(record->'after'->>'note', repeat('n', 5000), 'an insert that was an update is a whole row')
  FROM pg_temp.records() WHERE record->>'kind' = 'insert';

CREATE TABLE keyed (id int PRIMARY KEY, note text);
ALTER TABLE keyed ALTER note SET STORAGE EXTERNAL;
ALTER PUBLICATION decoder ADD TABLE keyed WHERE (id > 10);
INSERT INTO keyed VALUES (1, repeat('n', 5000));
UPDATE keyed SET id = 11;
SELECT results_eq('SELECT pg_temp.changes()', ARRAY[
  'insert public.keyed -> {"id": 11} gaps {"omitted": [{"column": "note", "reason": "the value is kept out of line and did not change, so it is not in the log", "sqlstate": "55000"}]}'],
  'what the log does not have is named');

ALTER PUBLICATION decoder SET TABLE keyed WHERE (10 / id > 1);
TRUNCATE keyed;
INSERT INTO keyed VALUES (0, 'x'), (1, 'y'), (20, 'z');
UPDATE keyed SET id = 0 - id;
SELECT results_eq('SELECT pg_temp.changes() OFFSET 1', ARRAY[
  'insert public.keyed -> gaps {"omitted": [{"column": "id", "reason": "division by zero", "sqlstate": "22012"}, {"column": "note", "reason": "division by zero", "sqlstate": "22012"}]}',
  'insert public.keyed -> {"id": 1, "note": "y"}',
  'update public.keyed -> gaps {"omitted": [{"column": "id", "reason": "division by zero", "sqlstate": "22012"}, {"column": "note", "reason": "division by zero", "sqlstate": "22012"}]}',
  'delete public.keyed key {"id": 1} ->'], 'a filter that fails on a row: the row is told, and that it cannot be known');

CREATE PUBLICATION second FOR TABLE keyed WHERE (id = 50);
INSERT INTO keyed VALUES (2, NULL), (50, NULL), (60, NULL);
SELECT results_eq($$SELECT pg_temp.line(record) FROM (SELECT string_agg(data, '') AS frames
  FROM pg_logical_slot_get_binary_changes('decoder', NULL, NULL, 'proto_version', '1', 'publication_names', 'decoder,second')) AS read, anabranch.decode(frames) AS record
  WHERE record->>'kind' = 'insert'$$, ARRAY['insert public.keyed -> {"id": 2}', 'insert public.keyed -> {"id": 50}'], 'several filters: a row that passes any');
CREATE TABLE part (a int, id int) PARTITION BY RANGE (id);
CREATE TABLE part_1 (id int, a int);
ALTER TABLE part ATTACH PARTITION part_1 DEFAULT;
ALTER PUBLICATION decoder SET (publish_via_partition_root, publish = 'insert');
ALTER PUBLICATION decoder SET TABLE part WHERE (a > 5);
INSERT INTO part VALUES (1, 10), (10, 1);
SELECT results_eq('SELECT pg_temp.changes()', ARRAY['insert public.part -> {"a": 10, "id": 1}'], 'a filter of the root on a partition with other numbers');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder, second;
DROP TABLE item, keyed, part;
