"""The book's machinery: notebooks in, checked pages out. No part of the library."""
