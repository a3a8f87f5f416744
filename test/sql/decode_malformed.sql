-- decode() on bytes that are no frame: an error that says what is wrong, never more.
\getenv dir PG_ABS_SRCDIR
\set setup :dir '/decoder_setup.sql'
\i :setup

SELECT plan(16);
SELECT throws_ok(format('SELECT anabranch.decode(%L)', bytes), 'XX001', message, description)
FROM (VALUES
  ('\xff', 'malformed frame: it is damaged 1 bytes from its end', 'a field cut in its tag'),
  ('\x0a05', 'malformed frame: it is damaged 2 bytes from its end', 'a record longer than the frame'),
  ('\x0801', 'malformed frame: a record is not a message', 'a number in place of a record'),
  ('\x0a00', 'malformed frame: a record is empty or damaged', 'an empty record'),
  ('\x0a025a00', 'malformed frame: unknown kind of record 11', 'a kind that is not known yet'),
  ('\x0a020801', 'malformed frame: a record is damaged', 'a number in place of a kind'),
  ('\x0a040a000a00', 'malformed frame: a record is damaged', 'two kinds in one record'),
  ('\x0a040a020aff', 'malformed frame: a "begin" is damaged', 'a record cut inside'),
  ('\x0a050a030a0141', 'malformed frame: field 1 of a "begin" is damaged', 'bytes in place of a number'),
  ('\x0a061a04080112ff', 'malformed frame: a "insert" is damaged', 'a row longer than its record'),
  ('\x0a071a0508011201ff', 'malformed frame: a row of a "insert" is damaged', 'a row cut inside'),
  ('\x0a0f12050801320238631a06080112020801', 'malformed frame: a record is damaged', 'a record after another in the same'),
  ('\x0a07120532033801ff', 'malformed frame: a "column" is damaged', 'a column cut inside'),
  ('\x0a061204320238' || '63', 'malformed frame: unknown encoding 99', 'an encoding that is not known yet')
) AS cases (bytes, message, description);
SELECT is_empty('SELECT anabranch.decode('''')', 'an empty frame has no records');
-- Whatever the bytes: rows or that error.
CREATE FUNCTION pg_temp.survives(seed float8, rounds int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  valid bytea := '\x0a3812360880800112067075626c69631a017432190801120269641817220a70675f636174616c6f672a04696e743430013802400132080802120161181938000a111a0f088080011209080212056865766c6f0a0c4a0a08f0e2e0051001';
  bytes bytea;
BEGIN
  PERFORM setseed(seed);
  FOR i IN 1..rounds LOOP
    bytes := valid;
    FOR j IN 0..(random() * 4)::int LOOP
      bytes := set_byte(bytes, (random() * (octet_length(bytes) - 1))::int, (random() * 255)::int);
    END LOOP;
    bytes := substr(bytes, 1, CASE WHEN random() < 0.5 THEN octet_length(bytes) ELSE (random() * octet_length(bytes))::int END);
    BEGIN
      PERFORM anabranch.decode(bytes);
    EXCEPTION WHEN data_corrupted OR character_not_in_repertoire OR untranslatable_character OR datetime_field_overflow THEN NULL;
    END;
  END LOOP;
  RETURN 'survived';
END $$;
SELECT is(pg_temp.survives(0.42, 20000), 'survived', '20,000 damaged frames');
SELECT * FROM finish();
