"""The paper's numbers and this project's runs: profiles, results, verdicts on claims, and tables.

The modules import from `evaluation`, the paper's modules, `data` and `runtime`, never from
`tools`. Start with `profiles`, which says what is run, then `runs`, `experiments` and `results`.
"""
