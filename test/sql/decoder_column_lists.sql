-- Column lists: only their columns are sent; of several lists every column of any.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(3);
CREATE TABLE item (id int PRIMARY KEY, a text, b text, secret text);
CREATE PUBLICATION decoder FOR TABLE item (id, a);
SELECT pg_temp.open();
INSERT INTO item VALUES (1, 'a', 'b', 'c');
UPDATE item SET id = 2, secret = 'd';
SELECT results_eq('SELECT pg_temp.story()', ARRAY['relation public.item default id*:1:int4 a:2:text', 'insert public.item -> {"a": "a", "id": 1}',
  'update public.item key {"id": 1} -> {"a": "a", "id": 2}'], 'one list');
CREATE PUBLICATION second FOR TABLE item (id, b);
INSERT INTO item VALUES (3, 'a', 'b', 'c');
SELECT results_eq($$SELECT pg_temp.line(record) FROM (SELECT string_agg(data, '') AS frames
  FROM pg_logical_slot_get_binary_changes('decoder', NULL, NULL, 'proto_version', '1', 'publication_names', 'decoder,second')) AS read, anabranch.decode(frames) AS record
  WHERE record->>'kind' IN ('relation', 'insert')$$, ARRAY['relation public.item default id*:1:int4 a:2:text b:3:text', 'insert public.item -> {"a": "a", "b": "b", "id": 3}'],
  'lists that differ add up, where pgoutput would stop for ever');
ALTER PUBLICATION decoder SET TABLE item;
INSERT INTO item VALUES (4, 'a', 'b', 'c');
SELECT results_eq($$SELECT pg_temp.line(record) FROM (SELECT string_agg(data, '') AS frames
  FROM pg_logical_slot_get_binary_changes('decoder', NULL, NULL, 'proto_version', '1', 'publication_names', 'decoder,second')) AS read, anabranch.decode(frames) AS record
  WHERE record->>'kind' = 'insert'$$, ARRAY['insert public.item -> {"a": "a", "b": "b", "id": 4, "secret": "c"}'], 'no list is every column');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder, second;
DROP TABLE item;
