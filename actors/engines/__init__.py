"""Engines of the cluster's own: vLLM in an actor with an environment of its own.

`nouns` cross between the two environments, as JSON. `vllm`, `weights`, `plugin` and `checks` work in the
engine's environment, `host`, `remote` and `chat` in everybody else's.
"""
