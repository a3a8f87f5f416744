-- An archive at work: a package grows, another one no longer depends on it, a new one does, and a description is revised.
\set n random(1, 60000)
UPDATE package SET installed_kb = installed_kb + 1 WHERE name = 'libc6';
DELETE FROM dependency WHERE package = 'new-' || :n;
INSERT INTO dependency VALUES ('new-' || :n, 'libc6'), ('new-' || :n, 'adduser') ON CONFLICT DO NOTHING;
UPDATE package SET description = split_part(description, ' (revised ', 1) || ' (revised ' || :n || ')'
WHERE name = (SELECT min(name) FROM package WHERE name >= chr(97 + :n % 26) || chr(97 + :n / 26 % 26));
