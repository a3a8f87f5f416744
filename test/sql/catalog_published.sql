\set ECHO none
\i test/fixture/start.sql
SELECT plan(1);
-- A publication FOR ALL TABLES has ours as well, and then a table without a replica identity refuses UPDATE and DELETE.
SELECT is_empty($$
  SELECT c.oid::regclass FROM pg_class AS c
  WHERE c.relnamespace = 'anabranch'::regnamespace AND c.relkind = 'r' AND c.relreplident <> 'f'
    AND NOT EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate)
$$, 'every table of the catalog has a replica identity');
SELECT * FROM finish();
ROLLBACK;
