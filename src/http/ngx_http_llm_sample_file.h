/*
 * The file of samples, which all workers append to.
 */

#ifndef _NGX_HTTP_LLM_SAMPLE_FILE_H_INCLUDED_
#define _NGX_HTTP_LLM_SAMPLE_FILE_H_INCLUDED_

#include "ngx_http_llm.h"

#pragma GCC visibility push(hidden)


/*
 * Appends a line in one write.  Before a line that would make the file larger
 * than max=, it becomes FILE.1, and FILE.1 FILE.2, up to keep=.  An error is
 * logged once a minute.
 */
void ngx_http_llm_sample_write(ngx_http_llm_sample_conf_t *scf, u_char *line,
    size_t len, ngx_log_t *log);

#pragma GCC visibility pop

#endif /* _NGX_HTTP_LLM_SAMPLE_FILE_H_INCLUDED_ */
