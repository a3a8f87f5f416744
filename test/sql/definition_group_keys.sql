\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(27);

-- Groups of any type that has an order, NULL being one of its values.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN short AS varchar(10) CHECK (value <> 'never');
CREATE DOMAIN shorter AS short NOT NULL DEFAULT '';
CREATE TYPE place AS (city text, number int);
-- A server built without ICU has no collation that takes different strings for equal.
DO $$ BEGIN
  CREATE COLLATION folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXCEPTION WHEN feature_not_supported THEN
  CREATE COLLATION folding FROM "C";
END $$;
CREATE TABLE thing (
  id int PRIMARY KEY, int2 smallint, float8 float8, numeric numeric, bool boolean, text text, bpchar char(5), folded text COLLATE folding,
  bytea bytea, date date, time time, timestamp timestamp, timestamptz timestamptz, interval interval, uuid uuid, inet inet,
  array_of int[], range int4range, jsonb jsonb, mood mood, short short, place place, bit bit(3), oid oid
);
ALTER TABLE thing REPLICA IDENTITY FULL;
CREATE FUNCTION some_things(first int) RETURNS void LANGUAGE sql AS $$
  INSERT INTO thing
  SELECT first + i, i % 3, (ARRAY['NaN', '-Infinity', '0', '1e300', '-0.1'])[1 + i % 5]::float8, (i % 4) * 1.5, i % 2 = 0, 'text ' || i % 3,
         'b' || i % 2, (ARRAY['Straße', 'STRASSE', 'other'])[1 + i % 3], decode(lpad(to_hex(i % 3), 4, '0'), 'hex'), '2026-01-01'::date - (i % 3) * 1000000 / 10,
         '24:00'::time - (i % 2) * interval '1 s', '0044-03-15 BC'::timestamp + (i % 2) * interval '1 us', 'infinity'::timestamptz,
         make_interval(days => i % 3, months => i % 2), ('00000000-0000-0000-0000-00000000000' || i % 3)::uuid, ('10.0.0.' || i % 3)::inet,
         ARRAY[i % 2, NULL], int4range(i % 3, 10), jsonb_build_object('a', i % 2), (ARRAY['sad', 'happy', 'ok'])[1 + i % 3]::mood, ('s' || i % 2)::short,
         ROW('c' || i % 2, i % 3)::place, (i % 4)::bit(3), i % 3
  FROM generate_series(1, 30) AS i;
  INSERT INTO thing (id) SELECT first + i FROM generate_series(31, 35) AS i;
$$;
SELECT some_things(0) \g /dev/null

SELECT lives_ok(format('SELECT anabranch.create_aggregate_table(%L, %L)', 'by_' || attname, format('SELECT %I, count(*), sum(id) FROM thing GROUP BY %1$I', attname)), attname || ': accepted')
FROM pg_attribute WHERE attrelid = 'thing'::regclass AND attnum > 1 ORDER BY attnum;
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('by_domain', 'SELECT coalesce(short, '''')::shorter AS s, mood, place, count(*) FROM thing GROUP BY 1, 2, 3') $$,
                'several keys at once: accepted');

CREATE FUNCTION all_differences() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT copy::text || E'\n' || difference FROM (SELECT d.copy, differences(d.copy) AS difference FROM anabranch.definition AS d) AS each WHERE difference <> ''
$$;
SELECT fill(copy, 13) FROM anabranch.definition \g /dev/null
SELECT is_empty('SELECT all_differences()', 'filled, all equal their queries');
SELECT watch('thing') \g /dev/null
SELECT some_things(100) \g /dev/null
DELETE FROM thing WHERE id BETWEEN 10 AND 20 OR id = 33;
UPDATE thing SET int2 = NULL, mood = NULL, place = NULL, folded = 'OTHER', bpchar = 'x' WHERE id % 5 = 1;
ALTER TYPE mood ADD VALUE 'new' BEFORE 'sad';
SELECT sync(copy) FROM anabranch.definition \g /dev/null
SELECT is_empty('SELECT all_differences()', 'changed, all equal their queries');
DELETE FROM thing;
SELECT sync(copy) FROM anabranch.definition \g /dev/null
SELECT is_empty('SELECT all_differences()', 'and empty in the end');
SELECT * FROM finish();
ROLLBACK;
