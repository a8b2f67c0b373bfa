"""The protocols of docs/design.md as small models, explored state by state, with each rule taken away in turn."""
