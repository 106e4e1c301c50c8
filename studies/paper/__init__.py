"""Yin and Lesage-Landry (2026): Table 1, Figure 1, sensitivity and cost."""
