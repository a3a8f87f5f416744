-- A package index, filled by demo/packages.py, and a small social network: 20,000 users, of whom a few are very popular.
CREATE TABLE package (name text PRIMARY KEY, section text NOT NULL, installed_kb bigint, download_bytes bigint, description text);
CREATE TABLE dependency (package text, depends_on text, PRIMARY KEY (package, depends_on));

CREATE TABLE users (user_id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE tweets (tweet_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint NOT NULL, body text);
CREATE TABLE follows (follower_id bigint, followee_id bigint, PRIMARY KEY (follower_id, followee_id));
CREATE TABLE likes (user_id bigint, tweet_id bigint, PRIMARY KEY (user_id, tweet_id));

INSERT INTO users SELECT u, 'user ' || u FROM generate_series(1, 20000) AS u;
INSERT INTO tweets (user_id, body)
  SELECT ceil(20000 * power(random(), 3)), 'tweet ' || t FROM generate_series(1, 300000) AS t;
INSERT INTO follows
  SELECT ceil(20000 * random()), ceil(20000 * power(random(), 4)) FROM generate_series(1, 500000) ON CONFLICT DO NOTHING;
INSERT INTO likes
  SELECT ceil(20000 * power(random(), 2)), ceil(300000 * random()) FROM generate_series(1, 500000) ON CONFLICT DO NOTHING;

-- What the four COUNT queries of a profile page need to be fast.
CREATE INDEX ON tweets (user_id);
CREATE INDEX ON follows (followee_id);
