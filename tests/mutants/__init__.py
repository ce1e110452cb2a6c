"""Lines of the product that must not be lost, each with the test that fails without it.

``make mutants`` breaks one line after the other in a copy of the tree, and runs the tests that it names. A test that
never fails shows nothing: so each must fail.
"""

from __future__ import annotations

from . import (
    client_side,
    clients,
    delegation,
    devices,
    dpop,
    edges,
    grants,
    hosts,
    openid,
    requests,
    sessions,
    sign_in,
    step_up,
    upstreams,
)
from .mutation import Mutation

#: Every mutation, room by room.
MUTATIONS: tuple[Mutation, ...] = (
    *grants.MUTATIONS,
    *sign_in.MUTATIONS,
    *sessions.MUTATIONS,
    *clients.MUTATIONS,
    *hosts.MUTATIONS,
    *openid.MUTATIONS,
    *upstreams.MUTATIONS,
    *edges.MUTATIONS,
    *step_up.MUTATIONS,
    *dpop.MUTATIONS,
    *requests.MUTATIONS,
    *devices.MUTATIONS,
    *delegation.MUTATIONS,
    *client_side.MUTATIONS,
)

__all__ = ["MUTATIONS", "Mutation"]
