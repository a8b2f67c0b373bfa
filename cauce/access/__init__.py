"""Whether a client may ask what it asks: each API's check stands before its handler, by Kafka's rules."""
