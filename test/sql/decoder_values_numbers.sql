-- Numbers of every type, with their hard cases, are decoded as their output functions print them.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

CREATE DOMAIN small AS smallint;
CREATE DOMAIN smaller AS small CHECK (VALUE < 100);
CREATE TABLE samples (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  smallint smallint, integer integer, bigint bigint, oid oid, real real, double_precision double precision,
  numeric numeric, numeric_10_2 numeric(10, 2), money money, boolean boolean, domain_over_domain smaller);
CREATE PUBLICATION decoder FOR TABLE samples;
SELECT pg_temp.open();

INSERT INTO samples (smallint) VALUES (0), (1), (-1), (32767), (-32768);
INSERT INTO samples (integer) VALUES (0), (2147483647), (-2147483648);
INSERT INTO samples (bigint) VALUES (0), (-1), (9223372036854775807), (-9223372036854775808);
INSERT INTO samples (oid) VALUES (0), (4294967295);
INSERT INTO samples (real) VALUES (0), ('-0'), (0.1), ('NaN'), ('Infinity'), ('-Infinity'), (3.4028235e38), (1.4e-45);
INSERT INTO samples (double_precision) VALUES (0), ('-0'), (0.1), (0.1::float8 + 0.2), ('NaN'), ('Infinity'), ('-Infinity'),
  (1.7976931348623157e308), (5e-324), (9007199254740993);
INSERT INTO samples (numeric) VALUES (0), (0.00), (-1.50), ('NaN'), ('Infinity'), ('-Infinity'), (1e-16383::numeric),
  (('1' || repeat('0', 131071))::numeric), (('9' || repeat('8', 131070) || '7.' || repeat('3', 16383))::numeric);
INSERT INTO samples (numeric_10_2) VALUES (1), (99999999.99), ('NaN');
INSERT INTO samples (money) VALUES (0), (1234.5), ('-92233720368547758.08');
INSERT INTO samples (boolean) VALUES (true), (false);
INSERT INTO samples (domain_over_domain) VALUES (-32768), (99);

\i test/fixture/decoded_samples.sql
DROP DOMAIN smaller, small;
