"""Scale out on Ray: encode with many workers, search many shards. Installed as ``hashnet.distributed``."""

if __name__ != "hashnet.distributed":
    # The repository root may be on sys.path, where this folder would shadow the package that owns the name.
    raise ModuleNotFoundError(f"No module named '{__name__}' here; import hashnet.distributed")
