\set user random_zipfian(1, 20000, 1.05)
SELECT (SELECT count(*) FROM tweets WHERE user_id = :user) AS tweets,
       (SELECT count(*) FROM follows WHERE follower_id = :user) AS following,
       (SELECT count(*) FROM follows WHERE followee_id = :user) AS followers,
       (SELECT count(*) FROM likes WHERE user_id = :user) AS likes;
