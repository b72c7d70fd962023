"""Logs of any size: a file read where it is looked at, counted in the background, searched, filtered, merged, saved."""
