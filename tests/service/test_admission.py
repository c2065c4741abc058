"""Permits before work."""

import time

import pytest

from service.admission import Admission
from service.errors import NotReadyError, Overloaded


def test_no_more_ecgs_than_there_is_room_for() -> None:
    admission = Admission(ecgs=2, body_bytes=100)
    with admission.permit(10), admission.permit(10):
        with pytest.raises(Overloaded) as refused, admission.permit(10):
            pass
        assert refused.value.retry_after_s == 1
        assert admission.ecgs == 2
    with admission.permit(10):
        assert admission.ecgs == 1


def test_no_more_bytes_than_there_is_room_for_but_one_body_always() -> None:
    admission = Admission(ecgs=9, body_bytes=100)
    with admission.permit(500), pytest.raises(Overloaded), admission.permit(1):
        pass
    with admission.permit(60), admission.permit(40):
        pass


def test_the_time_to_retry_follows_the_drain_rate() -> None:
    admission = Admission(ecgs=30, body_bytes=100)
    for _ in range(3):
        with admission.permit(0):
            time.sleep(0.1)
    permits = [admission.permit(0) for _ in range(30)]
    for permit in permits:
        permit.__enter__()
    with pytest.raises(Overloaded) as refused, admission.permit(0):
        pass
    assert 3 <= refused.value.retry_after_s <= 60


def test_a_permit_comes_back_when_the_work_fails() -> None:
    admission = Admission(ecgs=1, body_bytes=100)
    with pytest.raises(ValueError, match="work"), admission.permit(0):
        raise ValueError("work")
    assert admission.ecgs == 0


def test_a_closed_service_admits_nothing() -> None:
    admission = Admission(ecgs=1, body_bytes=100)
    admission.close()
    with pytest.raises(NotReadyError), admission.permit(0):
        pass
