"""Other frameworks in the race, where they are installed: Flower's simulation and fedjax. Neither is a dependency.

    pip install "flwr[simulation]" fedjax

Both do the same work as ours: the same models, ten of a hundred clients of 600 images in memory, five epochs in batches
of ten, SGD at 0.01 with momentum 0.5. Both reshuffle every epoch; neither is tested.
"""

import importlib.util
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from flexifed import models
from flexifed.models import set_generator

CLIENTS, COHORT, EACH, EPOCHS, BATCH = 100, 10, 600, 5, 10
RATE, MOMENTUM = 0.01, 0.5
OPTIONS: dict[str, dict[str, Any]] = {"mlp": {"dropout": 0.5}, "cnn": {}}


def seconds(family: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round after the first, which compiles and warms up, by framework that is there."""
    contenders: dict[str, Callable[[str, int], list[float]]] = {"flwr": flower, "fedjax": fedjax}
    there = {name: run for name, run in contenders.items() if importlib.util.find_spec(name)}
    return {name: run(family, rounds + 1)[1:] for name, run in there.items()}


@lru_cache
def data() -> tuple[np.ndarray, np.ndarray]:
    """Random images [CLIENTS, EACH, 1, 28, 28] and labels, the same in every process, made once in each."""
    generator = np.random.default_rng(0)
    images = generator.standard_normal((CLIENTS, EACH, 1, 28, 28), np.float32)
    return images, generator.integers(0, 10, (CLIENTS, EACH))


def flower(family: str, rounds: int) -> list[float]:
    """Flower's simulation: clients are NumPyClients, the server averages; two processes of one thread each."""
    from flwr.client import ClientApp, NumPyClient
    from flwr.common import Context, ndarrays_to_parameters
    from flwr.server import ServerApp, ServerAppComponents, ServerConfig
    from flwr.server.strategy import FedAvg
    from flwr.simulation import run_simulation

    def build() -> torch.nn.Module:
        generator = torch.Generator().manual_seed(0)
        model = models.build(family, "V1", (1, 28, 28), 10, OPTIONS[family], generator)
        set_generator(model, generator)
        return model

    class Client(NumPyClient):
        def __init__(self, number: int) -> None:
            images, labels = data()
            self.images, self.labels = torch.from_numpy(images[number]), torch.from_numpy(labels[number])

        def fit(self, parameters: Any, config: Any) -> tuple[list[np.ndarray], int, dict[str, Any]]:
            torch.set_num_threads(1)
            model = build()
            names = list(model.state_dict())
            model.load_state_dict(dict(zip(names, map(torch.from_numpy, parameters), strict=True)))
            optimiser = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)
            for _ in range(EPOCHS):
                for batch in torch.randperm(EACH).split(BATCH):
                    optimiser.zero_grad()
                    functional.cross_entropy(model(self.images[batch]), self.labels[batch]).backward()
                    optimiser.step()
            return [value.numpy() for value in model.state_dict().values()], EACH, {}

    began: list[float] = []

    class Timed(FedAvg):
        def configure_fit(self, *arguments: Any, **more: Any) -> Any:
            began.append(time.perf_counter())
            return super().configure_fit(*arguments, **more)

        def aggregate_fit(self, *arguments: Any, **more: Any) -> Any:
            found = super().aggregate_fit(*arguments, **more)
            ended.append(time.perf_counter())
            return found

    ended: list[float] = []

    def client(context: Context) -> Any:
        return Client(int(context.node_config["partition-id"])).to_client()

    def server(context: Context) -> ServerAppComponents:
        first = ndarrays_to_parameters([value.numpy() for value in build().state_dict().values()])
        strategy = Timed(
            fraction_fit=COHORT / CLIENTS, fraction_evaluate=0, min_fit_clients=COHORT, initial_parameters=first
        )
        return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=rounds))

    run_simulation(
        server_app=ServerApp(server_fn=server),
        client_app=ClientApp(client_fn=client),
        num_supernodes=CLIENTS,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0}},
    )
    return [end - begin for begin, end in zip(began, ended, strict=True)]


def fedjax(family: str, rounds: int) -> list[float]:
    """fedjax' federated averaging, compiled."""
    import fedjax as peer
    import jax
    from jax import numpy as jnp

    def dropout(x: Any, key: Any, rate: float, shape: tuple[int, ...]) -> Any:
        return x * jax.random.bernoulli(key, 1 - rate, shape) / (1 - rate)

    def mlp(p: Any, x: Any, key: Any) -> Any:
        x = x.reshape(len(x), -1) @ p["w1"] + p["b1"]
        return jax.nn.relu(dropout(x, key, 0.5, x.shape)) @ p["w2"] + p["b2"]

    def convolved(x: Any, weight: Any, bias: Any) -> Any:
        return jax.lax.conv(x, weight, (1, 1), "VALID") + bias[:, None, None]

    def pooled(x: Any) -> Any:
        return jax.nn.relu(jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID"))

    def cnn(p: Any, x: Any, key: Any) -> Any:
        one, two = jax.random.split(key)
        x = convolved(pooled(convolved(x, p["w1"], p["b1"])), p["w2"], p["b2"])
        x = pooled(dropout(x, one, 0.5, (*x.shape[:2], 1, 1))).reshape(len(x), -1)
        x = jax.nn.relu(x @ p["w3"] + p["b3"])
        return dropout(x, two, 0.5, x.shape) @ p["w4"] + p["b4"]

    forward = {"mlp": mlp, "cnn": cnn}[family]
    shapes = {"mlp": [(784, 200), (200, 10)], "cnn": [(10, 1, 5, 5), (20, 10, 5, 5), (320, 50), (50, 10)]}[family]
    generator = np.random.default_rng(1)
    parameters: dict[str, Any] = {}
    for number, shape in enumerate(shapes, 1):
        parameters[f"w{number}"] = jnp.asarray(generator.standard_normal(shape, np.float32) * 0.05)
        parameters[f"b{number}"] = jnp.zeros(shape[0] if len(shape) == 4 else shape[-1])

    def loss(p: Any, batch: Any, key: Any) -> Any:
        return -jnp.mean(jax.nn.log_softmax(forward(p, batch["x"], key))[jnp.arange(BATCH), batch["y"]])

    algorithm = peer.algorithms.fed_avg.federated_averaging(
        jax.grad(loss),
        peer.optimizers.sgd(learning_rate=RATE, momentum=MOMENTUM),
        peer.optimizers.sgd(learning_rate=1.0),
        peer.ShuffleRepeatBatchHParams(batch_size=BATCH, num_epochs=EPOCHS, drop_remainder=True),
    )
    images, labels = data()
    held = peer.InMemoryFederatedData(
        {str(n): {"x": images[n], "y": labels[n].astype(np.int32)} for n in range(CLIENTS)}
    )
    sampler = peer.client_samplers.UniformGetClientSampler(held, num_clients=COHORT, seed=0)
    if not hasattr(jax, "tree_map"):  # which fedjax 0.0.17 still calls
        jax.tree_map = jax.tree.map  # type: ignore[attr-defined]
    state, found = algorithm.init(parameters), []
    for _ in range(rounds):
        began = time.perf_counter()
        state, _ = algorithm.apply(state, sampler.sample())
        jax.block_until_ready(state.params)
        found.append(time.perf_counter() - began)
    return found


if __name__ == "__main__":
    for family in OPTIONS:
        print(family, seconds(family, 3))
