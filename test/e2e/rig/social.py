"""The example of the README: a profile page's four counts as one row per user; and a table of rows beside it."""

SCHEMA = """
    CREATE TABLE users (user_id bigint PRIMARY KEY, name text NOT NULL);
    CREATE TABLE tweets (tweet_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint NOT NULL, body text);
    CREATE TABLE follows (follower_id bigint, followee_id bigint, PRIMARY KEY (follower_id, followee_id));
    CREATE TABLE likes (like_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_id bigint NOT NULL, tweet_id bigint);
    ALTER TABLE tweets REPLICA IDENTITY FULL;
    ALTER TABLE likes REPLICA IDENTITY FULL;
    INSERT INTO users SELECT u, 'user ' || u FROM generate_series(1, 1000) AS u;
    INSERT INTO tweets (user_id, body) SELECT 1 + i * i % 1000, 'tweet ' || i FROM generate_series(1, 5000) AS i;
    INSERT INTO follows SELECT u, 1 + (u * 7 + k * k) % 1000 FROM generate_series(1, 1000) AS u, generate_series(1, 9) AS k
      ON CONFLICT DO NOTHING;
    INSERT INTO likes (user_id, tweet_id) SELECT 1 + i % 97, 1 + i % 5000 FROM generate_series(1, 9000) AS i;
"""

USER_ACTIVITY = """
  SELECT user_id, sum(tweets) AS tweets, sum(following) AS following, sum(followers) AS followers, sum(likes) AS likes
  FROM (SELECT user_id, 0 AS tweets, 0 AS following, 0 AS followers, 0 AS likes FROM users
        UNION ALL SELECT user_id, 1, 0, 0, 0 FROM tweets
        UNION ALL SELECT follower_id, 0, 1, 0, 0 FROM follows
        UNION ALL SELECT followee_id, 0, 0, 1, 0 FROM follows
        UNION ALL SELECT user_id, 0, 0, 0, 1 FROM likes) AS events
  GROUP BY user_id """

TWEETS_BY_USER = "SELECT user_id, tweet_id, upper(body) AS body FROM tweets WHERE user_id % 3 > 0"

COPIES = {"user_activity": USER_ACTIVITY, "tweets_by_user": TWEETS_BY_USER}

LOAD = """
\\set a random(1, 1000)
\\set b random(1, 1000)
INSERT INTO tweets (user_id, body) VALUES (:a, 'hello');
INSERT INTO likes (user_id, tweet_id) VALUES (:b, :a);
INSERT INTO follows VALUES (:a, :b) ON CONFLICT DO NOTHING;
BEGIN;
UPDATE tweets SET user_id = :b WHERE tweet_id = :a;
DELETE FROM likes WHERE like_id = :b * 5;
DELETE FROM follows WHERE follower_id = :b AND followee_id % 7 = 0;
COMMIT;
BEGIN;
INSERT INTO tweets (user_id, body) VALUES (:b, 'never said');
SAVEPOINT s;
UPDATE tweets SET body = body || '.' WHERE tweet_id = :b;
ROLLBACK TO s;
ROLLBACK;
"""

# Not as fast as the machine can: what has to follow it, or to read it all again and again, takes as long on a slow one.
STEADY_LOAD = LOAD + "\\sleep 5 ms\n"


def prepare(rig, copies=None):
    """Tables, rows, and the copies requested; the sidecar is for the caller to start."""
    rig.sql(SCHEMA)
    rig.init()
    for name, query in (COPIES if copies is None else copies).items():
        rig.create(name, query)


def change(rig, choose, times):
    """Random changes of all tables, several in a transaction."""
    for _ in range(times):
        user, other, tweet = choose.randint(1, 1010), choose.randint(1, 1010), choose.randint(1, 5500)
        rig.sql(choose.choice([
            f"INSERT INTO tweets (user_id, body) SELECT {user}, 'tweet of {other}' FROM generate_series(1, {choose.randint(1, 3)})",
            f"UPDATE tweets SET body = body || '!', user_id = {user} WHERE tweet_id BETWEEN {tweet} AND {tweet + 5}",
            f"UPDATE tweets SET body = NULL WHERE tweet_id = {tweet}",
            f"DELETE FROM tweets WHERE tweet_id BETWEEN {tweet} AND {tweet + 2}",
            f"INSERT INTO follows VALUES ({user}, {other}) ON CONFLICT DO NOTHING",
            f"DELETE FROM follows WHERE follower_id = {user} AND followee_id > {other}",
            f"INSERT INTO likes (user_id, tweet_id) VALUES ({user}, {tweet}); DELETE FROM likes WHERE like_id = {tweet}",
            f"INSERT INTO users VALUES ({user + 1000}, 'x') ON CONFLICT DO NOTHING; DELETE FROM users WHERE user_id = {other}",
        ]))
