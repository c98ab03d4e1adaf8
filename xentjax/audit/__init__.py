"""The audit of hidden dangers: a low cross-entropy is measured for what it may hide.

One danger a file. The functions take arrays and return plain records with intervals; `sections`
put them together for one trained model, `report` makes a page, JSON and terminal text of them.
Names load on first use (PEP 562).
"""
