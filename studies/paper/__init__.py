"""Yin and Lesage-Landry (2026), section 4: Table 1 and Figure 1."""
