"""What Pauli et al. (2020) print: to be set beside what we find."""

# Printed in Table I (MSE, L) and Table II (training, testing, sine MSE, L).
TABLE_1 = {"nominal": (0.0161, 17.65), "l2": (0.0457, 7.815), "lipschitz": (0.0437, 6.378)}
TABLE_2 = {
    "nominal": (0.0590, 0.0990, 0.0106, 9.747),
    "l2": (0.1159, 0.1521, 0.0681, 2.403),
    "lipschitz": (0.0687, 0.1009, 0.0128, 2.316),
}
