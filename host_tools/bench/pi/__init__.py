"""What the agent costs a Raspberry Pi, beside what an administrator would otherwise run."""
