/* Masking in the path of a call (policy/mask.h has what finds and replaces).
 *
 *   route     ── masking_request ── the body is looked through, before any target is chosen: from here on it is the
 *                masked one that is passed on, or read into the form, at every attempt
 *   forward   ── masking_lift, masking_cover ── around what must see the caller's own words (kept.h)
 *   relay     ── masking_event ── what the model writes comes as events: values take the place of their tokens, and
 *                what is found in it is replaced
 *   record    ── masking_end
 *
 * A call in whose answer something is to be done is translated, into its own dialect if need be. */
#ifndef GATEWAY_MASKING_H
#define GATEWAY_MASKING_H

#include "gateway/translate.h"

/* Looks through the request. NEXT; or DONE, it is refused. Once per call. */
enum next masking_request(struct call *c);

/* The caller's own body, and back: the latter looks through it again if it is another by now. */
void masking_lift(struct call *c);
enum next masking_cover(struct call *c);
/* The caller's own body when another goes in its place; else empty. */
struct str masking_clear(const struct call *c);

/* A text that is added to the request on its way, escaped; as masking_request(). */
enum next masking_text(struct call *c, struct str *text);

/* An answer begins, perhaps not the first one. */
void masking_answer(struct call *c);
/* What the model writes: as many events go to `pass` in its place. */
void masking_event(struct call *c, const struct ir_event *e,
                   void (*pass)(struct call *c, const struct ir_event *e));

/* accord-masked: email=2, card=1 */
void masking_field(struct call *c);
/* Counts, and gives back what is held. */
void masking_end(struct call *c);

/* Worker: the scratch fits the snapshot that it has taken; and is given back. */
void masking_fit(struct worker *w, const struct snapshot *s);

#endif
