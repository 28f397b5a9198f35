"""The suite: one class for each part of the contract, and `Conformance` for all of it.

The docstring of each test cites the paragraphs of `docs/contract.md` that it checks, such as W6.
"""

from __future__ import annotations

from nitro_py.testing.conformance.suite.answers import Answers
from nitro_py.testing.conformance.suite.coercion import Coercion
from nitro_py.testing.conformance.suite.failures import Failures
from nitro_py.testing.conformance.suite.files import Files
from nitro_py.testing.conformance.suite.order import Order
from nitro_py.testing.conformance.suite.peers import Peers
from nitro_py.testing.conformance.suite.routes import Routes
from nitro_py.testing.conformance.suite.storages import Storages
from nitro_py.testing.conformance.suite.streams import Streams
from nitro_py.testing.conformance.suite.topics import Topics
from nitro_py.testing.conformance.suite.upgrades import Upgrades


class Conformance(Routes, Answers, Files, Upgrades, Order, Failures, Peers, Coercion, Topics, Streams, Storages):
    """The whole suite; its user adds a fixture named `target`."""
