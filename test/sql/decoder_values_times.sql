-- Dates, times and intervals: infinities, years BC and far ahead, 24:00, offsets, months beside days.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

CREATE TABLE samples (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  date date, time time, timetz timetz, timestamp timestamp, timestamptz timestamptz, timestamp_0 timestamp(0), interval interval);
CREATE PUBLICATION decoder FOR TABLE samples;
SELECT pg_temp.open();

INSERT INTO samples (date) VALUES ('2000-01-01'), ('1999-12-31'), ('4714-11-24 BC'), ('0001-12-31 BC'), ('5874897-12-31'),
  ('infinity'), ('-infinity');
INSERT INTO samples (time) VALUES ('00:00'), ('23:59:59.999999'), ('24:00'), ('23:59:60');
INSERT INTO samples (timetz) VALUES ('00:00+00'), ('24:00-15:59'), ('12:34:56.789+05:30'), ('01:02:03.000001+15:59:59');
INSERT INTO samples (timestamp) VALUES ('2000-01-01'), ('1999-12-31 23:59:59.999999'), ('4714-11-24 00:00 BC'), ('294276-12-31 23:59:59.999999'),
  ('infinity'), ('-infinity');
INSERT INTO samples (timestamptz) VALUES ('2000-01-01 00:00+00'), ('2024-03-31 02:30:00 Europe/Berlin'), ('4714-11-24 00:00+00 BC'),
  ('294276-12-31 23:59:59.999999+00'), ('infinity'), ('-infinity');
INSERT INTO samples (timestamp_0) VALUES ('2024-01-01 00:00:00.5');
INSERT INTO samples (interval) VALUES ('0'), ('1 mon'), ('30 days'), ('720 hours'), ('-1 mon +2 days -03:04:05.000006'),
  ('178000000 years'), ('-178000000 years'), ('1 year -1 mon'), ('-0.000001 s');

\i test/fixture/decoded_samples.sql
