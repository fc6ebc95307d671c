"""Who writes events, and how: one file a family, in the order of their priority."""
