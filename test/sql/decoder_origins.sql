-- The option skip_origins leaves out what its origins wrote, and only that.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(7);
CREATE TABLE item (id int PRIMARY KEY);
CREATE PUBLICATION decoder FOR TABLE item;
SELECT 1 FROM pg_replication_origin_create('decoder_a') \g /dev/null
SELECT 1 FROM pg_replication_origin_create('Decoder "b"') \g /dev/null
SELECT pg_temp.open();
CREATE FUNCTION pg_temp.write(origin text, id int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_replication_origin_session_setup(origin);
  INSERT INTO item VALUES (id);
  PERFORM pg_logical_emit_message(true, 'from', origin);
END $$;
CREATE PROCEDURE pg_temp.write_all(start int) LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO item VALUES (start);
  COMMIT;
  PERFORM pg_temp.write('decoder_a', start + 1);
  COMMIT;
  PERFORM pg_replication_origin_session_reset();
  PERFORM pg_temp.write('Decoder "b"', start + 2);
  COMMIT;
  PERFORM pg_replication_origin_session_reset();
END $$;
CALL pg_temp.write_all(0);
SELECT results_eq($$SELECT line FROM (SELECT pg_temp.line(record) FROM pg_temp.records()) AS shown (line) WHERE line !~ '^(commit|relation)'$$, ARRAY[
  'begin', 'insert public.item -> {"id": 0}',
  'begin decoder_a', 'insert public.item -> {"id": 1}', 'message transactional from decoder_a',
  'begin Decoder "b"', 'insert public.item -> {"id": 2}', 'message transactional from Decoder "b"'], 'without the option everything comes, with its origin');
CALL pg_temp.write_all(10);
SELECT results_eq($$SELECT pg_temp.changes('skip_origins', 'decoder_a')$$, ARRAY['insert public.item -> {"id": 10}',
  'insert public.item -> {"id": 12}', 'message transactional from Decoder "b"'], 'one origin is left out, its messages too');
CALL pg_temp.write_all(20);
SELECT results_eq($$SELECT pg_temp.changes('skip_origins', 'decoder_a, "Decoder ""b"""')$$, ARRAY['insert public.item -> {"id": 20}'], 'a list, with names in quotes');
CALL pg_temp.write_all(30);
SELECT results_eq($$SELECT pg_temp.changes('skip_origins', 'DECODER_A, nobody, "Decoder b"', 'messages', 'false')$$,
  ARRAY['insert public.item -> {"id": 30}', 'insert public.item -> {"id": 31}', 'insert public.item -> {"id": 32}'], 'names count as they are written, unknown ones are no error');
CALL pg_temp.write_all(40);
SELECT results_eq($$SELECT pg_temp.changes('skip_origins', '', 'messages', 'false')$$,
  ARRAY['insert public.item -> {"id": 40}', 'insert public.item -> {"id": 41}', 'insert public.item -> {"id": 42}'], 'an empty list skips nothing');
CALL pg_temp.write_all(50);
SELECT 1 FROM pg_replication_origin_drop('Decoder "b"') \g /dev/null
SELECT results_eq($$SELECT line FROM (SELECT pg_temp.line(record) FROM pg_temp.records('messages', 'off')) AS shown (line) WHERE line !~ '^(commit|relation)' OFFSET 4$$,
  ARRAY['begin Decoder "b"', 'insert public.item -> {"id": 52}'], 'an origin that is gone by now has the name it had');
SELECT pg_temp.write('decoder_a', 60) \g /dev/null
SELECT pg_replication_origin_session_reset() \g /dev/null
SELECT is_empty($$SELECT pg_temp.records('skip_origins', 'decoder_a')$$, 'a transaction of which everything is skipped sends nothing');
SELECT * FROM finish();
SELECT pg_replication_origin_drop('decoder_a') \g /dev/null
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE item;
