\set ECHO none
\i test/fixture/start.sql
SELECT plan(14);
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE item (
  id bigint, gone text, user_id int NOT NULL, price numeric(10,2), code varchar(20), on_day date, at time, seen timestamptz(3),
  flag boolean, ratio real, exact double precision, raw bytea, o oid, feeling mood, feelings mood[], twice bigint GENERATED ALWAYS AS (id * 2) STORED,
  note text, last int, PRIMARY KEY (code, id));
ALTER TABLE item DROP COLUMN gone, DROP COLUMN last;
CREATE FUNCTION fields(relation regclass, message text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(regexp_replace(line, '^  (optional )?|; .*$', '', 'g'), ', ' ORDER BY ordinality)
  FROM regexp_split_to_table(substring(anabranch.proto_schema(relation) FROM 'message ' || message || ' \{\n(.*?)\n\}'), '\n') WITH ORDINALITY AS t (line, ordinality)
$$;
SELECT is(fields('item', 'Item'),
  'sint64 id = 1, reserved 2, sint64 user_id = 3, string price = 4, string code = 5, sint32 on_day = 6, sint64 at = 7, sint64 seen = 8, '
  'bool flag = 9, float ratio = 10, double exact = 11, bytes raw = 12, uint32 o = 13, string feeling = 14, string feelings = 15, '
  'reserved 16, string note = 17, reserved 18',
  'a field for each column, by its attribute number; what is dropped or generated is reserved');
SELECT is(fields('item', 'Key'), 'sint64 id = 1, string code = 5', 'the key is the primary key''s columns, by number');
SELECT matches(anabranch.proto_schema('item'), E'^(//[^\n]*\n)+syntax = "proto3";\n\npackage anabranch\\.schema_public\\.table_item;\n', 'a package for each table');
SELECT is((SELECT array_agg(m[1]) FROM regexp_matches(anabranch.proto_schema('item'), E'\nmessage (\\w+)', 'g') AS m), '{Change,Item,Key}',
  'the record comes first, so that its message index is 0');
SELECT matches(anabranch.proto_schema('item'), 'price = 4;  // numeric\(10,2\)\n.*code = 5;  // varchar\(20\)\n.*seen = 8;  // timestamptz\(3\): .*feelings = 15;  // public.mood\[\]\n',
  'each says which type it has in PostgreSQL');

ALTER TABLE item RENAME COLUMN note TO remark;
SELECT matches(anabranch.proto_schema('item'), 'string remark = 17;', 'a renamed column keeps its number');
SELECT anabranch.create_aggregate_table('per_user', 'SELECT user_id, count(*) AS n FROM item GROUP BY user_id', prepare_sources => true) \gset
ALTER TABLE item ALTER COLUMN price TYPE text;
SELECT matches(anabranch.proto_schema('item'), E'optional ItemGeneration1 after = 4;.*\nmessage ItemGeneration1 \\{.*string price = 4;  // text\n',
  'a retyped column starts a new generation, which is another message');

CREATE TABLE "Change" ("user_id" int, "userId" int, "USER_ID" int, column_3 int, "Straße" int, "1st" int, "a_x5Fb" int, "two
lines; // and" int, "column" int, "_" int, "__" int);
SELECT is(fields('"Change"', 'ChangeRow'),
  'sint64 user_id = 1, sint64 column_2 = 2, sint64 column_3 = 3, sint64 column_4 = 4, sint64 Stra_xC3_x9Fe = 5, sint64 _x31st = 6, '
  'sint64 a_x5Fx5Fb = 7, sint64 two_x0Alines_x3B_x20_x2F_x2F_x20and = 8, sint64 column_9 = 9, sint64 _ = 10, sint64 column_11 = 11',
  'other characters are written as _xHH; names that protobuf takes for the same get the column''s number');
SELECT matches(anabranch.proto_schema('"Change"'), '// "two lines; // and" int4', 'a name cannot end its comment');
SELECT doesnt_match(anabranch.proto_schema('"Change"'), 'message Key', 'a table without a key has none');
CREATE UNIQUE INDEX change_key ON "Change" ("_");
ALTER TABLE "Change" ALTER COLUMN "_" SET NOT NULL, REPLICA IDENTITY USING INDEX change_key;
SELECT is(fields('"Change"', 'Key'), 'sint64 _ = 10', 'unless an index is its replica identity');
CREATE SCHEMA "2 words";
CREATE TABLE "2 words"."%" ();
SELECT matches(anabranch.proto_schema('"2 words"."%"'), 'package anabranch\.schema__x32_x20words\.table__x25;.*message X25 \{\n\}', 'a table may have no columns at all');
CREATE VIEW shown AS SELECT 1 AS one;
SELECT throws_ok($$SELECT anabranch.proto_schema('shown')$$, '42809', '"shown" is not a table', 'a view has no rows in the stream');
CREATE TABLE parted (a int, b text) PARTITION BY LIST (a);
SELECT lives_ok($$SELECT anabranch.proto_schema('parted')$$, 'a partitioned table has');
SELECT * FROM finish();
ROLLBACK;
