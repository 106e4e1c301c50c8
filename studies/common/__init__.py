"""What all studies share: trials, their cache, results on disk, checked claims, the house style."""
