"""Pictures by matplotlib, from plain records and arrays; `pip install "xentjax[plot]"`."""
