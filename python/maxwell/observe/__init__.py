"""What a run shows and leaves behind: events, the report, plots, explanations, the live table.

Everything here reads records of `maxwell.node` and writes files or terminal objects; nothing here
changes a run. Heavy imports (matplotlib, rich) happen in the functions that need them.
"""
