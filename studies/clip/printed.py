"""What CLIP's authors report: to be set beside what we find."""

# Table 1 as printed: train, test, noise, PGD in per cent, and the final strength.
PAPER = {
    "mnist": {
        "Standard": (95.6, 89.8, 71.8, 25.3, 0.0),
        "Weights 95": (93.1, 89.0, 71.4, 25.4, 0.0003),
        "Weights 90": (89.8, 89.7, 71.9, 24.8, 0.0015),
        "Weights 85": (84.8, 87.2, 72.3, 24.9, 0.0031),
        "CLIP 95": (95.3, 90.7, 70.3, 24.4, 0.01),
        "CLIP 90": (91.8, 91.6, 78.0, 36.2, 3.91),
        "CLIP 85": (87.6, 87.2, 74.5, 37.7, 9.82),
    },
    "fashion": {
        "Standard": (98.5, 92.0, 25.7, 1.9, 0.0),
        "Weights 95": (94.8, 91.2, 26.9, 3.5, 0.0011),
        "Weights 90": (89.8, 89.6, 28.1, 6.0, 0.0023),
        "Weights 85": (85.3, 85.4, 34.2, 10.2, 0.0091),
        "CLIP 95": (94.6, 91.9, 19.8, 9.1, 0.18),
        "CLIP 90": (90.6, 88.9, 23.3, 13.0, 0.74),
        "CLIP 85": (85.9, 83.1, 31.9, 14.9, 4.18),
    },
}
PAPER_COLUMNS = ("paper_train", "paper_test", "paper_noise", "paper_pgd", "paper_strength")
# Values read off the paper's Figure 2, its largest slopes and its RMS errors to the truth.
PAPER_CURVES = {
    10.0: {-4: 0.36, -3.5: 0.244, -3: 0.058, 3: 0.082, 3.5: 0.252, 4: 0.315},
    1.0: {-4: 0.462, -3.5: 0.258, -3: 0.031, 3: 0.069, 3.5: 0.281, 4: 0.441},
    1e-10: {-4: 0.477, -3.5: 0.208, -3: 0.030, 3: 0.071, 3.5: 0.268, 4: 0.473},
    0.0: {-4: 0.494, -3.5: 0.233, -3: 0.029, 3: 0.079, 3.5: 0.255, 4: 0.476},
}
PAPER_SLOPES = {10.0: 0.42, 1.0: 0.68, 1e-10: 0.73}
PAPER_RMS = {10.0: 0.041, 1.0: 0.0185, 1e-10: 0.0187, 0.0: 0.069}
