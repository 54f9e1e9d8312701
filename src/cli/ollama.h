/* An Ollama at its usual address (or OLLAMA_HOST) becomes a provider by itself, when it answers. */
#ifndef CLI_OLLAMA_H
#define CLI_OLLAMA_H

#include "model/config.h"

/* Adds a provider "ollama" with the models it lists, unless the configuration has one of that name.
 * Asks for at most 300 ms; a closed port answers at once. */
void ollama_discover(struct arena *a, struct config *c);

#endif
