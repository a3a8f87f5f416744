\set ECHO none
\i test/fixture/start.sql
\i test/fixture/copies.sql
SELECT plan(28);
-- Names that would do harm wherever text is put together without care.
CREATE TABLE hostile (name text);
INSERT INTO hostile VALUES ('a"b''c'), (E'new\nline'), (repeat('x', 63)), ('💥 Ünïcode'), ('$(touch x) `y` %s %I'), ('"; DROP TABLE recorded; --'), ('select');
CREATE FUNCTION play(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  copy regclass;
  said text;
BEGIN
  EXECUTE format('CREATE SCHEMA %I', name);
  EXECUTE format('CREATE ROLE %I', name);
  EXECUTE format('CREATE TABLE %1$I.%1$I (%1$I int PRIMARY KEY, other int)', name);
  copy := define(name, format('%1$I.%1$I', name)::regclass, ARRAY[name], ARRAY[name]);
  EXECUTE format('ALTER VIEW %1$I OWNER TO %1$I', name);
  EXECUTE format('ALTER TABLE %1$I.%1$I ADD COLUMN more int, DROP COLUMN other', name);
  EXECUTE format('ALTER TABLE %1$I.%1$I RENAME COLUMN %1$I TO harmless', name);
  said := take_recorded();
  IF said IS DISTINCT FROM format('%1$I: column %1$I of table %1$I.%1$I was renamed to harmless', name) THEN
    RETURN said;
  END IF;
  EXECUTE format('ALTER TABLE %1$I.%1$I RENAME COLUMN harmless TO %1$I', name);
  EXECUTE format('GRANT SELECT ON %1$I.%1$I TO %1$I; GRANT USAGE ON SCHEMA %1$I TO %1$I', name);
  UPDATE anabranch.progress SET state = 'stale';
  PERFORM anabranch.add_index(copy, '{n}');
  PERFORM anabranch.resume(copy);
  RETURN NULL;
END
$$;
SELECT is(play(name), NULL, 'play with ' || quote_literal(name)) FROM hostile;
SELECT is((SELECT problem FROM anabranch.copies WHERE copy = quote_ident(name)::regclass), NULL, 'nothing is wrong with it') FROM hostile;
SELECT is((SELECT copies.name FROM anabranch.copies_to_apply() AS copies WHERE copies.copy = quote_ident(h.name)::regclass), format('public.%I', h.name), 'the sidecar gets its name quoted') FROM hostile AS h;
SELECT lives_ok(format('SELECT anabranch.drop_aggregate_table(%L)', quote_ident(name)), 'it goes as it came') FROM hostile;
SELECT * FROM finish();
ROLLBACK;
