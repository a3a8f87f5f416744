\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
\i test/fixture/refusals.sql
SELECT plan(26);

-- Whose rights are asked for, and that nobody gets others by way of a copy.
CREATE ROLE maker NOLOGIN;
CREATE ROLE keeper NOLOGIN;
GRANT anabranch_operator TO maker, keeper;
CREATE SCHEMA made AUTHORIZATION maker;
GRANT USAGE ON SCHEMA made TO PUBLIC;
CREATE TABLE kept (id int PRIMARY KEY, g int, secret int);
ALTER TABLE kept OWNER TO keeper;
ALTER TABLE kept REPLICA IDENTITY FULL;
INSERT INTO kept SELECT i, i % 3, i FROM generate_series(1, 9) AS i;
GRANT SELECT (id, g) ON kept TO maker;
CREATE TABLE guarded (id int PRIMARY KEY, g int);
ALTER TABLE guarded OWNER TO keeper;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON guarded TO maker;
CREATE VIEW window_on_kept AS SELECT g, secret FROM kept;
GRANT SELECT ON window_on_kept TO maker;
CREATE FUNCTION closed(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
REVOKE ALL ON FUNCTION closed(int) FROM PUBLIC;

SET ROLE maker;
SELECT is(refusal('SELECT g, count(*) FROM kept GROUP BY g', 'made.copy'),
  E'table public.kept is not published, and only its owner may have it published\nAsk an administrator to run ALTER PUBLICATION anabranch ADD TABLE ONLY public.kept.',
  'a table of another owner is not published for us');
SELECT is(refusal('SELECT secret, count(*) FROM kept GROUP BY secret', 'made.copy'), 'permission denied for table kept', 'a column that may not be read');
SELECT is(refusal('SELECT g, sum(secret) FROM window_on_kept GROUP BY g', 'made.copy'), 'permission denied for column "secret" of relation "kept"',
          'a view does not lend its owner''s rights: the copy is read by ours');
SELECT is(refusal('SELECT g, count(*) FROM guarded GROUP BY g', 'made.copy'),
  E'row-level security of table public.guarded applies to role maker\nA copy is made of every row of its sources.\nCreate it as the table''s owner or as a role with BYPASSRLS.',
  'row-level security');
SELECT is(refusal('SELECT closed(g) AS c, count(*) FROM kept GROUP BY 1', 'made.copy'), 'permission denied for function closed', 'a function that may not be executed');
SELECT is(refusal('SELECT g, count(*) FROM kept GROUP BY g', 'public.copy'), 'permission denied for schema public', 'a schema that nothing may be created in');
SELECT is(refusal('SELECT g, count(*) FROM kept GROUP BY g', 'anabranch_data.copy'), 'permission denied for schema anabranch_data', 'least of all our own');
SELECT is(refusal('SELECT g, count(*) FROM kept GROUP BY g', 'pg_temp.copy'), 'an aggregate table cannot be temporary', 'the temporary schema');

SET ROLE keeper;
SELECT throws_ok($$ SELECT anabranch.create_aggregate_table('made.copy', 'SELECT g, count(*) FROM kept GROUP BY g') $$, '42501', NULL, 'another''s schema');
RESET ROLE;
SELECT throws_ok($$ SELECT anabranch.create_aggregate_table('anabranch_data.copy', 'SELECT g, count(*) FROM kept GROUP BY g') $$, '3F000',
                 'schema "anabranch_data" is not for aggregate tables', 'not even a superuser makes one in a schema of ours');
CREATE SCHEMA hers AUTHORIZATION keeper;
SET ROLE keeper;
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('hers.copy', 'SELECT g, count(*) FROM kept GROUP BY g') $$, 'the owner may have the table published');
SET ROLE maker;
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('made.copy', 'SELECT g, count(*) FROM kept GROUP BY g') $$, 'and then whoever may read it may copy it');
SELECT throws_ok('SELECT * FROM hers.copy', '42501', NULL, 'a copy is read by those it is granted to');
RESET ROLE;
SELECT is((SELECT relowner::regrole::text FROM pg_class WHERE oid = 'made.copy'::regclass), 'maker', 'the copy belongs to its maker');
SELECT is((SELECT relowner FROM pg_class WHERE oid = 'anabranch_data.copy'::regclass), (SELECT extowner FROM pg_extension WHERE extname = 'anabranch'),
          'its state table to the extension''s owner');
SELECT fill(copy) FROM anabranch.definition \g /dev/null
SET ROLE maker;
SELECT is((SELECT array_agg(count) FROM made.copy), ARRAY[3, 3, 3]::bigint[], 'its maker reads it');
SELECT throws_ok('DELETE FROM anabranch_data.copy', '42501', NULL, 'but cannot write its state');
SELECT throws_ok('CREATE TRIGGER t AFTER INSERT ON anabranch_data.copy FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()', '42501', NULL, 'nor put a trigger on it');

-- A function that lies about being immutable, and tries to become what applies it.
CREATE TABLE made.bait (id int PRIMARY KEY, g int);
CREATE FUNCTION made.seize(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  PERFORM set_config('role', (SELECT rolname FROM pg_roles WHERE rolsuper ORDER BY oid LIMIT 1), true);
  RETURN current_user;
END
$$;
CREATE FUNCTION made.whoami(int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN current_user || ' ' || current_setting('search_path'); END $$;
INSERT INTO made.bait SELECT i, i FROM generate_series(1, 3) AS i;
SELECT anabranch.create_aggregate_table('made.seizing', 'SELECT made.seize(id) AS who, count(*) FROM made.bait GROUP BY 1') \g /dev/null
SELECT anabranch.create_aggregate_table('made.asking', 'SELECT made.whoami(id) AS who, count(*) FROM made.bait GROUP BY 1') \g /dev/null
RESET ROLE;
SELECT throws_ok($$ SELECT fill('made.seizing') $$, '42501', 'cannot set parameter "role" within security-definer function', 'a function cannot become another role while it is filled');
SELECT fill('made.asking') \g /dev/null
SELECT is((SELECT who FROM made.asking), 'maker pg_catalog, pg_temp', 'it runs as its owner, with a pinned search_path');
SELECT is(current_user::text || current_setting('search_path'), session_user || 'public', 'and leaves nothing behind');
SELECT throws_ok($$ SELECT anabranch.apply('made.seizing'::regclass, delta_row(1, 1, row_bytes('made.bait', '{1}', '{"id": 7}'))) $$, '42501',
                 'cannot set parameter "role" within security-definer function', 'nor while changes are applied');

-- Checks of a domain run wherever a value is read from its text, also deep inside of another type.
SET ROLE maker;
CREATE FUNCTION made.note(int) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF current_user <> 'maker' THEN
    RAISE EXCEPTION 'run as %', current_user;
  END IF;
  RETURN true;
END
$$;
CREATE DOMAIN made.watched AS int CHECK (made.note(value));
CREATE TYPE made.parcel AS (w made.watched, n int);
CREATE TABLE made.parcels (id int PRIMARY KEY, parcel made.parcel, many made.watched[], w made.watched);
ALTER TABLE made.parcels REPLICA IDENTITY FULL;
CREATE FUNCTION made.difference(int, int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF current_user <> 'maker' THEN
    RAISE EXCEPTION 'run as %', current_user;
  END IF;
  RETURN $1 - $2;
END
$$;
CREATE TYPE made.span AS RANGE (subtype = int, subtype_diff = made.difference);
CREATE TABLE made.spans (id int PRIMARY KEY, span made.span);
ALTER TABLE made.spans REPLICA IDENTITY FULL;
INSERT INTO made.spans SELECT i, made.span(i, i + i) FROM generate_series(1, 20) AS i;
INSERT INTO made.parcels VALUES (1, '(1,2)', '{3}', 4);
SELECT anabranch.create_aggregate_table('made.parcel_groups', 'SELECT parcel, w, count(*), count(w) FILTER (WHERE id > 1) AS some FROM made.parcels GROUP BY 1, 2') \g /dev/null
SELECT anabranch.create_aggregate_table('made.parcel_rows', 'SELECT parcel, many, w FROM made.parcels WHERE id > 0') \g /dev/null
SELECT anabranch.create_aggregate_table('made.span_groups', 'SELECT span, count(*) FROM made.spans GROUP BY 1') \g /dev/null
RESET ROLE;
SELECT fill(copy) FROM unnest(ARRAY['made.parcel_groups', 'made.parcel_rows', 'made.span_groups']::regclass[]) AS copy \g /dev/null
CREATE FUNCTION parcel(copy regclass) RETURNS bigint LANGUAGE sql AS $$
  SELECT anabranch.apply(copy, delta_row(1, 1, value_field(1, '2', 'int') || value_field(2, '(7,8)', 'made.parcel') ||
    CASE WHEN copy = 'made.parcel_rows'::regclass THEN value_field(3, '{9}', 'text') ELSE '' END || value_field(4, '7', 'int')))
$$;
SELECT lives_ok($$ SELECT parcel('made.parcel_groups') $$, 'checks of domains run as the owner when a group is read');
SELECT lives_ok($$ SELECT parcel('made.parcel_rows') $$, 'and when a row is');
SELECT lives_ok($$ SELECT anabranch.apply('made.parcel_rows'::regclass, delta_row(1, -1, value_field(1, '1', 'int'))) $$, 'and are not asked about a row that is gone');
SELECT lives_ok('ANALYZE anabranch_data.span_groups', 'statistics are not made with a function of the owner''s');
SELECT * FROM finish();
ROLLBACK;
