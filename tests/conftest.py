"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import settings

import lipsnn

settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")


@pytest.fixture(scope="session")
def servo() -> lipsnn.Dataset:
    return lipsnn.load_dataset("servo")


@pytest.fixture(scope="session")
def trained(servo: lipsnn.Dataset) -> lipsnn.ShallowNet:
    """A small trained network on servo."""
    return lipsnn.train_sgd(servo.X_train, servo.y_train, 12, 0.1, epochs=200)
