"""The page that `tapeflow serve` shows: hand-written HTML, CSS and JavaScript, without a build step."""
