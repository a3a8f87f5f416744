\set ECHO none
\i test/fixture/start.sql
SELECT plan(11);

SELECT is_empty($$
  SELECT p.oid::regprocedure FROM pg_proc AS p
  WHERE p.pronamespace = 'anabranch'::regnamespace AND p.proname NOT IN ('create_aggregate_table', 'create_index', 'alter_aggregate_table', 'alter_index', 'republish', 'row_key')
    AND NOT (p.provolatile = 'i' AND p.prolang <> (SELECT oid FROM pg_language WHERE lanname = 'sql'))
    AND NOT coalesce('search_path=pg_catalog, pg_temp' = ANY (p.proconfig), false)
$$, 'every function pins its search_path, but those that read a query as their caller would, and those that look nothing up');

SELECT is_empty($$
  SELECT p.oid::regprocedure FROM pg_proc AS p
  WHERE p.pronamespace = 'anabranch'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL
$$, 'every function has a comment');

SELECT is_empty($$
  SELECT c.oid::regclass FROM pg_class AS c
  WHERE c.relnamespace = 'anabranch'::regnamespace AND c.relkind IN ('r', 'v') AND obj_description(c.oid, 'pg_class') IS NULL
$$, 'every table and view has a comment');

SELECT is_empty($$
  SELECT c.oid::regclass || '.' || a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
  WHERE c.relnamespace = 'anabranch'::regnamespace AND c.relkind IN ('r', 'v') AND c.relname !~ '^shadow_'
    AND a.attnum > 0 AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL
$$, 'every column has a comment');

SELECT is_empty($$
  SELECT nspname FROM pg_namespace WHERE nspname LIKE 'anabranch%' AND obj_description(oid, 'pg_namespace') IS NULL
  UNION ALL
  SELECT evtname FROM pg_event_trigger WHERE evtname LIKE 'anabranch%' AND obj_description(oid, 'pg_event_trigger') IS NULL
  UNION ALL
  SELECT extname FROM pg_extension WHERE extname = 'anabranch' AND obj_description(oid, 'pg_extension') IS NULL
$$, 'schemas, event triggers and the extension have a comment');

SELECT set_eq($$
  SELECT p.proname::text FROM pg_proc AS p
  WHERE p.pronamespace = 'anabranch'::regnamespace
    AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) AS a
                WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE')
$$, ARRAY['add_counts', 'add_index', 'alter_aggregate_table', 'alter_index', 'assert_fresh', 'cancel', 'cancel_republish', 'census', 'drop_aggregate_table',
         'drop_former', 'drop_index', 'is_fresh', 'on_partition_removed', 'pause', 'proto_schema', 'rebuild', 'repair', 'republish', 'resume', 'row_key', 'swap', 'swap_back', 'verify',
         'verify_every', 'wait_for'],
  'these functions, and no others, are open to everybody');

SELECT is_empty($$
  SELECT c.oid::regclass, a.privilege_type FROM pg_class AS c, aclexplode(c.relacl) AS a
  WHERE c.relnamespace IN ('anabranch'::regnamespace, 'anabranch_data'::regnamespace)
    AND (a.grantee = 0 OR a.grantee <> c.relowner AND (c.relkind <> 'v' OR a.privilege_type <> 'SELECT'))
$$, 'no table is open to anybody, and the views only to be read');

SELECT is_empty($$
  SELECT n.nspname FROM pg_namespace AS n, aclexplode(n.nspacl) AS a
  WHERE n.nspname LIKE 'anabranch%' AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
$$, 'nobody may create anything in the schemas');

SELECT is_empty($$
  SELECT p.oid::regprocedure FROM pg_proc AS p JOIN pg_extension AS e ON e.extname = 'anabranch'
  WHERE p.pronamespace = 'anabranch'::regnamespace
    AND (p.proowner <> e.extowner OR NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass
                                                 AND d.objid = p.oid AND d.refobjid = e.oid AND d.deptype = 'e'))
$$, 'every function belongs to the extension and its owner');

\set taken `cat sql/install/*.sql | grep -cE 'CREATE OR REPLACE|CREATE [A-Z ]+ IF NOT EXISTS'`
SELECT is(:taken, 0, 'the installation takes over nothing that exists');

SELECT throws_ok('CREATE SCHEMA anabranch', '42P06', NULL, 'the schema is the extension''s own');

SELECT * FROM finish();
ROLLBACK;
