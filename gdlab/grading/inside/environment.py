"""The environment of a learner's code, whole: nothing of the grader's own reaches a box."""

ENVIRONMENT = {
    "HOME": "/home/learner",
    "PWD": "/home/learner",
    "USER": "learner",
    "PATH": "/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "IPYTHONDIR": "/tmp/ipython",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    # Sets and dictionaries in the same order at every run: a verdict can be replayed.
    "PYTHONHASHSEED": "0",
    # One thread a process: boxes run side by side, one to a core.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
