"""What people and clients do, one verb per module. Flows own the transactions; nothing else opens one."""
