\set ECHO none
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(24);

CREATE ROLE tenant;
CREATE ROLE reader;
GRANT CREATE, USAGE ON SCHEMA public TO tenant;
SET ROLE tenant;
CREATE TABLE mine (id int PRIMARY KEY, n int);
GRANT SELECT ON mine TO reader;
RESET ROLE;
CREATE TABLE unrelated (id int PRIMARY KEY, n int);
SELECT define('copy_of_mine', 'mine', '{n}', '{id}') IS NULL AS ignore \gset
ALTER VIEW copy_of_mine OWNER TO reader;

SELECT ok(has_table_privilege('reader', 'anabranch_data.copy_of_mine', 'SELECT'), 'a new owner of a copy may read its table');
CREATE ROLE heir;
ALTER VIEW copy_of_mine OWNER TO heir;
SELECT ok(has_table_privilege('heir', 'anabranch_data.copy_of_mine', 'SELECT'), 'and so may the next');
SELECT ok(NOT has_table_privilege('reader', 'anabranch_data.copy_of_mine', 'SELECT'), 'while the one before no longer may');
ALTER VIEW copy_of_mine OWNER TO reader;
ALTER VIEW copy_of_mine RENAME TO renamed;
CREATE SCHEMA elsewhere;
ALTER VIEW renamed SET SCHEMA elsewhere;
SELECT is((SELECT copy::text FROM anabranch.copies), 'elsewhere.renamed', 'a copy may be renamed and moved');
ALTER VIEW elsewhere.renamed SET SCHEMA public;

SET ROLE tenant;
SELECT lives_ok('ALTER TABLE mine ADD COLUMN more int', 'the owner of a source alters it without a right on ours');
SELECT lives_ok('ALTER TABLE mine RENAME n TO m', 'also in a way that makes copies stale');
SELECT is(take_recorded(), 'renamed: column n of table public.mine was renamed to m', 'which is recorded');
SAVEPOINT undone;
ALTER TABLE mine DROP COLUMN id;
ROLLBACK TO undone;
ALTER TABLE mine RENAME m TO n;
RESET ROLE;
SELECT is(take_recorded(), 'nothing', 'what is rolled back leaves no record');
ALTER TABLE unrelated RENAME n TO m;
ALTER TABLE unrelated ALTER m TYPE bigint, SET UNLOGGED, REPLICA IDENTITY NOTHING;
CREATE TABLE child () INHERITS (unrelated);
DROP TABLE unrelated CASCADE;
SELECT is(take_recorded(), 'nothing', 'tables that no copy reads are nobody''s concern');
SELECT is((SELECT count(*)::int FROM anabranch.generation), 0, 'nor are their generations counted');
CREATE TABLE published (n int, at date) PARTITION BY LIST (n);
CREATE TABLE published_leaf PARTITION OF published DEFAULT;
CREATE PUBLICATION topics FOR TABLE published;
ALTER TABLE published ALTER at TYPE text;
SELECT is((SELECT string_agg(concat_ws(' ', relation::regclass, generation), ', ' ORDER BY relation) FROM anabranch.generation),
  'published 1, published_leaf 1', 'save those that a publication has: their rows stand in topics');
DROP TABLE published;
DELETE FROM anabranch.generation;

CREATE TABLE heirs () INHERITS (mine);
SELECT is(take_recorded(), 'renamed: table public.heirs inherits from table public.mine', 'rows of an inheriting table would be read and not published');
DROP TABLE heirs;
SELECT is(take_recorded(), 'renamed: table public.heirs was dropped from table public.mine', 'and are gone with it');
ALTER TABLE mine ENABLE ROW LEVEL SECURITY;
SELECT is(take_recorded(), 'renamed: row-level security of table public.mine now applies to role reader', 'row-level security would hide rows from the owner of the copy');
ALTER TABLE mine DISABLE ROW LEVEL SECURITY;
SELECT throws_ok('ALTER TABLE mine SET UNLOGGED', '55000', NULL, 'PostgreSQL keeps published tables logged');
DROP PUBLICATION anabranch;
UPDATE anabranch.progress SET state = 'live';
ALTER TABLE mine SET UNLOGGED;
SELECT is(take_recorded(), 'renamed: table public.mine is no longer logged', 'changes of an unlogged table are not in the stream');
ALTER TABLE mine SET LOGGED;
CREATE PUBLICATION anabranch FOR TABLE anabranch.ddl, mine;
UPDATE anabranch.progress SET state = 'live';
SELECT is(take_recorded(), 'nothing', 'and are again when it is logged');

SET LOCAL session_replication_role = replica;
ALTER TABLE mine RENAME n TO m;
SET LOCAL session_replication_role = origin;
SELECT is(take_recorded(), 'renamed: column n of table public.mine was renamed to m', 'sessions that replay another server''s commands are heard as well');
SET ROLE tenant;
DROP TABLE mine;
RESET ROLE;
SELECT is(take_recorded(), 'renamed: table public.mine was dropped', 'a dropped source is named');
SELECT is((SELECT count(*)::int FROM pg_class WHERE relname ~ '^shadow_' AND relkind = 'r'), 0, 'and its shadow is gone, so that its types can go as well');
SET LOCAL session_replication_role = replica;
SET ROLE reader;
DROP VIEW renamed;
RESET ROLE;
SET LOCAL session_replication_role = origin;
SELECT is((SELECT count(*)::int FROM anabranch.definition), 0, 'who drops the view drops the copy');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is((SELECT count(*)::int FROM anabranch.definition_source) + (SELECT count(*)::int FROM anabranch.progress), 0, 'with all that was known of it');
SELECT is(to_regclass('anabranch_data.copy_of_mine')::text, NULL, 'with its table');

CREATE TABLE mine (id int PRIMARY KEY, n int);
SELECT define('again', 'mine', '{n}', '{id}') IS NULL AS ignore \gset
DROP TABLE anabranch_data.again CASCADE;
SELECT is((SELECT count(*)::int FROM anabranch.definition), 0, 'who drops the table, as its owner may, drops the copy');
SELECT * FROM finish();
ROLLBACK;
