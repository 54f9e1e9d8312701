#!/usr/bin/env python3
"""Makes the C table of known providers: embed.py providers.tsv models.tsv OUTPUT.

Only what the program uses now is taken: the columns of providers.tsv, and of models.tsv the names of
the models of those providers."""

import sys


def rows(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.rstrip("\n") for line in file if line.strip() and not line.startswith("#")]
    head = lines[0].split("\t")
    for number, line in enumerate(lines[1:], start=2):
        cells = line.split("\t")
        if len(cells) > len(head):
            sys.exit(f"{path}: row {number} has {len(cells)} cells, the head has {len(head)}")
        yield dict(zip(head, cells + [""] * (len(head) - len(cells))))


def quoted(text):
    if not text.isascii() or not text.isprintable():
        sys.exit(f"not printable ASCII: {text!r}")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main():
    providers, models, output = sys.argv[1:]
    names = {}
    for row in rows(models):
        names.setdefault(row["provider"], []).append(row["model"])
    with open(output, "w", encoding="utf-8") as file:
        file.write("/* Made by tools/embed.py from providers.tsv and models.tsv. */\n\n")
        file.write("static const struct known_provider known_providers[] = {\n")
        for row in rows(providers):
            known = names.get(row["provider"], [])
            override = quoted(row["base_url_variable"]) if row["base_url_variable"] else "0"
            file.write(f"    {{{quoted(row['provider'])}, PROVIDER_{row['dialect'].upper()},\n")
            file.write(f"     {quoted(row['base_url'])}, {quoted(row['variables'])}, {override},\n")
            for name in known:
                file.write(f"     {quoted(name)} \"\\0\"\n")
            file.write("     \"\", %d},\n" % len(known))
        file.write("};\n")


main()
