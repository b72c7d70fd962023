"""Pure helpers: state → glyph and word, times and sizes → words, rows → lines of (text, style). No Textual, no I/O."""
