-- Text of every kind: blanks that count, every length of a character, control characters, names, enums.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

CREATE TYPE mood AS ENUM ('sad', 'it''s "fine"', 'hé');
CREATE DOMAIN word AS varchar(5) COLLATE "C";
CREATE TABLE samples (
  id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  text text, varchar varchar, varchar_3 varchar(3), char_5 char(5), bpchar bpchar, one_char "char", name name, enum mood, domain word,
  bytea bytea, json json, xml xml);
CREATE PUBLICATION decoder FOR TABLE samples;
SELECT pg_temp.open();

INSERT INTO samples (text) VALUES (' '), (E'a\tb\nc\r\\ \x01\x7f'), ('$¢€😀'), ('NULL'), ('"'), (repeat('x', 127)), (repeat('x', 128)),
  (repeat('abc', 10000)), ((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 2000) AS i));
INSERT INTO samples (varchar) VALUES ('a  ');
INSERT INTO samples (varchar_3) VALUES ('€€€');
INSERT INTO samples (char_5) VALUES ('a'), ('a b  ');
INSERT INTO samples (bpchar) VALUES ('a   ');
INSERT INTO samples (one_char) VALUES ('a'), ('\351'), ('\377');
INSERT INTO samples (name) VALUES (repeat('n', 63)), ('Ünï "x"');
INSERT INTO samples (enum) VALUES ('sad'), ('it''s "fine"'), ('hé');
INSERT INTO samples (domain) VALUES ('é€😀  ');
INSERT INTO samples (bytea) VALUES ('\x'), ('\x00'), ('\x00ff0a5c27'), (decode(repeat('00ff', 5000), 'hex'));
INSERT INTO samples (json) VALUES ('{"b":1,  "a":[1e5, "\u00e9"], "b":null}'), (' null '), ('"\ud83d\ude00"');
INSERT INTO samples (xml) VALUES ('<a b="1">x &amp; y</a>'), ('text only'), ('<?xml version="1.0" encoding="UTF-8"?><é/>'),
  ('<?xml version="1.0" standalone="yes"?><a/>');

\i test/fixture/decoded_samples.sql
DROP DOMAIN word;
DROP TYPE mood;
