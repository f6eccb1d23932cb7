"""Horizontal federated learning as in "Practicing Federated Learning" (chapter 3: `server.py`, `client.py`).

Participants send the difference of each entry of the model's state from what they were given, and the server adds up
lambda times these differences: it does not divide by the number of participants k. So lambda k is a server's learning
rate: 1 is FedAvg, to the bit; the book's lambda of 0.1 with k = 5 goes half of the way; beyond 2 it diverges.
"""

from collections.abc import Iterator

from flexifed.sharing.prefix_tree import Group, Node
from flexifed.strategies import fedavg
from flexifed.training.rules import Rule, SumOfDifferences

ONE_VERSION = True
ALLOWED = {"rate": (0, None)}


def groups(tree: Node) -> Iterator[Group]:
    """As in FedAvg."""
    yield from fedavg.groups(tree)


def server(*, rate: float = 0.1) -> Rule:
    """w + rate * the sum of differences, running statistics of normalisations included, as the book's code has it."""
    return SumOfDifferences(rate)
