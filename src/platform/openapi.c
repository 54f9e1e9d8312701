#include "platform/route.h"

int read_openapi(struct visit *v, struct db *db)
{
    (void)db;
    answer_empty(v, 204);
    return 0;
}
