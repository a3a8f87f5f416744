"""The first things a reader of the README does, live."""

import datetime

from rig import social


def test_social_example_live(rig):
    social.prepare(rig, {"user_activity": social.USER_ACTIVITY})
    rig.sidecar.start()
    rig.expect_current({"user_activity": social.USER_ACTIVITY})
    with rig.load(social.LOAD):
        for _ in range(20):
            rig.wait_fresh("user_activity")
    rig.expect_current({"user_activity": social.USER_ACTIVITY})
    assert rig.value("SELECT count(*) FROM user_activity WHERE user_id = 42") == 1
    rig.sidecar.stop()


def test_copies_created_under_load(rig):
    social.prepare(rig, copies={})
    rig.sidecar.start()
    with rig.load(social.LOAD):
        for name, query in social.COPIES.items():
            rig.create(name, query)
            rig.wait_live(name)
    rig.expect_current(social.COPIES)


def test_reader_waits_for_its_own_write(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live("user_activity")
    for _ in range(50):
        before = rig.value("SELECT tweets FROM user_activity WHERE user_id = 42")
        rig.sql("INSERT INTO tweets (user_id, body) VALUES (42, 'mine')")
        rig.wait_fresh("user_activity")
        assert rig.value("SELECT tweets FROM user_activity WHERE user_id = 42") == before + 1


def test_age_of_an_idle_copy_is_known(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live("user_activity")
    rig.wait_fresh("user_activity")
    began = rig.value("SELECT clock_timestamp()")
    moments = []

    def moved_on():
        moments.append(rig.value("SELECT current_as_of FROM anabranch.copies WHERE copy = 'user_activity'::regclass"))
        return moments[-1] > began + datetime.timedelta(seconds=5)

    rig.wait_until(moved_on, "the copy to be said to be current, as nothing is written")
    assert moments == sorted(moments), "how current a copy was never falls back"
    rig.sql("SELECT anabranch.assert_fresh('user_activity', '60 s')")


def test_pause_and_resume(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    rig.sql("SELECT anabranch.pause('user_activity')")
    rig.wait_for_state("user_activity", "paused")
    paused = rig.sql("TABLE user_activity ORDER BY user_id")
    with rig.load(social.LOAD):
        for _ in range(10):
            rig.wait_fresh("tweets_by_user")
    assert rig.sql("TABLE user_activity ORDER BY user_id") == paused
    rig.sql("SELECT anabranch.resume('user_activity')")
    rig.expect_current(social.COPIES)


def test_stopped_sidecar_goes_on_where_it_was(rig):
    social.prepare(rig)
    for _ in range(5):
        rig.sidecar.start()
        rig.wait_live(*social.COPIES)
        with rig.load(social.LOAD):
            rig.wait_fresh(*social.COPIES)
            rig.sidecar.stop()
    rig.sidecar.start()
    rig.expect_current(social.COPIES)


def test_drop(rig):
    social.prepare(rig)
    rig.sidecar.start()
    rig.wait_live(*social.COPIES)
    rig.sql("SELECT anabranch.drop_aggregate_table('user_activity')")
    assert rig.sql("SELECT to_regclass('user_activity')") == [(None,)]
    rig.expect_current({"tweets_by_user": social.TWEETS_BY_USER})
    rig.create("user_activity", social.USER_ACTIVITY)
    rig.expect_current(social.COPIES)
