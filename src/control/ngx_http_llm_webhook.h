/*
 * Webhooks: what the controller did to a split, or what became of a budget,
 * told to a URL.
 */

#ifndef _NGX_HTTP_LLM_WEBHOOK_H_INCLUDED_
#define _NGX_HTTP_LLM_WEBHOOK_H_INCLUDED_

#include "ngx_http_llm.h"

#pragma GCC visibility push(hidden)


/* Posts a JSON object; tries three times, and says in the log when nobody
 * listened, by what ("split") and which one it is about.  `body` NULL: it did
 * not fit.  Returns at once. */
void ngx_http_llm_webhook_post(ngx_str_t *url, char *what, ngx_str_t *name,
    ngx_str_t *body);

/* Posts an event of a split, if it has a webhook. */
void ngx_http_llm_webhook(ngx_http_llm_split_t *split,
    ngx_http_llm_split_event_t *event);

/* Worker exit: what was not delivered is lost. */
void ngx_http_llm_webhook_exit(void);


#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_WEBHOOK_H_INCLUDED_ */
