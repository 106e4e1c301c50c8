"""At equal certified bound: this book's methods against networks that are Lipschitz by design."""
