\set ECHO none
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(8);
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE DOMAIN positive AS numeric(10,2) CHECK (value > 0);
CREATE TYPE pair AS (a int, "b c" text);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE COLLATION plain FROM "C";
CREATE TABLE source (
  d1 int, "key" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "x ""y"" z" varchar(10) COLLATE "C", price positive, moods mood[],
  d2 text, inside pair, spans span, wait interval second(3), code bpchar, fixed char(3), at timestamptz(2), bits bit varying(5), one "char",
  twice bigint GENERATED ALWAYS AS ("length" * 2) STORED, "length" bigint, sorted text COLLATE plain, wide numeric[][], tree xml, doc jsonb);
ALTER TABLE source DROP COLUMN d1, DROP COLUMN d2;
CREATE FUNCTION columns_of(relation regclass) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(concat_ws(' ', attnum, CASE WHEN attisdropped THEN 'dropped' ELSE attname END, atttypid, atttypmod, attcollation), ', ' ORDER BY attnum)
  FROM pg_attribute WHERE attrelid = relation AND attnum > 0
$$;
SELECT regexp_replace(columns_of('source'), 'dropped 0 \S+ \S+', 'dropped', 'g') AS wanted \gset
SELECT anabranch.shadow_for('source'::regclass) AS shadow \gset
SELECT is(regexp_replace(columns_of(:'shadow'), 'dropped 0 \S+ \S+', 'dropped', 'g'), :'wanted',
  'a shadow has the columns of its source: numbers, names, types, modifiers, collations, and dropped ones where they were');
SELECT is((SELECT count(*)::int FROM pg_constraint WHERE conrelid = :'shadow'::regclass) + (SELECT count(*)::int FROM pg_attrdef WHERE adrelid = :'shadow'::regclass), 0,
  'and neither constraints nor defaults');
SELECT is(anabranch.renew_shadow('source'::regclass, :'shadow'::regclass), false, 'it need not be made anew');
SELECT define('a', 'source', '{price}', '{key}') IS NULL AS ignore \gset
SELECT define('b', 'source', '{moods}', '{key}') IS NULL AS ignore \gset
SELECT is((SELECT count(DISTINCT shadow)::int FROM anabranch.definition_source), 1, 'copies of one source share it');
ALTER TABLE source ADD COLUMN more int;
SELECT is((SELECT columns_of(shadow) ~ '21 more 23 -1 0$' FROM anabranch.definition_source LIMIT 1), true, 'it follows its source');
ALTER EVENT TRIGGER anabranch_follow_command DISABLE;
ALTER TABLE source ADD COLUMN unseen int, DROP COLUMN wide;
ALTER EVENT TRIGGER anabranch_follow_command ENABLE ALWAYS;
SELECT define('c', 'source', '{unseen}', '{key}') IS NULL AS ignore \gset
SELECT is((SELECT count(DISTINCT columns_of(shadow))::int FROM anabranch.definition_source), 1, 'a new definition finds it right, even if nobody watched');
SELECT is((SELECT anabranch.column_definitions(relation, columns)::text FROM anabranch.definition_source WHERE copy = 'a'::regclass),
  '{"key bigint","price public.positive"}', 'what a definition was made for is kept in words');
CREATE TABLE empty ();
SELECT lives_ok($$SELECT anabranch.shadow_for('empty'::regclass)$$, 'a table may have no columns at all');
SELECT * FROM finish();
ROLLBACK;
