-- Values kept out of line: sent when they changed, listed as unchanged when they did not.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(7);
CREATE FUNCTION pg_temp.big(seed int) RETURNS text LANGUAGE sql AS $$SELECT string_agg(md5((seed * 1000 + i)::text), '') FROM generate_series(1, 300) AS i$$;
-- Lengths instead of values.
CREATE FUNCTION pg_temp.short() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT regexp_replace(line, '"([0-9a-fx]{100,})"', '<big>', 'g') FROM pg_temp.changes() AS line $$;
CREATE TABLE doc (id int PRIMARY KEY, body text, note text, packed text);
ALTER TABLE doc ALTER body SET STORAGE EXTERNAL, ALTER note SET STORAGE EXTERNAL;
CREATE PUBLICATION decoder FOR TABLE doc;
SELECT pg_temp.open();

INSERT INTO doc VALUES (1, pg_temp.big(1), pg_temp.big(2), repeat('x', 100000));
SELECT results_eq('SELECT pg_temp.short()', ARRAY['insert public.doc -> {"id": 1, "body": <big>, "note": <big>, "packed": <big>}'],
  'an insert has every value');
UPDATE doc SET id = 2;
SELECT results_eq('SELECT pg_temp.short()', ARRAY['update public.doc key {"id": 1} -> {"id": 2, "packed": <big>} unchanged ["body", "note"]'],
  'compressed in line is a value like others, out of line and unchanged is listed');
BEGIN;
UPDATE doc SET note = pg_temp.big(3);
SELECT body AS expected FROM doc \gset
COMMIT;
SELECT results_eq('SELECT pg_temp.short()', ARRAY['update public.doc -> {"id": 2, "note": <big>, "packed": <big>} unchanged ["body"]'],
  'only what changed is sent');
UPDATE doc SET body = pg_temp.big(4);
SELECT is(record->'after'->>'body', (SELECT body FROM doc), 'the pieces are put together')
  FROM pg_temp.records() WHERE record->>'kind' = 'update';
ALTER TABLE doc REPLICA IDENTITY FULL;
UPDATE doc SET id = 3;
SELECT results_eq('SELECT pg_temp.short()', ARRAY[
  'update public.doc full {"id": 2, "body": <big>, "note": <big>, "packed": <big>} -> {"id": 3, "packed": <big>} unchanged ["body", "note"]'],
  'a full old row has what the new one lacks');
UPDATE doc SET body = NULL, note = 'n', packed = NULL;
DELETE FROM doc;
SELECT results_eq('SELECT pg_temp.short()', ARRAY[
  'update public.doc full {"id": 3, "body": <big>, "note": <big>, "packed": <big>} -> {"id": 3, "note": "n"}',
  'delete public.doc full {"id": 3, "note": "n"} ->'], 'NULL instead of an out-of-line value');

-- A key that is kept out of line stands in the old row even when it did not change.
CREATE TABLE wide_key (k text PRIMARY KEY, v int);
ALTER TABLE wide_key ALTER k SET STORAGE EXTERNAL;
ALTER PUBLICATION decoder ADD TABLE wide_key;
INSERT INTO wide_key VALUES (left(pg_temp.big(5), 2500), 1);
SELECT count(*) FROM pg_temp.records() \g /dev/null
UPDATE wide_key SET v = 2;
SELECT results_eq('SELECT pg_temp.short()', ARRAY['update public.wide_key key {"k": <big>} -> {"v": 2} unchanged ["k"]'],
  'an out-of-line key is in the old row');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE doc, wide_key;
