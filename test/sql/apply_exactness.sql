\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(13);

-- Every aggregate over every type it is kept for, against PostgreSQL's own result, by its text. Values come in all display
-- scales and leave again; NaN, the infinities and NULL among them. The seed is printed when a comparison fails.
CREATE TABLE measured (
  id int PRIMARY KEY, g int, i2 smallint, i4 int, i8 bigint, n numeric, n2 numeric(12, 3), money money, interval interval, b boolean
);
ALTER TABLE measured REPLICA IDENTITY FULL;

CREATE FUNCTION some_numeric(kind float8) RETURNS numeric LANGUAGE sql VOLATILE AS $$
  SELECT CASE
    WHEN kind < 0.03 THEN 'NaN'::numeric
    WHEN kind < 0.05 THEN 'Infinity'::numeric
    WHEN kind < 0.07 THEN '-Infinity'::numeric
    WHEN kind < 0.1 THEN NULL
    WHEN kind < 0.2 THEN (random() * 1e40)::numeric * 1e-60
    WHEN kind < 0.3 THEN (random() * 1e15)::numeric * 1e20
    ELSE round((random() - 0.5)::numeric * 10::numeric ^ (random() * 9)::int, (random() * 7)::int)
  END
$$;
CREATE FUNCTION scramble(number int) RETURNS void LANGUAGE sql AS $$
  DELETE FROM measured WHERE random() < 0.3;
  INSERT INTO measured
  SELECT number * 1000 + i, nullif((random() * 6)::int, 0), nullif((random() * 65535)::int - 32768, 7)::smallint,
         CASE WHEN random() < 0.05 THEN NULL WHEN random() < 0.1 THEN 2147483647 WHEN random() < 0.1 THEN -2147483648 ELSE (random() * 1000)::int END,
         CASE WHEN random() < 0.05 THEN NULL WHEN random() < 0.1 THEN 9223372036854775807 WHEN random() < 0.1 THEN -9223372036854775808
              ELSE (random() * 1e6)::bigint END,
         some_numeric(random()), CASE WHEN random() < 0.02 THEN 'NaN' ELSE (random() * 1e6)::numeric(12, 3) END,
         CASE WHEN random() < 0.9 THEN (random() * 1e5)::numeric::money END,
         CASE WHEN random() < 0.9 THEN make_interval(months => (random() * 30)::int - 15, days => (random() * 90)::int - 45,
                                                     secs => random() * 1e5 - 5e4) END,
         CASE WHEN random() < 0.8 THEN random() < 0.7 END
  FROM generate_series(1, 40) AS i;
  UPDATE measured SET g = g + 1, n = some_numeric(random()), i4 = -(i4 / 2) WHERE random() < 0.2;
$$;

SELECT (random() * 1e9)::int AS seed \gset
SELECT setseed(:seed / 1e9) \g /dev/null
SELECT scramble(0) \g /dev/null

DO $do$
DECLARE
  column_name text;
BEGIN
  FOREACH column_name IN ARRAY ARRAY['i2', 'i4', 'i8', 'n', 'n2'] LOOP
    PERFORM anabranch.create_aggregate_table('of_' || column_name, format($$
      SELECT g, count(*), count(%1$I) AS present, sum(%1$I), avg(%1$I), variance(%1$I), var_pop(%1$I), var_samp(%1$I),
             stddev(%1$I), stddev_pop(%1$I), stddev_samp(%1$I), sum(%1$I) FILTER (WHERE b) AS when_b, avg(%1$I * 1.10) AS scaled
      FROM measured GROUP BY g $$, column_name));
  END LOOP;
  PERFORM anabranch.create_aggregate_table('of_rest', $$
    SELECT g, sum(money), sum(interval) AS time, avg(interval) AS mean_time, bool_and(b), bool_or(b), every(b) AS each,
           count(*) FILTER (WHERE b) AS yes, bool_or(i4 > 0) FILTER (WHERE i2 > 0) AS any FROM measured GROUP BY g $$);
  PERFORM anabranch.create_aggregate_table('of_all', $$
    SELECT count(*), sum(n), avg(n), stddev(n), sum(i4) AS sum4, avg(i8) AS avg8, sum(interval) AS time, bool_and(b), var_pop(i8) FROM measured $$);
  PERFORM anabranch.create_aggregate_table('of_expressions', $$
    SELECT g % 2 AS odd, g % 2 IS NULL AS unknown, round(avg(n2), 1) + count(*) AS mixed, stddev(n2) / avg(n2) AS spread, sum(i4) / nullif(count(i4), 0) AS quotient,
           CASE WHEN count(*) > 20 THEN 'many' ELSE 'few' END AS label
    FROM measured WHERE i2 IS NOT NULL GROUP BY g % 2 HAVING sum(i4) > -10000000000 $$);
END
$do$;
CREATE FUNCTION all_differences() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(copy::text || E'\n' || difference, E'\n')
  FROM (SELECT d.copy, differences(d.copy) AS difference FROM anabranch.definition AS d) AS each WHERE difference <> ''
$$;

SELECT fill(copy, 17) FROM anabranch.definition \g /dev/null
SELECT is(all_differences(), NULL, 'filled, all equal their queries; seed ' || :seed) AS result \gset
SELECT regexp_replace(:'result', '; seed \d+', '');
SELECT watch('measured') \g /dev/null

CREATE FUNCTION rounds(seed int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  FOR number IN 1..8 LOOP
    PERFORM scramble(number);
    IF number % 2 = 0 THEN
      PERFORM sync(copy) FROM anabranch.definition;
      result := all_differences();
      RETURN NEXT CASE WHEN result IS NULL THEN pass(format('after %s rounds all equal their queries', number))
                       ELSE fail(format('after %s rounds; seed %s', number, seed)) || E'\n' || result END;
    END IF;
  END LOOP;
  -- Whatever has been there, nothing of it is left.
  FOR number IN 1..6 LOOP
    DELETE FROM measured WHERE id IN (SELECT id FROM measured ORDER BY random() LIMIT (SELECT 1 + count(*) / 2 FROM measured));
    PERFORM sync(copy) FROM anabranch.definition;
    result := all_differences();
    RETURN NEXT CASE WHEN result IS NULL THEN pass(format('shrunk %s times all equal their queries', number))
                     ELSE fail(format('shrunk %s times; seed %s', number, seed)) || E'\n' || result END;
  END LOOP;
END
$$;
SELECT rounds(:seed);
DELETE FROM measured;
SELECT sync(copy) FROM anabranch.definition \g /dev/null
SELECT is(all_differences(), NULL, 'and empty');
SELECT is((SELECT count(*)::int FROM of_all), 1, 'a query without GROUP BY still has its one row');
SELECT * FROM finish();
ROLLBACK;
