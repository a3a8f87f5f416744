\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
\i test/fixture/refusals.sql
SELECT plan(16);

-- Which replica identity suffices, what is asked for otherwise, and what prepare_sources does.
CREATE TABLE by_index (id int PRIMARY KEY, code int NOT NULL, shop text NOT NULL, n int);
CREATE UNIQUE INDEX by_index_shop ON by_index (shop, code);
ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_shop;
CREATE TABLE by_nothing (id int PRIMARY KEY, n int);
ALTER TABLE by_nothing REPLICA IDENTITY NOTHING;
CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE, n int);
CREATE TABLE numbers (id int PRIMARY KEY, n int, big numeric, fixed timestamptz);
CREATE TABLE plain (id int PRIMARY KEY, text text);
ALTER TABLE plain ALTER text SET STORAGE PLAIN;
CREATE FUNCTION source_of(copy text) RETURNS text LANGUAGE sql AS $$
  SELECT format('columns %s key %s old %s', columns, key, old_rows) FROM anabranch.definition_source AS s WHERE s.copy = $1::regclass
$$;

SELECT anabranch.create_aggregate_table('a', 'SELECT shop, count(*) FROM by_index GROUP BY shop') \g /dev/null
SELECT is(source_of('a'), 'columns {2,3} key {2,3} old key', 'an index that holds what is needed');
SELECT anabranch.create_aggregate_table('b', 'SELECT count(*) FROM by_index') \g /dev/null
SELECT is(source_of('b'), 'columns {2,3} key {2,3} old key', 'no column at all is needed but the key');
SELECT alike(refusal('SELECT n, count(*) FROM by_index GROUP BY n'), '%Old values of these columns are needed and not in the stream: "n".%', 'an index that does not hold it');
SELECT alike(refusal('SELECT count(*) FROM by_nothing'), '%of table public.by_nothing does not suffice%', 'no identity, in spite of a primary key');
SELECT alike(refusal('SELECT count(*) FROM deferred'), '%of table public.deferred does not suffice%', 'a deferrable key is none');
SELECT anabranch.create_aggregate_table('c', 'SELECT id, n, fixed FROM numbers') \g /dev/null
SELECT is(source_of('c'), 'columns {1,2,4} key {1} old key', 'rows by their key need no old values');
SELECT alike(refusal('SELECT id, big FROM numbers'), '%not in the stream: "big".%', 'but of columns that may be kept out of line');
SELECT anabranch.create_aggregate_table('d', 'SELECT id, text FROM plain') \g /dev/null
SELECT is(source_of('d'), 'columns {1,2} key {1} old key', 'and a column that never is');

SELECT anabranch.create_aggregate_table('e', 'SELECT n, count(*) FROM numbers GROUP BY n', prepare_sources => true) \g /dev/null
SELECT is(source_of('e'), 'columns {1,2} key {1} old full', 'prepare_sources lets it be kept');
SELECT is((SELECT relreplident::text FROM pg_class WHERE oid = 'numbers'::regclass), 'f', 'by a full replica identity');
SELECT is((SELECT relreplident::text FROM pg_class WHERE oid = 'by_index'::regclass), 'i', 'and touches no table that needs none');
SELECT anabranch.create_aggregate_table('f', 'SELECT count(*) FROM deferred', prepare_sources => true) \g /dev/null
SELECT is(source_of('f'), 'columns {} key {} old full', 'a deferrable key tells no rows apart: their images do');

CREATE ROLE guest NOLOGIN;
GRANT anabranch_operator TO guest;
CREATE SCHEMA guests AUTHORIZATION guest;
GRANT SELECT ON by_nothing, numbers TO guest;
SET ROLE guest;
SELECT throws_ok($$ SELECT anabranch.create_aggregate_table('guests.a', 'SELECT count(*) FROM by_nothing', prepare_sources => true) $$, '42501',
                 'must be owner of table by_nothing', 'only the owner can have a table prepared');
SELECT lives_ok($$ SELECT anabranch.create_aggregate_table('guests.b', 'SELECT n, count(*) FROM numbers GROUP BY n') $$, 'others use what is prepared and published');
RESET ROLE;

-- The key orders the fill, whatever index it is.
INSERT INTO by_index SELECT i, i % 10, 'shop ' || i / 10, i FROM generate_series(1, 99) AS i;
INSERT INTO deferred SELECT i FROM generate_series(1, 30) AS i;
SELECT fill(copy, 7) FROM anabranch.definition WHERE copy IN ('a'::regclass, 'f'::regclass) \g /dev/null
SELECT is(differences('a'), '', 'filled by an index of two columns');
SELECT is(differences('f'), '', 'filled without a key');
SELECT * FROM finish();
ROLLBACK;
