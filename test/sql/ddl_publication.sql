\set ECHO none
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(10);
CREATE TABLE facts (id int PRIMARY KEY, n int);
CREATE TABLE others (id int PRIMARY KEY, n int);
SELECT define('sums', 'facts', '{n}', '{id}') IS NULL AS ignore \gset
SELECT define('rest', 'others', '{n}', '{id}') IS NULL AS ignore \gset
CREATE FUNCTION states() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(copy || ' ' || state || coalesce(': ' || split_part(reason, ';', 1), ''), ', ' ORDER BY copy::text) FROM anabranch.progress
$$;
SAVEPOINT whole;
ALTER PUBLICATION anabranch DROP TABLE facts;
SELECT is(states(), 'rest live, sums stale: publication "anabranch" no longer has every change of table public.facts', 'a table taken out of the publication is missed at once');
SELECT lives_ok($$SELECT anabranch.resume('sums')$$, 'resume fills the copy anew');
SELECT is((SELECT count(*)::int FROM pg_publication_tables WHERE pubname = 'anabranch' AND tablename = 'facts'), 1, 'and publishes the table again');
ALTER PUBLICATION anabranch SET TABLE anabranch.ddl, facts (id), others WHERE (n > 0);
SELECT is(states(), 'rest stale: publication "anabranch" no longer has every change of table public.others, '
  'sums stale: publication "anabranch" no longer has every change of table public.facts', 'some of its columns or rows are not enough');
ROLLBACK TO whole;
ALTER PUBLICATION anabranch SET (publish = 'insert, update');
SELECT alike(states(), 'rest stale: publication "anabranch" leaves out an operation, sums stale: %', 'nor are some of the operations');
ROLLBACK TO whole;
ALTER PUBLICATION anabranch RENAME TO another;
SELECT alike(states(), 'rest stale: there is no publication "anabranch" any more, sums stale: %', 'nor is another publication');
ROLLBACK TO whole;
DROP PUBLICATION anabranch;
SELECT alike(states(), 'rest stale: there is no publication "anabranch" any more, sums stale: %', 'nor none');
ROLLBACK TO whole;
CREATE PUBLICATION for_others FOR ALL TABLES;
DROP PUBLICATION for_others;
CREATE TABLE third (id int);
ALTER PUBLICATION anabranch ADD TABLE third;
ALTER PUBLICATION anabranch DROP TABLE third;
SELECT is(states(), 'rest live, sums live', 'what else is published does not matter');
ALTER PUBLICATION anabranch DROP TABLE anabranch.ddl;
ALTER TABLE facts RENAME n TO m;
SELECT is(states(), 'rest live, sums stale: column n of table public.facts was renamed to m', 'without the table of records, copies are made stale at once');
ROLLBACK TO whole;
SELECT anabranch.drop_aggregate_table('sums') IS NULL AS ignore \gset
SELECT is((SELECT count(*)::int FROM pg_publication_tables WHERE pubname = 'anabranch' AND tablename = 'facts'), 0, 'a table leaves the publication with the last copy that reads it');
SELECT * FROM finish();
ROLLBACK;
