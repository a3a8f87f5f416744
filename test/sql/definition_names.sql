\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(20);

-- Names of every kind, for tables, columns, types, functions and the copy itself.
CREATE TABLE odd (number int GENERATED ALWAYS AS IDENTITY, name text);
INSERT INTO odd (name) VALUES
  ('a "quoted" name'), ('it''s'), (E'two\nlines'), ('$(touch x)'), ('100 %s %n %1$s'), ('🐘 слон'), ('select'), (repeat('x', 63)), ('anabranch_rows'),
  ('ctid'), ('delta_1'), ('folded'), ('final'), ('state'), (' \\ '), ('$$');
CREATE FUNCTION make(name text) RETURNS void LANGUAGE plpgsql AS $do$
BEGIN
  EXECUTE format('CREATE SCHEMA %I', 's' || left(name, 40));
  EXECUTE format('CREATE DOMAIN %I.%I AS text', 's' || left(name, 40), 'd' || left(name, 40));
  EXECUTE format('CREATE FUNCTION %I.%I(text) RETURNS text LANGUAGE sql IMMUTABLE AS ''SELECT $1 || ''''!''''''', 's' || left(name, 40), name);
  EXECUTE format('CREATE TABLE %1$I.%2$I (id int PRIMARY KEY, %3$I %1$I.%4$I, other int)', 's' || left(name, 40), name, CASE name WHEN 'ctid' THEN 'ctid_' ELSE name END,
                 'd' || left(name, 40));
  EXECUTE format('ALTER TABLE %I.%I REPLICA IDENTITY FULL', 's' || left(name, 40), name);
  EXECUTE format('INSERT INTO %I.%I SELECT i, ''v'' || i %% 3, i FROM generate_series(1, 20) AS i', 's' || left(name, 40), name);
  PERFORM anabranch.create_aggregate_table(
    format('%I.%I', 's' || left(name, 40), 'g' || left(name, 40)),
    format('SELECT %4$I AS %3$I, %1$I.%2$I(%4$I) AS called, count(*) AS %5$I, sum(other) FILTER (WHERE %4$I <> %6$L) AS "%%s" FROM %1$I.%2$I AS %2$I GROUP BY 1, 2',
           's' || left(name, 40), name, name, CASE name WHEN 'ctid' THEN 'ctid_' ELSE name END, left(name, 40) || ' n', name));
  PERFORM anabranch.create_aggregate_table(
    format('%I.%I', 's' || left(name, 40), 'r' || left(name, 40)),
    format('SELECT %4$I AS %3$I, other AS xmin FROM %1$I.%2$I UNION ALL SELECT %6$L, id FROM %1$I.%2$I WHERE other > 5',
           's' || left(name, 40), name, name, CASE name WHEN 'ctid' THEN 'ctid_' ELSE name END, name, name));
  PERFORM watch(format('%I.%I', 's' || left(name, 40), name)::regclass);
END
$do$;
SELECT lives_ok(format('SELECT make(%L)', name), format('names like %s are accepted', number)) FROM odd ORDER BY number;

CREATE FUNCTION all_differences() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT copy::text || E'\n' || difference FROM (SELECT d.copy, differences(d.copy) AS difference FROM anabranch.definition AS d) AS each WHERE difference <> ''
$$;
SELECT fill(copy, 7) FROM anabranch.definition \g /dev/null
DO $do$
DECLARE
  source regclass;
BEGIN
  FOR source IN SELECT DISTINCT relation FROM anabranch.definition_source LOOP
    EXECUTE format('DELETE FROM %s WHERE id < 7', source);
    EXECUTE format('UPDATE %s SET other = -other WHERE id < 11', source);
    EXECUTE format('INSERT INTO %s VALUES (100, ''new'', 8)', source);
  END LOOP;
END
$do$;
SELECT sync(copy) FROM anabranch.definition \g /dev/null
SELECT is_empty('SELECT all_differences()', 'and changed, all equal their queries');

CREATE SCHEMA one;
CREATE SCHEMA two;
CREATE TABLE plain (id int PRIMARY KEY);
SELECT anabranch.create_aggregate_table('one.' || repeat('n', 63), 'SELECT count(*) FROM plain') \g /dev/null
SELECT anabranch.create_aggregate_table('two.' || repeat('n', 63), 'SELECT count(*) FROM plain') \g /dev/null
SELECT is((SELECT count(DISTINCT state)::int FROM anabranch.definition WHERE copy::text ~ 'nnnn'), 2, 'two copies of one name have a state table each');
SET search_path = two, public;
SELECT anabranch.create_aggregate_table('here', 'SELECT count(*) FROM plain') \g /dev/null
SELECT isnt(to_regclass('two.here'), NULL, 'an unqualified name goes where the search_path says');
SET search_path = public;
SELECT throws_ok($$ SELECT anabranch.create_aggregate_table('plain', 'SELECT count(*) FROM plain') $$, '42P07', 'relation "plain" already exists', 'a name that is taken is refused');
SELECT * FROM finish();
ROLLBACK;
