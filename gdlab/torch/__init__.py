"""The five ideas on torch tensors and GPUs, backed by the definitions in `gdlab.rules`: no formula stands here twice."""
