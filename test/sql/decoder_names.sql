-- Names that nobody should give: quotes, newlines, 63 bytes, shell and format characters.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(2);
CREATE SCHEMA "s.""$(x)""";
CREATE TYPE "s.""$(x)"""."t %s" AS ENUM ('''');
CREATE TABLE "s.""$(x)"""."😀 %s
{}" ("😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀" int PRIMARY KEY, "a""b'c\d" "s.""$(x)"""."t %s", "order" int);
CREATE PUBLICATION decoder FOR TABLE "s.""$(x)"""."😀 %s
{}";
SELECT pg_temp.open();
INSERT INTO "s.""$(x)"""."😀 %s
{}" VALUES (1, '''', 2);
SELECT results_eq('SELECT pg_temp.story()', ARRAY[
  E'relation s."$(x)".😀 %s\n{} default 😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀*:1:int4 a"b''c\\d:2:t %s order:3:int4',
  E'insert s."$(x)".😀 %s\n{} -> {"order": 2, "a\\"b''c\\\\d": "''", "😀😀😀😀😀😀😀😀😀😀😀😀😀😀😀": 1}'], 'names are told as they are');
CREATE TABLE nothing ();
ALTER PUBLICATION decoder SET TABLE nothing;
INSERT INTO nothing DEFAULT VALUES;
SELECT results_eq('SELECT pg_temp.story()', ARRAY['relation public.nothing default', 'insert public.nothing ->'], 'a table without columns');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE nothing;
SET client_min_messages = error;
DROP SCHEMA "s.""$(x)""" CASCADE;
