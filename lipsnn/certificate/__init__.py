"""Upper bounds on the Lipschitz constant of a network, and what lies below them."""

from lipsnn.certificate.certify import certify
from lipsnn.certificate.result import Certificate

__all__ = ["Certificate", "certify"]
