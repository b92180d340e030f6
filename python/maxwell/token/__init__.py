"""Receipts: what each process paid for what, signed by the node, verifiable from files alone.

`registry` names the figures, `receipt` and `statements` the formats, `book` writes them while a
run goes on, `verify` and `audit` read them back. The formats are docs/reference/receipts.md.
"""
