"""CLIP: its propositions, Figure 2, Table 1, and why the worst pair fails on MNIST."""
