#!/usr/bin/env python3
"""Makes the C tables of known providers and models: embed.py providers.tsv models.tsv PROVIDERS MODELS.

Only what the program uses now is taken: the columns of providers.tsv with the names of the models of those
providers, and of models.tsv what a model holds, can and costs."""

import calendar
import decimal
import json
import sys
import time


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


def write_providers(path, providers, models):
    names = {}
    for row in models:
        names.setdefault(row["provider"], []).append(row["model"])
    with open(path, "w", encoding="utf-8") as file:
        file.write("/* Made by tools/embed.py from providers.tsv and models.tsv. */\n\n")
        file.write("static const struct known_provider known_providers[] = {\n")
        for row in providers:
            known = names.get(row["provider"], [])
            override = quoted(row["base_url_variable"]) if row["base_url_variable"] else "0"
            file.write(f"    {{{quoted(row['provider'])}, PROVIDER_{row['dialect'].upper()},\n")
            file.write(f"     {quoted(row['base_url'])}, {quoted(row['variables'])}, {override},\n")
            for name in known:
                file.write(f"     {quoted(name)} \"\\0\"\n")
            file.write("     \"\", %d},\n" % len(known))
        file.write("};\n")


# What a flag or a modality says that a model can; embeddings and reranking have no column.
FLAGS = {"tool_call": "CAN_TOOLS", "reasoning": "CAN_THINKING", "structured_output": "CAN_SCHEMA"}
INPUTS = {"image": "CAN_VISION", "pdf": "CAN_DOCUMENTS", "audio": "CAN_AUDIO"}


def abilities(row):
    can = [word for flag, word in FLAGS.items() if flag in row["flags"].split(",")]
    can += [word for kind, word in INPUTS.items() if kind in row["modalities_in"].split(",")]
    if "embed" in row["model"].lower():
        can.append("CAN_EMBED")
    if "rerank" in row["model"].lower():
        can.append("CAN_RERANK")
    return " | ".join(can) or "0"


def seconds(date):
    while 0 < len(date) < 10:
        date += "-01"  # some tell the month alone
    return calendar.timegm(time.strptime(date, "%Y-%m-%d")) if date else 0


# The order of enum rate (model/tariff.h); nobody tells a price of an hour's cache.
RATES = ["input", "output", "cache_read", "cache_write", "", "reasoning", "input_audio", "output_audio"]


def pico(usd):
    """Dollars per million tokens as whole pico-dollars per token; some come with the dust of binary fractions."""
    if usd in (None, ""):
        return -1
    exact = decimal.Decimal(str(usd)) * 1000000
    whole = int(exact.to_integral_value())
    if whole < 0:
        return -1  # a router's "it depends"
    if abs(exact - whole) > decimal.Decimal("0.001"):
        sys.exit(f"a price of {usd} per million tokens is finer than a pico-dollar per token")
    return whole


def rates(price):
    return "{" + ", ".join(str(pico(price.get(name))) for name in RATES) + "}"


def tiers(row):
    all_tiers = json.loads(row["tiers"] or "[]")
    for tier in all_tiers:
        if tier["tier"].get("type", "context") != "context":
            sys.exit(f"{row['model']}: a tier of an unknown type")
    return sorted((tier["tier"]["size"], rates(tier)) for tier in all_tiers)


def write_models(path, hosts, models):
    def key(row):
        return row["model"].encode(), row["provider"].encode()

    with open(path, "w", encoding="utf-8") as file:
        models = sorted(models, key=key)
        file.write("/* Made by tools/embed.py from providers.tsv and models.tsv: sorted by name. */\n\n")
        file.write("static const struct price_tier known_tiers[] = {\n")
        for row in models:
            for above, text in tiers(row):
                file.write(f"    {{{above}, {text}}},\n")
        file.write("};\n\nstatic const struct model_facts facts[] = {\n")
        n_tiers = 0
        for row in models:
            longest = row["max_input"] or row["context"] or "0"
            # For embeddings the column holds how long a vector is.
            written = "0" if "embed" in row["model"].lower() else row["max_output"] or "0"
            file.write(f"    {{TEXT({quoted(row['provider'])}), TEXT({quoted(row['model'])}), "
                       f"{abilities(row)}, {longest}, {written}, {seconds(row['released'])}, "
                       f"{rates(row)}, {n_tiers}, {len(tiers(row))}}},\n")
            n_tiers += len(tiers(row))
        file.write("};\n\nstatic const struct vendor_host hosts[] = {\n")
        for row in hosts:
            host = row["base_url"].split("://")[1].split("/")[0]
            file.write(f"    {{TEXT({quoted(host)}), TEXT({quoted(row['provider'])})}},\n")
        file.write("};\n")


def main():
    providers, models, to_providers, to_models = sys.argv[1:]
    providers, models = list(rows(providers)), list(rows(models))
    write_providers(to_providers, providers, models)
    write_models(to_models, providers, models)


main()
