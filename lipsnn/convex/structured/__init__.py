"""The structured solver of programs (6), (12) and the joint one.

All three are one cone program in z_i = a_i w_i: a quadratic loss, the rows S_i X z_i >= 0, and
either second-order cones for the norms of (6) or the arrow LMI of fact C, with q free (joint) or
fixed at kappa_i^2 / (2 t_i) (program (12)). A primal-dual interior-point method of our own solves
it: `interior` is the method, `newton` its one linear system of order m (d + 1) + m + 1, `loss` the
Gram matrix, `rows` the cone rows that are carried, `arrow` and `norms` the two cones, `merge` what
is merged beforehand, `program` the way to unit scale and back, `solve` the three entries.

The method starts at the known network, each unit at the scale at which all fit the targets best,
or at zero weights where the objective is less there: at the paper's size this saves the joint
program a quarter of its iterations.

Only as many rows as are variables can be active, and the known network tells nearly which (fact L):
a small set is carried, all rows are checked a few times on the way and at the end, and those that
are violated enter. The data are needed for the Gram matrix, once, and for these checks, each one
product chunk by chunk; nothing is stored for each sample and unit but the bit of its pattern.

Why not a library with a custom KKT step: the prototype on CVXOPT's `coneqp` took 72 iterations and
6.4 s for the joint program at n = 1439, d = 11, m = 100, half of it copying between its matrices
and numpy's. This method takes under a second (``benchmarks/refine.py`` measures it):

- the scaling of the arrow is updated in scaled coordinates, where eigenvalues are near
  sqrt(mu), and refinement runs on the unreduced system: both keep the digits that the last
  iterations need, so that degenerate restrictions still end at 1e-8;
- the predictor, the second-order corrector and up to two further corrections share one factor,
  which is half of an iteration's work;
- rows and cone are centred each from where they are (the arrow's products may lag 30 times behind
  the rows'), which saves about 6 % of the iterations.

Warm starts: `start` is the solution of another program on the same data. Its Gram matrix serves
again, brought up to date where patterns of some samples have changed (the walk). In the same cells,
at another strength or other multipliers, so do its rows and an iterate: the optimum itself lies on
the boundary of many cones and is a bad start, so each solve keeps an early central one. From there
a round of the alternation takes about 16 iterations where the method's own start takes 28 (machine,
m = 100), and a step of 1.3 in the strength a quarter fewer. Where the first steps from it are all
short, and for the norms of (6), where nothing is gained, the method starts afresh.
"""

from lipsnn.convex.structured.solve import solve_joint, solve_l2, solve_lipschitz

__all__ = ["solve_joint", "solve_l2", "solve_lipschitz"]
