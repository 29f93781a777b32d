"""From text and `now` to verified claims: pure, with no clock, no thread and no socket."""
