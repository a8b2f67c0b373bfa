"""The wire server: framing, connections, hot codecs, client, through real sockets."""
