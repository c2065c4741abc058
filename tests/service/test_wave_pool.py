"""Processes that delineate: as the classical delineator does, and replaced when they die or hang."""

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from model.engine import Outputs
from model.reader import Prepared
from model.reading import second_opinion
from model.signal.preprocess import Windows
from model.signal.quality import Quality
from model.signal.recording import Recording
from service import examples
from service.wave_pool import DelineationError, WavePool
from tests.service.stubs import outputs_of

OUTPUTS: Outputs = outputs_of(np.zeros((1, 8, 2500), np.float32))


@pytest.fixture(scope="module")
def pool() -> Iterator[WavePool]:
    pool = WavePool(processes=1, timeout_s=60)
    pool.warm()
    yield pool
    pool.close()


def prepared(repeats: int = 2) -> Prepared:
    leads = examples.simulated_mv()
    signal_mv = np.tile(np.stack(list(leads.values())), (1, repeats)).astype(np.float32)
    recording = Recording(signal_mv, examples.SAMPLING_HZ, tuple(leads))
    return Prepared(recording, Quality("good"), Windows(np.zeros((1, 8, 2500), np.float32), (0.0,), 0.0, (), 250))


@contextmanager
def descriptors(left: int) -> Iterator[None]:
    """This process may open so many more files, and no more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken[0] + 64, limits[1]))
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(taken[0]))
        for _ in range(left):
            os.close(taken.pop())
        yield
    finally:
        for one in taken:
            os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def process_of(pool: WavePool) -> int:
    return pool.processes[0]


@pytest.mark.slow
def test_a_process_says_what_the_delineator_says(pool: WavePool) -> None:
    waves = pool.delineate(prepared(), OUTPUTS)
    assert waves == second_opinion.delineate(prepared().recording)
    assert sum(wave.wave == "QRS" for wave in waves["II"]) >= 10


@pytest.mark.slow
def test_a_process_that_died_is_replaced(pool: WavePool) -> None:
    os.kill(process_of(pool), signal.SIGKILL)
    with pytest.raises(DelineationError):
        pool.delineate(prepared(), OUTPUTS)
    assert pool.delineate(prepared(), OUTPUTS)["II"]


@pytest.mark.slow
def test_a_process_that_hangs_is_replaced_in_time() -> None:
    pool = WavePool(processes=1, timeout_s=0.3)
    try:
        pool.warm()
        hung = process_of(pool)
        os.kill(hung, signal.SIGSTOP)
        began_s = time.monotonic()
        with pytest.raises(DelineationError):
            pool.delineate(prepared(), OUTPUTS)
        assert time.monotonic() - began_s < 20
        assert process_of(pool) != hung
    finally:
        pool.close()


def test_without_descriptors_for_all_processes_none_is_left_behind() -> None:
    before = multiprocessing.active_children()
    with descriptors(9), pytest.raises(DelineationError):
        WavePool(processes=8, timeout_s=1)
    assert multiprocessing.active_children() == before
    WavePool(processes=1, timeout_s=1).close()


def test_a_process_that_cannot_be_replaced_for_want_of_descriptors_is_replaced_later() -> None:
    pool = WavePool(processes=1, timeout_s=60)
    try:
        lost = process_of(pool)
        os.kill(lost, signal.SIGKILL)
        with descriptors(1), pytest.raises(DelineationError):
            pool.delineate(prepared(), OUTPUTS)
        assert process_of(pool) == lost
        with pytest.raises(DelineationError):
            pool.delineate(prepared(), OUTPUTS)
        assert process_of(pool) != lost
    finally:
        pool.close()
