"""Upper bounds on the Lipschitz constant of a network, and what lies below them."""

from lipsnn.certificate.cells import exact_constant
from lipsnn.certificate.entry import certify
from lipsnn.certificate.ladder import Ladder
from lipsnn.certificate.proof import ProofError
from lipsnn.certificate.result import Certificate
from lipsnn.certificate.slopes import norm_product

__all__ = ["Certificate", "Ladder", "ProofError", "certify", "exact_constant", "norm_product"]
