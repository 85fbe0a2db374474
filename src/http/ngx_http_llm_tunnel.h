/*
 * A session by WebSocket: what a client asked for, what a provider agreed to,
 * and what has passed since.
 */

#ifndef _NGX_HTTP_LLM_TUNNEL_H_INCLUDED_
#define _NGX_HTTP_LLM_TUNNEL_H_INCLUDED_

#include "ngx_http_llm_ctx.h"

#include "llm_realtime.h"

#pragma GCC visibility push(hidden)


struct ngx_http_llm_tunnel_s {
    ngx_str_t                    key;           /* Sec-WebSocket-Key */

    /* of the provider's answer to the current attempt */
    ngx_str_t                    protocol;
    ngx_str_t                    extensions;
    unsigned                     upgrade:1;     /* to WebSocket */
    unsigned                     accepted:1;    /* with the right hash */

    /* of the session */
    ngx_recv_pt                  recv;          /* the connection's own */
    llm_ws_t                     frames;
    llm_realtime_event_t         event;
};


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_TUNNEL_H_INCLUDED_ */
