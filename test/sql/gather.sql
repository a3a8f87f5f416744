\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(10);

-- The parts of a batch are gathered and merged once, by the copy's next apply in the transaction.
CREATE TABLE t (id int PRIMARY KEY, g int, n numeric);
ALTER TABLE t REPLICA IDENTITY FULL;
INSERT INTO t SELECT i, i % 5, i FROM generate_series(1, 50) AS i;
SELECT anabranch.create_aggregate_table('sums', 'SELECT g, count(*), sum(n) FROM t GROUP BY g') \g /dev/null
SELECT anabranch.create_aggregate_table('total', 'SELECT count(*), sum(n) FROM t') \g /dev/null
SELECT fill(copy) FROM anabranch.definition \g /dev/null
CREATE FUNCTION one_row(copy regclass, weight int, id int, g int, n numeric) RETURNS bytea LANGUAGE sql AS $$
  SELECT delta_row(1, weight, row_bytes('t', (SELECT columns FROM anabranch.definition_source AS s WHERE s.copy = $1),
                                        jsonb_build_object('id', id, 'g', g, 'n', n)))
$$;
CREATE FUNCTION updates() RETURNS bigint LANGUAGE sql AS $$
  SELECT pg_stat_get_xact_tuples_updated(state) FROM anabranch.definition WHERE copy = 'sums'::regclass
$$;

CREATE TEMP TABLE before AS TABLE sums;
SELECT updates() AS updates \gset
SELECT is(anabranch.gather('sums'::regclass, one_row('sums', 1, 51, 1, 100)), 1::bigint, 'a row waits');
SELECT is(anabranch.gather('sums'::regclass, one_row('sums', 1, 52, 1, 200) || one_row('sums', -1, 2, 2, 2)), 3::bigint, 'more wait with it');
SELECT set_eq('TABLE sums', 'TABLE before', 'nothing of them shows');
-- What is known of the copy is read again: its table was touched.
ANALYZE anabranch_data.sums;
SELECT is(anabranch.gather('sums'::regclass, one_row('sums', 1, 53, 2, 300)), 4::bigint, 'they stay when the copy is looked up again');
SELECT anabranch.gather('total'::regclass, one_row('total', 1, 51, 1, 100) || one_row('total', 1, 52, 1, 200)) \g /dev/null
SELECT is(anabranch.apply('sums'::regclass, one_row('sums', 1, 54, 1, 400)), 5::bigint, 'the apply takes all of them');
INSERT INTO t VALUES (51, 1, 100), (52, 1, 200), (53, 2, 300), (54, 1, 400);
DELETE FROM t WHERE id = 2;
SELECT is(differences('sums'), '', 'and the copy is right');
SELECT is(updates() - :updates, 2::bigint, 'with each group written once');

SELECT throws_ok($$ SELECT anabranch.apply('total'::regclass, '') $$, '25001', NULL, 'a subtransaction cannot take what is not its own');
SELECT anabranch.apply('total'::regclass, one_row('total', -1, 2, 2, 2) || one_row('total', 1, 53, 2, 300) || one_row('total', 1, 54, 1, 400)) \g /dev/null
SELECT is(differences('total'), '', 'another copy has its own');

SELECT anabranch.gather('sums'::regclass, one_row('sums', 1, 55, 1, 500)) \g /dev/null
SELECT anabranch.gather('sums'::regclass, varint_field(1, 1) || one_row('sums', 1, 56, 7, 600)) \g /dev/null
SELECT anabranch.apply('sums'::regclass, '') \g /dev/null
SELECT results_eq('TABLE sums', 'SELECT 7, 1::bigint, 600::numeric', 'a truncation takes what was gathered before it, too');
SELECT * FROM finish();
ROLLBACK;
