"""A synchronous standby that is absent."""

import contextlib
import threading


@contextlib.contextmanager
def hanging_commit(rig, statement):
    """The standby is lost and `statement` hangs in its commit; at the end the standby is given up and the commit ends."""

    def set_standby(names):
        rig.sql("ALTER SYSTEM SET synchronous_standby_names = %s", (names,))
        rig.sql("SELECT pg_reload_conf()")
        rig.wait_until(lambda: rig.value("SHOW synchronous_standby_names") == names, "the settings to be read again")

    def commit():
        with contextlib.closing(rig.session()) as session, session.cursor() as cursor:
            cursor.execute("SET application_name = 'hanging'")
            cursor.execute(statement)

    set_standby("nobody")
    thread = threading.Thread(target=commit)
    thread.start()
    try:
        rig.wait_until(
            lambda: rig.sql("SELECT 1 FROM pg_stat_activity WHERE application_name = 'hanging' AND wait_event = 'SyncRep'"),
            "the commit to hang")
        yield
    finally:
        set_standby("")
        thread.join(60)
    assert not thread.is_alive(), "the commit hangs still"
