\set user random_zipfian(1, 20000, 1.05)
SELECT tweets, following, followers, likes FROM user_activity WHERE user_id = :user;
