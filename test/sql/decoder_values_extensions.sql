-- Types that extensions bring: hstore and citext, which prints by text's own function.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE TABLE samples (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  hstore hstore, citext citext, citexts citext[]);
CREATE PUBLICATION decoder FOR TABLE samples;
SELECT pg_temp.open();

INSERT INTO samples (hstore) VALUES ('a=>1, "b c"=>NULL, "d\"e"=>"=>"');
INSERT INTO samples (citext) VALUES ('MiXed É'), (repeat('Xy', 2000));
INSERT INTO samples (citexts) VALUES ('{A,b,NULL}');

\i test/fixture/decoded_samples.sql
DROP EXTENSION hstore, citext;
