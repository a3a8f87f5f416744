-- Logical messages, in a transaction and outside of one.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(7);
CREATE TABLE item (id int PRIMARY KEY);
CREATE PUBLICATION decoder FOR TABLE item;
SELECT pg_temp.open();
BEGIN;
INSERT INTO item VALUES (1);
SELECT 1 FROM pg_logical_emit_message(true, 'tést', 'in the transaction') \g /dev/null
SELECT 1 FROM pg_logical_emit_message(false, 'test', 'at once') \g /dev/null
INSERT INTO item VALUES (2);
COMMIT;
CREATE TEMP TABLE told AS SELECT * FROM pg_temp.records();
SELECT results_eq('SELECT pg_temp.line(record) FROM told ORDER BY number', ARRAY['message test at once', 'begin',
  'relation public.item default id*:1:int4', 'insert public.item -> {"id": 1}', 'message transactional tést in the transaction',
  'insert public.item -> {"id": 2}', 'commit 3'], 'one stands at its place in the transaction, the other where it was written');
SELECT ok((SELECT (record->>'lsn')::pg_lsn FROM told WHERE number = 1) < (SELECT (record->>'end_lsn')::pg_lsn FROM told WHERE record->>'kind' = 'commit'),
  'a message has its position');
BEGIN;
SELECT 1 FROM pg_logical_emit_message(true, 'test', 'gone') \g /dev/null
SELECT 1 FROM pg_logical_emit_message(false, 'test', 'stays') \g /dev/null
ROLLBACK;
-- A rollback flushes nothing; this commit does.
CREATE TEMP TABLE flush ();
SELECT results_eq('SELECT pg_temp.line(record) FROM pg_temp.records()', ARRAY['message test stays'], 'a rollback takes only the transactional one');
SELECT 1 FROM pg_logical_emit_message(true, '', '') \g /dev/null
SELECT results_eq('SELECT pg_temp.line(record) FROM pg_temp.records()', ARRAY['begin', 'message transactional ', 'commit 1'], 'empty prefix, empty content');
SELECT pg_logical_emit_message(true, 'test', 'unwanted'), pg_logical_emit_message(false, 'test', 'unwanted') \g /dev/null
SELECT is_empty($$SELECT pg_temp.records('messages', 'off')$$, 'the option turns them off');
SELECT 1 FROM pg_logical_emit_message(false, 'large', decode(repeat('00', 17000000), 'hex')) \g /dev/null
SELECT results_eq('SELECT pg_temp.line(record) FROM pg_temp.records()', ARRAY['message large  omitted 17000000'], 'one over 16 MB is told by its size');
SELECT 1 FROM pg_logical_emit_message(true, 'x' || repeat('é', 100000), 'content') \g /dev/null
SELECT results_eq($$SELECT octet_length(record->>'prefix'), record->>'prefix_bytes', record->>'prefix' = 'x' || repeat('é', 32767) FROM pg_temp.records() WHERE record->>'kind' = 'message'$$,
  $$VALUES (65535, '200001', true)$$, 'of a prefix over 64 kB the beginning is told, and its size');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE item;
