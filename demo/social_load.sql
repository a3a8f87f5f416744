-- One visitor: a tweet, a like, somebody followed, somebody left.
\set user random_zipfian(1, 20000, 1.05)
\set other random_zipfian(1, 20000, 1.05)
\set tweet random(1, 300000)
BEGIN;
INSERT INTO tweets (user_id, body) VALUES (:user, 'hello, world');
INSERT INTO likes VALUES (:user, :tweet) ON CONFLICT DO NOTHING;
INSERT INTO follows VALUES (:user, :other) ON CONFLICT DO NOTHING;
COMMIT;
DELETE FROM follows WHERE follower_id = :other AND followee_id = :user;
DELETE FROM tweets WHERE tweet_id = :tweet;
