"""How loud a clip is, and how to change that: measured by the standard, limited, brought to a target."""
