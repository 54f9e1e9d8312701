"""Writes a text file as a C array with a name: embed_text.py NAME INPUT OUTPUT."""

import sys

name, source, target = sys.argv[1:]
with open(source, "rb") as f:
    data = f.read()
with open(target, "w", encoding="ascii") as out:
    out.write(f"static const char {name}[] = {{\n")
    for at in range(0, len(data), 16):
        out.write("    " + " ".join(f"{byte}," for byte in data[at : at + 16]) + "\n")
    out.write("    0};\n")
