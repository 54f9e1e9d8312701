#!/usr/bin/env python3
"""Makes the C table of migrations: embed_sql.py 001_NAME.sql 002_NAME.sql ... OUTPUT.

The numbers must follow each other from 1; comments and empty lines are left out."""

import os
import sys


def main():
    *files, output = sys.argv[1:]
    lines = ["/* Made by tools/embed_sql.py. */", "static const struct migration migrations[] = {"]
    for number, path in enumerate(sorted(files, key=os.path.basename), start=1):
        stem = os.path.splitext(os.path.basename(path))[0]
        if stem.split("_")[0] != f"{number:03}":
            sys.exit(f"{path}: number {number:03} was expected")
        lines.append(f'    {{{number}, "{stem}",')
        with open(path, encoding="utf-8") as file:
            for line in file:
                line = line.split("--")[0].rstrip()
                if line:
                    text = line.replace("\\", "\\\\").replace('"', '\\"')
                    lines.append(f'     "{text}\\n"')
        lines.append("    },")
    lines.append("};")
    with open(output, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


main()
