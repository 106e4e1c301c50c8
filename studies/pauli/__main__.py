"""`python -m studies.pauli`: the toy examples of Pauli et al."""

from studies.pauli.study import main

if __name__ == "__main__":
    main()
