"""The imagine app: query -> admitted picture, over HTTP."""
