#include "gateway/sim.h"
static void rq(struct http_req *r){ http_head(r,501,0); http_send(r,0,0,true); http_finish(r);}
static void g(struct http_req *r){(void)r;}
const struct http_server_ops sim_server_ops={.request=rq,.gone=g,.drained=g};
struct http_server *sim_new(struct loop *l){ return http_server_new(l,&sim_server_ops,NULL);}
