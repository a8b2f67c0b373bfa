"""Where the bucket's objects are for engines that read them by themselves: from a bucket's URL to plain locations.

Engines take a location as it is written: nothing is escaped in it, and how to reach the store is told to them apart.
"""

from urllib.parse import unquote, urlsplit


def bucket_location(url: str) -> str:
    """What an object's key is appended to, ending with a slash: `file:///folder/` or `s3://bucket/prefix/`.

    `url` is one that `open_store` takes.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        return f"file://{unquote(parts.path).rstrip('/')}/"
    path = unquote(parts.path).strip("/")
    return f"{parts.scheme}://{parts.netloc or 'bucket'}/{path + '/' if path else ''}"
