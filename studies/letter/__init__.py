"""The letter of Pauli et al. (2021): three classes in the plane, and MNIST under noise."""
