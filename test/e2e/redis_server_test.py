"""The Redis that tests of caches stand on: it keeps what it was told, and its settings, over a kill; it has functions; and what it is
full of it says."""


def test_keeps_what_it_was_told(make_redis):
    redis = make_redis(requirepass='p "q\\', maxmemory="3mb", maxmemory_policy="noeviction")
    assert "NOAUTH" in redis.command("GET", "a")

    def ask(*words):
        return redis.command("--no-auth-warning", "-a", 'p "q\\', *words)

    assert ask("SET", "a", "1") == "OK"
    assert ask("FUNCTION", "LOAD", "#!lua name=rig\nredis.register_function('twice', function(keys) return 2 * redis.call('GET', keys[1]) end)") == "rig"
    address = redis.address
    redis.kill()
    redis.start()
    assert redis.address == address and ask("GET", "a") == "1" and ask("FCALL", "twice", "1", "a") == "2"
    redis.stop()
    redis.start()
    answers = [ask("SET", f"filler-{i}", "x" * 100_000) for i in range(30)]
    assert "OOM" in answers[-1] and ask("GET", "a") == "1", answers
