/* YAML as a tree of struct json with the line and column of each node and key.
 *
 * A subset of YAML 1.2 that leaves no two ways to read a configuration: one document, no anchors
 * and aliases (so no "billion laughs"), no tags, no doubled keys, keys are scalars. Plain scalars
 * are typed by the core schema (so `off` and `no` are text); quoted ones are always text. Integers
 * in octal (0o17) and hexadecimal become decimal.
 *
 * JSON is read by the same reader, as YAML 1.2 contains it. */
#ifndef MODEL_YAML_H
#define MODEL_YAML_H

#include "json/tree.h"
#include "model/mistake.h"

enum { YAML_SIZE_MAX = 4 << 20, YAML_DEPTH_MAX = 64, YAML_NODES_MAX = 500000 };

/* The root, or NULL when it cannot be read on; what is wrong was added to `m`, also when there is a
 * root (doubled keys). A text without any node is an empty object. The tree does not point into
 * `text`. */
struct json *yaml_read(struct arena *a, struct str text, struct mistakes *m);

/* Prints an object so that yaml_read() makes the same of it. */
void yaml_print(struct buf *b, const struct json *object);

#endif
