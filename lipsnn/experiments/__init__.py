"""The experiments: grids of trials in, tidy tables out; cached, resumable, parallel."""
