"""How the book is made: `build` runs Jupyter Book, `serve` and `pdf` take what it built, the others are its extensions."""
