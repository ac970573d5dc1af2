"""Slow thinking on copies: whatever is found here comes back as ordinary commands, refused when stale. The one home of OR-Tools."""
