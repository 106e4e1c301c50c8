"""The structured solver of programs (6), (12) and the joint one.

All three are one cone program in z_i = a_i w_i: a quadratic loss, the rows S_i X z_i >= 0, and
either second-order cones for the norms of (6) or the arrow LMI of fact C, with q free (joint) or
fixed at kappa_i^2 / (2 t_i) (program (12)). A primal-dual interior-point method of our own solves
it: `interior` is the method, `newton` its one linear system of order m (d + 1) + m + 1, `rows` the
sums over samples, `arrow` and `norms` the two cones, `merge` what is merged beforehand, `solve` the
three entries.

Why not a library with a custom KKT step: the prototype on CVXOPT's `coneqp` took 72 iterations and
6.4 s for the joint program at n = 1439, d = 11, m = 100, half of it copying between its matrices
and numpy's. This method takes 1.5 s (``benchmarks/refine.py`` measures it against the peers):

- every product with data is one matrix product over n, and nothing is copied;
- the scaling of the arrow is updated in scaled coordinates, where eigenvalues are near
  sqrt(mu), and refinement runs on the unreduced system: both keep the digits that the last
  iterations need, so that degenerate restrictions still end at 1e-8;
- the predictor, the second-order corrector and up to two further corrections share one factor,
  which is half of an iteration's work;
- rows and cone are centred each from where they are (the arrow's products may lag 30 times behind
  the rows'), which saves about 6 % of the iterations.

Warm starts: `start` is the solution of the same cells at another strength or other multipliers.
The optimum itself lies on the boundary of many cones and is a bad start, so each solve keeps an
early central iterate. From there a round of the alternation takes about 16 iterations where the
method's own start takes 28 (machine, m = 100), and a step of 1.3 in the strength a quarter fewer;
for larger steps, for other cells (the walk) and for the norms of (6) nothing is gained, and the
method starts afresh.
"""

from lipsnn.convex.structured.solve import solve_joint, solve_l2, solve_lipschitz

__all__ = ["solve_joint", "solve_l2", "solve_lipschitz"]
