"""What stands for gdlab in the box: enough for an exercise notebook to run, and nothing that knows an answer."""
