"""The search service: a FastAPI app over any index, and its deployment on Ray Serve.

Only ``deployment`` loads Ray; the app runs and is tested without it.
"""
