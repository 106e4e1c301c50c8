"""Upper bounds on the Lipschitz constant of a network, and what lies below them."""

from lipsnn.certificate.cells import enumerated_constant
from lipsnn.certificate.constant import ExactConstant, exact_constant
from lipsnn.certificate.deployed import Deployed
from lipsnn.certificate.entry import certify, certify_layers, margin_bounds, output_bounds
from lipsnn.certificate.ladder import Ladder
from lipsnn.certificate.product import norm_product
from lipsnn.certificate.proof import ProofError
from lipsnn.certificate.result import Certificate

__all__ = [
    "Certificate",
    "Deployed",
    "ExactConstant",
    "Ladder",
    "ProofError",
    "certify",
    "certify_layers",
    "enumerated_constant",
    "exact_constant",
    "margin_bounds",
    "norm_product",
    "output_bounds",
]
