-- Arrays with NULLs, dimensions and bounds, ranges and multiranges, composites and domains over them, to any depth.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

CREATE TYPE mood AS ENUM ('sad', 'happy "x"');
CREATE TYPE pair AS (a int, "b c" text);
CREATE TYPE nest AS (p pair, d date, ps pair[]);
CREATE DOMAIN moods AS mood[];
CREATE TYPE floats AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TABLE samples (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  ints int[], texts text[], matrix int[][], numerics numeric[], dates date[], byteas bytea[], enums mood[], domain moods, composite pair,
  nested nest, composites pair[], int4range int4range, numrange numrange, tstzrange tstzrange, daterange daterange, floats floats,
  int8multirange int8multirange, datemultirange datemultirange, ranges int4range[], boxes box[]);
CREATE PUBLICATION decoder FOR TABLE samples;
SELECT pg_temp.open();

INSERT INTO samples (ints) VALUES ('{}'), ('{1,NULL,-3}'), ('[-2:0]={1,2,3}'), ('{{1,2},{3,4}}'), ('[0:1][5:5]={{1},{NULL}}');
INSERT INTO samples (texts) VALUES (ARRAY['', 'NULL', NULL, 'a"b\c', '{}', ' ', 'é,😀']);
INSERT INTO samples (matrix) SELECT array_agg(ARRAY[i, -i, NULL]) FROM generate_series(1, 1000) AS i;
INSERT INTO samples (numerics) VALUES ('{1.50,NaN,Infinity,NULL}');
INSERT INTO samples (dates) VALUES ('{infinity,"0001-01-01 BC",NULL}');
INSERT INTO samples (byteas) VALUES (ARRAY['\x00ff'::bytea, NULL, '\x']);
INSERT INTO samples (enums) VALUES (ARRAY['sad', 'happy "x"', NULL]::mood[]);
INSERT INTO samples (domain) VALUES ('[3:4]={sad,NULL}');
INSERT INTO samples (composite) VALUES (ROW(1, 'x, "y" \ (z)')), (ROW(NULL, NULL)), (ROW(NULL, ''));
INSERT INTO samples (nested) VALUES (ROW(ROW(1, 'a'), 'infinity', ARRAY[ROW(2, NULL)::pair, NULL]));
INSERT INTO samples (composites) VALUES (ARRAY[ROW(1, '{"a"}')::pair, NULL]);
INSERT INTO samples (int4range) VALUES ('empty'), ('[1,5)'), ('(,5)'), ('(,)');
INSERT INTO samples (numrange) VALUES ('[1.50,2.00]'), ('(NaN,)');
INSERT INTO samples (tstzrange) VALUES ('["2024-01-01 00:00+02",infinity)');
INSERT INTO samples (daterange) VALUES ('[-infinity,0001-01-01 BC)');
INSERT INTO samples (floats) VALUES ('[-0,0.1]');
INSERT INTO samples (int8multirange) VALUES ('{}'), ('{[1,3),[5,)}');
INSERT INTO samples (datemultirange) VALUES ('{[2024-01-01,2024-02-01),[2025-01-01,)}');
INSERT INTO samples (ranges) VALUES (ARRAY['empty', '[1,2)', NULL]::int4range[]);
INSERT INTO samples (boxes) VALUES ('{(1,1),(0,0);(2,2),(1,1)}');

\i test/fixture/decoded_samples.sql
DROP TYPE floats, nest, pair CASCADE;
DROP DOMAIN moods;
DROP TYPE mood;
