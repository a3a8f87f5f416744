"""What a Kafka cluster needs for passwords, TLS and rights, made new for each test: `make_kafka(**security.options)`.

Listener SASL takes a user's password (PLAIN, SCRAM-SHA-256), TLS shows a certificate of `ca`, SECURE does both. The rig's
own plain listener is that of the administrator, who may do everything; users may do what they are granted.
"""

import pathlib

from rig.certificates import make_authority, make_certificate

PASSWORD = "canary-0xS3cret"


class Security:
    def __init__(self, directory, user="anabranch"):
        self.directory = pathlib.Path(directory, "security")
        self.directory.mkdir(exist_ok=True)
        self.user = user
        self.ca = make_authority(self.directory, "ca")
        self.other_ca = make_authority(self.directory, "other-ca")
        certificate, key = make_certificate(self.ca, "server")
        store = self.directory / "store.pem"
        store.write_text(key.read_text() + certificate.read_text())
        tls = {"ssl.keystore.type": "PEM", "ssl.keystore.location": store}
        plain = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{PASSWORD}";'
        self.options = {
            "listeners": {"SASL": "SASL_PLAINTEXT", "TLS": "SSL", "SECURE": "SASL_SSL"},
            "properties": {
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
                "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
                **{f"listener.name.{listener}.plain.sasl.jaas.config": plain for listener in ("sasl", "secure")},
                **{f"listener.name.{listener}.scram-sha-256.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                   for listener in ("sasl", "secure")},
                **{f"listener.name.{listener}.{key}": value for listener in ("tls", "secure") for key, value in tls.items()}}}

    def client(self, kafka, listener, **properties):
        """What a client needs for that listener, "." as "_" in the names of what is to differ."""
        needed = {"bootstrap.servers": kafka.bootstrap_of(listener), "security.protocol": self.options["listeners"][listener], "log_level": 0}
        if listener in ("SASL", "SECURE"):
            needed |= {"sasl.mechanism": "PLAIN", "sasl.username": self.user, "sasl.password": PASSWORD}
        if listener in ("TLS", "SECURE"):
            needed |= {"ssl.ca.location": str(self.ca)}
        return {**needed, **{key.replace("_", "."): value for key, value in properties.items()}}

    def add_scram_user(self, kafka):
        kafka.tool("kafka.admin.ConfigCommand", "--alter", "--add-config", f"SCRAM-SHA-256=[password={PASSWORD}]", "--entity-type", "users",
                   "--entity-name", self.user)

    def grant(self, kafka, *what):
        """For one: "--operation", "Write", "--topic", "t". Kafka's own tool takes a second or two."""
        kafka.tool("kafka.admin.AclCommand", "--add", "--allow-principal", f"User:{self.user}", *what)
