-- Databases in other encodings: text comes as UTF-8 where it can, and says so where it cannot.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT current_database() AS home \gset
SET client_min_messages = error;
DROP DATABASE IF EXISTS anabranch_latin1;
DROP DATABASE IF EXISTS anabranch_ascii;
DROP DATABASE IF EXISTS anabranch_greek;
CREATE DATABASE anabranch_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE anabranch_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C';
CREATE DATABASE anabranch_greek TEMPLATE template0 ENCODING 'WIN1253' LC_COLLATE 'C' LC_CTYPE 'C';

\c anabranch_latin1
SET client_min_messages = error;
CREATE EXTENSION pgtap;
CREATE EXTENSION anabranch;
\i :setup
SET client_encoding = 'UTF8';
SELECT plan(3);
CREATE TYPE "Größe" AS ENUM ('groß');
CREATE TABLE "Müll" ("für" int PRIMARY KEY, t text, v varchar(3), a text[], e "Größe", x xml);
CREATE PUBLICATION decoder FOR TABLE "Müll";
SELECT pg_temp.open();
BEGIN;
INSERT INTO "Müll" VALUES (1, 'é', 'äöü', '{é,NULL}', 'groß', '<é/>'), (2, repeat('é', 100000), NULL, ARRAY[repeat('ü', 70000)], NULL, NULL);
SELECT 1 FROM pg_logical_emit_message(true, 'prä', convert_to('fix', 'UTF8')) \g /dev/null
COMMIT;
CREATE TEMP TABLE told AS SELECT * FROM pg_temp.records();
SELECT results_eq($$SELECT pg_temp.line(record) FROM told WHERE record->'after'->>'für' IS DISTINCT FROM '2' ORDER BY number$$, ARRAY['begin',
  'relation public.Müll default für*:1:int4 t:2:text v:3:varchar a:4:_text e:5:Größe x:6:xml',
  'insert public.Müll -> {"a": "{é,NULL}", "e": "groß", "t": "é", "v": "äöü", "x": "<é/>", "für": 1}', 'message transactional prä fix', 'commit 3'],
  'LATIN1: values, names and prefixes');
SELECT is((SELECT record->'after'->>'t' FROM told WHERE record->'after'->>'für' = '2'), repeat('é', 100000), 'longer than one piece of the conversion');
SELECT is((SELECT record->'after'->>'a' FROM told WHERE record->'after'->>'für' = '2'), '{' || repeat('ü', 70000) || '}', 'printed and longer');
SELECT * FROM finish();
SELECT pg_temp.close();

\c anabranch_ascii
SET client_min_messages = error;
CREATE EXTENSION pgtap;
CREATE EXTENSION anabranch;
\i :setup
SELECT plan(2);
CREATE TABLE item (id int PRIMARY KEY, t text, a text[]);
CREATE PUBLICATION decoder FOR TABLE item;
SELECT pg_temp.open();
INSERT INTO item VALUES (1, E'\xe9\xff', ARRAY[E'\x80', 'a']);
CREATE TEMP TABLE told AS SELECT * FROM pg_temp.records();
SELECT results_eq($$SELECT c->>'encoding' FROM told, jsonb_array_elements(record->'columns') AS c WHERE record->>'kind' = 'relation'$$,
  ARRAY['integer', 'raw_text', 'raw_text'], 'SQL_ASCII: text is bytes, and the description says so');
SELECT results_eq($$SELECT convert_to(record->'after'->>'t', 'SQL_ASCII'), convert_to(record->'after'->>'a', 'SQL_ASCII') FROM told WHERE record->>'kind' = 'insert'$$,
  $$SELECT '\xe9ff'::bytea, convert_to(E'{\x80,a}', 'SQL_ASCII')$$, 'and every byte comes through');
SELECT * FROM finish();
SELECT pg_temp.close();

\c anabranch_greek
SET client_min_messages = error;
CREATE EXTENSION pgtap;
CREATE EXTENSION anabranch;
\i :setup
SELECT plan(1);
CREATE TABLE item (id int PRIMARY KEY, t text, n int);
CREATE PUBLICATION decoder FOR TABLE item;
SELECT pg_temp.open();
INSERT INTO item VALUES (1, E'\xd2', 7), (2, 'plain', 8);
SELECT results_eq('SELECT pg_temp.changes()', ARRAY[
  'insert public.item -> {"n": 7, "id": 1} gaps {"omitted": [{"column": "t", "reason": "the text has no equivalent in encoding \"UTF8\"", "sqlstate": "22P05"}]}',
  'insert public.item -> {"n": 8, "t": "plain", "id": 2}'], 'WIN1253: text with a byte that means nothing is omitted');
SELECT * FROM finish();
SELECT pg_temp.close();

\c :home
DROP DATABASE anabranch_latin1;
DROP DATABASE anabranch_ascii;
DROP DATABASE anabranch_greek;
