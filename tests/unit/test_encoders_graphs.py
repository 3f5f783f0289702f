"""Batches through recorded graphs, on a processor that stands for the GPU: every row once, copies beside work."""

from collections.abc import Callable
from threading import Thread

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="needs the [torch] extra")

import torch

from encoders.runtime import EngineRefused, Inputs
from encoders.runtimes.batches import rows_of
from encoders.runtimes.graphs import Graphs

BUCKETS = (1, 4, 16)
MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3)


def batch(count: int) -> Inputs:
    return {"x": np.random.default_rng(count).random((count, 4), dtype=np.float32)}


def product(_bucket: int, inputs: dict[str, torch.Tensor], output: torch.Tensor) -> Callable[[], None]:
    return lambda: output.copy_(inputs["x"] @ torch.from_numpy(MATRIX))


def opened(bind: Callable[..., Callable[[], None]] = product) -> Graphs:
    return Graphs("toy", rows_of(batch(1)), 3, BUCKETS, bind)


def expected(inputs: Inputs) -> NDArray[np.float32]:
    result: NDArray[np.float32] = inputs["x"] @ MATRIX
    return result


@pytest.mark.usefixtures("cpu_as_gpu")
@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 16, 17, 100])
def test_any_batch_is_computed(count: int) -> None:
    vectors = opened().run(batch(count))
    assert vectors.shape == (count, 3)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, expected(batch(count)), rtol=1e-6)


@pytest.mark.usefixtures("cpu_as_gpu")
@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_batch_on_the_gpu_is_computed(count: int) -> None:
    vectors = opened().on_device({"x": torch.from_numpy(batch(count)["x"])})
    np.testing.assert_allclose(vectors.numpy(), expected(batch(count)), rtol=1e-6)


def test_next_part_is_launched_before_the_last_one_lands(cpu_as_gpu) -> None:
    opened().run(batch(64))

    # Two events a launch: its upload and its end.
    assert cpu_as_gpu.log == ["launch"] * 4 + ["land", "launch", "launch"] * 2 + ["land", "land"]


def test_one_graph_a_bucket_and_slot_and_another_after_a_change(cpu_as_gpu) -> None:
    graphs = opened()
    assert cpu_as_gpu.recorded == 2 * len(BUCKETS)
    changes: list[int] = []
    graphs.change(lambda: changes.append(cpu_as_gpu.recorded))
    assert changes == [2 * len(BUCKETS)]
    assert cpu_as_gpu.recorded == 4 * len(BUCKETS)


@pytest.mark.usefixtures("cpu_as_gpu")
def test_padding_never_holds_rows_of_an_earlier_batch() -> None:
    seen: list[float] = []

    def watched(bucket: int, inputs: dict[str, torch.Tensor], output: torch.Tensor) -> Callable[[], None]:
        work = product(bucket, inputs, output)

        def watched_work() -> None:
            seen.append(float(inputs["x"].sum()))
            work()

        return watched_work

    graphs = opened(watched)
    graphs.run({"x": np.ones((4, 4), dtype=np.float32)})
    graphs.run({"x": np.ones((2, 4), dtype=np.float32)})
    assert seen[-2:] == [16.0, 8.0]


@pytest.mark.usefixtures("cpu_as_gpu")
def test_threads_take_turns() -> None:
    graphs = opened()
    wrong: list[int] = []

    def work(seed: int) -> None:
        for count in range(seed, 40, 7):
            if not np.allclose(graphs.run(batch(count)), expected(batch(count))):
                wrong.append(count)

    threads = [Thread(target=work, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert wrong == []


def test_closed_graphs_refuse_work_and_give_memory_back(cpu_as_gpu) -> None:
    graphs = opened()
    graphs.close()
    graphs.close()
    assert cpu_as_gpu.released == 2
    with pytest.raises(EngineRefused, match="toy is closed: open it again"):
        graphs.run(batch(1))
    with pytest.raises(EngineRefused, match="toy is closed"):
        graphs.on_device({"x": torch.zeros(1, 4)})
    with pytest.raises(EngineRefused, match="toy is closed"):
        graphs.change(lambda: pytest.fail("was changed"))


@pytest.mark.usefixtures("cpu_as_gpu")
def test_batch_it_was_not_made_for_is_refused() -> None:
    with pytest.raises(EngineRefused, match=r"toy takes x of float32 \(4,\), not float32 \(5,\)"):
        opened().run({"x": np.zeros((1, 5), dtype=np.float32)})
