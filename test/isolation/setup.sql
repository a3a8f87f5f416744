-- What the interleavings share: the story of what was committed since the last call, through the slot "isolation" and the
-- publication of that name.
CREATE EXTENSION anabranch;
CREATE FUNCTION story(VARIADIC options text[] DEFAULT '{}') RETURNS TABLE (story text) LANGUAGE sql AS $$
  SELECT CASE record->>'kind'
      WHEN 'relation' THEN concat('relation ', record->>'name', ' ',
        (SELECT string_agg((c->>'name') || ':' || (c->>'type_name'), ' ' ORDER BY (c->>'number')::int) FROM jsonb_array_elements(record->'columns') AS c))
      WHEN 'truncate' THEN concat('truncate ', record->'relations'->0->>'name')
      ELSE concat_ws(' ', record->>'kind', record->>'name', record->>'before', '->' , record->>'after') END
  FROM (SELECT string_agg(data, '') AS frames
        FROM pg_logical_slot_get_binary_changes('isolation', NULL, NULL,
          VARIADIC ARRAY['proto_version', '1', 'publication_names', 'isolation'] || options)) AS read,
       anabranch.decode(frames) WITH ORDINALITY AS shown (record, number)
  WHERE record->>'kind' NOT IN ('begin', 'commit') ORDER BY number
$$;
