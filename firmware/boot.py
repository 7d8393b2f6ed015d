# Nothing to do before main.py: the agent joins the network itself, step by step.
