-- Messages that name a stream: rows where their content is one, and the reason where it is none.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(61);
CREATE PUBLICATION decoder;
SELECT anabranch.import_stream('kinds', 'id int, i2 smallint, i4 int, i8 bigint, f4 real, f8 float8, n numeric, n2 numeric(6,2), t text, v varchar(3), c char(3),
  b boolean, y bytea, d date, tm time, ts timestamp, tz timestamptz, iv interval, u uuid, ip inet, net cidr, j json, jb jsonb') \g /dev/null
SELECT anabranch.import_stream('odd "name"', '"a b" int, "X" text') \g /dev/null
SELECT anabranch.import_stream('unpublished', 'a int') \g /dev/null
ALTER PUBLICATION decoder ADD TABLE anabranch_stream.kinds, anabranch_stream."odd ""name""";
SELECT pg_temp.open();

CREATE FUNCTION pg_temp.emit(prefix text, content text) RETURNS void LANGUAGE sql AS $$SELECT FROM pg_logical_emit_message(true, $1, $2)$$;
-- What became of the messages since the last call: rows, or reasons.
CREATE FUNCTION pg_temp.became() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT coalesce(record->>'after', record->>'sqlstate' || ' ' || (record->>'reason')) FROM pg_temp.records()
  WHERE record->>'kind' = 'insert' OR record->>'reason' IS NOT NULL ORDER BY number
$$;

SELECT pg_temp.emit('kinds:key', '{"i4": 7, "unknown": {"x": [1]}, "t": null}') \g /dev/null
CREATE TEMP TABLE told AS SELECT * FROM pg_temp.records();
SELECT is((SELECT array_agg(record->>'kind' ORDER BY number) FROM told), ARRAY['begin', 'message', 'relation', 'insert', 'commit'],
  'the row follows its message');
SELECT is((SELECT record->>'after' FROM told WHERE record->>'kind' = 'insert'), '{"i4": 7}',
  'members become columns of that name; null and what is missing are NULL, others are passed over; a key is no part of the name');
SELECT is((SELECT record->>'changes' FROM told WHERE record->>'kind' = 'commit'), '2', 'both are counted');

-- PostgreSQL's own function is the oracle.
CREATE TEMP TABLE content (content jsonb);
INSERT INTO content
SELECT jsonb_build_object('id', row_number() OVER (), name, value::jsonb) FROM (VALUES
  ('i2', '-32768'), ('i4', '"12"'), ('i8', '9223372036854775807'), ('f4', '1.5'), ('f8', '"NaN"'), ('n', '1.00'), ('n', '"1e3"'), ('n', '1e400'),
  ('n', '"NaN"'), ('n2', '1.005'), ('b', 'true'), ('b', '"off"'), ('t', '"text"'), ('t', '{"a":  [1, "x"]}'), ('t', '12.50'), ('t', 'true'), ('v', '"abc"'),
  ('c', '"a"'), ('y', '"\\x00ff"'), ('u', '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"'), ('ip', '"10.0.0.1/8"'), ('net', '"10.0.0.0/8"'), ('d', '"2026-02-28"'),
  ('d', '"epoch"'), ('tm', '"23:59:59.5"'), ('tm', '"allballs"'), ('ts', '"2026-01-01 00:00"'), ('ts', '"-infinity"'), ('tz', '"2026-01-01 02:00+02"'),
  ('tz', '"2026-01-01 02:00"'), ('tz', '"infinity"'), ('iv', '"1 mon 2 days"'), ('j', '"text"'), ('j', '{"b":  1, "a": null}'), ('j', '1'), ('j', '[]'),
  ('jb', '"text"'), ('jb', '[1, 2, null]'), ('jb', 'false'), ('jb', '{}')) AS one (name, value);
CREATE TEMP TABLE populated AS SELECT (jsonb_populate_record(NULL::anabranch_stream.kinds, content)).* FROM content;
SELECT pg_temp.emit('kinds', content::text) FROM content \g /dev/null
BEGIN;
SELECT pg_temp.is_decoded_as_printed('populated');
COMMIT;

SELECT pg_temp.emit('kinds', content) FROM unnest(ARRAY['', 'no json', '[{"i4": 1}]', '"text"', '7', 'null', '{"i4": "x"}', '{"i4": 3000000000}', '{"v": "long"}',
  '{"n2": 123456}', '{"tz": "now"}', '{"d": "Tomorrow"}', '{"ts": "today 12:00"}', '{"i4": [1]}']) WITH ORDINALITY AS bad (content, n) ORDER BY n \g /dev/null
SELECT is(became, expected, expected) FROM ROWS FROM (pg_temp.became(), unnest(ARRAY[
  '22P02 invalid input syntax for type json', '22P02 invalid input syntax for type json', '22023 the content is no JSON object', '22023 the content is no JSON object',
  '22023 the content is no JSON object', '22023 the content is no JSON object', '22P02 invalid input syntax for type integer: "x"',
  '22003 value "3000000000" is out of range for type integer', '22001 value too long for type character varying(3)', '22003 numeric field overflow',
  '22007 column "tz" of a stream cannot be "now"; send the time itself', '22007 column "d" of a stream cannot be "tomorrow"; send the time itself',
  '22007 column "ts" of a stream cannot be "today"; send the time itself', '22P02 invalid input syntax for type integer: "[1]"'])) AS both_ways (became, expected);

SELECT pg_logical_emit_message(true, 'kinds', '\x7b2274223a22ff227d'::bytea) \g /dev/null
SELECT results_eq('SELECT pg_temp.became()', ARRAY['22021 the content is no text in the encoding of the database'], 'bytes that are no text');
SELECT pg_temp.emit('kinds', jsonb_build_object('t', repeat('x', n))::text) FROM unnest(ARRAY[520000, 530000, 1100000]) AS n \g /dev/null
SELECT results_eq($$SELECT left(became, 50) FROM pg_temp.became() AS became$$, ARRAY['{"t": "' || repeat('x', 43), '54000 the row is larger than 512 kB', '54000 the content is larger than 1 MB'],
  'what is too large');
SELECT pg_temp.emit('odd "name"', '{"a b": 1, "X": "y", "x": "z"}') \g /dev/null
SELECT results_eq('SELECT pg_temp.became()', ARRAY['{"X": "y", "a b": 1}'], 'names are taken as they are');
SELECT pg_logical_emit_message(false, 'kinds', '{"i4": 1}'), pg_temp.emit('unpublished', '{"a": 1}'), pg_temp.emit('Kinds', '{"i4": 1}'), pg_temp.emit('kin', '{"i4": 1}'),
  pg_temp.emit(repeat('k', 5000), '{"i4": 1}'), pg_temp.emit('', '{"i4": 1}'), pg_temp.emit(':kinds', '{"i4": 1}') \g /dev/null
SELECT is_empty('SELECT pg_temp.became()', 'not those outside of transactions, of streams that are not published, and of other prefixes');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE anabranch_stream.kinds, anabranch_stream."odd ""name""", anabranch_stream.unpublished;
DROP PUBLICATION anabranch;
