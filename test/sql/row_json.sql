\set ECHO none
\i test/fixture/start.sql
SELECT plan(6);
-- Documents are to be what to_jsonb makes of their rows: the server is asked.
SET DateStyle = 'ISO, YMD';
SET TimeZone = 'UTC';
SET IntervalStyle = 'postgres';
SET extra_float_digits = 1;
SET lc_monetary = 'C';
CREATE TYPE mood AS ENUM ('so "so"', 'well');
CREATE TYPE pair AS (left_side int, "right side" text);
CREATE DOMAIN word AS text CHECK (value <> '');
CREATE DOMAIN number AS numeric;
CREATE DOMAIN words AS text[];
CREATE TYPE shape AS ENUM ('round');
CREATE FUNCTION shape_json(shape) RETURNS json LANGUAGE sql IMMUTABLE AS $$SELECT json_build_object('is', 'ROUND')$$;
CREATE CAST (shape AS json) WITH FUNCTION shape_json(shape);
CREATE TABLE orders (id bigint PRIMARY KEY, note text);
ALTER TABLE orders REPLICA IDENTITY FULL;
CREATE TABLE sorts (
  id int, yes boolean, small smallint, large bigint, exact numeric, rounded real, wide double precision, described number,
  day date, moment timestamp, "moment there" timestamptz, hour time, "hour there" timetz, span interval,
  note text, fixed char(5), short varchar, name name, letter "char", said word, "Größe ""x""" text, binary_text bytea, bits bit(3),
  price money, address inet, place point, id_text uuid, named regclass, markup xml, feeling mood, cast_shape shape,
  raw json, tree jsonb, list int[], "list of texts" text[], matrix int[][], "list of domains" words, couple pair, pairs pair[], span_of int4range, spans int4multirange,
  query tsquery, vector int2vector);
INSERT INTO sorts (id) VALUES (1);
INSERT INTO sorts VALUES (2, true, -32768, 9223372036854775807, 1.500, 0.1, 1e300, '1.0',
  '2020-02-29', '2020-02-29 23:59:59.123456', '2020-02-29 12:00:00+05:30', '24:00', '12:00:00+02', '1 year 2 mons -3 days',
  E'a "quoted"\\ text\n\t\x01\x7f\u00e4\U0001F600 </script>', 'ab', '', 'n', 'c', 'w"w', 'ä', '\x00ff', '101', '12.34', '10.0.0.0/8', '(1,-2.5)', '00000000-0000-0000-0000-000000000001',
  'pg_class', '<a b="c"/>', 'so "so"', 'round', ' { "b" : 1 , "a":  [1.0, null], "b": 2 } ', '{"b": "\u00e4", "aa": {"c": [true, null]}}',
  '{1,NULL,3}', '{"a,b","\"",NULL,""}', '{{1,2},{3,4}}', '{x,"y z"}', '(1,"a ""b""")', '{"(1,a)","(,)"}', '[1,5)', '{[1,2),[3,4)}', 'a & b', '1 2');
INSERT INTO sorts (id, exact, rounded, wide, described, day, moment, "moment there", raw, tree, list, matrix, couple) VALUES
  (3, 'NaN', 'NaN', '-Infinity', 'Infinity', 'infinity', '-infinity', 'infinity', 'null', 'null', '{}', '{}', NULL),
  (4, 1e-20, 1e-20, -1.5e-300, 123456789012345678901234567890.000001, '0044-03-15 BC', '0044-03-15 00:00 BC', '99999-01-01', '"text"', '"te\"xt"', '[2:3]={1,2}', NULL, '(,)'),
  (5, -0.0, '-0', 1e15, 0, '0001-01-01', '1999-12-31 23:59:59.9', '1900-01-01 00:00+00', '1e2', '1e2', NULL, NULL, '(5,"")'),
  (6, 1e20, 16777216, 123456.789e3, 1e-7, NULL, NULL, NULL, '[ ]', '{}', NULL, NULL, NULL);
SELECT anabranch.create_index('docs', 'engine', 'SELECT id, note FROM orders', '{id}') IS NULL AS ignore \gset
CREATE FUNCTION documents(form text) RETURNS TABLE (key text, content text, digest text) LANGUAGE sql AS $$
  SELECT key, content, digest FROM anabranch.read_documents('docs'::regclass, NULL, $_$SELECT id::text, 'target'::text, ''::text, true, id, s.* FROM public.sorts AS s ORDER BY s.id$_$, form, 1, NULL, 1000000)
$$;
GRANT SELECT ON sorts TO PUBLIC;
SELECT results_eq($$SELECT content FROM documents('json')$$, $$SELECT to_jsonb(s)::text FROM sorts AS s ORDER BY id$$, 'a row''s text is what jsonb''s would be, byte by byte');
SELECT results_eq($$SELECT digest FROM documents('json')$$, $$SELECT md5(to_jsonb(s)::text) FROM sorts AS s ORDER BY id$$, 'and its digest is the text''s');
SELECT results_eq($$SELECT content FROM documents('hash')$$,
  $$SELECT (SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each_text(to_jsonb(s)) AS e WHERE e.value IS NOT NULL)::text FROM sorts AS s ORDER BY id$$,
  'as strings they are what jsonb_each_text says, without what is NULL');
SELECT results_eq($$SELECT key FROM documents('none')$$, $$SELECT jsonb_build_object('id', id)::text FROM sorts ORDER BY id$$, 'so it is with keys');
SELECT results_eq($$SELECT content, digest FROM documents('none') LIMIT 1$$, $$VALUES ('', NULL::text)$$, 'contents that are not asked for are empty');
SELECT results_eq($$SELECT key, rows FROM anabranch.read_documents('docs'::regclass, NULL,
  'SELECT ''''::text, ''''::text, ''''::text, true, n.k FROM (VALUES (1, 1.0), (2, 1.0), (3, 1.00), (4, NULL), (5, NULL), (6, 2)) AS n (o, k) ORDER BY n.o', 'none', 1, NULL, 1000)$$,
  $$VALUES ('{"k": 1.0}', 2::bigint), ('{"k": 1.00}', 1), ('{"k": null}', 1), ('{"k": null}', 1), ('{"k": 2}', 1)$$, 'keys are one where their texts are, and NULL is none');
SELECT * FROM finish();
ROLLBACK;
