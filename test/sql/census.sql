\set ECHO none
\i test/fixture/start.sql
SELECT plan(5);

-- What is counted is read from the value as it is stored: short and long forms, compressed and not, and what is no number.
CREATE TABLE value (number int, v numeric, weight int);
INSERT INTO value
SELECT i, ('1e' || i % 40)::numeric + ('1e-' || i % 70)::numeric, 1 + i % 3 FROM generate_series(1, 3000) AS i
UNION ALL SELECT 0, special.v::numeric, 2 FROM (VALUES ('NaN'), ('Infinity'), ('-Infinity'), ('-Infinity'), ('0'), ('-0.00'), (NULL)) AS special (v)
UNION ALL SELECT 0, (repeat('7', 900) || '.' || repeat('3', scale))::numeric, -1 FROM generate_series(1, 9000, 1000) AS scale
UNION ALL SELECT 0, round(1.5, scale), 5 FROM unnest(ARRAY[62, 63, 64, 65, 127, 128, 16383]) AS scale;

CREATE FUNCTION census_of(part int) RETURNS bigint[] LANGUAGE sql AS $$
  WITH place AS (
    SELECT CASE v WHEN 'NaN' THEN 1 WHEN 'Infinity' THEN 2 WHEN '-Infinity' THEN 3 ELSE 4 + scale(v) END AS place, sum(weight) AS count
    FROM value WHERE v IS NOT NULL AND (part IS NULL OR number % 10 = part) GROUP BY 1)
  SELECT array_agg(coalesce(p.count, 0)::bigint ORDER BY i)
  FROM generate_series(1, (SELECT max(place) FROM place WHERE count <> 0)) AS i LEFT JOIN place AS p ON p.place = i
$$;

SELECT is(anabranch.census(v, weight), census_of(NULL), 'specials and display scales are counted with their weights') FROM value;
SELECT is_empty('SELECT number % 10, anabranch.census(v, weight) FROM value GROUP BY 1 EXCEPT SELECT part, census_of(part) FROM generate_series(0, 9) AS part',
                'and by group');
SELECT is(anabranch.census(v, weight), '{}', 'of nothing is nothing') FROM value WHERE v IS NULL;

SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
ALTER TABLE value SET (parallel_workers = 2);
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$BEGIN RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) ' || query; END$$;
SELECT isnt_empty($$SELECT FROM plan_of('SELECT anabranch.census(v, weight) FROM value') AS line WHERE line ~ 'Partial Aggregate'$$,
                  'several processes can count');
SELECT anabranch.census(v, weight) AS found FROM value \gset
SELECT is(:'found'::bigint[], census_of(NULL), 'and find the same');

SELECT * FROM finish();
