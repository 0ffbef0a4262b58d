"""A vision chat model as judge: prompts and answer forms are files beside the worker."""
