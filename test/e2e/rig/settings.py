"""The settings file of a database that is published to Kafka."""


def write_settings(path, brokers, prefix, partitions=3, home="", tables="", properties=None, **kafka):
    """Values of [kafka] as TOML has them, strings with their quotes. `home`: lines of [source.home]. `tables`: sections
    [kafka.table.NAME]. `properties`: {name: value} of [kafka.properties]. Nobody else can read the file: it may hold secrets."""
    lines = ['log = "kafka"', "[source.home]", home, "[kafka]", f'brokers = "{brokers}"', f'prefix = "{prefix}"', f"partitions = {partitions}",
             *(f"{key} = {value}" for key, value in kafka.items()), tables, "[kafka.properties]",
             *(f'"{key}" = "{value}"' for key, value in (properties or {}).items())]
    path.touch(0o600)
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
