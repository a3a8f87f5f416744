-- Options are checked one by one; a mistake is named with its value.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(23);
CREATE PUBLICATION decoder;
SELECT pg_temp.open();
CREATE FUNCTION pg_temp.given(VARIADIC options text[]) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM pg_logical_slot_peek_binary_changes('decoder', NULL, NULL, VARIADIC options);
  RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT is(pg_temp.given('proto_version', '1', 'publication_names', 'decoder'), 'accepted', 'the two that are needed');
SELECT is(pg_temp.given('publication_names', 'decoder'), '22023 option "proto_version" is missing', 'no version');
SELECT is(pg_temp.given('proto_version', '1'), '22023 option "publication_names" is missing', 'no publications');
SELECT is(pg_temp.given('proto_version', value, 'publication_names', 'decoder'), message, format('version "%s"', value))
FROM (VALUES ('2', '0A000 proto_version "2" is not supported'), ('0', '0A000 proto_version "0" is not supported'),
  ('x', '22023 invalid proto_version "x"'), ('', '22023 invalid proto_version ""'), ('1x', '22023 invalid proto_version "1x"'), ('-1', '22023 invalid proto_version "-1"'),
  ('99999999999999999999', '22023 invalid proto_version "99999999999999999999"')) AS cases (value, message);
SELECT is(pg_temp.given('proto_version', '1', 'publication_names', value), message, format('publications "%s"', value))
FROM (VALUES ('', '22023 publication_names "" names no publication'), ('a,', '42602 invalid publication_names "a,"'), ('a b', '42602 invalid publication_names "a b"'),
  ('"a', '42602 invalid publication_names ""a"')) AS cases (value, message);
SELECT is(pg_temp.given('proto_version', '1', 'publication_names', 'decoder', 'messages', value), message, format('messages "%s"', value))
FROM (VALUES ('maybe', '22023 invalid value "maybe" for option "messages"'), ('', '22023 invalid value "" for option "messages"')) AS cases (value, message);
SELECT is(pg_temp.given('proto_version', '1', 'publication_names', 'decoder', 'skip_origins', 'a b'), '42602 invalid skip_origins "a b"', 'origins');
SELECT is(pg_temp.given('proto_version', '1', 'publication_names', 'decoder', 'proto_version', '1'), '42601 option "proto_version" is given more than once', 'twice');
SELECT is(pg_temp.given('proto_version', '1', 'publication_names', 'decoder', name, 'x'), format('22023 unrecognized option "%s"', name), format('option "%s"', name))
FROM (VALUES ('binary'), ('streaming'), ('Messages'), ('')) AS cases (name);
SELECT is(current_setting('datestyle') || ' ' || current_setting('search_path'), 'ISO, YMD "$user", public', 'a mistake leaves the caller''s settings as they were');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
