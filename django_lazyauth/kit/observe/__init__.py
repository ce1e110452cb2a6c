"""What does an operator see of a running process?"""
