"""A PostgreSQL cluster of its own, a Kafka broker, a sidecar that can be killed, and the comparison everything here ends with:
what Anabranch maintains against what PostgreSQL computes from the tables."""

from rig.cluster import Cluster
from rig.compare import differing_rows, expect_equal
from rig.needs import Test, needs
from rig.processes import SKIPPED, PASSED, Processes
from rig.rig import Rig
from rig.servers import Own, Shared, Unavailable
from rig.sidecar import Sidecar

__all__ = [
    "Cluster", "Own", "PASSED", "Processes", "Rig", "SKIPPED", "Shared", "Sidecar", "Test", "Unavailable", "differing_rows", "expect_equal", "needs"]
