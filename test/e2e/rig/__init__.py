"""A PostgreSQL cluster of its own, a sidecar that can be killed, and the comparison everything here ends with:
what Anabranch maintains against what PostgreSQL computes from the tables."""

from rig.cluster import Cluster
from rig.compare import differing_rows, expect_equal
from rig.sidecar import Sidecar
from rig.rig import Rig

__all__ = ["Cluster", "Rig", "Sidecar", "differing_rows", "expect_equal"]
