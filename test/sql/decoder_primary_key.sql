-- Which columns are of the primary key: of the publishing root, whatever the replica identity; a deferrable one is none.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(3);
CREATE TABLE item (note text, b int, a int, PRIMARY KEY (a, b));
ALTER TABLE item REPLICA IDENTITY FULL;
CREATE TABLE late (id int PRIMARY KEY DEFERRABLE);
CREATE TABLE root (day int, id int, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE leaf (gone int, id int NOT NULL, day int NOT NULL);
ALTER TABLE leaf DROP COLUMN gone;
ALTER TABLE root ATTACH PARTITION leaf FOR VALUES FROM (1) TO (100);
CREATE PUBLICATION decoder FOR TABLE item, late, root WITH (publish = 'insert, truncate', publish_via_partition_root = true);
SELECT pg_temp.open();

CREATE FUNCTION pg_temp.keys() RETURNS SETOF text LANGUAGE sql AS $$
  SELECT concat(record->>'name', ': ', (SELECT string_agg(c->>'name', ' ' ORDER BY (c->>'number')::int)
         FROM jsonb_array_elements(record->'columns') AS c WHERE (c->>'in_primary_key')::bool))
  FROM pg_temp.records() WHERE record->>'kind' = 'relation' ORDER BY number
$$;

INSERT INTO item VALUES ('x', 1, 2);
INSERT INTO late VALUES (1);
INSERT INTO root VALUES (5, 6);
SELECT results_eq('SELECT pg_temp.keys()', ARRAY['item: b a', 'late: ', 'root: day id'], 'the columns of the primary key');

ALTER TABLE item DROP CONSTRAINT item_pkey;
INSERT INTO item VALUES ('y', 1, 3);
SELECT results_eq('SELECT pg_temp.keys()', ARRAY['item: '], 'described again when the key is gone');
ALTER TABLE item ADD PRIMARY KEY (b, note);
INSERT INTO item VALUES ('z', 3, 4);
SELECT results_eq('SELECT pg_temp.keys()', ARRAY['item: note b'], 'and when there is another');
SELECT * FROM finish();
SELECT pg_temp.close();
DROP PUBLICATION decoder;
DROP TABLE item, late, root;
