"""Errors under attack from both sides: what an attack reaches, and what none can."""

from lipsnn.certificate.lifted import Errors
from lipsnn.enclosure.entry import certified_error

__all__ = ["Errors", "certified_error"]
