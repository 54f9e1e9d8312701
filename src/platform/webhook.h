/* Messages to webhooks: posted from a loop of their own choice, signed as Standard Webhooks 1.0 says (webhook-id,
 * webhook-timestamp, webhook-signature: HMAC-SHA256 over the three), tried again with full jitter, never redirected. What
 * waits for a webhook is bounded: a message that finds its line full is dropped and counted. All of it on one thread, the loop's. */
#ifndef PLATFORM_WEBHOOK_H
#define PLATFORM_WEBHOOK_H

#include "http/client.h"
#include "model/config.h"

enum {
    WEBHOOK_WAITING_MAX = 128, /* for one webhook: more than there can be rules */
    WEBHOOK_TRIES = 8,
    WEBHOOK_FIRST_MS = 1000,
    WEBHOOK_MOST_MS = 300000,
    WEBHOOK_TRY_MS = 15000
};

struct delivery;

struct webhooks {
    struct loop *_loop;
    struct http_client *_client; /* NULL: nothing was sent yet */
    struct tls_ctx *_tls;
    struct delivery *_first;
    _Atomic size_t waiting;                      /* under way, or until they are tried again */
    _Atomic uint64_t delivered, failed, dropped; /* waiting and these: any thread reads them */
    /* Told of what could not be delivered, a sentence. */
    void (*complain)(void *arg, struct str text);
    void *arg;
};

/* `body`: JSON; copied, as what is needed of `to` is. `id` names the message, the same at each try. */
void webhook_send(struct webhooks *w, const struct config_webhook *to, struct str id,
                  struct str body);
/* The system's authorities are read anew for the next message. */
void webhooks_renew(struct webhooks *w);
/* What waits is given up. */
void webhooks_free(struct webhooks *w);

#endif
