\set ECHO none
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(14);

-- Rows in the log are text of labels and attributes as they were. Where those change, nobody may read them any more.
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE place AS (street text, town text);
CREATE TYPE trip AS (origin place, goal place);
CREATE DOMAIN homes AS place[];
CREATE TYPE moods AS RANGE (SUBTYPE = mood);
CREATE TABLE note (id int PRIMARY KEY, body text);
CREATE TABLE person (id int PRIMARY KEY, feeling mood, home place, homes homes, trip trip, moods moods, note note, name text);
SELECT define('by_' || column_name, 'person', ARRAY[column_name], '{id}') IS NULL AS ignore
FROM unnest('{feeling,home,homes,trip,moods,note,name}'::text[]) AS column_name \g /dev/null
CREATE FUNCTION take_stale() RETURNS text LANGUAGE sql AS $$
  WITH taken AS (UPDATE anabranch.progress SET state = 'live', sqlstate = NULL, reason = NULL WHERE state = 'stale' RETURNING copy)
  SELECT coalesce(string_agg(copy::text, ' ' ORDER BY copy::text), 'nothing') FROM taken
$$;
SET client_min_messages = error;

ALTER TYPE mood ADD VALUE 'calm' BEFORE 'glad';
SELECT is(take_stale(), 'nothing', 'a new label leaves the others as they are');
ALTER TYPE mood RENAME VALUE 'calm' TO 'quiet';
SELECT is(take_stale(), 'by_feeling by_moods', 'a renamed label concerns the enum, and a range of it');
ALTER TYPE place ADD ATTRIBUTE country text;
SELECT is(take_stale(), 'by_home by_homes by_trip', 'a new attribute concerns all that a composite type is part of');
ALTER TYPE place RENAME ATTRIBUTE country TO state;
SELECT is(take_stale(), 'by_home by_homes by_trip', 'so does another name of one');
ALTER TYPE trip DROP ATTRIBUTE goal;
SELECT is(take_stale(), 'by_trip', 'a dropped attribute concerns what has it');
ALTER TABLE note ADD COLUMN author text;
SELECT is(take_stale(), 'by_note', 'the row type of a table is one, too');
ALTER TABLE note RENAME COLUMN author TO writer;
SELECT is(take_stale(), 'by_note', 'and a renamed column counts');
ALTER TABLE note DROP COLUMN writer;
SELECT is(take_stale(), 'by_note', 'as does a dropped one');
ALTER TABLE note ALTER COLUMN body SET NOT NULL;
ALTER TABLE note ADD CHECK (body <> '');
SELECT is(take_stale(), 'nothing', 'constraints do not');
CREATE TYPE unused AS ENUM ('x');
ALTER TYPE unused RENAME VALUE 'x' TO 'y';
SELECT is(take_stale(), 'nothing', 'nor do types that no copy reads');
ALTER TYPE mood RENAME VALUE 'quiet' TO 'calm';
SELECT is((SELECT sqlstate || ' ' || reason FROM anabranch.progress WHERE copy = 'by_feeling'::regclass),
          'AN004 type public.mood of a column it reads was altered; fill the copy anew with anabranch.rebuild', 'the reason names the type');
SELECT is(take_recorded(), 'nothing', 'it is not told in order with the rows, which would come too late');

CREATE TABLE names (id int PRIMARY KEY, one regclass, many regclass[], acl aclitem);
ALTER TABLE names REPLICA IDENTITY FULL;
SELECT throws_ok(format('SELECT anabranch.create_aggregate_table(%L, %L)', 'copy_of_' || c, format('SELECT id, %I FROM names', c)), '0A000', NULL, c || ' is refused')
FROM unnest('{many,acl}'::text[]) AS c;
SELECT * FROM finish();
ROLLBACK;
