\set ECHO none
\i test/fixture/start.sql
\i test/fixture/stream.sql
SELECT plan(9);

-- The example that the documentation begins with.
CREATE TABLE users (user_id bigint PRIMARY KEY, name text);
CREATE TABLE tweets (id bigint PRIMARY KEY, user_id bigint, body text);
CREATE TABLE follows (follower_id bigint, followee_id bigint, PRIMARY KEY (follower_id, followee_id));
CREATE TABLE likes (tweet_id bigint, user_id bigint);
INSERT INTO users SELECT g, 'user ' || g FROM generate_series(1, 300) AS g;
INSERT INTO tweets SELECT g, 1 + g % 70, 'text' FROM generate_series(1, 500) AS g;
INSERT INTO follows SELECT g, 1 + g * 7 % 100 FROM generate_series(1, 300) AS g;
INSERT INTO likes SELECT g % 500, 1 + g * 3 % 50 FROM generate_series(1, 400) AS g;

SELECT lives_ok($test$
  SELECT anabranch.create_aggregate_table('user_activity', $$
    SELECT user_id, sum(tweets) AS tweets, sum(following) AS following, sum(followers) AS followers, sum(likes) AS likes
    FROM (SELECT user_id, 0 AS tweets, 0 AS following, 0 AS followers, 0 AS likes FROM users
          UNION ALL SELECT user_id, 1, 0, 0, 0 FROM tweets
          UNION ALL SELECT follower_id, 0, 1, 0, 0 FROM follows
          UNION ALL SELECT followee_id, 0, 0, 1, 0 FROM follows
          UNION ALL SELECT user_id, 0, 0, 0, 1 FROM likes) AS events
    GROUP BY user_id $$, prepare_sources => true)
$test$, 'the example of the documentation is accepted');

SELECT is((SELECT class FROM anabranch.definition WHERE copy = 'user_activity'::regclass), 'linear', 'it is of the class linear');
SELECT is((SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
           FROM pg_attribute WHERE attrelid = 'user_activity'::regclass AND attnum > 0),
          'user_id bigint, tweets bigint, following bigint, followers bigint, likes bigint',
          'the view has the columns of the query');
SELECT is_empty('TABLE user_activity', 'and is empty at first');
SELECT is((SELECT array_agg(relation::text || old_rows ORDER BY ordinal) FROM anabranch.definition_source WHERE copy = 'user_activity'::regclass),
          ARRAY['userskey', 'tweetsfull', 'followskey', 'likesfull'],
          'each source is there once, and needs whole old rows only where its key does not suffice');

SELECT fill('user_activity') \g /dev/null
SELECT is(differences('user_activity'), '', 'filled, it equals its query');

SELECT watch(t) FROM unnest(ARRAY['users', 'tweets', 'follows', 'likes']::regclass[]) AS t \g /dev/null
INSERT INTO likes SELECT 7, 1 + g % 350 FROM generate_series(1, 100) AS g;
DELETE FROM tweets WHERE id % 3 = 0;
UPDATE tweets SET user_id = user_id + 5 WHERE id % 5 = 0;
UPDATE follows SET followee_id = followee_id + 1000 WHERE follower_id % 4 = 0;
DELETE FROM users WHERE user_id > 290;
DELETE FROM likes WHERE user_id < 10;
SELECT sync('user_activity') \g /dev/null
SELECT is(differences('user_activity'), '', 'after inserts, updates and deletes it equals its query');

DELETE FROM users; DELETE FROM tweets; DELETE FROM follows; DELETE FROM likes;
SELECT sync('user_activity') \g /dev/null
SELECT is_empty('TABLE user_activity', 'without source rows it is empty');
SELECT is_empty('TABLE anabranch_data.user_activity', 'and so is its state table');

SELECT * FROM finish();
ROLLBACK;
