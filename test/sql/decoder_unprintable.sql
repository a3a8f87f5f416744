-- Output functions that raise, or are not there at all: their column is omitted with the message, the others come.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(6);
-- A type that is an int4 and prints as an enum that does not exist, but for one value; another whose library was removed.
CREATE TYPE flag AS ENUM ('good');
SELECT oid AS good FROM pg_enum WHERE enumtypid = 'flag'::regtype \gset
CREATE TYPE odd;
CREATE FUNCTION odd_in(cstring) RETURNS odd LANGUAGE internal IMMUTABLE STRICT AS 'oidin';
CREATE FUNCTION odd_out(odd) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'enum_out';
CREATE TYPE odd (INPUT = odd_in, OUTPUT = odd_out, LIKE = oid);
CREATE TYPE gone;
CREATE FUNCTION gone_in(cstring) RETURNS gone LANGUAGE internal IMMUTABLE STRICT AS 'oidin';
CREATE FUNCTION gone_out(gone) RETURNS cstring LANGUAGE C IMMUTABLE STRICT AS 'anabranch', 'anabranch_decode';
CREATE TYPE gone (INPUT = gone_in, OUTPUT = gone_out, LIKE = oid);
UPDATE pg_proc SET probin = 'anabranch_no_such_library' WHERE proname = 'gone_out';
CREATE TABLE item (id int PRIMARY KEY, odd odd, gone gone, odds odd[], note text);
CREATE TABLE identified (odd odd, id int PRIMARY KEY);
ALTER TABLE identified REPLICA IDENTITY FULL;
CREATE PUBLICATION decoder FOR TABLE item, identified;
SELECT pg_temp.open();

INSERT INTO item VALUES (1, '1', NULL, NULL, 'x'), (2, :'good', NULL, NULL, 'y');
SELECT results_eq('SELECT pg_temp.changes()', ARRAY[
  'insert public.item -> {"id": 1, "note": "x"} gaps {"omitted": [{"column": "odd", "reason": "invalid internal value for enum: 1", "sqlstate": "22P03"}]}',
  'insert public.item -> {"id": 2, "odd": "good", "note": "y"}'], 'one value that cannot be printed, one of the same column that can');
INSERT INTO item VALUES (3, NULL, '1', NULL, 'z');
SELECT results_eq('SELECT pg_temp.changes()', ARRAY[
  'insert public.item -> {"id": 3, "note": "z"} gaps {"omitted": [{"column": "gone", "reason": "could not access file \"anabranch_no_such_library\": No such file or directory", "sqlstate": "58P01"}]}'],
  'a type whose library is gone');
INSERT INTO item VALUES (4, '4', '4', '{4}', 'w');
SELECT results_eq($$SELECT o->>'column' FROM pg_temp.records(), jsonb_array_elements(record->'after_gaps'->'omitted') AS o$$, ARRAY['odd', 'gone', 'odds'], 'several columns of one row');
INSERT INTO identified VALUES ('5', 5);
UPDATE identified SET id = 6;
DELETE FROM identified;
SELECT results_eq('SELECT split_part(line, '' gaps'', 1) FROM pg_temp.changes() AS line', ARRAY['insert public.identified -> {"id": 5}',
  'update public.identified full {"id": 5} -> {"id": 6} before', 'delete public.identified full {"id": 6} -> before'], 'in old rows and new ones');
BEGIN;
INSERT INTO item SELECT i, CASE WHEN i % 2 = 0 THEN :'good' ELSE i::text END::odd, NULL, NULL, 'many' FROM generate_series(1001, 3000) AS i;
ALTER TABLE item ADD COLUMN more int;
INSERT INTO item (id, odd, note, more) VALUES (3001, '7', 'last', 7);
COMMIT;
SELECT results_eq($$SELECT count(*), count(record->'after'->>'odd'), count(record->'after_gaps'), count(record->'after'->>'more') FROM pg_temp.records() WHERE record->>'kind' = 'insert'$$,
  'VALUES (2001::bigint, 1000::bigint, 1001::bigint, 1::bigint)', 'a thousand failures in one transaction');

-- The same through the streaming protocol, where no transaction of the reader's surrounds the replay.
INSERT INTO item VALUES (5000, '1', '1', '{1}', 'streamed');
SELECT pg_current_wal_insert_lsn() AS end \gset
\setenv ANABRANCH_END :end
\! pg_recvlogical -d "$PGDATABASE" -S decoder --start --endpos "$ANABRANCH_END" -n -o proto_version=1 -o publication_names=decoder -f - | head -c -1 | od -An -v -tx1 | tr -d ' \n' > tmp_check/streamed.hex
\set streamed `cat tmp_check/streamed.hex`
SELECT is(array_agg(o->>'sqlstate'), ARRAY['22P03', '58P01', '22P03'], 'in a walsender')
FROM anabranch.decode(decode(:'streamed', 'hex')) AS record, jsonb_array_elements(record->'after_gaps'->'omitted') AS o;
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE item, identified;
SET client_min_messages = error;
DROP TYPE odd CASCADE;
DROP TYPE gone CASCADE;
DROP TYPE flag;
