-- What the decoder's tests share; run first by each of them. Changes are read from the slot "decoder" through the publication
-- "decoder", and shown as JSON or as one line a record.
\set ECHO none
\set QUIET 1
\pset format unaligned
\pset tuples_only true
\pset pager off
SET client_min_messages = warning;
-- The functions that read a slot see flushed WAL only.
SET synchronous_commit = on;
-- ::text as the decoder prints.
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET timezone = 'UTC';
SET extra_float_digits = 1;
SET bytea_output = 'hex';
SET lc_monetary = 'C';
SET xmlbinary = 'base64';

CREATE FUNCTION pg_temp.open() RETURNS void LANGUAGE sql AS
  $$SELECT FROM pg_create_logical_replication_slot('decoder', 'anabranch_decoder')$$;
CREATE FUNCTION pg_temp.close() RETURNS void LANGUAGE sql AS $$SELECT pg_drop_replication_slot('decoder')$$;

-- The records since the last call, in order. `options` are pairs for the plugin, beside the two that it needs.
CREATE FUNCTION pg_temp.records(VARIADIC options text[] DEFAULT '{}') RETURNS TABLE (number bigint, record jsonb)
LANGUAGE sql AS $$
  SELECT ordinality, record
  FROM (SELECT string_agg(data, '') AS frames
        FROM pg_logical_slot_get_binary_changes('decoder', NULL, NULL,
          VARIADIC ARRAY['proto_version', '1', 'publication_names', 'decoder'] || options)) AS read,
       anabranch.decode(frames) WITH ORDINALITY AS shown (record, ordinality)
$$;

-- One line a record, without what differs from run to run.
CREATE FUNCTION pg_temp.line(record jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', record->>'kind',
    CASE record->>'kind'
      WHEN 'begin' THEN record->>'origin'
      WHEN 'commit' THEN record->>'changes'
      WHEN 'relation' THEN concat_ws(' ', record->>'schema' || '.' || (record->>'name'), record->>'replica_identity',
        'generation ' || (record->>'generation'),
        (SELECT string_agg(concat((c->>'name'), CASE WHEN (c->>'in_identity')::bool THEN '*' END, ':', c->>'number', ':', c->>'type_name'), ' '
                           ORDER BY ordinality)
         FROM jsonb_array_elements(record->'columns') WITH ORDINALITY AS columns (c, ordinality)))
      WHEN 'truncate' THEN concat_ws(' ',
        (SELECT string_agg(concat_ws('/', one->>'name', (one->>'leaf')::oid::regclass::text), ', ' ORDER BY one->>'name', one->>'leaf')
         FROM jsonb_array_elements(record->'relations') AS one),
        CASE WHEN (record->>'cascade')::bool THEN 'cascade' END, CASE WHEN (record->>'restart_identity')::bool THEN 'restart' END)
      WHEN 'message' THEN concat_ws(' ', CASE WHEN (record->>'transactional')::bool THEN 'transactional' END, record->>'prefix',
        convert_from(coalesce(record->>'content', '\x')::bytea, 'UTF8'), 'omitted ' || (record->>'omitted_bytes'))
      WHEN 'fragment' THEN concat_ws(' ', CASE WHEN (record->>'before')::bool THEN 'before' END, record->>'number')
      WHEN 'unselected' THEN record->>'name'
      ELSE concat_ws(' ', record->>'name', nullif(record->>'before_kind', 'none'), record->>'before', '->' , record->>'after',
        'unchanged ' || (record->>'unchanged'), 'before gaps ' || (record->>'before_gaps'), 'gaps ' || (record->>'after_gaps'))
    END)
$$;

-- The story of what was committed since the last call, without begin and commit.
CREATE FUNCTION pg_temp.story(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
  SELECT pg_temp.line(record) FROM pg_temp.records(VARIADIC options)
  WHERE record->>'kind' NOT IN ('begin', 'commit') ORDER BY number
$$;
-- The same without the relations.
CREATE FUNCTION pg_temp.changes(VARIADIC options text[] DEFAULT '{}') RETURNS SETOF text LANGUAGE sql AS $$
  SELECT line FROM pg_temp.story(VARIADIC options) AS line WHERE line NOT LIKE 'relation %'
$$;

-- One assertion for each row of a table in which every row has, beside "id", one column that is not NULL: what was decoded of it
-- is what its type's output function prints.
CREATE FUNCTION pg_temp.is_decoded_as_printed(relation text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  pairs text;
  row record;
BEGIN
  -- JSON has booleans of its own; of an object of the database the stream has the number.
  SELECT string_agg(format(CASE WHEN atttypid = 'boolean'::regtype THEN '%L, %I::text'
                                WHEN atttypid::regtype::text ~ '^reg' THEN '%L, %I::oid::text'
                                ELSE '%L, format(''%%s'', %I)' END, attname, attname), ', ') INTO pairs
  FROM pg_attribute WHERE attrelid = relation::regclass AND attnum > 0 AND NOT attisdropped AND attname <> 'id';
  CREATE TEMP TABLE decoded ON COMMIT DROP AS SELECT record->'after' AS after FROM pg_temp.records() WHERE record->>'kind' = 'insert';
  FOR row IN EXECUTE format(
    'SELECT decoded.key, decoded.value AS decoded, expected.value AS expected
     FROM %s AS source
     CROSS JOIN LATERAL (SELECT * FROM jsonb_each_text(jsonb_build_object(%s)) WHERE value <> '''') AS expected
     LEFT JOIN LATERAL (SELECT entry.* FROM decoded, jsonb_each_text(after) AS entry
                        WHERE (after->>''id'')::int = source.id AND entry.key <> ''id'') AS decoded ON true
     ORDER BY source.id', relation, pairs)
  LOOP
    RETURN NEXT is(row.decoded, row.expected,
      format('%s %s', row.key, CASE WHEN length(row.expected) > 60 THEN left(row.expected, 40) || '... of ' || length(row.expected) ELSE row.expected END));
  END LOOP;
END $$;
