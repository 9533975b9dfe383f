"""Finding a Ray cluster; what it does is in tests/slow/test_build_on_ray.py."""

import pytest

from shared.cluster import NoCluster, cluster


def test_an_address_without_a_cluster_is_an_error_that_names_it_and_not_a_wait() -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with pytest.raises(NoCluster, match=r"no Ray cluster at '127\.0\.0\.1:1'"), cluster("127.0.0.1:1"):
        pass
